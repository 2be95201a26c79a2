//! Two nodes on a network that loses datagrams; one of them is recorded, restarted, recorded again,
//! and replayed. And a recording that was made so by version 1 of the format, and is kept.
//!
//! The one that is kept also holds what the engine does. Whoever changes that on purpose makes it anew:
//!
//!     KHASHMIR_RECORD=1 cargo test -p khashmir-recording --test pair

#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use khashmir::rng::{Purpose, Rng};
use khashmir::{Command, Config, Event, Id, Instant, Node};
use khashmir_recording::{Fault, Input, Recorder, Replay, Step, Teller, Verdict};
use khashmir_testing::quickcheck;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const KEY: Id = Id(*b"twenty bytes of hash");

/// Of the two nodes: the recorded one, and the other.
fn addrs() -> [SocketAddr; 2] {
    [([60, 0, 0, 1], 9978).into(), ([60, 0, 1, 1], 9978).into()]
}

/// The two nodes, and what is on its way between them.
struct Pair {
    now: Instant,
    recorded: Recorder<Vec<u8>>,
    other: Node,
    arrivals: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    choice: Rng,
    loss_percent: u64,
    events: Vec<Event>,
}

impl Pair {
    fn new(seed: u8, loss_percent: u64) -> Pair {
        let now = Instant::from_micros(77);
        Pair {
            now,
            recorded: Recorder::new(Config::default(), [seed; 32], now, Vec::new()).unwrap(),
            other: Node::new(Config::default(), [!seed; 32], now).unwrap(),
            arrivals: BTreeMap::new(),
            sent: 0,
            choice: Rng::new([seed; 32], Purpose::Sample),
            loss_percent,
            events: Vec::new(),
        }
    }

    fn execute(&mut self, command: Command) {
        self.recorded.execute(self.now, &command).unwrap();
        self.settle();
    }

    /// Sends, or loses, what the nodes have to send.
    fn settle(&mut self) {
        let mut payload = BytesMut::new();
        loop {
            let from = match self.recorded.poll_transmit(&mut payload) {
                Some(_) => 0,
                None if self.other.poll_transmit(&mut payload).is_some() => 1,
                None => break,
            };
            let datagram = payload.split().to_vec();
            if self.choice.below(100) >= self.loss_percent {
                let at = self.now + Duration::from_millis(20 + self.choice.below(60));
                self.arrivals.insert((at, self.sent), (from, datagram));
                self.sent += 1;
            }
        }
        self.events.extend(std::iter::from_fn(|| self.recorded.poll_event()));
        while self.other.poll_event().is_some() {}
    }

    fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let arrival = self.arrivals.first_key_value().map(|((at, _), _)| *at);
            let wakes = [arrival, self.recorded.poll_timeout(), self.other.poll_timeout()];
            let Some(next) = wakes.into_iter().flatten().min().filter(|at| *at <= until) else { break };
            self.now = next;
            if arrival == Some(next) {
                let (_, (from, datagram)) = self.arrivals.pop_first().unwrap();
                match from {
                    0 => self.other.handle_datagram(next, addrs()[0], &datagram),
                    _ => self.recorded.handle_datagram(next, addrs()[1], &datagram),
                }
            } else if self.recorded.poll_timeout() == Some(next) {
                self.recorded.handle_timeout(next);
            } else {
                self.other.handle_timeout(next);
            }
            self.settle();
        }
        self.now = until;
    }

    /// Joins, puts, gets and pings: two recordings, the second after a restart.
    fn story(mut self) -> ([Vec<u8>; 2], Vec<Event>) {
        self.execute(Command::Join { bootstrap: vec![addrs()[1]] });
        self.run_for(Duration::from_secs(60));
        self.execute(Command::Publish { key: KEY, value: "published".into() });
        self.execute(Command::Put { key: KEY, value: "put".into() });
        self.run_for(Duration::from_secs(60));
        self.execute(Command::Get { key: KEY, wanted: 9 });
        self.execute(Command::Ping { addr: addrs()[1] });
        self.run_for(Duration::from_secs(60));
        self.recorded.handle_unreachable(self.now, addrs()[1]);

        let (snapshot, down) = (self.recorded.snapshot(), Duration::from_secs(3600));
        self.now = self.now + down;
        let again =
            Recorder::restore(Config::default(), &snapshot, down, [99; 32], self.now, Vec::new()).unwrap();
        let first = std::mem::replace(&mut self.recorded, again).finish().unwrap();
        self.run_for(Duration::from_secs(60));
        self.execute(Command::Unpublish { key: KEY, value: "published".into() });
        self.execute(Command::FindNode { target: KEY });
        self.run_for(Duration::from_secs(600));
        ([first, self.recorded.finish().unwrap()], self.events)
    }
}

fn replay(recording: &[u8]) -> Vec<Step> {
    let steps: Vec<Step> = Replay::open(recording).unwrap().map(|step| step.unwrap()).collect();
    if let Some(other) = steps.iter().find(|step| step.verdict != Verdict::Same) {
        panic!("{other:#?}");
    }
    steps
}

#[test]
fn two_lives_of_a_node_replay_bit_for_bit_whatever_is_lost() {
    fn law(seed: u8) -> bool {
        let (recordings, events) = Pair::new(seed, 20).story();
        let replayed: Vec<Step> = recordings.iter().flat_map(|recording| replay(recording)).collect();
        let replayed_events: Vec<Event> = replayed.iter().flat_map(|step| step.events.clone()).collect();
        replayed_events == events
    }
    quickcheck().tests(50).quickcheck(law as fn(u8) -> bool);

    let ([first, second], events) = Pair::new(1, 0).story();
    let [first, second] = [first, second].map(|recording| replay(&recording));
    let values = events.iter().filter(|event| matches!(event, Event::ValueFound { .. })).count();
    assert_eq!(values, 2, "without loss, both values are found: {events:?}");
    let sent = |steps: &[Step]| steps.iter().map(|step| step.sent.len()).sum::<usize>();
    assert!(sent(&first) > 5 && sent(&second) > 1, "{} and {}", sent(&first), sent(&second));
    assert!(!second[0].sent.is_empty(), "a restored node has something to say at once");
}

/// Told as it happens, or later from a recording: a blinded story is the same.
#[test]
fn a_blinded_recording_is_what_a_replay_tells_under_pseudonyms() {
    let ([recording, again], _) = Pair::new(3, 20).story();
    for recording in [recording, again] {
        let replay = Replay::open(&recording[..]).unwrap();
        let start = replay.start().clone();
        let teller = Teller::blinded(&start);
        let mut blinded = Recorder::start_blinded(&start, Vec::new()).unwrap();
        let mut text = teller.heading(&start);
        for step in replay.map(|step| step.unwrap()) {
            text += &teller.step(&step);
            match &step.input {
                Input::Start => {}
                Input::Timeout => blinded.handle_timeout(step.at),
                Input::Datagram { from, datagram } => blinded.handle_datagram(step.at, *from, datagram),
                Input::Unreachable { to } => blinded.handle_unreachable(step.at, *to),
                Input::Command(command) => drop(blinded.execute(step.at, command)),
            }
            while blinded.poll_transmit(&mut BytesMut::new()).is_some() {}
            while blinded.poll_event().is_some() {}
        }
        text += "end\n";
        assert_eq!(String::from_utf8(blinded.finish().unwrap()).unwrap(), text);
        assert_eq!(Replay::open(text.as_bytes()).err().unwrap().fault, Fault::Blinded);
        for secret in ["60.0.1.1", &KEY.to_string(), "\"published\"", "\"put\""] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

#[test]
fn a_recording_that_was_kept_replays() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/pair-version-1.khashmir");
    if std::env::var_os("KHASHMIR_RECORD").is_some() {
        let ([recording, _], _) = Pair::new(1, 20).story();
        std::fs::write(&path, recording).unwrap();
    }
    let kept = std::fs::read(&path).unwrap();
    // The format: what was given to the node is still read, whatever the node makes of it.
    let (mut commands, mut datagrams) = (Vec::new(), 0);
    for step in Replay::open(&kept[..]).unwrap() {
        match step.unwrap().input {
            Input::Command(command) => commands.push(command.to_string()),
            Input::Datagram { from, .. } => {
                assert_eq!(from, addrs()[1]);
                datagrams += 1;
            }
            _ => {}
        }
    }
    let key: String = KEY.to_string();
    let expected = [
        format!("join {}", addrs()[1]),
        format!("publish {key} published"),
        format!("put {key} put"),
        format!("get {key}, 9 wanted"),
        format!("ping {}", addrs()[1]),
    ];
    assert_eq!(commands, expected);
    assert!(datagrams > 5, "{datagrams}");
    // And what the node made of it.
    replay(&kept);
}
