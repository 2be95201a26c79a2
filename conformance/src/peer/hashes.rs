//! Piece hashes, which peers give whatever tier their claim uses.

use sha1::{Digest as _, Sha1};

use super::{PIECE, Target};
use crate::check::{Check, Outcome, Unmet};
use crate::http::judge::{ensure, whole};

pub(super) const CHECKS: &[Check<Target>] = &[
    Check::required(
        "piece-hashes/served",
        6,
        "Piece hashes are served whatever tier the claim uses.",
        served,
    ),
    Check::required(
        "piece-hashes/type",
        6,
        "`{t: piece hashes}`, bencoded, as `application/x-bencoded`",
        media,
    ),
    Check::required(
        "piece-hashes/right",
        6,
        "the SHA-1s of the pieces, 20 bytes each, one after the other",
        right,
    ),
];

/// What they have to be, bencoded, and where they are.
fn wanted(target: &Target) -> Result<(String, Vec<u8>), Unmet> {
    target.needs_pieces()?;
    let hashes: Vec<u8> = target.content.chunks(PIECE).flat_map(Sha1::digest).collect();
    let bencoded = [format!("d1:t{}:", hashes.len()).as_bytes(), &hashes, b"e"].concat();
    Ok((super::path(&Sha1::digest(&hashes)), bencoded))
}

fn served(target: &Target) -> Outcome {
    let (path, _) = wanted(target)?;
    crate::http::judge::status(&target.get(&path, &[])?, &[200])
}

fn media(target: &Target) -> Outcome {
    let (path, _) = wanted(target)?;
    let answer = target.get(&path, &[])?;
    let media = answer.header("content-type").unwrap_or("none").to_owned();
    ensure(media == "application/x-bencoded", "Content-Type: application/x-bencoded", media)
}

fn right(target: &Target) -> Outcome {
    let (path, bencoded) = wanted(target)?;
    whole(&target.get(&path, &[])?, &bencoded)
}
