//! The vectors, against the engine.
#![allow(clippy::unwrap_used)]

mod bite;
mod codec;
mod download;
mod files;
mod formats;
mod protocol;
mod script;
mod world;

use files::{File, Outcome};
use serde_json::Value;

/// Holds the engine to one vector.
fn check(topic: &str, vector: &Value) -> Outcome {
    match topic {
        _ if vector.get("steps").is_some() => script::run(vector),
        "bencode" => codec::bencode(vector),
        "messages" | "errors" => codec::message(vector),
        "compact" => codec::compact(vector),
        "keys" => formats::key(vector),
        "tokens" => formats::token(vector),
        "claims" => formats::claim(vector),
        "pieces" => formats::pieces(vector),
        "downloads" => download::check(vector),
        "paths" => formats::path(vector),
        topic => Err(format!("no topic: {topic}")),
    }
}

fn name(file: &File, vector: &Value) -> String {
    format!("{}: {}", file.name, vector["name"].as_str().unwrap_or("no name"))
}

#[test]
fn the_engine_passes_every_vector() {
    let mut failures = Vec::new();
    for file in files::all() {
        for vector in file.vectors() {
            if let Err(error) = check(&file.topic, vector) {
                failures.push(format!("{}: {error}", name(&file, vector)));
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}
