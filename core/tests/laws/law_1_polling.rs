//! Law 1: `poll_*` only pops. Below the queue bounds, output does not depend on when or how often the
//! caller polls.

use crate::driver::{Driver, Output, config, give};
use crate::script::Step;
use bytes::BytesMut;
use khashmir::config::Limits;
use khashmir::{Config, Instant, Node};
use khashmir_testing::quickcheck;

/// Queues that no script fills.
fn roomy() -> Config {
    let limits = Limits { outbox_datagrams: 1 << 20, progress_events: 1 << 20, ..Limits::DEFAULT };
    Config { limits: Limits { operations: 1 << 20, ..limits }, ..config() }
}

#[test]
fn what_comes_out_does_not_depend_on_when_it_is_polled() {
    fn law(script: Vec<Step>, polls: Vec<u8>) -> bool {
        let eager = Driver::after(roomy(), &script);
        let mut node = Node::new(roomy(), [42; 32], Instant::ORIGIN).unwrap();
        let mut output = Output::default();
        let mut datagram = BytesMut::new();
        let mut poll = |node: &mut Node, output: &mut Output, times: usize| {
            for _ in 0..times {
                let wake = node.poll_timeout();
                let sent = node.poll_transmit(&mut datagram);
                output.sent.extend(sent.map(|to| (to, datagram.split().freeze())));
                output.events.extend(node.poll_event());
                assert_eq!(node.poll_timeout(), wake, "polling changes no deadline");
            }
        };
        for (at, (now, input)) in eager.inputs.iter().enumerate() {
            output.commands.extend(give(&mut node, *now, input));
            output.timeouts.push(node.poll_timeout());
            let times = polls.get(at % polls.len().max(1)).map_or(0, |n| usize::from(n % 8));
            poll(&mut node, &mut output, times);
        }
        poll(&mut node, &mut output, eager.output.sent.len() + eager.output.events.len() + 1);
        output == eager.output
    }
    quickcheck().tests(150).quickcheck(law as fn(Vec<Step>, Vec<u8>) -> bool);
}
