//! What an answer has to be.

use std::ops::Range;

use super::{Answer, Broken, Client, content_range};
use crate::check::{Outcome, Unmet};

/// The next answer on a connection, where there has to be one.
pub fn next(client: &mut Client) -> Result<Answer, Unmet> {
    client.read().map_err(|error| Unmet::failed("an answer", error.to_string()))
}

/// All of the file.
pub fn whole(answer: &Answer, content: &[u8]) -> Outcome {
    if answer.status == 200 && answer.body == content {
        return Ok(());
    }
    let unmet = unlike(format!("status 200 and the {} bytes of the file", content.len()), answer);
    let differs = answer.body.iter().zip(content).position(|(came, wanted)| came != wanted);
    let Some(at) = differs.filter(|_| answer.status == 200) else { return Err(unmet) };
    let excerpt = |bytes: &[u8]| bytes.get(at..bytes.len().min(at + 16)).unwrap_or_default().to_vec();
    Err(unmet
        .with(format!("from byte {at} on came"), excerpt(&answer.body))
        .with("in place of", excerpt(content)))
}

/// All of it, or a cut: apt resumes.
pub fn whole_or_cut(answer: Result<Answer, Broken>, content: &[u8]) -> Outcome {
    match answer {
        Ok(answer) => whole(&answer, content),
        Err(Broken::Cut(_)) => Ok(()),
        Err(other) => Err(Unmet::failed("the file, or a cut", other.to_string())),
    }
}

/// The part that was asked for as 206, or all of it as 200: apt takes both.
pub fn part(answer: &Answer, content: &[u8], wanted: Range<usize>) -> Outcome {
    if answer.status == 200 {
        return whole(answer, content);
    }
    exactly(answer, content, wanted)
}

/// The part that was asked for as 206.
pub fn exactly(answer: &Answer, content: &[u8], wanted: Range<usize>) -> Outcome {
    let expected =
        format!("status 206 and bytes {} to {} of {}", wanted.start, wanted.end - 1, content.len());
    let told = answer.header("content-range").and_then(content_range);
    let right = answer.status == 206
        && told == Some((wanted.clone(), content.len()))
        && Some(answer.body.as_slice()) == content.get(wanted);
    if right { Ok(()) } else { Err(unlike(expected, answer)) }
}

/// A status.
pub fn status(answer: &Answer, wanted: &[u16]) -> Outcome {
    if wanted.contains(&answer.status) {
        return Ok(());
    }
    let wanted: Vec<String> = wanted.iter().map(u16::to_string).collect();
    Err(unlike(format!("status {}", wanted.join(" or ")), answer))
}

/// Something other than what was expected.
pub fn unlike(expected: impl Into<String>, answer: &Answer) -> Unmet {
    let start = answer.body.get(..answer.body.len().min(64)).unwrap_or_default();
    let range = answer.header("content-range").map(|range| format!(", {range}")).unwrap_or_default();
    Unmet::failed(expected, format!("status {} and {} bytes{range}", answer.status, answer.body.len()))
        .with("the body begins", start)
}

/// `Ok` if so.
pub fn ensure(so: bool, expected: impl Into<String>, came: impl Into<String>) -> Outcome {
    if so { Ok(()) } else { Err(Unmet::failed(expected, came)) }
}
