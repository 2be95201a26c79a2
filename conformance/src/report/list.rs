//! The checks themselves, as lists and tables.

use super::Format;
use crate::check::{Check, In2008, Level};
use serde::Serialize;
use std::fmt::Write as _;

#[derive(Serialize)]
struct Row {
    name: &'static str,
    level: Level,
    section: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    elsewhere: Option<&'static str>,
    sentence: &'static str,
    in_2008: String,
}

/// `checks` in `format`; as text where that is for reports only.
pub fn render<T>(checks: &[&'static Check<T>], format: Format) -> String {
    match format {
        Format::Json => json(&checks.iter().map(|check| row(check)).collect::<Vec<_>>()),
        Format::Markdown => markdown(checks),
        Format::Text | Format::Junit => text(checks),
    }
}

/// Anything of ours as indented JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    // It fails on maps whose keys are no strings; ours have none.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn row<T>(check: &Check<T>) -> Row {
    let Check { name, level, section, elsewhere, sentence, .. } = *check;
    Row { name, level, section, elsewhere, sentence, in_2008: in_2008(check.in_2008) }
}

fn text<T>(checks: &[&'static Check<T>]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let line = |check: &&'static Check<T>| {
        let Check { name, level, sentence, .. } = check;
        format!("{name:width$}  {level:11}  {}: {sentence}\n", check.place())
    };
    checks.iter().map(line).collect()
}

/// How many checks each group has, what 2008 does otherwise, and each check with its sentence.
fn markdown<T>(checks: &[&'static Check<T>]) -> String {
    let mut tables = vec![counts(checks), differences(checks), sentences(checks)];
    tables.retain(|table| !table.is_empty());
    tables.join("\n")
}

/// How many checks of each level each group has, as a table in Markdown.
pub fn counts<T>(checks: &[&'static Check<T>]) -> String {
    let mut out = String::from("| group | required | recommended | hardening |\n|---|---|---|---|\n");
    let mut groups: Vec<&str> = checks.iter().map(|check| check.group()).collect();
    groups.dedup();
    let counts = |of: &dyn Fn(&Check<T>) -> bool| {
        let count = |level| checks.iter().filter(|check| check.level == level && of(check)).count();
        Level::ALL.map(count).map(|count| count.to_string()).join(" | ")
    };
    for group in groups {
        let _ = writeln!(out, "| {group} | {} |", counts(&|check| check.group() == group));
    }
    let _ = writeln!(out, "| all | {} |", counts(&|_| true));
    out
}

/// What the implementation of 2008 is known to do otherwise, as a table in Markdown; nothing if it
/// had no part in what the checks try.
pub fn differences<T>(checks: &[&'static Check<T>]) -> String {
    let mut out = String::new();
    for check in checks {
        if let In2008::Differs { instead, source } = check.in_2008 {
            let _ = writeln!(out, "| `{}` | {} | {instead} | {source} |", check.name, check.level);
        }
    }
    let head = "| check | level | in 2008 | who says so |\n|---|---|---|---|\n";
    if out.is_empty() { out } else { head.to_owned() + &out }
}

/// Each check with what it rests on, as a table in Markdown.
fn sentences<T>(checks: &[&'static Check<T>]) -> String {
    let mut out = String::from("| check | level | where | what stands there |\n|---|---|---|---|\n");
    for check in checks {
        let Check { name, level, sentence, .. } = check;
        let sentence = sentence.replace('|', "\\|");
        let _ = writeln!(out, "| `{name}` | {level} | {} | {sentence} |", check.place());
    }
    out
}

fn in_2008(what: In2008) -> String {
    match what {
        In2008::Same(source) => format!("same ({source})"),
        In2008::Differs { instead, source } => format!("{instead} ({source})"),
        In2008::Unknown => "unknown".to_owned(),
    }
}
