//! The vector files, and what reading them needs.

use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where a vector and an implementation differ.
pub type Outcome = Result<(), String>;

/// A file of vectors.
pub struct File {
    /// Its path below `vectors`.
    pub name: String,
    pub topic: String,
    pub content: Value,
}

pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of vectors, by name.
pub fn all() -> Vec<File> {
    let root = package().join("vectors");
    let topics = entries(&root).into_iter().filter(|path| path.is_dir());
    let topics =
        topics.filter(|path| !["generate", "recordings", "schema"].iter().any(|no| path.ends_with(no)));
    let files = topics.flat_map(|topic| entries(&topic));
    files
        .map(|path| {
            let content: Value = serde_json::from_str(&read(&path))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            File { name, topic: content["topic"].as_str().unwrap().to_owned(), content }
        })
        .collect()
}

impl File {
    pub fn vectors(&self) -> &[Value] {
        self.content["vectors"].as_array().unwrap()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A vector as a type that has a field for everything in it.
pub fn parse<T: DeserializeOwned>(vector: &Value) -> Result<T, String> {
    T::deserialize(vector).map_err(|error| error.to_string())
}

pub fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    hex::decode(hex).map_err(|error| format!("{hex}: {error}"))
}

pub fn expect<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, expected: &T) -> Outcome {
    if ours == expected { Ok(()) } else { Err(format!("{what}: {ours:?}, but expected is {expected:?}")) }
}
