//! How far a lookup walks, seen from outside: by the datagrams that arrive.

use crate::{Network, NodeIndex, Outcome};
use khashmir::krpc::{Body, Call, Message, TransactionId};
use khashmir::{Event, Id};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A lookup under way.
#[derive(Debug)]
pub(crate) struct Walk {
    asker: SocketAddr,
    target: Id,
    /// Its queries, and whom each asks.
    queries: BTreeMap<TransactionId, SocketAddr>,
    /// How many steps it is to each that it has heard of: one to those whom the asker knew, one more
    /// than to who told of them to all others.
    steps: BTreeMap<SocketAddr, u32>,
}

impl Walk {
    /// A datagram arrives.
    pub(crate) fn see(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        if from != self.asker && to != self.asker {
            return;
        }
        let Ok(Message { transaction_id, body }) = Message::decode(datagram) else { return };
        match body {
            Body::Query(Ok(query)) if from == self.asker => {
                let (Call::FindNode { target: key } | Call::FindValue { key }) = query.call else { return };
                if key == self.target {
                    self.queries.insert(transaction_id, to);
                }
            }
            Body::Response(Ok(response)) if self.queries.get(&transaction_id) == Some(&from) => {
                let next = self.steps.get(&from).map_or(1, |steps| steps + 1);
                for contact in response.nodes.iter().chain(&response.nodes6).flat_map(|nodes| nodes.iter()) {
                    self.steps.entry(contact.addr).or_insert(next);
                }
            }
            _ => {}
        }
    }
}

impl Network {
    /// Looks up who is closest to `target`, lets time pass until that is over, and says also how many
    /// steps it is from the node to the closest whom it found: 1 if it knew that one before. `None`: it
    /// found nobody.
    pub fn find_node_and_count(&mut self, node: NodeIndex, target: Id) -> (Outcome, Option<u32>) {
        let asker = self.addresses(node)[0];
        let steps = self.node(node).contacts().map(|contact| (contact.addr, 1)).collect();
        self.walk = Some(Walk { asker, target, queries: BTreeMap::new(), steps });
        let find = self.find_node(node, target);
        let outcome = self.run_until_finished(find);
        let walk = self.walk.take();
        let closest = match &outcome.event {
            Event::FindNodeFinished { closest, .. } => closest.first().map(|contact| contact.addr),
            _ => None,
        };
        let steps = walk.zip(closest).and_then(|(walk, closest)| walk.steps.get(&closest).copied());
        (outcome, steps)
    }
}
