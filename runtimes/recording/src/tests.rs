//! The format, and what is found in a recording that is not what it was.

use crate::body::{Frame, Start, write_end};
use crate::frame::{FIRST_LINE, FrameReader, FrameWriter};
use crate::{Difference, Fault, Input, ReadError, Recorder, Replay, Step, Verdict};
use bytes::{Bytes, BytesMut};
use khashmir::config::{AddressFamilies, Admission, Limits, LookupPolicy};
use khashmir::{Command, Config, Id, Instant, OpId};
use quickcheck::{Arbitrary, Gen};
use std::cell::RefCell;
use std::io::{self, Write};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;
use std::time::Duration;

#[derive(Clone, Debug)]
struct AnyInput(Input);

fn addr(g: &mut Gen) -> SocketAddr {
    if bool::arbitrary(g) {
        return SocketAddr::from((u32::arbitrary(g).to_be_bytes(), u16::arbitrary(g)));
    }
    let (flow, scope) = if bool::arbitrary(g) { (u32::arbitrary(g), u32::arbitrary(g)) } else { (0, 0) };
    SocketAddrV6::new(Ipv6Addr::from(u128::arbitrary(g)), u16::arbitrary(g), flow, scope).into()
}

impl Arbitrary for AnyInput {
    fn arbitrary(g: &mut Gen) -> AnyInput {
        let key = Id(std::array::from_fn(|_| u8::arbitrary(g)));
        let bytes = Bytes::from(Vec::<u8>::arbitrary(g));
        AnyInput(match u8::arbitrary(g) % 11 {
            0 => Input::Timeout,
            1 => Input::Datagram { from: addr(g), datagram: bytes },
            2 => Input::Unreachable { to: addr(g) },
            3 => Input::Command(Command::Join {
                bootstrap: (0..u8::arbitrary(g) % 4).map(|_| addr(g)).collect(),
            }),
            4 => Input::Command(Command::Ping { addr: addr(g) }),
            5 => Input::Command(Command::FindNode { target: key }),
            6 => Input::Command(Command::Get { key, wanted: usize::arbitrary(g) }),
            7 => Input::Command(Command::Put { key, value: bytes }),
            8 => Input::Command(Command::Publish { key, value: bytes }),
            9 => Input::Command(Command::Unpublish { key, value: bytes }),
            _ => Input::Command(Command::Cancel { op: OpId::from_number(u64::arbitrary(g)) }),
        })
    }
}

fn written(write: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut body = BytesMut::new();
    write(&mut body);
    body
}

khashmir_testing::quickcheck! {
    fn inputs_read_back(after: u64, input: AnyInput) -> bool {
        let body = written(|out| input.0.write(after, out));
        Frame::read(&body) == Ok(Frame::Input(after, input.0))
    }

    fn starts_read_back(seed: u64, now: u64, snapshot: Option<Vec<u8>>, downtime: Duration, numbers: (u64, u32)) -> bool {
        let start = Start {
            config: Config {
                local_networks: vec!["10.1.2.3/8".parse().unwrap(), "fe80::/10".parse().unwrap()],
                address_families: AddressFamilies::Both,
                lookup: LookupPolicy { admission: Admission::Query, re_ping: false, ..LookupPolicy::ORIGINAL },
                limits: Limits { store_bytes: numbers.0 as usize, query_burst_seconds: numbers.1, ..Limits::KHASHMIR_2008 },
                ..Config::default()
            },
            seed: std::array::from_fn(|at| seed.to_le_bytes()[at % 8]),
            now: Instant::from_micros(now),
            earlier: snapshot.map(|snapshot| crate::Earlier { snapshot: snapshot.into(), downtime }),
        };
        Start::read(&written(|out| start.write(out))) == Ok(start)
    }

    fn whatever_is_framed_is_read_or_refused(bodies: Vec<Vec<u8>>) -> bool {
        let mut recording = BytesMut::new();
        let mut frames = FrameWriter::start(&mut recording);
        let start = written(|out| start().write(out));
        frames.frame(&start, &mut recording).unwrap();
        for body in &bodies {
            // Made of what bodies are made of, so that something is reached.
            let body: Vec<u8> = body.iter().map(|byte| b"ld0123456789:ei-timeout"[usize::from(*byte) % 23]).collect();
            frames.frame(&body, &mut recording).unwrap();
        }
        let (steps, error) = replay(&recording);
        !steps.is_empty() && error.is_some_and(|error| error.offset <= recording.len() as u64)
    }

    fn any_bytes_are_refused(bytes: Vec<u8>) -> bool {
        let behind_the_first_line = [&FIRST_LINE[..], &bytes].concat();
        Replay::open(&bytes[..]).is_err() && Replay::open(&behind_the_first_line[..]).is_err()
    }
}

#[test]
fn the_format_is_the_one_that_is_written_down() {
    let from = "192.0.2.7:258".parse().unwrap();
    let body = |input: Input, after| written(|out| input.write(after, out));
    assert_eq!(
        &body(Input::Datagram { from, datagram: "spam".into() }, 5)[..],
        b"l8:datagrami5e6:\xc0\x00\x02\x07\x01\x024:spame"
    );
    assert_eq!(&body(Input::Timeout, u64::MAX)[..], b"l7:timeouti-1ee");
    let get = Command::Get { key: Id([b'k'; 20]), wanted: usize::MAX };
    assert_eq!(&body(Input::Command(get), 0)[..], b"l3:geti0e20:kkkkkkkkkkkkkkkkkkkki-1ee");
    assert_eq!(&written(write_end)[..], b"l3:ende");

    let mut recording = BytesMut::new();
    FrameWriter::start(&mut recording).frame(b"l3:ende", &mut recording).unwrap();
    assert_eq!(&recording[..25], b"khashmir recording 1\n\0\0\0\x07");
    assert_eq!(&recording[25..32], b"l3:ende");
    // As Python's hashlib has it: sha1(sha1(first line)[:8] + body)[:8].
    assert_eq!(recording[32..], [106, 137, 82, 21, 230, 174, 243, 162]);
}

fn start() -> Start {
    Start { config: Config::default(), seed: [3; 32], now: Instant::from_micros(1_000), earlier: None }
}

/// Every kind of output: datagrams, events, answers, refusals, timeouts.
fn recording() -> Vec<u8> {
    let Start { config, seed, now, .. } = start();
    let mut node = Recorder::new(config, seed, now, Vec::new()).unwrap();
    let (key, value) = (Id([9; 20]), Bytes::from_static(b"value"));
    let (peer, elsewhere) = ("60.0.0.1:9978".parse().unwrap(), "10.0.0.1:9978".parse().unwrap());
    let at = |micros: u64| Instant::from_micros(1_000 + micros);
    let poll = |node: &mut Recorder<Vec<u8>>| {
        while node.poll_transmit(&mut BytesMut::new()).is_some() {}
        while node.poll_event().is_some() {}
    };
    poll(&mut node);
    for command in [
        Command::Put { key, value: value.clone() },
        Command::Get { key, wanted: 1 },
        Command::Ping { addr: peer },
        Command::Ping { addr: elsewhere },
        Command::Publish { key, value: "".into() },
    ] {
        node.execute(at(5), &command).ok();
        poll(&mut node);
    }
    node.handle_datagram(at(3), peer, b"d1:y1:qe");
    node.handle_timeout(at(2_000_005));
    poll(&mut node);
    node.handle_unreachable(at(2_000_006), peer);
    poll(&mut node);
    node.finish().unwrap()
}

fn replay(recording: &[u8]) -> (Vec<Step>, Option<ReadError>) {
    let replay = match Replay::open(recording) {
        Ok(replay) => replay,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let (mut steps, mut error) = (Vec::new(), None);
    for step in replay {
        assert_eq!(error, None, "nothing comes after an error");
        match step {
            Ok(step) => steps.push(step),
            Err(found) => error = Some(found),
        }
    }
    (steps, error)
}

/// Whether `steps` are the first of `all`; that of the last the outputs were not read is allowed.
fn are_first_of(steps: &[Step], all: &[Step]) -> bool {
    let len = steps.len();
    steps.iter().zip(all).enumerate().all(|(at, (step, whole))| {
        let unchecked = Step { verdict: Verdict::Unchecked, ..whole.clone() };
        step == whole || at + 1 == len && (step.number, &step.input) == (unchecked.number, &unchecked.input)
    })
}

#[test]
fn a_replay_is_the_same_bit_for_bit() {
    let (steps, error) = replay(&recording());
    assert_eq!(error, None);
    assert!(steps.iter().all(|step| step.verdict == Verdict::Same), "{steps:#?}");
    assert_eq!(steps.len(), 9);
    assert!(
        steps.iter().any(|step| !step.sent.is_empty()) && steps.iter().any(|step| !step.events.is_empty())
    );
    assert!(steps.iter().any(|step| matches!(step.answer, Some(Err(_)))));
    assert_eq!(steps[6].at, Instant::from_micros(1_003), "the clock had gone back");
}

#[test]
fn every_flipped_bit_is_found_and_what_is_before_it_replays() {
    let recording = recording();
    let (all, _) = replay(&recording);
    for at in 0..recording.len() {
        for bit in 0..8 {
            let mut damaged = recording.clone();
            damaged[at] ^= 1 << bit;
            let (steps, error) = replay(&damaged);
            let Some(error) = error else { panic!("bit {bit} of byte {at} was flipped unnoticed") };
            assert!(error.offset <= at as u64, "{error}: byte {at} was flipped");
            assert!(are_first_of(&steps, &all), "{steps:#?}");
        }
    }
    assert_eq!(replay(b"GIF89a, or something like that").1.unwrap().fault, Fault::NoRecording);
    let other_version = [b"khashmir recording 2\n", &recording[21..]].concat();
    assert_eq!(replay(&other_version).1, Some(ReadError { fault: Fault::OtherVersion, offset: 19 }));
}

#[test]
fn a_recording_that_is_cut_says_so_and_replays_until_there() {
    let recording = recording();
    let (all, _) = replay(&recording);
    let mut most = 0;
    for len in FIRST_LINE.len()..recording.len() {
        let (steps, error) = replay(&recording[..len]);
        let error = error.unwrap();
        assert_eq!(error.fault, Fault::CutShort, "{len} bytes");
        assert!(
            error.offset <= len as u64 && error.to_string().ends_with(&format!("at byte {}", error.offset))
        );
        assert!(are_first_of(&steps, &all));
        most = most.max(steps.len());
    }
    assert_eq!(most, all.len(), "all but the end is all steps");
    let and_more = [&recording[..], b"more"].concat();
    let after_the_end = ReadError { fault: Fault::AfterTheEnd, offset: recording.len() as u64 };
    assert_eq!(replay(&and_more), (all, Some(after_the_end)));
}

/// The recording with other frames, right in themselves.
fn rewritten(recording: &[u8], mut change: impl FnMut(usize, Frame) -> BytesMut) -> BytesMut {
    let mut reader = FrameReader::open(recording).unwrap();
    let mut out = BytesMut::new();
    let mut frames = FrameWriter::start(&mut out);
    let (_, start) = reader.next().unwrap().unwrap();
    frames.frame(&start, &mut out).unwrap();
    let mut number = 0;
    while let Some((_, body)) = reader.next().unwrap() {
        frames.frame(&change(number, Frame::read(&body).unwrap()), &mut out).unwrap();
        number += 1;
    }
    out
}

fn body(frame: &Frame) -> BytesMut {
    written(|out| match frame {
        Frame::Input(after, input) => input.write(*after, out),
        Frame::Outputs(outputs) => outputs.write(out),
        Frame::End => write_end(out),
    })
}

#[test]
fn the_step_that_came_to_something_else_is_named() {
    let recording = recording();
    let (all, _) = replay(&recording);
    assert_eq!(&rewritten(&recording, |_, frame| body(&frame))[..], &recording[..]);
    for (step, untouched) in all.iter().enumerate() {
        for part in [Difference::Answer, Difference::Datagrams, Difference::Events, Difference::Timeout] {
            let tampered = rewritten(&recording, |number, mut frame| {
                if let Frame::Outputs(outputs) = &mut frame
                    && number == 2 * step
                {
                    match part {
                        Difference::Answer => outputs.answer = b"le".to_vec(),
                        Difference::Datagrams => outputs.datagrams.digest[19] ^= 1,
                        Difference::Events => outputs.events.left += 1,
                        Difference::Timeout => outputs.timeout = Some(Instant::ORIGIN),
                    }
                }
                body(&frame)
            });
            let (steps, error) = replay(&tampered);
            assert_eq!(error, None);
            let wrong: Vec<_> = steps.iter().filter(|step| step.verdict != Verdict::Same).collect();
            if part == Difference::Answer && untouched.answer.is_none() {
                assert_eq!(wrong.len(), 0, "that was its answer before");
            } else {
                assert_eq!(wrong.len(), 1);
                assert_eq!((wrong[0].number, wrong[0].verdict), (step as u64, Verdict::Differs(part)));
            }
        }
    }
}

#[test]
fn another_engine_is_found_out() {
    // The same inputs to a node of another seed stand for an engine that behaves otherwise.
    let recording = recording();
    let mut reader = FrameReader::open(&recording[..]).unwrap();
    let mut out = BytesMut::new();
    let mut frames = FrameWriter::start(&mut out);
    let (_, start) = reader.next().unwrap().unwrap();
    let other = Start { seed: [4; 32], ..Start::read(&start).unwrap() };
    frames.frame(&written(|out| other.write(out)), &mut out).unwrap();
    while let Some((_, body)) = reader.next().unwrap() {
        frames.frame(&body, &mut out).unwrap();
    }
    let (steps, error) = replay(&out);
    assert_eq!(error, None);
    let first = steps.iter().find(|step| step.verdict != Verdict::Same).unwrap();
    assert!(matches!(first.input, Input::Command(Command::Ping { .. })), "{first:?}");
    assert_eq!(
        first.verdict,
        Verdict::Differs(Difference::Datagrams),
        "the first that is sent has another id"
    );
}

#[test]
fn knobs_of_another_version_are_defaults_or_refused() {
    let text = written(|out| start().write(out));
    let change = |from: &[u8], to: &[u8]| {
        let at = text.windows(from.len()).position(|window| window == from).unwrap();
        Start::read(&[&text[..at], to, &text[at + from.len()..]].concat())
    };
    assert_eq!(change(b"10:get_roundsi8e", b"").unwrap(), start(), "8 is the default");
    assert!(change(b"10:get_roundsi8e", b"10:get_rungsi8e").is_err());
    assert!(change(b"10:get_roundsi8e", b"10:get_roundsi256e").is_err(), "it is a u8");
}

/// A writer that somebody else can look into, and that has room for so many bytes.
#[derive(Clone, Debug)]
struct Shared(Rc<RefCell<Vec<u8>>>, usize);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.borrow_mut();
        if written.len() + bytes.len() > self.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        written.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_input_is_written_before_it_is_handled() {
    let Start { config, seed, now, .. } = start();
    let writer = Shared(Rc::default(), usize::MAX);
    let mut node = Recorder::new(config, seed, now, writer.clone()).unwrap();
    assert_eq!(replay(&writer.0.borrow()).0.len(), 1);
    for n in 1..10u8 {
        node.handle_datagram(now, "60.0.0.1:1".parse().unwrap(), &[n]);
        // As if it had been killed here.
        let (steps, error) = replay(&writer.0.borrow());
        let (last, before) = steps.split_last().unwrap();
        assert_eq!(
            last.input,
            Input::Datagram { from: "60.0.0.1:1".parse().unwrap(), datagram: vec![n].into() }
        );
        assert_eq!(last.verdict, Verdict::Unchecked);
        assert!(before.iter().all(|step| step.verdict == Verdict::Same));
        assert_eq!(error.unwrap().fault, Fault::CutShort);
    }
}

#[test]
fn a_writer_that_fails_does_not_disturb_the_node() {
    let Start { config, seed, now, .. } = start();
    let whole = recording().len();
    let writer = Shared(Rc::default(), whole);
    let mut node = Recorder::new(config.clone(), seed, now, writer.clone()).unwrap();
    let mut other = khashmir::Node::new(config, seed, now).unwrap();
    for n in 0..100u64 {
        let (at, put) =
            (Instant::from_micros(n), Command::Put { key: Id([n as u8; 20]), value: "value".into() });
        assert_eq!(node.execute(at, &put), other.execute(at, &put));
        assert_eq!(node.poll_event(), other.poll_event());
    }
    assert_eq!(node.snapshot(), other.snapshot());
    assert_eq!(node.write_error().map(io::Error::kind), Some(io::ErrorKind::StorageFull));
    let kept = writer.0.borrow().clone();
    assert!(kept.len() <= whole, "nothing was written after it");
    assert_eq!(node.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    let (steps, error) = replay(&kept);
    assert!(steps.len() > 5 && error.unwrap().fault == Fault::CutShort);
}

#[test]
fn how_it_was_polled_is_part_of_it() {
    // A driver that polls rarely, and a node whose queues overflow.
    let mut config = Config::default();
    (config.limits.outbox_datagrams, config.limits.progress_events) = (3, 2);
    let mut node = Recorder::new(config, [8; 32], Instant::ORIGIN, Vec::new()).unwrap();
    for n in 0..=255 {
        let at = Instant::from_micros(u64::from(n) * 1_000);
        let (key, value) = (Id([n % 3; 20]), Bytes::from(vec![n]));
        match n % 4 {
            0 => drop(node.execute(at, &Command::Put { key, value })),
            1 => drop(node.execute(at, &Command::Get { key, wanted: 9 })),
            2 => drop(node.execute(at, &Command::Ping { addr: ([60, 0, n, 1], 9978).into() })),
            _ => node.handle_timeout(at),
        }
        if n % 5 == 0 {
            let _sent = node.poll_transmit(&mut BytesMut::new());
        }
        if n % 7 == 0 {
            let _event = node.poll_event();
        }
    }
    assert!(node.stats().outbox_overflows > 10 && node.stats().events_dropped > 10);
    let (steps, error) = replay(&node.finish().unwrap());
    assert_eq!((steps.len(), error), (257, None));
    assert!(steps.iter().all(|step| step.verdict == Verdict::Same));
}
