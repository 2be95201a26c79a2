//! What a node lets out, digested.

use crate::body::{Answer, Outputs, Tally};
use crate::travel::{Travel, write_address};
use bytes::BytesMut;
use khashmir::bencode::Encoder;
use khashmir::node::{CommandError, Ending, PingError, Pong, Reply};
use khashmir::{Contact, Event, Instant, Node};
use sha1::{Digest, Sha1};
use std::fmt::Debug;
use std::net::SocketAddr;

/// What has been seen since the last input.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    answer: Answer,
    datagrams: (u64, Sha1),
    events: (u64, Sha1),
    timeout: Option<Instant>,
}

impl Watch {
    /// Right after an input, to which the node said `answer`.
    pub(crate) fn after(node: &Node, answer: Answer) -> Watch {
        let none = || (0, Sha1::new());
        Watch { answer, datagrams: none(), events: none(), timeout: node.poll_timeout() }
    }

    pub(crate) fn datagram(&mut self, to: &SocketAddr, datagram: &[u8]) {
        let mut text = BytesMut::new();
        write_address(to, &mut text);
        Encoder::new(&mut text).bytes(datagram);
        add(&mut self.datagrams, &text);
    }

    pub(crate) fn event(&mut self, event: &Event) {
        let mut text = BytesMut::new();
        write_event(event, &mut text);
        add(&mut self.events, &text);
    }

    /// All of it, and what is left in the node's queues.
    pub(crate) fn outputs(&self, node: &Node) -> Outputs {
        let mut answer = BytesMut::new();
        write_answer(self.answer, &mut answer);
        let stats = node.stats();
        let tally = |(polled, hash): &(u64, Sha1), left: usize| Tally {
            polled: *polled,
            left: left as u64,
            digest: hash.clone().finalize().into(),
        };
        Outputs {
            answer: answer.to_vec(),
            datagrams: tally(&self.datagrams, stats.outbox),
            events: tally(&self.events, stats.events),
            timeout: self.timeout,
        }
    }
}

fn add((polled, hash): &mut (u64, Sha1), text: &[u8]) {
    *polled += 1;
    hash.update(text);
}

fn write_answer(answer: Answer, out: &mut BytesMut) {
    Encoder::new(out).begin_list();
    match answer {
        None => {}
        Some(Ok(Reply::Started(op))) => op.number().write(word("started", out)),
        Some(Ok(Reply::Done(was_there))) => was_there.write(word("done", out)),
        Some(Err(CommandError::TooManyOperations)) => drop(word("too many operations", out)),
        Some(Err(CommandError::TooManyPublications)) => drop(word("too many publications", out)),
        Some(Err(CommandError::ValueLength(len))) => len.write(word("value length", out)),
        Some(Err(CommandError::AddressNotAllowed(addr))) => {
            write_address(&addr, word("address not allowed", out));
        }
        Some(Err(other)) => unknown(&other, out),
    }
    Encoder::new(out).end();
}

fn write_event(event: &Event, out: &mut BytesMut) {
    Encoder::new(out).begin_list();
    match event {
        Event::ValueFound { op, value } => {
            op.number().write(word("value found", out));
            Encoder::new(out).bytes(value);
        }
        Event::PingFinished { op, result } => {
            op.number().write(word("ping finished", out));
            match result {
                Ok(Pong { contact, round_trip }) => {
                    write_contact(contact, out);
                    round_trip.write(out);
                }
                Err(PingError::TimedOut) => drop(word("timed out", out)),
                Err(PingError::BadAnswer) => drop(word("bad answer", out)),
                Err(PingError::Busy) => drop(word("busy", out)),
                Err(PingError::Cancelled) => drop(word("cancelled", out)),
                Err(other) => unknown(other, out),
            }
        }
        Event::FindNodeFinished { op, ending, closest } => {
            op.number().write(word("find node finished", out));
            write_ending(*ending, out);
            closest.iter().for_each(|contact| write_contact(contact, out));
        }
        Event::GetFinished { op, ending, values } => {
            op.number().write(word("get finished", out));
            write_ending(*ending, out);
            values.write(out);
        }
        Event::PutFinished { op, ending, copies } => {
            op.number().write(word("put finished", out));
            write_ending(*ending, out);
            copies.write(out);
        }
        Event::JoinFinished { op, ending, contacts } => {
            op.number().write(word("join finished", out));
            write_ending(*ending, out);
            contacts.write(out);
        }
        Event::OutsideAddressChanged { addr } => write_address(addr, word("outside address changed", out)),
        Event::CheckpointPassed => drop(word("checkpoint passed", out)),
        other => unknown(other, out),
    }
    Encoder::new(out).end();
}

fn write_ending(ending: Ending, out: &mut BytesMut) {
    word(
        match ending {
            Ending::Complete => "complete",
            Ending::OutOfTime => "out of time",
            Ending::Cancelled => "cancelled",
        },
        out,
    );
}

fn write_contact(contact: &Contact, out: &mut BytesMut) {
    contact.id.0.write(out);
    write_address(&contact.addr, out);
}

fn word<'o>(word: &str, out: &'o mut BytesMut) -> &'o mut BytesMut {
    Encoder::new(out).bytes(word.as_bytes());
    out
}

/// What a later engine says is told apart all the same.
fn unknown(said: &impl Debug, out: &mut BytesMut) {
    word(&format!("{said:?}"), out);
}
