//! A server's process, as the generator sees it.

use crate::server::{Kind, Runtime};
use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::ops::Sub;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running server. It ends when this is dropped.
pub struct Server {
    pub address: SocketAddr,
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub user_micros: i64,
    pub system_micros: i64,
    pub allocations: i64,
    pub bytes_in_use: i64,
}

impl Sub for Usage {
    type Output = Usage;

    fn sub(self, before: Usage) -> Usage {
        Usage {
            user_micros: self.user_micros - before.user_micros,
            system_micros: self.system_micros - before.system_micros,
            allocations: self.allocations - before.allocations,
            bytes_in_use: self.bytes_in_use - before.bytes_in_use,
        }
    }
}

impl Server {
    pub fn start(runtime: Runtime, kind: Kind) -> Result<Server, Box<dyn Error>> {
        let kind = if kind == Kind::Echo { "echo" } else { "node" };
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", runtime.name(), kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().ok_or("no output")?);
        let address = SocketAddr::from(([0; 4], 0));
        let mut server = Server { address, process, commands, answers };
        server.address = server.line()?.trim().parse()?;
        Ok(server)
    }

    pub fn usage(&mut self) -> Result<Usage, Box<dyn Error>> {
        let [user_micros, system_micros, allocations, bytes_in_use] = self.ask("usage")?;
        Ok(Usage { user_micros, system_micros, allocations, bytes_in_use })
    }

    /// Contacts and values of a node.
    pub fn sizes(&mut self) -> Result<[usize; 2], Box<dyn Error>> {
        self.ask("sizes")
    }

    /// Memory that it has, in KiB.
    pub fn resident_kib(&self) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim_end_matches("kB").trim().parse()?)
    }

    fn ask<T: std::str::FromStr, const N: usize>(&mut self, what: &str) -> Result<[T; N], Box<dyn Error>> {
        writeln!(self.commands.as_mut().ok_or("it has ended")?, "{what}")?;
        let line = self.line()?;
        let numbers: Vec<T> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        numbers.try_into().map_err(|_| format!("not {N} numbers: {line}").into())
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err("the server has ended".into()),
            _ => Ok(line),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _status = self.process.wait();
    }
}
