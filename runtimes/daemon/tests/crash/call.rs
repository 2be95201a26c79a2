//! What a thread of the daemon is about to do to its data, read from its registers and memory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::libc::{self, user_regs_struct};
use nix::unistd::Pid;

/// A system call that changes something below the data directory, or makes it durable, or tells
/// other nodes of it.
#[derive(Debug, Clone)]
pub struct Call {
    pub what: What,
    /// Where the file stands that it is about, relative to the data directory; the old name of one
    /// that gets another.
    pub path: PathBuf,
    /// The file, open, if the call is about an open one.
    pub open: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Bytes go into an open file.
    Write {
        offset: u64,
        address: u64,
        len: u64,
    },
    /// An open file, or a directory, is made durable.
    Sync,
    Rename {
        to: PathBuf,
    },
    Remove,
    /// A file that is there is opened to be written.
    Open,
    /// A file, a directory or a socket is made.
    Create,
    /// A file's length changes, or its place on the disk is taken.
    Resize,
    /// Values are sent to be stored by other nodes.
    Announce {
        datagrams: Vec<Vec<u8>>,
    },
}

impl Call {
    /// What happens to which kind of file, the same for every file of the kind.
    pub fn label(&self) -> String {
        let verb = match &self.what {
            What::Write { .. } => "write",
            What::Sync => "sync",
            What::Rename { to } => return format!("rename {} {}", kind(&self.path), kind(to)),
            What::Remove => "remove",
            What::Open => "open",
            What::Create => "create",
            What::Resize => "resize",
            What::Announce { .. } => "announce",
        };
        format!("{verb} {}", kind(&self.path))
    }

    /// Whether the disk has to have room for it.
    pub fn takes_room(&self) -> bool {
        matches!(self.what, What::Write { .. } | What::Create | What::Resize)
    }
}

/// `cache/*/*` for every file of the cache, and so on.
fn kind(path: &Path) -> String {
    let mut parts = path.iter().map(|part| part.to_string_lossy());
    match parts.next().as_deref() {
        None => ".".to_owned(),
        Some(dir @ ("cache" | "partial")) => parts.fold(dir.to_owned(), |kind, _| kind + "/*"),
        Some(_) => path.to_string_lossy().into_owned(),
    }
}

/// Reads calls of one process.
#[derive(Debug)]
pub struct Reader {
    pid: Pid,
    memory: File,
    data_dir: PathBuf,
}

impl Reader {
    pub fn new(pid: Pid, data_dir: &Path) -> Self {
        let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        Self { pid, memory, data_dir: data_dir.to_owned() }
    }

    /// The call that these registers ask for, if it is one of those that count.
    pub fn read(&self, registers: &user_regs_struct) -> Option<Call> {
        let [a, b, c, d] = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
        match registers.orig_rax as i64 {
            libc::SYS_write => self.open(a, |open| write(b, c, position(open))),
            libc::SYS_pwrite64 => self.open(a, |_| write(b, c, d)),
            // What is in memory of several places is not torn.
            libc::SYS_writev | libc::SYS_pwritev | libc::SYS_pwritev2 => self.open(a, |_| write(0, 0, 0)),
            libc::SYS_sendfile => self.open(a, |_| write(0, 0, 0)),
            libc::SYS_copy_file_range => self.open(c, |_| write(0, 0, 0)),
            libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync_file_range => self.open(a, |_| What::Sync),
            libc::SYS_ftruncate | libc::SYS_fallocate => self.open(a, |_| What::Resize),
            libc::SYS_truncate => self.named(libc::AT_FDCWD as u64, a, What::Resize),
            libc::SYS_open => self.opening(libc::AT_FDCWD as u64, a, b),
            libc::SYS_openat => self.opening(a, b, c),
            libc::SYS_creat => self.named(libc::AT_FDCWD as u64, a, What::Create),
            libc::SYS_mkdir => self.making(libc::AT_FDCWD as u64, a),
            libc::SYS_mkdirat => self.making(a, b),
            libc::SYS_bind => self.binding(b, c),
            libc::SYS_link => self.making(libc::AT_FDCWD as u64, b),
            libc::SYS_linkat => self.making(c, d),
            libc::SYS_symlink => self.making(libc::AT_FDCWD as u64, b),
            libc::SYS_symlinkat => self.making(b, c),
            libc::SYS_unlink | libc::SYS_rmdir => self.removing(libc::AT_FDCWD as u64, a),
            libc::SYS_unlinkat => self.removing(a, b),
            libc::SYS_rename => self.renaming((libc::AT_FDCWD as u64, a), (libc::AT_FDCWD as u64, b)),
            libc::SYS_renameat | libc::SYS_renameat2 => self.renaming((a, b), (c, d)),
            libc::SYS_sendto => self.announcing(vec![self.bytes(b, c)]),
            libc::SYS_sendmsg => self.announcing(vec![self.message(b)]),
            libc::SYS_sendmmsg => self.announcing(
                // struct mmsghdr has 64 bytes.
                (0..c.min(1024)).map(|nth| self.message(b + 64 * nth)).collect(),
            ),
            _ => None,
        }
    }

    fn open(&self, fd: u64, what: impl FnOnce(&Path) -> What) -> Option<Call> {
        let open = PathBuf::from(format!("/proc/{}/fd/{}", self.pid, fd as i32));
        let path = self.relative(&fs::read_link(&open).ok()?)?;
        Some(Call { what: what(&open), path, open: Some(open) })
    }

    fn named(&self, dir: u64, name: u64, what: What) -> Option<Call> {
        let path = self.relative(&self.path(dir, name)?)?;
        Some(Call { what, path, open: None })
    }

    fn opening(&self, dir: u64, name: u64, flags: u64) -> Option<Call> {
        let flags = flags as i32;
        if flags & (libc::O_CREAT | libc::O_TRUNC | libc::O_ACCMODE) == 0 {
            return None;
        }
        let path = self.path(dir, name)?;
        match fs::metadata(&path) {
            Ok(metadata) if flags & libc::O_TRUNC != 0 && metadata.len() > 0 => {
                self.named(dir, name, What::Resize)
            }
            Ok(_) => self.named(dir, name, What::Open),
            Err(_) if flags & libc::O_CREAT != 0 => self.named(dir, name, What::Create),
            Err(_) => None,
        }
    }

    /// A name that is there already is not made again.
    fn making(&self, dir: u64, name: u64) -> Option<Call> {
        let path = self.path(dir, name)?;
        if path.symlink_metadata().is_ok() { None } else { self.named(dir, name, What::Create) }
    }

    fn removing(&self, dir: u64, name: u64) -> Option<Call> {
        let path = self.path(dir, name)?;
        if path.symlink_metadata().is_err() { None } else { self.named(dir, name, What::Remove) }
    }

    fn renaming(&self, from: (u64, u64), to: (u64, u64)) -> Option<Call> {
        let to = self.relative(&self.path(to.0, to.1)?)?;
        self.named(from.0, from.1, What::Rename { to })
    }

    fn binding(&self, address: u64, len: u64) -> Option<Call> {
        let address = self.bytes(address, len.min(110));
        let (family, path) = address.split_first_chunk::<2>()?;
        if i32::from(u16::from_ne_bytes(*family)) != libc::AF_UNIX {
            return None;
        }
        let path = path.split(|byte| *byte == 0).next()?;
        let path = self.relative(Path::new(OsStr::from_bytes(path)))?;
        Some(Call { what: What::Create, path, open: None })
    }

    fn announcing(&self, mut datagrams: Vec<Vec<u8>>) -> Option<Call> {
        const STORE: &[u8] = b"11:store_value";
        datagrams.retain(|datagram| datagram.windows(STORE.len()).any(|bytes| bytes == STORE));
        if datagrams.is_empty() {
            return None;
        }
        Some(Call { what: What::Announce { datagrams }, path: "network".into(), open: None })
    }

    /// The bytes of a struct msghdr.
    fn message(&self, address: u64) -> Vec<u8> {
        let number = |bytes: &[u8], at: usize| {
            bytes.get(at..at + 8).map_or(0, |bytes| u64::from_ne_bytes(bytes.try_into().unwrap()))
        };
        let header = self.bytes(address, 56);
        let (parts, count) = (number(&header, 16), number(&header, 24));
        let mut message = Vec::new();
        for nth in 0..count.min(64) {
            let part = self.bytes(parts + 16 * nth, 16);
            message.extend(self.bytes(number(&part, 0), number(&part, 8)));
        }
        message
    }

    fn path(&self, dir: u64, name: u64) -> Option<PathBuf> {
        let name = self.bytes(name, 4096);
        let name = Path::new(OsStr::from_bytes(name.split(|byte| *byte == 0).next()?));
        if name.is_absolute() {
            return Some(name.to_owned());
        }
        let dir = match dir as i32 {
            libc::AT_FDCWD => format!("/proc/{}/cwd", self.pid),
            fd => format!("/proc/{}/fd/{fd}", self.pid),
        };
        Some(fs::read_link(dir).ok()?.join(name))
    }

    fn relative(&self, path: &Path) -> Option<PathBuf> {
        Some(path.strip_prefix(&self.data_dir).ok()?.to_owned())
    }

    /// As many bytes of its memory as there are, at most `len`.
    pub fn bytes(&self, address: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len.min(64 << 20)).unwrap()];
        let read = self.memory.read_at(&mut bytes, address).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }
}

fn write(address: u64, len: u64, offset: u64) -> What {
    What::Write { offset, address, len }
}

/// Where an open file is written next.
fn position(open: &Path) -> u64 {
    let info = open.to_string_lossy().replace("/fd/", "/fdinfo/");
    let info = fs::read_to_string(info).unwrap_or_default();
    let position = info.lines().find_map(|line| line.strip_prefix("pos:"));
    position.and_then(|position| position.trim().parse().ok()).unwrap_or(0)
}
