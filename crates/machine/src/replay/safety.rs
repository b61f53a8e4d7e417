//! The safety region, step by step.

use muster_model::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::report::{Different, Report, differing};
use crate::nodes::safety::steps::{Difference, Replay, Steps};

/// Takes the packs of a recording.
#[derive(Default)]
pub(super) struct Player {
    replay: Replay,
}

impl Player {
    /// What is not within what was asked for is run as well, to get there, and not compared.
    pub(super) fn take(&mut self, at: Timestamp, pack: &Steps, within: bool, report: &mut Report) {
        let before = self.replay.counted;
        // The pack was said right behind its last step.
        let end_us = pack.end_us();
        self.replay.take(pack, |difference| {
            if within {
                report.differs(|| shown(at, end_us, &difference));
            }
        });
        let now = self.replay.counted;
        report.gaps = now.gaps;
        report.skipped_packs = now.skipped_packs;
        if within {
            report.steps += now.steps - before.steps;
            report.decisions += now.decisions - before.decisions;
        }
    }
}

fn shown(at: Timestamp, end_us: u64, difference: &Difference) -> Different {
    let (what, at_us, expected, got) = match difference {
        Difference::Verdict { at_us, expected, got } => ("verdict", *at_us, json(expected), json(got)),
        Difference::Memory { at_us, expected, got } => {
            ("what is remembered", *at_us, json(expected), json(got))
        }
    };
    let (expected, got) = differing(expected, got);
    let ago_ms = i64::try_from(end_us.saturating_sub(at_us) / 1_000).unwrap_or(0);
    Different {
        node: super::Node::Safety.as_str(),
        at: at.plus_millis(-ago_ms),
        what: what.to_owned(),
        expected,
        got,
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
