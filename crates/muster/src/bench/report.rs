//! The figures of a run: each with its unit, its goal, what limited it, and how it was taken.

use serde::{Deserialize, Serialize};

use super::host::Host;
use super::servers::Subject;

/// Of the document that `--output json` writes.
const VERSION: u32 = 1;

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    /// For programs: the scenario, what was measured, and for other servers whose figure it is.
    pub(super) name: String,
    /// Whose it is.
    pub(super) subject: String,
    /// For people.
    pub(super) what: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// What is hoped for; none where a figure is for comparison only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) goal: Option<Goal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) met: Option<bool>,
    /// What kept it from being the server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limited_by: Option<String>,
    /// How it was taken.
    pub(super) method: &'static str,
    /// For Muster's figure divided by another server's of the same run: in which direction it is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<Better>,
}

/// In which direction a ratio is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Better {
    Less,
    More,
}

/// What is hoped for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

impl Figure {
    pub(super) fn new(
        key: impl Into<String>,
        subject: Subject,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        method: &'static str,
    ) -> Self {
        let mut name = key.into();
        if subject != Subject::Muster {
            name = format!("{name} {}", subject.name());
        }
        Self {
            name,
            subject: subject.name().to_owned(),
            what: what.into(),
            value,
            unit,
            goal: None,
            met: None,
            limited_by: None,
            method,
            ratio: None,
        }
    }

    pub(super) fn at_most(self, bound: f64) -> Self {
        self.goal(Goal::AtMost(bound))
    }

    pub(super) fn at_least(self, bound: f64) -> Self {
        self.goal(Goal::AtLeast(bound))
    }

    fn goal(mut self, goal: Goal) -> Self {
        (self.met, self.goal) = (Some(goal.is_met(self.value)), Some(goal));
        self
    }

    pub(super) fn limited(mut self, limited_by: Option<String>) -> Self {
        self.limited_by = limited_by;
        self
    }
}

/// Everything that a run measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: u32,
    /// Of Muster.
    pub(super) muster: &'static str,
    /// `release` or `debug`: figures of a debug build say nothing about speed.
    pub(super) build: &'static str,
    pub(super) started_at: String,
    pub(super) host: Host,
    pub(super) quick: bool,
    pub(super) machines: usize,
    pub(super) seconds: u64,
    /// What to know before believing any figure.
    pub(super) notes: Vec<String>,
    pub(super) figures: Vec<Figure>,
}

impl Report {
    pub(super) fn new(host: Host, started_at: String, quick: bool, machines: usize, seconds: u64) -> Self {
        Self {
            version: VERSION,
            muster: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
            started_at,
            host,
            quick,
            machines,
            seconds,
            notes: Vec::new(),
            figures: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds Muster's value divided by each other server's, with the goals that there are for such ratios.
    pub(super) fn add_ratios(
        &mut self,
        key: &str,
        what: &str,
        each: &[(Subject, f64)],
        better: Better,
        goals: &[(Subject, f64)],
        method: &'static str,
    ) {
        let Some((_, own)) = each.iter().find(|(subject, _)| *subject == Subject::Muster) else {
            return;
        };
        for (subject, value) in each {
            if *subject == Subject::Muster || *value <= 0.0 {
                continue;
            }
            let mut figure = Figure::new(key, *subject, what, own / value, "", method);
            figure.name = format!("{key} ÷ {}", subject.name());
            figure.subject = format!("muster ÷ {}", subject.name());
            figure.ratio = Some(better);
            let bound = goals.iter().find(|(other, _)| other == subject);
            self.add(match (bound, better) {
                (Some((_, bound)), Better::Less) => figure.at_most(*bound),
                (Some((_, bound)), Better::More) => figure.at_least(*bound),
                (None, _) => figure,
            });
        }
    }
}
