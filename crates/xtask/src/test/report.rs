//! What a run says at its end.

use std::fmt::Write as _;
use std::time::Duration;

use super::counts::Tally;
use super::{Report, Verdict};

/// One line when a step ends.
pub(super) fn ending(report: &Report) -> String {
    let (result, note) = words(&report.verdict);
    let note = if note.is_empty() {
        String::new()
    } else {
        format!(" ({note})")
    };
    format!(
        "<== {}: {result} after {}{note}",
        report.name,
        seconds(report.took)
    )
}

/// The table of steps, the runners' own summaries, and as the last line the totals.
///
/// A step that failed although no test of it failed (a lint, a build) counts as one failure, so that the last line
/// never says "0 failed" about a run that did.
pub(super) fn summary(reports: &[Report]) -> String {
    let mut text = format!("\n{:<18} {:<9} {:>8}  note\n", "step", "result", "time");
    let mut total = Tally::default();
    let mut broken = Vec::new();
    for report in reports {
        let (result, note) = words(&report.verdict);
        let note = note.lines().next().unwrap_or_default();
        let line = format!(
            "{:<18} {result:<9} {:>8}  {note}",
            report.name,
            seconds(report.took)
        );
        let _ = writeln!(text, "{}", line.trim_end());
        match &report.verdict {
            Verdict::Passed { tally, .. } => total += tally,
            Verdict::Failed { tally, .. } => {
                total += tally;
                if tally.failed == 0 {
                    broken.push(report.name);
                }
            }
            Verdict::LeftOut { .. } => {}
        }
    }
    text.push('\n');
    if !broken.is_empty() {
        let _ = writeln!(
            text,
            "failed without a failing test, counted as one failure each: {}",
            broken.join(", ")
        );
    }
    if !total.failures.is_empty() {
        let _ = writeln!(text, "what failed, in the runners' words:");
        for line in &total.failures {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
    }
    // The largest runner's line stands last, right above the totals.
    let (nextest, others): (Vec<_>, Vec<_>) = total
        .summaries
        .iter()
        .partition(|line| line.starts_with("Summary ["));
    for line in others.into_iter().chain(nextest) {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(
        text,
        "{} passed, {} failed",
        total.passed,
        total.failed + broken.len() as u64
    );
    text
}

fn words(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Passed { tally, note } if tally.passed > 0 && note.is_empty() => {
            ("passed", format!("{} tests", tally.passed))
        }
        Verdict::Passed { note, .. } => ("passed", note.clone()),
        Verdict::Failed { why, .. } => ("FAILED", why.clone()),
        Verdict::LeftOut { why } => ("left out", why.clone()),
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
