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

/// How many checks each group has, each check with its sentence, and what 2008 does otherwise.
fn markdown<T>(checks: &[&'static Check<T>]) -> String {
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
    // Of many checks nothing is said of 2008 because it had no part in what they try.
    let with_2008 = checks.iter().any(|check| check.in_2008 != In2008::Unknown);
    let (title, rule) = if with_2008 { (" in 2008 |", "---|") } else { ("", "") };
    let _ = write!(out, "\n| check | level | where | what stands there |{title}\n|---|---|---|---|{rule}\n");
    for check in checks {
        let Check { name, level, sentence, .. } = check;
        let sentence = sentence.replace('|', "\\|");
        let _ = write!(out, "| `{name}` | {level} | {} | {sentence} |", check.place());
        let _ = if with_2008 { writeln!(out, " {} |", in_2008(check.in_2008)) } else { writeln!(out) };
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
