//! Each vector bites: whatever it expects, expecting a little else fails.

use crate::files::all;
use crate::{check, name};
use serde_json::{Value, json};

/// The parts of a vector that say what is expected; all else is input.
fn expectations(topic: &str, vector: &Value) -> Vec<String> {
    let fields: &[&str] = match topic {
        _ if vector.get("steps").is_some() => {
            let steps = vector["steps"].as_array().unwrap().len();
            let fields = ["sent", "table", "finished", "total_bytes_at_most"];
            let all = (0..steps).flat_map(|step| fields.map(|field| format!("/steps/{step}/{field}")));
            return all.filter(|path| vector.pointer(path).is_some()).collect();
        }
        "bencode" => &["valid", "value", "clamped"],
        "messages" | "errors" => &["message", "writes_back"],
        "compact" => &["valid", "address", "contact"],
        "keys" => &["is"],
        "tokens" => &["token"],
        "claims" => &["claim"],
        "pieces" => &["pieces", "tier", "last", "hashes", "sha1"],
        "paths" => &["hash", "written"],
        "downloads" => &["expect"],
        _ => &[],
    };
    let all = fields.iter().map(|field| format!("/{field}"));
    all.filter(|path| vector.pointer(path).is_some()).collect()
}

#[test]
fn whatever_a_vector_expects_expecting_a_little_else_fails() {
    let (mut tried, mut survivors) = (0, Vec::new());
    for file in all() {
        for vector in file.vectors() {
            let expectations = expectations(&file.topic, vector);
            assert!(!expectations.is_empty(), "{} expects nothing", name(&file, vector));
            for path in expectations {
                for (path, mutant) in mutants(vector, &path) {
                    tried += 1;
                    if check(&file.topic, &mutant).is_ok() {
                        let was = vector.pointer(&path);
                        survivors.push(format!(
                            "{}{path}: {was:?}, {:?}",
                            name(&file, vector),
                            mutant.pointer(&path)
                        ));
                    }
                }
            }
        }
    }
    assert!(tried > 2000, "{tried}");
    assert!(survivors.is_empty(), "{} of {tried} pass:\n{}", survivors.len(), survivors.join("\n"));
}

/// The vector with one thing below `path` changed, in every way.
fn mutants(vector: &Value, path: &str) -> Vec<(String, Value)> {
    let value = vector.pointer(path).unwrap();
    let mut changed: Vec<Value> = Vec::new();
    let mut deeper: Vec<String> = Vec::new();
    let key = path.rsplit('/').next().unwrap_or_default();
    match value {
        Value::Null => changed.push(json!("00")),
        Value::Bool(value) => changed.push(json!(!value)),
        Value::Number(_) if key.ends_with("_at_most") => changed.push(json!(1)),
        Value::Number(_) if key.ends_with("_at_least") => changed.push(json!(u32::MAX)),
        Value::Number(value) => {
            let value = value.as_i64().unwrap();
            changed.push(json!(value.wrapping_add(1)));
            if value > 0 {
                changed.push(json!(value - 1));
            }
        }
        Value::String(text) => changed.push(json!(altered(vector, text))),
        // A window of time: one that ends before, and one that begins after.
        Value::Array(window) if key == "at_ms" => {
            let bound = |n: usize| window[n].as_u64().unwrap();
            changed.push(json!([bound(0).saturating_sub(2), bound(0).saturating_sub(1)]));
            changed.push(json!([bound(1) + 1, bound(1) + 2]));
        }
        // A set of right answers, of which none is right.
        Value::Array(items) if key == "of" => {
            let other = items.iter().filter_map(Value::as_str).map(|text| altered(vector, text));
            changed.push(other.collect());
        }
        Value::Array(items) => {
            if let Some((last, others)) = items.split_last() {
                changed.push(json!(others));
                changed.push(json!([items.clone(), vec![last.clone()]].concat()));
            }
            deeper.extend((0..items.len()).map(|n| format!("{path}/{n}")));
        }
        Value::Object(fields) => deeper.extend(fields.keys().map(|key| format!("{path}/{key}"))),
    }
    let mut mutants: Vec<(String, Value)> = Vec::new();
    for new in changed {
        let mut mutant = vector.clone();
        *mutant.pointer_mut(path).unwrap() = new;
        mutants.push((path.to_owned(), mutant));
    }
    deeper.iter().for_each(|path| mutants.extend(self::mutants(vector, path)));
    mutants
}

/// Another contact, or a text that differs in its last character.
fn altered(vector: &Value, text: &str) -> String {
    let contacts = vector.get("contacts").and_then(Value::as_object);
    if let Some(contacts) = contacts.filter(|contacts| contacts.contains_key(text))
        && let Some(other) = contacts.keys().find(|other| *other != text)
    {
        return other.clone();
    }
    let mut changed = text.to_owned();
    let last = changed.pop();
    changed.push(if last == Some('1') { '2' } else { '1' });
    changed
}
