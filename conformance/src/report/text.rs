//! For people: what failed and why, then a table.

use super::{CheckReport, Counts, Report, Status, hexdump::hexdump};
use crate::check::Level;
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Writing to a string cannot fail, so what `writeln!` returns is dropped throughout.
pub(super) fn render(report: &Report, all: bool) -> String {
    let mut out = String::new();
    for check in &report.checks {
        match check.status {
            Status::Failed | Status::Different => explain(check, report.dialect == "2008", &mut out),
            Status::Skipped | Status::Passed if all => {
                let _ = writeln!(out, "{}", line(check));
            }
            Status::Skipped | Status::Passed => {}
        }
    }
    skipped(report, &mut out);
    summary(report, &mut out);
    out
}

/// What a check came to, in one line.
pub(super) fn line(check: &CheckReport) -> String {
    let (style, word) = (style(check.status), word(check.status));
    let reason = check.reason.as_ref().map(|reason| format!(" {DIM}({reason}){DIM:#}"));
    format!("{style}{word:<9}{style:#} {}{}", check.name, reason.unwrap_or_default())
}

fn explain(check: &CheckReport, is_2008: bool, out: &mut String) {
    let Some(failure) = &check.failure else { return };
    let _ = writeln!(out, "{} {DIM}[{}]{DIM:#}", line(check), check.level);
    let _ = writeln!(out, "  {}: {}", check.place(), check.sentence);
    let _ = writeln!(out, "  {BOLD}expected{BOLD:#}  {}", failure.expected);
    let _ = writeln!(out, "  {BOLD}came{BOLD:#}      {}", failure.came);
    if is_2008 {
        let _ = writeln!(out, "  {BOLD}in 2008{BOLD:#}   {}", check.in_2008);
    }
    for evidence in &failure.evidence {
        let _ = write!(out, "  {}:\n{}", evidence.label, hexdump(&evidence.hex, "    "));
    }
    out.push('\n');
}

/// Why checks were skipped; each reason once.
fn skipped(report: &Report, out: &mut String) {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for reason in report.checks.iter().filter_map(|check| check.reason.as_deref()) {
        match reasons.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    for (reason, count) in reasons {
        let _ = writeln!(out, "{count} skipped: {reason}");
    }
}

fn summary(report: &Report, out: &mut String) {
    let _ = writeln!(
        out,
        "{BOLD}{:<12}{:>8}{:>8}{:>11}{:>9}{BOLD:#}",
        "", "passed", "failed", "different", "skipped"
    );
    for level in Level::ALL {
        let Some(counts) = report.summary.get(&level) else { continue };
        let Counts { passed, failed, different, skipped } = *counts;
        let _ = write!(out, "{level:<12}{passed:>8}");
        let style = if failed > 0 { style(Status::Failed) } else { Style::new() };
        let _ = writeln!(out, "{style}{failed:>8}{style:#}{different:>11}{skipped:>9}");
    }
    let (count, seconds) = (report.checks.len(), report.seconds);
    let _ = writeln!(out, "{count} checks of {} in {seconds:.1} s", report.target);
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "ok",
        Status::Failed => "FAILED",
        Status::Different => "different",
        Status::Skipped => "skipped",
    }
}

fn style(status: Status) -> Style {
    let color = match status {
        Status::Passed => AnsiColor::Green,
        Status::Failed => AnsiColor::Red,
        Status::Different => AnsiColor::Yellow,
        Status::Skipped => AnsiColor::Cyan,
    };
    Style::new().fg_color(Some(color.into()))
}
