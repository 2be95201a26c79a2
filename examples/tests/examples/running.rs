//! Examples that run until they are told to stop, or killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a machine with much else to do may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One that runs; dropping it kills it.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub fn start(name: &str, arguments: &[&str]) -> Running {
        let mut example = crate::example(name, arguments);
        println!("$ {example:?}");
        let mut child = example.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (to_us, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| to_us.send(line)));
        Running { child, lines }
    }

    /// Waits for the next line that it prints.
    pub fn line(&mut self) -> String {
        let line = self.lines.recv_timeout(PATIENCE).unwrap();
        println!("{line}");
        line
    }

    /// Waits until it has ended of its own accord. Returns whether it succeeded.
    pub fn ends_well(mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("it goes on and on");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}
