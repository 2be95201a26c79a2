//! A node inside a mio loop that also does something else: a text service over TCP that answers lines
//! with what the node knows, and a report now and then.
//!
//!     cargo run -p khashmir-examples --example mio_loop
//!     cargo run -p khashmir-examples --example mio_loop -- --via 192.0.2.7:9978 --every 5
//!
//! Then say `stats`, `contacts` or `stop` to it: `nc 127.0.0.1 PORT`.
//!
//! There is one thread and one poll. The node's driver is told of every event, has a turn in each
//! round, and says how long the loop may wait; the next report may come sooner. What a handle gives
//! are futures. Only a turn of the driver makes them ready, so they are looked at after each.

use khashmir::Config;
use khashmir_mio::{Driver, Handle, Loop, Sockets};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

const WAKER: Token = Token(0);
const UDP: [Token; 2] = [Token(1), Token(2)];
const LISTENER: Token = Token(3);
const FIRST_CLIENT: usize = 4;

/// What will be said, to a client or on the terminal.
struct Answer {
    to: Option<Token>,
    text: Pin<Box<dyn Future<Output = String>>>,
}

struct Client {
    stream: TcpStream,
    line: Vec<u8>,
    /// It says nothing more, but may wait for answers.
    is_silent: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = pico_args::Arguments::from_env();
    let via: Vec<SocketAddr> = arguments.values_from_str("--via")?;
    let every = Duration::from_secs(arguments.opt_value_from_str("--every")?.unwrap_or(60));

    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let config = Config { local_networks: vec!["127.0.0.0/8".parse()?], ..Config::default() };
    let sockets = Sockets::bind(&[([127, 0, 0, 1], 0).into()])?;
    let ours = Loop { registry: poll.registry(), tokens: UDP, waker };
    let (dht, mut driver) = Driver::start(sockets, config, ours)?;

    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("node at {}, service at {}", dht.local_addrs()[0], listener.local_addr()?);

    let mut clients: HashMap<Token, Client> = HashMap::new();
    let mut next_client = FIRST_CLIENT;
    let mut answers = vec![Answer { to: None, text: Box::pin(join(dht.clone(), via)) }];
    let mut report_at = Instant::now() + every;
    while driver.turn()? {
        if Instant::now() >= report_at {
            report_at = Instant::now() + every;
            answers.push(Answer { to: None, text: Box::pin(answer(dht.clone(), "stats".to_owned())) });
        }
        // What is asked here interrupts the wait below, and is answered in the next turn.
        give_answers(&mut answers, &mut clients);
        clients.retain(|token, client| {
            !client.is_silent || answers.iter().any(|answer| answer.to == Some(*token))
        });
        let report = report_at.saturating_duration_since(Instant::now());
        let wait = driver.timeout().map_or(report, |wait| wait.min(report));
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        for event in &events {
            driver.handle_event(event);
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let token = Token(next_client);
                    next_client += 1;
                    poll.registry().register(&mut stream, token, Interest::READABLE)?;
                    clients.insert(token, Client { stream, line: Vec::new(), is_silent: false });
                }
            } else if let Some(client) = clients.get_mut(&event.token()) {
                client.is_silent |= client.read().unwrap_or(true);
                while let Some(line) = client.take_line() {
                    let text = Box::pin(answer(dht.clone(), line));
                    answers.push(Answer { to: Some(event.token()), text });
                }
            }
        }
    }
    println!("stopped");
    Ok(())
}

async fn join(dht: Handle, via: Vec<SocketAddr>) -> String {
    match dht.join(&via).await {
        Ok(contacts) => format!("joined, contacts: {contacts}"),
        Err(error) => error.to_string(),
    }
}

async fn answer(dht: Handle, question: String) -> String {
    let answer = match question.as_str() {
        "stats" => dht.stats().await.map(|stats| {
            let (received, sent) = (stats.datagrams_received, stats.datagrams_sent);
            let contacts = stats.contacts_ipv4 + stats.contacts_ipv6;
            format!("contacts {contacts}, values {}, datagrams {received} in, {sent} out", stats.values)
        }),
        "contacts" => dht.contacts().await.map(|contacts| {
            let all: Vec<String> =
                contacts.iter().map(|contact| format!("{} {}", contact.id, contact.addr)).collect();
            all.join("\n")
        }),
        "stop" => {
            dht.shutdown().await;
            Ok(String::new())
        }
        other => Ok(format!("what is {other:?}? say stats, contacts or stop")),
    };
    answer.unwrap_or_else(|error| error.to_string())
}

/// Says what is known by now, to each in the order in which it was asked.
fn give_answers(answers: &mut Vec<Answer>, clients: &mut HashMap<Token, Client>) {
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut waiting = Vec::new();
    answers.retain_mut(|answer| {
        if waiting.contains(&answer.to) {
            return true;
        }
        let std::task::Poll::Ready(text) = answer.text.as_mut().poll(&mut context) else {
            waiting.push(answer.to);
            return true;
        };
        match answer.to {
            None => println!("{text}"),
            Some(token) => {
                // Who has gone, or does not read, misses it.
                let client = clients.get_mut(&token);
                let _unheard = client.map(|client| client.stream.write_all(format!("{text}\n").as_bytes()));
            }
        }
        false
    });
}

impl Client {
    /// Reads what is there. Returns whether nothing will follow.
    fn read(&mut self) -> io::Result<bool> {
        match self.stream.read_to_end(&mut self.line) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(self.line.len() > 1024),
            result => result.map(|_| true),
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.line.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.line.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim().to_owned())
    }
}
