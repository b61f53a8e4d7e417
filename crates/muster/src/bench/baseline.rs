//! Comparing ratios with those of an earlier run: absolute times drift, ratios of one run do not.

use std::path::Path;

use serde::Deserialize;

use super::error::{BenchError, Result};
use super::output::number;
use super::report::{Better, Report};

/// How much worse a ratio may be: a quarter.
const WORSE_MAX: f64 = 1.25;

/// An earlier report, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Baseline {
    /// How many were connected: per-machine figures of another size are not comparable.
    machines: usize,
    figures: Vec<Then>,
}

/// One of its figures.
#[derive(Debug, Deserialize)]
struct Then {
    name: String,
    value: f64,
    #[serde(default)]
    ratio: Option<Better>,
}

impl Baseline {
    /// Reads what `--output json` wrote.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| BenchError::File {
            path: path.to_owned(),
            done: "read",
            source,
        })?;
        let usage = |what: String| BenchError::Usage { what };
        let baseline: Self = serde_json::from_str(&text).map_err(|error| {
            usage(format!(
                "--baseline {}: no report of `--output json`: {error}",
                path.display()
            ))
        })?;
        if baseline.figures.iter().any(|figure| figure.ratio.is_some()) {
            Ok(baseline)
        } else {
            let path = path.display();
            Err(usage(format!(
                "--baseline {path}: it holds no ratios, because it was taken without --vs"
            )))
        }
    }

    /// Fails when a ratio of both runs is worse by more than a quarter, or when they have none in common.
    pub(super) fn compare(&self, report: &Report) -> Result<usize> {
        if self.machines != report.machines {
            let (then, now) = (self.machines, report.machines);
            let what =
                format!("the baseline is one of {then} machines, this run of {now}: use --machines {then}");
            return Err(BenchError::Usage { what });
        }
        let mut fallen = Vec::new();
        let mut compared = 0;
        for now in &report.figures {
            let then = self.figures.iter().find(|then| then.name == now.name);
            let (Some(better), Some(then)) = (now.ratio, then) else {
                continue;
            };
            compared += 1;
            let worse = match better {
                Better::Less => now.value / then.value,
                Better::More => then.value / now.value,
            };
            // A value that is none at all is worse, too.
            if !matches!(
                worse.partial_cmp(&WORSE_MAX),
                Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
            ) {
                fallen.push(format!(
                    "{}: {} then, {} now",
                    now.name,
                    number(then.value),
                    number(now.value)
                ));
            }
        }
        if compared == 0 {
            let what = "this run has no ratio in common with the baseline: use --vs and the same scenarios"
                .to_owned();
            return Err(BenchError::Usage { what });
        }
        if fallen.is_empty() {
            Ok(compared)
        } else {
            Err(BenchError::Fallen { fallen })
        }
    }
}
