//! What happened, as C sees it.

use crate::error::Error;
use crate::node::{NodeInC, with_node};
use crate::pointers::Out;
use crate::types::{Address, ContactInC};
use khashmir::node::{Ending, PingError, Pong};
use khashmir::{Event, OpId};
use std::ptr;

macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {$($(#[$doc])* pub const $name: u32 = $value;)*};
}

constants! {
    /// An event of a kind that the header does not have.
    KHASHMIR_OTHER = 0;
    /// [`Event::ValueFound`].
    KHASHMIR_VALUE_FOUND = 1;
    /// [`Event::PingFinished`].
    KHASHMIR_PING_FINISHED = 2;
    /// [`Event::FindNodeFinished`].
    KHASHMIR_FIND_NODE_FINISHED = 3;
    /// [`Event::GetFinished`].
    KHASHMIR_GET_FINISHED = 4;
    /// [`Event::PutFinished`].
    KHASHMIR_PUT_FINISHED = 5;
    /// [`Event::JoinFinished`].
    KHASHMIR_JOIN_FINISHED = 6;
    /// [`Event::OutsideAddressChanged`].
    KHASHMIR_OUTSIDE_ADDRESS_CHANGED = 7;
    /// [`Event::CheckpointPassed`].
    KHASHMIR_CHECKPOINT_PASSED = 8;

    /// [`Ending::Complete`].
    KHASHMIR_COMPLETE = 0;
    /// [`Ending::OutOfTime`], [`PingError::TimedOut`].
    KHASHMIR_OUT_OF_TIME = 1;
    /// [`Ending::Cancelled`], [`PingError::Cancelled`].
    KHASHMIR_CANCELLED = 2;
    /// [`PingError::BadAnswer`].
    KHASHMIR_BAD_ANSWER = 3;
    /// [`PingError::Busy`].
    KHASHMIR_BUSY = 4;
}

/// `khashmir_event`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EventInC {
    /// One of the kinds above.
    pub kind: u32,
    /// One of the endings above.
    pub ending: u32,
    /// The operation's number.
    pub operation: u64,
    /// Values, copies or contacts.
    pub count: u64,
    /// In microseconds.
    pub round_trip: u64,
    /// Good until the next event is polled.
    pub value: *const u8,
    /// Its length.
    pub value_len: usize,
    /// Good until the next event is polled.
    pub contacts: *const ContactInC,
    /// How many.
    pub contacts_len: usize,
    /// Where others see us.
    pub address: Address,
}

impl EventInC {
    const NONE: EventInC = EventInC {
        kind: KHASHMIR_OTHER,
        ending: KHASHMIR_COMPLETE,
        operation: 0,
        count: 0,
        round_trip: 0,
        value: ptr::null(),
        value_len: 0,
        contacts: ptr::null(),
        contacts_len: 0,
        address: Address { ip: [0; 16], port: 0, family: 0 },
    };

    fn finished(kind: u32, op: OpId, ending: Ending, count: usize) -> EventInC {
        let ending = match ending {
            Ending::Complete => KHASHMIR_COMPLETE,
            Ending::OutOfTime => KHASHMIR_OUT_OF_TIME,
            Ending::Cancelled => KHASHMIR_CANCELLED,
        };
        EventInC { kind, ending, operation: op.number(), count: count as u64, ..EventInC::NONE }
    }
}

impl NodeInC {
    /// The event, pointing to what the node keeps of it.
    fn keep(&mut self, event: Event) -> EventInC {
        self.contacts.clear();
        self.value.clear();
        let mut told = match event {
            Event::ValueFound { op, value } => {
                self.value = value;
                EventInC { kind: KHASHMIR_VALUE_FOUND, operation: op.number(), ..EventInC::NONE }
            }
            Event::PingFinished { op, result } => {
                let (ending, round_trip) = match result {
                    Ok(Pong { contact, round_trip }) => {
                        self.contacts.push(contact.into());
                        (KHASHMIR_COMPLETE, u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX))
                    }
                    Err(PingError::BadAnswer) => (KHASHMIR_BAD_ANSWER, 0),
                    Err(PingError::Busy) => (KHASHMIR_BUSY, 0),
                    Err(PingError::Cancelled) => (KHASHMIR_CANCELLED, 0),
                    Err(_) => (KHASHMIR_OUT_OF_TIME, 0),
                };
                let operation = op.number();
                EventInC { kind: KHASHMIR_PING_FINISHED, operation, ending, round_trip, ..EventInC::NONE }
            }
            Event::FindNodeFinished { op, ending, closest } => {
                self.contacts.extend(closest.into_iter().map(ContactInC::from));
                EventInC::finished(KHASHMIR_FIND_NODE_FINISHED, op, ending, 0)
            }
            Event::GetFinished { op, ending, values } => {
                EventInC::finished(KHASHMIR_GET_FINISHED, op, ending, values)
            }
            Event::PutFinished { op, ending, copies } => {
                EventInC::finished(KHASHMIR_PUT_FINISHED, op, ending, copies)
            }
            Event::JoinFinished { op, ending, contacts } => {
                EventInC::finished(KHASHMIR_JOIN_FINISHED, op, ending, contacts)
            }
            Event::OutsideAddressChanged { addr } => {
                let kind = KHASHMIR_OUTSIDE_ADDRESS_CHANGED;
                EventInC { kind, address: addr.into(), ..EventInC::NONE }
            }
            Event::CheckpointPassed => EventInC { kind: KHASHMIR_CHECKPOINT_PASSED, ..EventInC::NONE },
            _ => EventInC::NONE,
        };
        if !self.value.is_empty() {
            (told.value, told.value_len) = (self.value.as_ptr(), self.value.len());
        }
        if !self.contacts.is_empty() {
            (told.contacts, told.contacts_len) = (self.contacts.as_ptr(), self.contacts.len());
        }
        told
    }
}

/// [`Node::poll_event`](khashmir::Node::poll_event).
///
/// # Safety
/// As the header says: a node, and room for an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_poll_event(node: *mut NodeInC, event: *mut EventInC) -> i32 {
    let call = |node: &mut NodeInC| {
        let out = Out::check(event)?;
        let Some(event) = node.node.poll_event() else {
            return Ok(0);
        };
        let told = node.keep(event);
        // SAFETY: by contract there is room for an event.
        unsafe { out.write(told) };
        Ok::<i32, Error>(1)
    };
    // SAFETY: by contract a node.
    unsafe { with_node(node, call) }
}
