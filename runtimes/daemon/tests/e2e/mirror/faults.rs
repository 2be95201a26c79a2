//! What a mirror does wrong, to which requests, how often.

use std::sync::{Arc, Condvar, Mutex};

/// One way to misbehave.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The answer waits until the gate is open.
    Withhold(Gate),
    /// The body flows at this many bytes per second.
    Rate(u64),
    /// The connection ends after this many bytes of the body.
    Cut(u64),
    /// After this many bytes of the body nothing more comes until the gate is open.
    Stall(u64, Gate),
    /// The connection ends after this many bytes of the body, and from then on every other is
    /// refused.
    Vanish(u64),
    /// The body is repeated without end.
    Endless,
    /// The range that follows by one byte the one asked for.
    OtherRange,
    /// The whole file, whatever range was asked for.
    Whole,
    /// The connection ends before the answer begins.
    Silence,
    /// One byte in the middle of what is sent is wrong.
    Alter,
    /// Another file's bytes are served in place of this one's.
    Replace(Arc<[u8]>),
    /// `Content-Length` promises this many bytes more than there are.
    Promise(u64),
    /// `Content-Range` says that the file has this many bytes more than it has.
    Total(u64),
    /// This status with an empty body, such as 503.
    Status(u16),
}

/// Holds answers back until it is opened.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |open| !*open).unwrap());
    }
}

#[derive(Debug, Default)]
pub struct Faults(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    part: String,
    skip: usize,
    times: usize,
    fault: Fault,
}

impl Faults {
    pub fn add(&mut self, part: &str, skip: usize, times: usize, fault: Fault) {
        self.0.push(Rule { part: part.to_owned(), skip, times, fault });
    }

    /// Forgets all faults and opens all gates.
    pub fn clear(&mut self) {
        for rule in self.0.drain(..) {
            if let Fault::Withhold(gate) | Fault::Stall(_, gate) = rule.fault {
                gate.open();
            }
        }
    }

    /// The faults that a request for `path` meets; each counts as one time.
    pub fn meet(&mut self, path: &str) -> Vec<Fault> {
        let mut met = Vec::new();
        for rule in self.0.iter_mut().filter(|rule| path.contains(&rule.part)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                met.push(rule.fault.clone());
            }
        }
        met
    }
}
