//! The daemon as it is, run under `ptrace`: every thread stops before each system call, so that each
//! change of its data can be counted, cut short, refused, or be the last thing before SIGKILL.
//!
//! Why not otherwise: a preloaded library misses the calls that do not go through the C library
//! (`rustix` makes its own, among them the renames), `strace` counts per thread, and hooks in the
//! daemon would test another daemon.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use nix::errno::Errno;
use nix::libc::PTRACE_EVENT_EXEC;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::call::{Call, Reader, What};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// The process is killed before it.
    Kill,
    /// Half of a write is done, and then the process is killed.
    Tear,
    /// It fails, and nothing is done.
    Fail(Errno),
}

/// Who is asked about each call that counts, and told of it.
pub trait Observer {
    /// Before it happens.
    fn before(&mut self, call: &Call) -> Verdict;

    /// After it has.
    fn after(&mut self, _call: &Call) {}

    /// Before other nodes are told of these files.
    fn announced(&mut self, _files: &[&'static str]) {}
}

impl<F: FnMut(&Call) -> Verdict> Observer for F {
    fn before(&mut self, call: &Call) -> Verdict {
        self(call)
    }
}

/// A call that a thread is in, and how it is to fail if it is.
#[derive(Default)]
struct Inside {
    call: Option<Call>,
    fails: Option<Errno>,
}

/// A process that waits to be run.
pub struct Traced {
    pid: Pid,
    go: std::process::ChildStdin,
}

impl Traced {
    /// Prepares to run `program`, whose standard error becomes `log`; the same thread must
    /// [`run`](Self::run) it.
    pub fn new(program: &Command, log: File) -> (Self, ChildStdout) {
        // The shell waits until it is traced, and then becomes the program.
        let mut shell = Command::new("sh");
        shell.args(["-c", "read -r _ && exec \"$@\"", "sh"]).arg(program.get_program());
        shell.args(program.get_args());
        for (name, value) in program.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        #[expect(clippy::zombie_processes, reason = "whoever traces it waits for it")]
        let mut child = shell.spawn().unwrap();
        let (go, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options).expect("ptrace is allowed; containers need CAP_SYS_PTRACE");
        ptrace::interrupt(pid).unwrap();
        assert!(matches!(wait(), Some(WaitStatus::PtraceEvent(..))));
        ptrace::syscall(pid, None).unwrap();
        (Self { pid, go }, stdout)
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Runs it to its end, with one who observes. Returns whether it was killed by a verdict.
    pub fn run(mut self, data_dir: &Path, observer: &mut impl Observer) -> bool {
        self.go.write_all(b"\n").unwrap();
        let mut reader = None;
        let mut is_killed = false;
        let mut inside: HashMap<Pid, Inside> = HashMap::new();
        while let Some(status) = wait() {
            let (thread, signal) = match status {
                WaitStatus::PtraceSyscall(thread) => {
                    if let Some(inside) = inside.remove(&thread) {
                        leave(thread, &inside, observer);
                    } else {
                        let call = match (&reader, ptrace::getregs(thread)) {
                            (Some(reader), Ok(registers)) if !is_killed => {
                                enter(thread, registers, reader, observer)
                            }
                            _ => Some(Inside::default()),
                        };
                        let Some(call) = call else {
                            kill(self.pid, Signal::SIGKILL).unwrap();
                            is_killed = true;
                            continue;
                        };
                        inside.insert(thread, call);
                    }
                    (thread, None)
                }
                WaitStatus::PtraceEvent(thread, _, event) => {
                    if event == PTRACE_EVENT_EXEC {
                        reader = Some(Reader::new(self.pid, data_dir));
                    }
                    (thread, None)
                }
                WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
                WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, ..) if thread == self.pid => {
                    return is_killed;
                }
                _ => continue,
            };
            // One that was killed meanwhile is no longer there.
            let _gone = ptrace::syscall(thread, signal);
        }
        panic!("the traced process is gone without an end");
    }
}

/// A thread comes to a call. `None` if the process is to be killed before it happens.
fn enter(
    thread: Pid,
    mut registers: nix::libc::user_regs_struct,
    reader: &Reader,
    observer: &mut impl Observer,
) -> Option<Inside> {
    let Some(call) = reader.read(&registers) else { return Some(Inside::default()) };
    match observer.before(&call) {
        Verdict::Pass => Some(Inside { call: Some(call), fails: None }),
        Verdict::Kill => None,
        Verdict::Tear => {
            tear(&call, reader);
            None
        }
        Verdict::Fail(errno) => {
            // A call that there is not.
            registers.orig_rax = u64::MAX;
            let _gone = ptrace::setregs(thread, registers);
            Some(Inside { call: None, fails: Some(errno) })
        }
    }
}

/// A thread comes out of a call.
fn leave(thread: Pid, inside: &Inside, observer: &mut impl Observer) {
    if let Some(call) = &inside.call {
        observer.after(call);
    }
    if let (Some(errno), Ok(mut registers)) = (inside.fails, ptrace::getregs(thread)) {
        registers.rax = i64::from(-(errno as i32)) as u64;
        let _gone = ptrace::setregs(thread, registers);
    }
}

/// Does half of a write in the process's stead.
fn tear(call: &Call, reader: &Reader) {
    let (What::Write { offset, address, len }, Some(open)) = (&call.what, &call.open) else { return };
    let half = reader.bytes(*address, len / 2);
    let file = File::options().write(true).open(open).unwrap();
    file.write_all_at(&half, *offset).unwrap();
}

/// What this thread's tracees do next; `None` if there is none.
fn wait() -> Option<WaitStatus> {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
            Ok(status) => return Some(status),
            Err(Errno::EINTR | Errno::EINVAL) => {}
            Err(Errno::ECHILD) => return None,
            Err(error) => panic!("waiting for a traced process: {error}"),
        }
    }
}
