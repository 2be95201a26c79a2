//! The lookups of an operation: one in each address family, fed by the same answers.

use super::Asker;
use crate::id::{Contact, Id};
use crate::krpc::{Call, Contacts, Method, Response};
use crate::lookup::{Candidate, ForeignToken, Known, Lookup, Step, TellerId};
use crate::node::parts::{Family, Parts};
use alloc::vec::Vec;
use arrayvec::ArrayVec;

#[derive(Debug)]
pub(super) struct Search {
    lookups: [Lookup; 2],
    method: Method,
}

impl Search {
    /// A `find_node` or `find_value` search that starts with ourselves.
    pub(super) fn start(parts: &mut Parts, method: Method, target: Id) -> Search {
        let lookups = Family::ALL.map(|family| {
            let table = &mut parts.tables[family as usize];
            table.touch(parts.now, &target);
            let contacts = table.closest_with_round_trips(&target);
            let mut lookup = Lookup::new(target);
            let ourselves = Contact { id: parts.id, addr: family.unspecified() };
            lookup.found(ourselves, Known::default());
            lookup.answered(&ourselves, parts.store.count(parts.now, &target) as u64, None);
            for (contact, round_trip_micros) in contacts {
                lookup.found(contact, Known { round_trip_micros, ..known(parts, &contact) });
            }
            lookup
        });
        Search { lookups, method }
    }

    /// Takes in a contact that is known from elsewhere, and is to be asked in any case; in 2008 it had to be
    /// among the closest, like all others.
    pub(super) fn enter_through(&mut self, parts: &Parts, contact: Contact) {
        let way_in = parts.config.lookup.passes_over();
        let known = Known { way_in, ..known(parts, &contact) };
        self.lookups[Family::of(&contact.addr) as usize].found(contact, known);
    }

    pub(super) fn answered(&mut self, parts: &mut Parts, from: &Contact, response: &Response<'_>) {
        for (family, contacts) in [(Family::Ipv4, &response.nodes), (Family::Ipv6, &response.nodes6)] {
            let teller = self.lookups[family as usize].begin_teller(from);
            if let Some(contacts) = contacts {
                self.take_contacts(parts, family, contacts, from, teller);
            }
        }
        let num = response.num.and_then(|num| num.try_into().ok()).unwrap_or(0);
        let token = response.token.and_then(ForeignToken::new);
        self.lookups[Family::of(&from.addr) as usize].answered(from, num, token);
    }

    pub(super) fn failed(&mut self, contact: &Contact) {
        self.lookups[Family::of(&contact.addr) as usize].failed(contact);
    }

    pub(super) fn late(&mut self, contact: &Contact) {
        self.lookups[Family::of(&contact.addr) as usize].late(contact);
    }

    /// Sends what the policy wants sent. Returns whether the search is over.
    pub(super) fn advance(&mut self, asker: &mut Asker<'_>) -> bool {
        let policy = asker.parts.config.lookup;
        let limits = asker.parts.config.limits;
        let mut done = true;
        for lookup in &mut self.lookups {
            loop {
                match lookup.step(&policy, &limits) {
                    Step::Query(contact) if !asker.has_room() => {
                        lookup.postpone(&contact);
                        done = false;
                        break;
                    }
                    Step::Query(contact) => {
                        let target = *lookup.target();
                        let call = match self.method {
                            Method::FindValue => Call::FindValue { key: target },
                            _ => Call::FindNode { target },
                        };
                        if !asker.ask(contact, call) {
                            lookup.failed(&contact);
                        }
                    }
                    Step::Abandon(contact) => asker.abandon(&contact),
                    Step::Wait => {
                        done = false;
                        break;
                    }
                    Step::Done => break,
                }
            }
        }
        if done && policy.prefer_sound {
            for (contact, useful) in self.lookups.iter().flat_map(Lookup::judged) {
                asker.parts.table(&contact.addr).judge(&contact, useful);
            }
        }
        done
    }

    /// The up to K closest of each family that answered, ourselves included.
    pub(super) fn closest<'a>(&'a self, parts: &'a Parts) -> impl Iterator<Item = &'a Candidate> + 'a {
        self.lookups.iter().flat_map(|lookup| lookup.closest(&parts.config.limits))
    }

    /// The same, ourselves left out.
    pub(super) fn closest_others(&self, parts: &Parts) -> Vec<Contact> {
        let contacts = self.closest(parts).map(|candidate| candidate.contact);
        contacts.filter(|contact| contact.id != parts.id).collect()
    }

    /// All who hold values, closest first, ourselves left out.
    pub(super) fn holders<'a>(&'a self, parts: &'a Parts) -> impl Iterator<Item = &'a Candidate> + 'a {
        let holders = self.lookups.iter().flat_map(Lookup::holders);
        holders.filter(|candidate| candidate.contact.id != parts.id)
    }

    fn take_contacts(
        &mut self,
        parts: &mut Parts,
        family: Family,
        contacts: &Contacts<'_>,
        from: &Contact,
        teller: TellerId,
    ) {
        let limit = parts.config.limits.contacts_per_response;
        let mut used = ArrayVec::<Contact, 64>::new();
        for contact in contacts.iter() {
            let counted = parts.counts(&contact.addr);
            let repeated = counted && used.iter().any(|other| other.addr.ip() == contact.addr.ip());
            let full = used.len() >= limit || used.is_full();
            let nobody = contact.id == Id::ZERO || parts.is_self(&contact);
            if full || repeated || nobody || !parts.allows(&contact.addr) {
                parts.stats.contacts_ignored += 1;
                continue;
            }
            used.push(contact);
            // Nobody vouches for himself.
            let teller = if contact == *from { TellerId::TRUSTED } else { teller };
            self.lookups[family as usize].told_of(contact, known(parts, &contact), teller);
        }
    }
}

/// What we know of a contact that somebody named.
fn known(parts: &Parts, contact: &Contact) -> Known {
    Known { counted: parts.counts(&contact.addr), doubtful: parts.doubts(contact), ..Known::default() }
}
