//! What the compiler does not check: layers, file lengths, and what has no place in the engine.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a file may have, its tests aside.
const MAX_LINES: usize = 500;

/// What makes a run differ from another, or reaches outside.
const BANNED: [(&str, &str); 8] = [
    ("std::", "the engine is no_std"),
    ("f32", "no floats: they differ between platforms"),
    ("f64", "no floats: they differ between platforms"),
    ("HashSet", "its order is no order: see map.rs"),
    ("RandomState", "its order differs between runs"),
    ("unsafe {", "safe code only"),
    ("todo!", "finished code only"),
    ("println!", "the engine tells what happens in events"),
];

struct Source {
    path: PathBuf,
    /// The first part of its path below `src`.
    module: String,
    /// Without tests and comments, which need not keep to the rules.
    code: Vec<String>,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
                continue;
            }
            let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
            let module = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let without_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = without_tests.lines().map(without_comment).collect();
            sources.push(Source { path, module, code });
        }
    }
    assert!(sources.len() > 30, "the sources are where they were");
    sources
}

fn without_comment(line: &str) -> String {
    line.split("//").next().unwrap().to_owned()
}

/// The layer of each module, out of the table in ARCHITECTURE.md: the rows that start with a number.
struct Layers(BTreeMap<String, usize>);

impl Layers {
    fn read() -> Layers {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
        let page = fs::read_to_string(page).unwrap();
        let mut layers = BTreeMap::from([("lib".to_owned(), usize::MAX)]);
        for row in page.lines() {
            let mut cells = row.split('|').map(str::trim).skip(1);
            let Some(Ok(layer)) = cells.next().map(str::parse) else { continue };
            let names = cells.next().unwrap().split_whitespace().map(|name| name.trim_matches('`'));
            layers.extend(names.map(|name| (name.to_owned(), layer)));
        }
        assert!(layers.len() > 15, "the table is where it was: {layers:?}");
        Layers(layers)
    }

    fn of(&self, module: &str) -> Option<usize> {
        self.0.get(module).copied()
    }
}

/// Modules of the crate that a line of code names.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").flat_map(|(at, name)| {
        let rest = &line[at + name.len()..];
        let items = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap(),
            None => rest.split(',').next().unwrap(),
        };
        items
            .split(',')
            .map(|item| item.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
    })
}

#[test]
fn modules_import_from_lower_layers_only() {
    let layers = Layers::read();
    for Source { path, module, code } in sources() {
        let own = layers.of(&module);
        let own = own.unwrap_or_else(|| panic!("{module} has no layer: ARCHITECTURE.md gives each one"));
        let is_root = path.parent().unwrap().ends_with("src") || path.ends_with("mod.rs");
        for (number, line) in code.iter().enumerate().filter(|_| module != "lib") {
            let beside = is_root && module != "node" && line.contains("super::");
            assert!(!beside, "{}:{}: say crate:: instead of super::", path.display(), number + 1);
            for other in named(line).filter(|other| *other != module) {
                // What is no module here is a re-export at the root, which is for users.
                let Some(below) = layers.of(other) else {
                    panic!("{}:{}: name {other:?} by its module, on one line", path.display(), number + 1);
                };
                assert!(
                    below < own,
                    "{}:{}: {module} (layer {own}) must not know {other} (layer {below})",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn imports_are_told_apart() {
    let names = |line| named(line).collect::<Vec<_>>();
    assert_eq!(names("use crate::id::{Contact, Id};"), ["id"]);
    assert_eq!(names("use crate::{config::Config, krpc};"), ["config", "krpc"]);
    assert_eq!(names("fn f(x: crate::time::Instant, y: crate::id::Id)"), ["time", "id"]);
    assert_eq!(names("use super::id;"), [""; 0]);
}

#[test]
fn nothing_has_crept_in_that_has_no_place_here() {
    for Source { path, code, .. } in sources() {
        for (number, line) in code.iter().enumerate() {
            for (word, why) in BANNED {
                let found = line.match_indices(word).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let after = line[at + word.len()..].chars().next();
                    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                    !joins(before) && (word.ends_with([':', '{', '!']) || !joins(after))
                });
                assert!(!found, "{}:{}: {word}: {why}", path.display(), number + 1);
            }
        }
    }
}

/// The one map with a random order is wrapped so that nobody can iterate it.
#[test]
fn hash_maps_are_made_in_one_place() {
    for Source { path, module, code } in sources() {
        let named = code.iter().position(|line| line.contains("HashMap") || line.contains("hashbrown"));
        assert!(module == "map" || named.is_none(), "{}: see map.rs", path.display());
    }
    let map = sources().into_iter().find(|source| source.module == "map").unwrap();
    let iterates = ["iter(", "iter_mut(", "keys(", "values(", "drain(", "retain(", "IntoIterator"];
    let keyed = map.code.iter().skip_while(|line| !line.contains("struct KeyedMap"));
    let keyed: Vec<_> = keyed.take_while(|line| !line.contains("struct RecentTable")).collect();
    assert!(keyed.len() > 10);
    for word in iterates {
        assert!(!keyed.iter().any(|line| line.contains(word)), "KeyedMap has {word}");
    }
}

#[test]
fn files_are_short() {
    for Source { path, code, .. } in sources() {
        assert!(code.len() <= MAX_LINES, "{} has {} lines", path.display(), code.len());
    }
}
