//! The file, whole and in pieces.

use super::{PIECE, Target};
use crate::check::{Check, Outcome};
use crate::http::Framing;
use crate::http::judge::{ensure, exactly, next, unlike, whole};

pub(super) const CHECKS: &[Check<Target>] = &[
    Check::required("file/whole", 6, "a file of one piece is 200", all),
    Check::required("file/first-piece", 6, "a piece of a file of several is 206", first_piece),
    Check::required("file/every-piece", 6, "a piece of a file of several is 206", every_piece),
    Check::required("file/last-piece", 6, "The answer is 206, cut at the file's end", last_piece),
    Check::required("file/single-byte", 6, "single ranges", single_byte),
    Check::recommended("file/open-range", 6, "single ranges", open_range),
    Check::recommended("file/suffix", 6, "single ranges", suffix),
    Check::recommended("file/past-the-end", 0, "416 says the length in Content-Range", past_the_end)
        .resting_on("RFC 9110, section 15.5.17"),
    Check::required("file/other-range", 0, "a range unit that is not known is ignored", other_range)
        .resting_on("RFC 9110, section 14.2"),
    Check::required("file/if-range", 0, "another version: the whole file is sent", if_range)
        .resting_on("RFC 9110, section 13.1.5"),
    Check::required("file/unknown", 6, "A 404 makes it drop the peer", unknown),
    Check::required("file/not-quite", 6, "all bytes of the file's hash, percent-encoded", not_quite),
];

fn all(target: &Target) -> Outcome {
    let answer = target.get(&target.path(), &[])?;
    whole(&answer, &target.content)?;
    ensure(answer.framing == Framing::Length, "Content-Length", format!("{:?}", answer.framing))
}

/// As a 2008 client asks: always for a piece's full length.
fn piece(target: &Target, n: usize) -> Outcome {
    let (first, last) = (n * PIECE, (n + 1) * PIECE - 1);
    let answer = target.get(&target.path(), &[&format!("Range: bytes={first}-{last}")])?;
    exactly(&answer, &target.content, first..target.content.len().min(last + 1))
}

fn first_piece(target: &Target) -> Outcome {
    target.needs_pieces()?;
    piece(target, 0)
}

fn every_piece(target: &Target) -> Outcome {
    target.needs_pieces()?;
    (0..target.pieces().len()).try_for_each(|n| piece(target, n))
}

fn last_piece(target: &Target) -> Outcome {
    ensure(!target.content.is_empty(), "a file", "an empty one")?;
    piece(target, target.pieces().len() - 1)
}

fn single_byte(target: &Target) -> Outcome {
    let middle = target.content.len() / 2;
    let answer = target.get(&target.path(), &[&format!("Range: bytes={middle}-{middle}")])?;
    exactly(&answer, &target.content, middle..middle + 1)
}

fn open_range(target: &Target) -> Outcome {
    let middle = target.content.len() / 2;
    let answer = target.get(&target.path(), &[&format!("Range: bytes={middle}-")])?;
    exactly(&answer, &target.content, middle..target.content.len())
}

fn suffix(target: &Target) -> Outcome {
    let len = target.content.len();
    let answer = target.get(&target.path(), &["Range: bytes=-1"])?;
    exactly(&answer, &target.content, len - 1..len)
}

fn past_the_end(target: &Target) -> Outcome {
    let len = target.content.len();
    let answer = target.get(&target.path(), &[&format!("Range: bytes={len}-")])?;
    let told = answer.header("content-range") == Some(&format!("bytes */{len}"));
    let expected = format!("416 with `bytes */{len}`");
    if answer.status == 416 && told { Ok(()) } else { Err(unlike(expected, &answer)) }
}

fn other_range(target: &Target) -> Outcome {
    whole(&target.get(&target.path(), &["Range: pieces=0-0"])?, &target.content)
}

fn if_range(target: &Target) -> Outcome {
    let lines = ["Range: bytes=0-0", "If-Range: \"another\""];
    whole(&target.get(&target.path(), &lines)?, &target.content)
}

/// The connection is as good as before.
fn not_found(target: &Target, paths: &[String]) -> Outcome {
    for path in paths {
        let mut client = target.client()?;
        target.ask(&mut client, path, &[])?;
        let answer = next(&mut client)?;
        if answer.status != 404 {
            return Err(unlike(format!("status 404 for {path}"), &answer));
        }
        target.ask(&mut client, &target.path(), &[])?;
        whole(&next(&mut client)?, &target.content)?;
    }
    Ok(())
}

fn unknown(target: &Target) -> Outcome {
    let other: Vec<u8> = target.hash.iter().map(|byte| byte ^ 0x55).collect();
    not_found(target, &[super::path(&other)])
}

fn not_quite(target: &Target) -> Outcome {
    let hash = &target.hash;
    let short = hash.get(..hash.len() - 1).unwrap_or_default();
    let long = [hash.as_slice(), b"x"].concat();
    let hex = format!("/~/{}", hex::encode(hash));
    not_found(target, &[super::path(short), super::path(&long), hex, "/~/".to_owned()])
}
