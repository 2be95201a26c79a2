//! Unpacking, within bounds.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// The most memory that unpacking xz may take, in bytes. The strongest preset, `-9`,
/// needs 65 MiB.
pub const MAX_XZ_MEMORY: u64 = 128 * 1024 * 1024;

/// How an index is packed; the one that is cheapest to fetch is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// `.xz`
    Xz,
    /// `.gz`
    Gzip,
    /// Not at all.
    Plain,
}

impl Compression {
    /// Parts a file's name from the extension that says how it is packed. `None` if that
    /// is a way that is not read here.
    pub(super) fn split(file: &str) -> Option<(&str, Self)> {
        match file.rsplit_once('.') {
            None => Some((file, Self::Plain)),
            Some((stem, "xz")) => Some((stem, Self::Xz)),
            Some((stem, "gz")) => Some((stem, Self::Gzip)),
            Some(_) => None,
        }
    }
}

/// The unpacked bytes of an index.
pub(super) enum Decoder<R> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Xz(Box<XzDecoder<R>>),
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(input: R, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Plain => Self::Plain(input),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(input))),
            Compression::Xz => {
                let stream = Stream::new_stream_decoder(MAX_XZ_MEMORY, CONCATENATED)?;
                Self::Xz(Box::new(XzDecoder::new_stream(input, stream)))
            }
        })
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(buffer),
            Self::Gzip(input) => input.read(buffer),
            Self::Xz(input) => input.read(buffer),
        }
    }
}
