//! The files themselves: their form, what they quote, and who else passes them.

use crate::files::{all, package, read};
use crate::name;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The least number of vectors in each topic.
const LEAST: [(&str, usize); 15] = [
    ("answers", 15),
    ("bencode", 60),
    ("budget", 10),
    ("claims", 25),
    ("compact", 12),
    ("downloads", 12),
    ("errors", 8),
    ("keys", 8),
    ("lookups", 12),
    ("messages", 40),
    ("paths", 10),
    ("pieces", 20),
    ("routing", 12),
    ("store", 10),
    ("tokens", 6),
];

#[test]
fn every_file_has_the_form_that_its_schema_gives() {
    let mut schemas = BTreeSet::new();
    for file in all() {
        let schema = file.content["$schema"].as_str().unwrap();
        let path = package().join("vectors").join(&file.topic).join(schema);
        let schema: Value = serde_json::from_str(&read(&path)).unwrap();
        assert!(jsonschema::meta::is_valid(&schema), "{}", path.display());
        let errors: Vec<String> = jsonschema::validator_for(&schema)
            .unwrap()
            .iter_errors(&file.content)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {}", file.name, errors.join("\n"));
        schemas.insert(std::fs::canonicalize(path).unwrap());
    }
    let kept = std::fs::read_dir(package().join("vectors/schema")).unwrap();
    let kept = kept.map(|entry| std::fs::canonicalize(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(schemas, kept, "no schema is for nothing");
}

#[test]
fn every_vector_quotes_the_protocol_word_for_word() {
    let sections = sections();
    let mut quotes = 0;
    for file in all() {
        let named: Vec<u64> = serde_json::from_value(file.content["protocol"].clone()).unwrap();
        for vector in file.vectors() {
            let sentence = words(vector["sentence"].as_str().unwrap());
            let found = named.iter().any(|section| sections[section].contains(&sentence));
            assert!(found, "{}: not in {named:?}: {sentence}", name(&file, vector));
            quotes += 1;
        }
    }
    assert!(quotes > 300, "{quotes}");
}

/// The page by section; what stands before the first is section 0.
fn sections() -> BTreeMap<u64, String> {
    let page = read(&package().join("PROTOCOL.md"));
    let parts = page.split("\n## ").enumerate();
    parts
        .map(|(number, part)| {
            assert!(number == 0 || part.starts_with(&format!("{number}. ")), "sections are numbered");
            (number as u64, words(part))
        })
        .collect()
}

/// Spaces and line breaks are alike.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_topic_is_there_and_no_name_comes_twice() {
    let mut names = BTreeSet::new();
    let mut counts = BTreeMap::<String, usize>::new();
    for file in all() {
        assert_eq!(file.name.split('/').next(), Some(&file.topic[..]));
        *counts.entry(file.topic.clone()).or_default() += file.vectors().len();
        for vector in file.vectors() {
            assert!(
                names.insert((file.topic.clone(), vector["name"].to_string())),
                "{}",
                name(&file, vector)
            );
        }
    }
    for (topic, least) in LEAST {
        let count = counts.get(topic).copied().unwrap_or(0);
        assert!(count >= least, "{topic}: {count}");
    }
}

#[test]
fn an_implementation_in_another_language_passes_the_same_files() {
    let script = package().join("independent/codec.py");
    let lines = read(&script).lines().count();
    assert!(lines < 200, "{lines} lines are not small");
    python(&["independent/codec.py", "vectors"]);
}

#[test]
fn the_generator_writes_these_very_files() {
    python(&["vectors/generate", "--check"]);
}

fn python(arguments: &[&str]) {
    let run = Command::new("python3").args(["-B"]).args(arguments).current_dir(package()).output();
    let output = run.expect("python3, which .ci/test installs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
