//! Whether a version on probation has proved itself.

use super::HealthWanted;

/// One probation, from the start of the version on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probation {
    wanted: HealthWanted,
    began_ms: u64,
    /// Since when everything holds without a break.
    well_since_ms: Option<u64>,
    /// What was wrong last.
    problems: Vec<String>,
}

/// What is to be made of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Open,
    /// It proved itself.
    Proved,
    /// It did not in its time; what was wrong.
    Failed(String),
}

impl Probation {
    pub(super) const fn new(wanted: HealthWanted, now_ms: u64) -> Self {
        Self {
            wanted,
            began_ms: now_ms,
            well_since_ms: None,
            problems: Vec::new(),
        }
    }

    /// What the checks found.
    pub(super) fn checked(&mut self, now_ms: u64, problems: Vec<String>, is_break_ignored: bool) {
        if problems.is_empty() {
            self.well_since_ms.get_or_insert(now_ms);
        } else if !is_break_ignored {
            self.well_since_ms = None;
        }
        self.problems = problems;
    }

    pub(super) fn verdict(&self, now_ms: u64, is_hold_ignored: bool) -> Verdict {
        let hold_ms = if is_hold_ignored { 0 } else { self.wanted.hold_ms };
        if self.problems.is_empty() && self.well_since_ms.is_some_and(|since| now_ms >= since + hold_ms) {
            return Verdict::Proved;
        }
        if now_ms < self.ends_ms() {
            return Verdict::Open;
        }
        let seconds = self.wanted.within_ms / 1_000;
        Verdict::Failed(match (self.problems.as_slice(), self.well_since_ms) {
            ([], None) => format!("it was not looked at within {seconds} s"),
            ([], Some(_)) => format!("it was not well for long enough within {seconds} s"),
            (problems, _) => format!("within {seconds} s: {}", problems.join("; ")),
        })
    }

    /// When it is over at the latest: a hold that began within its time may end.
    const fn ends_ms(&self) -> u64 {
        let end = self.began_ms.saturating_add(self.wanted.within_ms);
        match self.well_since_ms {
            Some(since) if since <= end && since.saturating_add(self.wanted.hold_ms) > end => {
                since.saturating_add(self.wanted.hold_ms)
            }
            _ => end,
        }
    }
}
