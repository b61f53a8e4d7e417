//! What came of running a recording again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use muster_model::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::recording::About;

/// Differences that are shown one by one; all are counted.
const SHOWN_MAX: usize = 100;

/// What came of running a recording again.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The recording.
    pub file: String,
    /// Whose it is, as it says itself.
    pub machine: BTreeMap<String, String>,
    /// The version that decided here.
    pub version: &'static str,
    /// Whether the recording was made by another version.
    pub other_version: bool,
    /// Messages that were read.
    pub messages: u64,
    /// From when to when they were said.
    pub span: Option<Span>,
    /// Steps of the safety region that were taken again.
    pub steps: u64,
    /// Decisions that were compared.
    pub decisions: u64,
    /// Packs of steps before the first that can be entered.
    pub skipped_packs: u64,
    /// Places where packs of steps are missing.
    pub gaps: u64,
    /// Messages whose content this version cannot read, by topic.
    pub unreadable: BTreeMap<String, Unreadable>,
    /// Why the file could not be read to its end.
    pub broken: Option<String>,
    /// How many decisions were different.
    pub differences: u64,
    /// The first of them.
    pub shown: Vec<Different>,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// How many times faster than it happened.
    pub times_real_time: f64,
}

/// From when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
}

/// Messages that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// How many.
    pub messages: u64,
    /// Why the first of them cannot.
    pub why: String,
}

/// A decision that was different.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Different {
    /// Which node decided.
    pub node: &'static str,
    /// When.
    pub at: Timestamp,
    /// What it was about.
    pub what: String,
    /// What was recorded; of something large only what differs.
    pub expected: Value,
    /// What was decided now.
    pub got: Value,
}

impl Report {
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: super::name(file),
            version: crate::VERSION,
            ..Self::default()
        }
    }

    pub(super) fn count(&mut self, at: Timestamp, within: bool) {
        self.messages += 1;
        if within {
            let span = self.span.get_or_insert(Span { from: at, to: at });
            span.from = span.from.min(at);
            span.to = span.to.max(at);
        }
    }

    pub(super) fn unreadable(&mut self, topic: &str, error: &dyn std::error::Error) {
        let unreadable = self
            .unreadable
            .entry(topic.to_owned())
            .or_insert_with(|| Unreadable {
                messages: 0,
                why: error.to_string(),
            });
        unreadable.messages += 1;
    }

    pub(super) fn differs(&mut self, different: impl FnOnce() -> Different) {
        self.differences += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(different());
        }
    }

    pub(super) fn describe(&mut self, about: &About) {
        self.machine.clone_from(&about.machine);
        let version = about.machine.get(super::VERSION);
        self.other_version = version.is_some_and(|version| version != self.version);
    }

    pub(super) fn took(&mut self, took: Duration) {
        // Whatever is quicker than the clock can tell took a millisecond.
        self.took_s = took.as_secs_f64().max(0.001);
        let covered_ms = self.span.map_or(0, |span| span.to.millis_since(span.from));
        #[expect(clippy::cast_precision_loss, reason = "a recording is not centuries long")]
        let covered_s = covered_ms as f64 / 1e3;
        self.times_real_time = covered_s / self.took_s;
    }

    /// Whether anything was compared.
    pub fn compared(&self) -> bool {
        self.decisions > 0
    }
}

/// What of two forms is not the same, from both.
pub(super) fn differing(expected: Value, got: Value) -> (Value, Value) {
    match (expected, got) {
        (Value::Object(mut expected), Value::Object(mut got)) => {
            let names: Vec<String> = expected.keys().chain(got.keys()).cloned().collect();
            for name in names {
                let (here, there) = (expected.remove(&name), got.remove(&name));
                if here == there {
                    continue;
                }
                let (here, there) = differing(here.unwrap_or(Value::Null), there.unwrap_or(Value::Null));
                expected.insert(name.clone(), here);
                got.insert(name, there);
            }
            (Value::Object(expected), Value::Object(got))
        }
        other => other,
    }
}
