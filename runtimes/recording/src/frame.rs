//! Frames: bodies with their length and a check, in a chain that starts with the format's name.

use crate::error::{Fault, ReadError};
use crate::text::BLINDED_LINE;
use bytes::{BufMut, BytesMut};
use sha1::{Digest, Sha1};
use std::io::{self, Read};

/// The first line of every recording: what it is, and the version of the format.
pub(crate) const FIRST_LINE: &[u8; 21] = b"khashmir recording 1\n";

/// Where the version stands in the first line.
const VERSION_AT: usize = 19;

/// The longest body, in bytes.
pub(crate) const MAX_BODY: u32 = 1 << 30;

type Check = [u8; 8];

/// The check of a frame depends on all frames before it: none can be lost or change places.
#[derive(Clone, Copy, Debug)]
struct Chain(Check);

impl Chain {
    fn start() -> Chain {
        Chain(first_8(Sha1::new_with_prefix(FIRST_LINE)))
    }

    fn next(&mut self, body: &[u8]) -> Check {
        self.0 = first_8(Sha1::new_with_prefix(self.0).chain_update(body));
        self.0
    }
}

fn first_8(hash: Sha1) -> Check {
    let digest: [u8; 20] = hash.finalize().into();
    std::array::from_fn(|at| digest[at])
}

/// Appends frames to a buffer.
#[derive(Debug)]
pub(crate) struct FrameWriter(Chain);

impl FrameWriter {
    /// A writer that has put the first line at the end of `out`.
    pub(crate) fn start(out: &mut BytesMut) -> FrameWriter {
        out.put_slice(FIRST_LINE);
        FrameWriter(Chain::start())
    }

    /// Appends a frame. Fails if its body is too long.
    pub(crate) fn frame(&mut self, body: &[u8], out: &mut BytesMut) -> io::Result<()> {
        let len = u32::try_from(body.len()).ok().filter(|len| *len <= MAX_BODY);
        let len = len.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "an input is too long to be recorded")
        })?;
        out.put_u32(len);
        out.put_slice(body);
        out.put_slice(&self.0.next(body));
        Ok(())
    }
}

/// Reads frames one by one.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    reader: R,
    chain: Chain,
    /// Where the next frame starts.
    offset: u64,
}

impl<R: Read> FrameReader<R> {
    /// A reader that has found a first line that it knows.
    pub(crate) fn open(mut reader: R) -> Result<FrameReader<R>, ReadError> {
        let mut line = Vec::new();
        read(&mut reader, FIRST_LINE.len() as u32, &mut line, 0)?;
        let as_version_1 =
            line.iter().zip(FIRST_LINE).enumerate().all(|(at, (a, b))| at == VERSION_AT || a == b);
        match line.get(VERSION_AT) {
            Some(b'1') if as_version_1 => {
                Ok(FrameReader { reader, chain: Chain::start(), offset: FIRST_LINE.len() as u64 })
            }
            Some(version) if as_version_1 && version.is_ascii_digit() => {
                Err(ReadError { fault: Fault::OtherVersion, offset: VERSION_AT as u64 })
            }
            _ if BLINDED_LINE.as_bytes().starts_with(&line) && line.len() == FIRST_LINE.len() => {
                Err(ReadError { fault: Fault::Blinded, offset: 0 })
            }
            _ => Err(ReadError { fault: Fault::NoRecording, offset: 0 }),
        }
    }

    /// Where the next frame starts, in bytes from the start of the recording.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next body, and where it starts; `None` where the file ends between two frames.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>, ReadError> {
        let error = |fault| ReadError { fault, offset: self.offset };
        let mut bytes = Vec::new();
        read(&mut self.reader, 4, &mut bytes, self.offset)?;
        let len = match <[u8; 4]>::try_from(&bytes[..]) {
            Ok(len) => u32::from_be_bytes(len),
            Err(_) if bytes.is_empty() => return Ok(None),
            Err(_) => return Err(error(Fault::CutShort)),
        };
        if len > MAX_BODY {
            return Err(error(Fault::Damaged));
        }
        bytes.clear();
        read(&mut self.reader, len + 8, &mut bytes, self.offset)?;
        match bytes.split_last_chunk::<8>() {
            Some((body, check)) if body.len() as u64 == u64::from(len) => {
                if self.chain.next(body) != *check {
                    return Err(error(Fault::Damaged));
                }
            }
            _ => return Err(error(Fault::CutShort)),
        }
        bytes.truncate(len as usize);
        let start = self.offset + 4;
        self.offset = start + u64::from(len) + 8;
        Ok(Some((start, bytes)))
    }
}

/// Reads up to `len` bytes, as many as there are: no length in the file takes memory by itself.
fn read(reader: &mut impl Read, len: u32, out: &mut Vec<u8>, offset: u64) -> Result<(), ReadError> {
    match reader.take(u64::from(len)).read_to_end(out) {
        Ok(_) => Ok(()),
        Err(error) => Err(ReadError { fault: Fault::Io(error.kind()), offset }),
    }
}
