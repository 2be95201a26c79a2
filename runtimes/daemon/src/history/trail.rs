//! The notes on one download while it runs.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use khashmir::Id;
use khashmir_apt::Sha256;

use super::record::{Ending, KeyAsked, KeyOf, MirrorAsked, PeerAsked, Record, Why};
use crate::database::milliseconds;

/// Entries of one kind that are noted; later ones only count where something counts them.
const MAX_NOTES: usize = 64;
/// The longest reason that is noted, in characters: strangers may have a part in it.
const MAX_REASON: usize = 200;

/// The notes on one download.
#[derive(Debug)]
pub struct Trail {
    began: Instant,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    record: Record,
    length_is_unknown: bool,
    lookup_ended: bool,
    nobody_is_known: bool,
    file_was_wrong: bool,
}

impl Trail {
    /// A download of the file with this hash, and this length in bytes, begins now.
    #[must_use]
    pub fn begin(sha256: Sha256, size: Option<u64>, url: Option<String>) -> Self {
        let began_ms = milliseconds(SystemTime::now());
        let record = Record { sha256: sha256.to_string(), size, url, began_ms, ..Record::default() };
        Self { began: Instant::now(), notes: Mutex::new(Notes { record, ..Notes::default() }) }
    }

    /// How long it has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A key is looked up.
    pub fn key_asked(&self, key: Id, of: KeyOf) {
        let asked_ms = self.now_ms();
        let asked =
            KeyAsked { key: key.to_string(), of, asked_ms, first_ms: None, ended_ms: None, values: 0 };
        push(&mut self.notes().record.keys, asked);
    }

    /// A value came under it.
    pub fn value_found(&self, key: Id) {
        let now = self.now_ms();
        self.with_key(key, |asked| {
            asked.first_ms.get_or_insert(now);
            asked.values += 1;
        });
    }

    /// No more come.
    pub fn key_ended(&self, key: Id) {
        let now = self.now_ms();
        self.with_key(key, |asked| asked.ended_ms = Some(now));
    }

    /// One of those values is the claim of another machine to have the file.
    pub fn offer_found(&self) {
        self.notes().record.offers += 1;
    }

    /// No more claims come. `nodes`: how many other nodes are known.
    pub fn lookup_ended(&self, nodes: usize) {
        let mut notes = self.notes();
        notes.lookup_ended = true;
        notes.nobody_is_known = nodes == 0;
    }

    /// Peers cannot be asked, for want of the file's length.
    pub fn length_is_unknown(&self) {
        self.notes().length_is_unknown = true;
    }

    /// A peer is asked for something.
    pub fn peer_asked(&self, address: SocketAddr) {
        let asked_ms = self.now_ms();
        let peers = &mut self.notes().record.peers;
        if !peers.iter().any(|peer| peer.address == address) {
            let first_ms = None;
            let new = PeerAsked { address, asked_ms, first_ms, answers: 0, bytes: 0, wrong: 0, failed: None };
            push(peers, new);
        }
    }

    /// It gave it: so many bytes.
    pub fn peer_gave(&self, address: SocketAddr, bytes: usize) {
        let now = self.now_ms();
        self.with_peer(address, |peer| {
            peer.first_ms.get_or_insert(now);
            peer.answers += 1;
            peer.bytes += bytes as u64;
        });
    }

    /// It did not.
    pub fn peer_failed(&self, address: SocketAddr, reason: &str) {
        self.with_peer(address, |peer| peer.failed = Some(short(reason)));
    }

    /// A piece that it gave was wrong.
    pub fn piece_was_wrong(&self, address: SocketAddr) {
        self.with_peer(address, |peer| peer.wrong += 1);
    }

    /// All pieces were there, and the whole was wrong.
    pub fn file_was_wrong(&self) {
        self.notes().file_was_wrong = true;
    }

    /// The mirror is asked for `len` bytes from `offset` on, or all from there.
    pub fn mirror_asked(&self, offset: u64, len: Option<u64>) {
        let at_ms = self.now_ms();
        let mut notes = self.notes();
        let why = notes.why();
        push(&mut notes.record.mirror, MirrorAsked { at_ms, offset, len, why, failed: None });
    }

    /// It did not give all that it was asked for last.
    pub fn mirror_failed(&self, reason: &str) {
        if let Some(last) = self.notes().record.mirror.last_mut() {
            last.failed = Some(short(reason));
        }
    }

    /// What is known now, of a file of whose bytes so many came from peers and the mirror.
    #[must_use]
    pub fn record(&self, ending: Option<Ending>, (from_peers, from_mirror): (u64, u64)) -> Record {
        let took_ms = self.now_ms();
        let record = self.notes().record.clone();
        Record { took_ms, ending, bytes_from_peers: from_peers, bytes_from_mirror: from_mirror, ..record }
    }

    fn with_key(&self, key: Id, note: impl FnOnce(&mut KeyAsked)) {
        let key = key.to_string();
        if let Some(asked) = self.notes().record.keys.iter_mut().find(|asked| asked.key == key) {
            note(asked);
        }
    }

    fn with_peer(&self, address: SocketAddr, note: impl FnOnce(&mut PeerAsked)) {
        if let Some(peer) = self.notes().record.peers.iter_mut().find(|peer| peer.address == address) {
            note(peer);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// Why the mirror is asked, as things stand.
    fn why(&self) -> Why {
        let Record { offers, peers, .. } = &self.record;
        let gave_up = |peer: &PeerAsked| peer.failed.is_some() || peer.wrong > 0;
        if self.length_is_unknown {
            Why::LengthUnknown
        } else if self.file_was_wrong {
            Why::FileWrong
        } else if *offers > 0 && !peers.is_empty() && peers.iter().all(gave_up) {
            Why::PeersFailed
        } else if *offers > 0 {
            Why::PeersLate
        } else if !self.lookup_ended {
            Why::NobodyFoundYet
        } else if self.nobody_is_known {
            Why::NobodyKnown
        } else {
            Why::NobodyOffers
        }
    }
}

fn push<T>(notes: &mut Vec<T>, note: T) {
    if notes.len() < MAX_NOTES {
        notes.push(note);
    }
}

fn short(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail() -> Trail {
        Trail::begin(Sha256::of(b"x"), Some(1), Some("http://m.example/pool/x.deb".to_owned()))
    }

    /// Why the mirror is asked after this has happened.
    fn why(happened: impl FnOnce(&Trail)) -> Option<Why> {
        let trail = trail();
        happened(&trail);
        trail.mirror_asked(0, None);
        trail.record(None, (0, 0)).mirror.last().map(|asked| asked.why)
    }

    #[test]
    fn the_reason_for_the_mirror_is_what_had_happened_until_then() {
        let peers: [SocketAddr; 2] = [([192, 0, 2, 1], 1).into(), ([192, 0, 2, 2], 2).into()];
        assert_eq!(why(|_| {}), Some(Why::NobodyFoundYet));
        assert_eq!(why(Trail::length_is_unknown), Some(Why::LengthUnknown));
        assert_eq!(why(|trail| trail.lookup_ended(0)), Some(Why::NobodyKnown));
        assert_eq!(why(|trail| trail.lookup_ended(3)), Some(Why::NobodyOffers));
        let found = |trail: &Trail| {
            trail.offer_found();
            trail.lookup_ended(3);
            peers.iter().for_each(|peer| trail.peer_asked(*peer));
        };
        assert_eq!(why(found), Some(Why::PeersLate));
        let one_failed = |trail: &Trail| {
            found(trail);
            trail.peer_failed(peers[0], "connection refused");
        };
        assert_eq!(why(one_failed), Some(Why::PeersLate), "the other may yet give it");
        let both_failed = |trail: &Trail| {
            one_failed(trail);
            trail.piece_was_wrong(peers[1]);
        };
        assert_eq!(why(both_failed), Some(Why::PeersFailed));
        assert_eq!(why(Trail::file_was_wrong), Some(Why::FileWrong));
    }

    #[test]
    fn strangers_cannot_fill_the_notes_nor_the_terminal() {
        let trail = trail();
        for n in 0..1000_u32 {
            let address = SocketAddr::from((n.to_be_bytes(), 9978));
            trail.peer_asked(address);
            trail.peer_failed(address, &"\u{1b}[2J".repeat(1000));
            trail.mirror_asked(0, None);
        }
        let record = trail.record(None, (0, 0));
        assert_eq!((record.peers.len(), record.mirror.len()), (MAX_NOTES, MAX_NOTES));
        let reason = record.peers.first().and_then(|peer| peer.failed.as_deref()).unwrap_or_default();
        assert!(reason.chars().count() == MAX_REASON && !reason.contains('\u{1b}'), "{reason:?}");
    }
}
