//! Gathers what is wrong with the machine into its health, and says when something begins and ends.
//!
//! What is wrong comes from the hardware, the sensors, the supervisor and the store as findings, and from readings that
//! pass a threshold. A problem's message stays as it was when it began, so that a figure that moves is not news.

mod thresholds;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_metal::health_level;
use muster_model::state::{HealthReport, Problem};
use muster_model::{Severity, Topic};
use muster_reflex::state::Section;
use serde::{Deserialize, Serialize};

use crate::message::{Finding, Payload, Source, event, section, topics};
use crate::nodes::decides::{self, Decides};
use crate::options::Thresholds;
use crate::supervisor::NodeSpec;
use thresholds::Watch;

/// Problems that are reported; the worst are kept.
const PROBLEMS_MAX: usize = 64;

/// The health node.
pub fn spec(thresholds: Thresholds) -> NodeSpec {
    let topics = &[topics::FINDINGS, topics::MEASURED];
    NodeSpec::new(super::HEALTH, topics, move |context| {
        decides::run(context, HealthDesk::new(thresholds))
    })
}

/// Decides what is wrong, and what of that is news.
#[derive(Serialize, Deserialize)]
pub(crate) struct HealthDesk {
    book: Book,
    watch: Watch,
}

impl HealthDesk {
    fn new(thresholds: Thresholds) -> Self {
        Self {
            book: Book::default(),
            watch: Watch::new(thresholds),
        }
    }
}

impl Decides for HealthDesk {
    fn hear(&mut self, _: u64, payload: &Payload, say: &mut dyn FnMut(Payload)) {
        match payload {
            Payload::Findings(source, findings) => self.book.replace(*source, findings.clone()),
            Payload::Sections(Source::Measured, patch) => {
                self.book.replace(Source::Measured, self.watch.judge(patch));
            }
            _ => return,
        }
        let Some(news) = self.book.fold() else { return };
        for (kind, severity, message) in news.events {
            say(event(&kind, severity, message));
        }
        let report = section(Section::Health(Some(Arc::new(news.report))));
        say(Payload::Sections(Source::Health, report));
    }
}

/// What stands, by who found it.
#[derive(Default, Serialize, Deserialize)]
struct Book {
    found: BTreeMap<Source, Vec<Finding>>,
    #[serde(with = "pairs")]
    standing: BTreeMap<Key, Standing>,
    /// Whether anything was reported yet: that nothing is wrong is worth saying once.
    reported: bool,
}

/// A problem's kind and what it is about.
type Key = (String, String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Standing {
    severity: Severity,
    message: String,
    /// Whether its source says itself when it begins and ends.
    told_elsewhere: bool,
}

struct News {
    events: Vec<(String, Severity, String)>,
    report: HealthReport,
}

impl Book {
    fn replace(&mut self, source: Source, findings: Vec<Finding>) {
        self.found.insert(source, findings);
    }

    /// What changed since the last time, if anything.
    fn fold(&mut self) -> Option<News> {
        let mut now: BTreeMap<Key, Standing> = BTreeMap::new();
        for (source, findings) in &self.found {
            for finding in findings {
                if *source == Source::Hardware && self.is_measured_as_well(finding) {
                    continue;
                }
                let fresh = Standing {
                    severity: finding.severity,
                    message: finding.message.clone(),
                    told_elsewhere: matches!(source, Source::Nodes | Source::Workloads | Source::Watch),
                };
                let key = (finding.kind.clone(), finding.subject.clone());
                let standing = now.entry(key).or_insert_with(|| fresh.clone());
                if fresh.severity > standing.severity {
                    *standing = fresh;
                }
            }
        }
        let mut events = Vec::new();
        for (key, standing) in &mut now {
            match self.standing.get(key) {
                Some(before) if before.severity == standing.severity => {
                    standing.message.clone_from(&before.message);
                }
                Some(_) | None if !standing.told_elsewhere => {
                    events.push((kind_of(&key.0), standing.severity, standing.message.clone()));
                }
                Some(_) | None => {}
            }
        }
        for (key, before) in &self.standing {
            if !now.contains_key(key) && !before.told_elsewhere {
                let kind = format!("{}.ended", kind_of(&key.0));
                events.push((kind, Severity::Info, format!("Over: {}", before.message)));
            }
        }
        if now == self.standing && self.reported {
            return None;
        }
        self.standing = now;
        self.reported = true;
        Some(News {
            events,
            report: self.report(),
        })
    }

    /// Whether a threshold says of the readings what the hardware says of itself, and no less.
    fn is_measured_as_well(&self, finding: &Finding) -> bool {
        let measured = self.found.get(&Source::Measured);
        measured.into_iter().flatten().any(|measured| {
            measured.kind == finding.kind
                && measured.severity >= finding.severity
                && measured.subject != finding.subject
        })
    }

    fn report(&self) -> HealthReport {
        let mut problems: Vec<_> = self
            .standing
            .iter()
            .map(|((kind, _), standing)| Problem {
                kind: kind.clone(),
                severity: standing.severity,
                message: standing.message.clone(),
            })
            .collect();
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
        problems.truncate(PROBLEMS_MAX);
        HealthReport {
            level: health_level(&problems),
            problems,
        }
    }
}

/// A kind that the server accepts in an event, whatever the hardware calls its problem.
fn kind_of(kind: &str) -> String {
    let fits = kind.len() <= 100 && kind.parse::<Topic>().is_ok();
    if fits {
        kind.to_owned()
    } else {
        "problem.unnamed".to_owned()
    }
}

/// A map whose keys are no texts, as a list.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Key, Standing};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<Key, Standing>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Key, Standing>, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}
