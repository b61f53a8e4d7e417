//! A rollout as people type it.

use std::path::PathBuf;

use clap::Args;
use muster_model::rollout::{
    Amount, Canary, Failure, Gates, OnFailure, Pace, Rolling, RolloutSpec, Stage, Staged, Strategy, Window,
};

use crate::operator::error::OperatorError;

/// What is rolled out to whom, and how.
#[derive(Debug, Args)]
pub struct SpecOptions {
    /// What it is a release of
    #[arg(value_name = "PRODUCT", required_unless_present = "spec")]
    pub product: Option<String>,

    /// Which version
    #[arg(value_name = "VERSION", required_unless_present = "spec")]
    pub version: Option<String>,

    /// A file with all of it, in JSON, as the API takes it; then nothing else is given
    #[arg(long, value_name = "FILE", exclusive = false, conflicts_with_all = ["product", "version", "machines", "rolling", "canary", "stage"])]
    pub spec: Option<PathBuf>,

    /// Which machines, as a filter: kind=car region=munich [default: all that it is for]
    #[arg(long = "for", value_name = "FILTER", default_value = "")]
    pub machines: String,

    /// Batch after batch: so many machines, or so many percent (10%)
    #[arg(long, value_name = "N", value_parser = amount, conflicts_with_all = ["canary", "stage"])]
    pub rolling: Option<Amount>,

    /// Each batch is so many times larger than the one before
    #[arg(long, value_name = "TIMES", default_value_t = 1, requires = "rolling", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub growth: u32,

    /// So many machines, or percent, first; then the rest
    #[arg(long, value_name = "N", value_parser = amount, conflicts_with = "stage")]
    pub canary: Option<Amount>,

    /// A phase for each selection, in order: munich=region=munich; once for each
    #[arg(long, value_name = "NAME=FILTER", value_parser = stage)]
    pub stage: Vec<Stage>,

    /// How long a phase is watched before the next begins, in seconds
    #[arg(long, value_name = "S")]
    pub soak: Option<u32>,

    /// Somebody has to approve each phase before it begins
    #[arg(long)]
    pub approve_phases: bool,

    /// What must hold of each machine after the soak, as a filter: 'status!=failed cpu<90'
    #[arg(long, value_name = "FILTER")]
    pub healthy: Option<String>,

    /// When machines may begin, UTC: 22:00-04:00
    #[arg(long, value_name = "FROM-TO", value_parser = window)]
    pub window: Option<Window>,

    /// Machines that change at the same time
    #[arg(long, value_name = "N")]
    pub parallel: Option<u32>,

    /// Machines that begin within a minute
    #[arg(long, value_name = "N")]
    pub per_minute: Option<u32>,

    /// How many percent of the machines of a phase that can be reached may fail
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub failures: Option<u8>,

    /// What happens beyond that: pause or roll_back
    #[arg(long, value_name = "WHAT", requires = "failures")]
    pub then: Option<OnFailure>,
}

impl SpecOptions {
    pub(super) fn spec(self) -> Result<RolloutSpec, OperatorError> {
        if let Some(path) = &self.spec {
            let usage = |what: String| OperatorError::Usage {
                what: format!("{}: {what}", path.display()),
                hint: "a document as `muster rollout show ID --output json` has under `spec`".to_owned(),
            };
            let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
            return serde_json::from_str(&text).map_err(|error| usage(error.to_string()));
        }
        let product = self.product.unwrap_or_default();
        let strategy = match (self.rolling, self.canary) {
            (Some(batch), _) => Strategy::Rolling(Rolling {
                batch,
                growth: self.growth,
            }),
            (None, Some(first)) => Strategy::Canary(Canary { first }),
            (None, None) if !self.stage.is_empty() => Strategy::Staged(Staged { phases: self.stage }),
            (None, None) => Strategy::Canary(Canary {
                first: Amount::Machines(1),
            }),
        };
        let (gates, pace, failure) = (Gates::default(), Pace::default(), Failure::default());
        Ok(RolloutSpec {
            name: String::new(),
            product: product.parse().map_err(|error| OperatorError::Usage {
                what: format!("{error}"),
                hint: "muster release list shows what there is".to_owned(),
            })?,
            version: self.version.unwrap_or_default(),
            selection: self.machines,
            strategy,
            pace: Pace {
                parallel_max: self.parallel.unwrap_or(pace.parallel_max),
                starts_per_min: self.per_minute,
                ..pace
            },
            gates: Gates {
                soak_s: self.soak.unwrap_or(gates.soak_s),
                approval: self.approve_phases,
                healthy: self.healthy.unwrap_or_default(),
                ..gates
            },
            window: self.window,
            failure: Failure {
                percent: self.failures.unwrap_or(failure.percent),
                then: self.then.unwrap_or(failure.then),
            },
            late_joiners: muster_model::rollout::LateJoiners::default(),
        })
    }
}

/// `5` or `10%`.
fn amount(text: &str) -> Result<Amount, String> {
    let accepted = || format!("{text:?}: a number of machines from 1 on, or 1% to 100%");
    match text.strip_suffix('%') {
        Some(percent) => match percent.parse() {
            Ok(percent @ 1..=100) => Ok(Amount::Percent(percent)),
            _ => Err(accepted()),
        },
        None => match text.parse() {
            Ok(machines @ 1..) => Ok(Amount::Machines(machines)),
            _ => Err(accepted()),
        },
    }
}

/// `munich=region=munich`.
fn stage(text: &str) -> Result<Stage, String> {
    match text.split_once('=') {
        Some((name, selection)) if !name.is_empty() && !selection.is_empty() => Ok(Stage {
            name: name.to_owned(),
            selection: selection.to_owned(),
            soak_s: None,
            approval: None,
        }),
        _ => Err(format!("{text:?}: a name, =, and a filter: munich=region=munich")),
    }
}

/// `22:00-04:00`.
fn window(text: &str) -> Result<Window, String> {
    let minutes = |clock: &str| {
        let (hours, minutes) = clock.split_once(':')?;
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    };
    let both = text
        .split_once('-')
        .and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
    match both {
        Some((from_min, to_min)) if from_min != to_min => Ok(Window { from_min, to_min }),
        _ => Err(format!("{text:?}: two times of the day, UTC: 22:00-04:00")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_read_or_refused_with_what_is_accepted() {
        assert_eq!(amount("5"), Ok(Amount::Machines(5)));
        assert_eq!(amount("10%"), Ok(Amount::Percent(10)));
        for wrong in ["0", "0%", "101%", "-1", "all", ""] {
            assert!(amount(wrong).unwrap_err().contains("1% to 100%"), "{wrong}");
        }
        let read = stage("munich=region=munich").unwrap();
        assert_eq!(
            (read.name.as_str(), read.selection.as_str()),
            ("munich", "region=munich")
        );
        assert!(stage("munich").is_err() && stage("=x").is_err() && stage("x=").is_err());
        let read = window("22:00-04:30").unwrap();
        assert_eq!((read.from_min, read.to_min), (1_320, 270));
        for wrong in ["22-4", "24:00-01:00", "10:00-10:00", "10:60-11:00", ""] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }
}
