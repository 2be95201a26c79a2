//! Our address as others see it.

use crate::prefix::NetworkPrefix;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// What contacts reported as our outside address, in one address family.
///
/// Each network has one vote, its latest, so that who holds one network can stop an address from
/// being believed only while few others are known, and cannot have its own believed once others
/// are (protocol, section 7).
#[derive(Clone, Debug)]
pub struct OutsideVotes {
    votes_needed: usize,
    /// Oldest first, one for each voter.
    votes: Vec<(NetworkPrefix, SocketAddr)>,
    believed: Option<SocketAddr>,
}

/// Networks whose votes are remembered. 32: ten times what is needed, and soon counted.
const MAX_VOTERS: usize = 32;

impl OutsideVotes {
    /// No votes. `votes_needed`, 1 to 32, voters must agree (clamped to that range).
    pub fn new(votes_needed: usize) -> OutsideVotes {
        OutsideVotes { votes_needed: votes_needed.clamp(1, MAX_VOTERS), votes: Vec::new(), believed: None }
    }

    /// Counts what a proved contact in the network `voter` reported; its earlier vote is void. Of
    /// more than 32 voters, the one that has not voted for longest is forgotten.
    pub fn vote(&mut self, voter: NetworkPrefix, reported: SocketAddr) {
        match self.votes.iter().position(|(known, _)| *known == voter) {
            Some(earlier) => drop(self.votes.remove(earlier)),
            None if self.votes.len() == MAX_VOTERS => drop(self.votes.remove(0)),
            None => {}
        }
        self.votes.push((voter, reported));
        self.believed = self.winner();
    }

    /// The address that the most voters agree on, if they are as many as needed; while fewer
    /// voters than that are known, the one that all agree on.
    pub fn believed(&self) -> Option<SocketAddr> {
        self.believed
    }

    fn winner(&self) -> Option<SocketAddr> {
        let needed = self.votes_needed.min(self.votes.len());
        let rank = |addr: SocketAddr| (self.votes_for(addr), self.believed == Some(addr));
        let mut best: Option<SocketAddr> = None;
        for &(_, addr) in &self.votes {
            // Of equals, what was believed before stays; else what was voted for earliest.
            if best.is_none_or(|best| addr != best && rank(addr) > rank(best)) {
                best = Some(addr);
            }
        }
        best.filter(|&best| self.votes_for(best) >= needed)
    }

    fn votes_for(&self, addr: SocketAddr) -> usize {
        self.votes.iter().filter(|(_, reported)| *reported == addr).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;
    use khashmir_testing::quickcheck;

    /// A host in the `network`th /24.
    fn voter(network: u8, host: u8) -> NetworkPrefix {
        NetworkPrefix::of(&IpAddr::from([198, 51, network, host]))
    }

    fn outside(last: u8) -> SocketAddr {
        SocketAddr::from(([203, 0, 113, last], 9978))
    }

    const TRUE: u8 = 1;
    const LIE: u8 = 66;

    #[test]
    fn few_voters_must_agree_and_three_suffice() {
        let mut votes = OutsideVotes::new(3);
        assert_eq!(votes.believed(), None);
        votes.vote(voter(1, 1), outside(TRUE));
        assert_eq!(votes.believed(), Some(outside(TRUE)), "all who are known agree");
        votes.vote(voter(2, 1), outside(2));
        assert_eq!(votes.believed(), None, "two who disagree");
        votes.vote(voter(3, 1), outside(TRUE));
        assert_eq!(votes.believed(), None, "three are known, three are needed");
        votes.vote(voter(4, 1), outside(TRUE));
        assert_eq!(votes.believed(), Some(outside(TRUE)));
    }

    #[test]
    fn one_network_cannot_make_its_lie_believed_once_others_voted() {
        let mut votes = OutsideVotes::new(3);
        for host in 0..=255 {
            votes.vote(voter(9, host), outside(LIE));
        }
        assert_eq!(votes.believed(), Some(outside(LIE)), "nobody else is known yet");
        votes.vote(voter(1, 1), outside(TRUE));
        assert_ne!(votes.believed(), Some(outside(LIE)), "255 hosts of one network are one vote");
        votes.vote(voter(2, 1), outside(TRUE));
        votes.vote(voter(3, 1), outside(TRUE));
        assert_eq!(votes.believed(), Some(outside(TRUE)));
        for host in 0..=255 {
            votes.vote(voter(9, host), outside(host));
            assert_eq!(votes.believed(), Some(outside(TRUE)), "nor push honest votes out");
        }
    }

    #[test]
    fn an_address_that_changed_is_noticed_when_most_say_so() {
        let mut votes = OutsideVotes::new(3);
        (0..8).for_each(|network| votes.vote(voter(network, 1), outside(TRUE)));
        for network in 0..4 {
            votes.vote(voter(network, 1), outside(2));
            assert_eq!(votes.believed(), Some(outside(TRUE)), "a tie keeps what was believed");
        }
        votes.vote(voter(4, 1), outside(2));
        assert_eq!(votes.believed(), Some(outside(2)));
        votes.vote(voter(4, 1), outside(TRUE));
        assert_eq!(votes.believed(), Some(outside(2)), "a tie again");
    }

    #[test]
    fn only_the_latest_32_voters_count() {
        let mut votes = OutsideVotes::new(3);
        (0..32).for_each(|network| votes.vote(voter(network, 1), outside(TRUE)));
        votes.vote(voter(0, 1), outside(TRUE));
        (32..48).for_each(|network| votes.vote(voter(network, 1), outside(2)));
        assert_eq!(votes.believed(), Some(outside(TRUE)), "sixteen each");
        votes.vote(voter(48, 1), outside(2));
        assert_eq!(votes.believed(), Some(outside(2)));
    }

    #[test]
    fn who_needs_one_vote_believes_the_first() {
        let mut votes = OutsideVotes::new(0);
        votes.vote(voter(1, 1), outside(TRUE));
        votes.vote(voter(2, 1), outside(2));
        assert_eq!(votes.believed(), Some(outside(TRUE)), "one each: a tie");
    }

    #[test]
    fn what_is_believed_has_the_votes() {
        fn law(needed: u8, cast: Vec<(u8, u8)>) -> bool {
            let needed = usize::from(needed % 5 + 1);
            let mut votes = OutsideVotes::new(needed);
            let mut latest: Vec<(u8, u8)> = Vec::new();
            cast.iter().map(|&(network, last)| (network % 40, last % 3)).all(|(network, last)| {
                votes.vote(voter(network, 1), outside(last));
                latest.retain(|(known, _)| *known != network);
                latest.push((network, last));
                if latest.len() > 32 {
                    latest.remove(0);
                }
                let count = |last| latest.iter().filter(|vote| vote.1 == last).count();
                let most = (0..3).map(count).max().unwrap_or(0);
                let enough = most >= needed || most == latest.len();
                match votes.believed() {
                    Some(addr) => enough && (0..3).any(|l| outside(l) == addr && count(l) == most),
                    None => !enough,
                }
            })
        }
        quickcheck().tests(300).quickcheck(law as fn(u8, Vec<(u8, u8)>) -> bool);
    }
}
