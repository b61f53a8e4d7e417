//! What is said of a run: one document, and the same for people.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_sim::world::{Check, Counts, Report, Scenario, Telling};
use serde::Serialize;

/// The verdict on one world.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub verdict: &'static str,
    pub seed: u64,
    pub machines: usize,
    pub duration_s: u64,
    pub faults: String,
    pub about: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planted: Option<&'static str>,
    pub trace_hash: String,
    pub virtual_s: f64,
    pub together_after_s: f64,
    pub took_s: f64,
    pub times_real_time: f64,
    pub counts: CountsDocument,
    /// How often each check was looked at.
    pub checks: BTreeMap<String, u64>,
    pub timeline: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violation: Option<ViolationDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<ToldDocument>,
    /// How to be told what happened.
    pub explain_with: String,
}

#[derive(Debug, Serialize)]
pub(super) struct CountsDocument {
    pub events: u64,
    pub steps: u64,
    pub published: u64,
    pub frames_up: u64,
    pub frames_down: u64,
    pub connections: u64,
    pub entries: u64,
    pub batches: u64,
    pub batches_failed: u64,
    pub faults: u64,
    pub machine_crashes: u64,
    pub server_crashes: u64,
    pub disks_lost: u64,
    pub suspensions: u64,
    pub resyncs: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub from_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online_least: Option<usize>,
    pub entries: u64,
    pub faults: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct ViolationDocument {
    pub check: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<usize>,
    pub at_s: f64,
    pub what: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ToldDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_s: Option<u64>,
    pub left_out: u64,
    pub steps: Vec<String>,
    pub stands: Vec<String>,
}

impl CountsDocument {
    pub(super) fn new(counts: &Counts) -> Self {
        Self {
            events: counts.events,
            steps: counts.steps,
            published: counts.published,
            frames_up: counts.frames_up,
            frames_down: counts.frames_down,
            connections: counts.connections,
            entries: counts.entries,
            batches: counts.batches,
            batches_failed: counts.batches_failed,
            faults: counts.faults,
            machine_crashes: counts.machine_crashes,
            server_crashes: counts.server_crashes,
            disks_lost: counts.disks_lost,
            suspensions: counts.suspensions,
            resyncs: counts.resyncs,
        }
    }
}

impl Verdict {
    pub(super) fn new(
        scenario: &Scenario,
        again: &str,
        telling: Option<Telling>,
        report: &Report,
        took: Duration,
    ) -> Self {
        let until_s = telling.and_then(|telling| telling.until_s);
        let virtual_s = report.counts.virtual_ms as f64 / 1_000.0;
        // A run that was told up to a moment says nothing of what came later.
        let stopped = until_s.is_some_and(|until| virtual_s >= until as f64);
        let verdict = match (&report.violation, stopped) {
            (Some(_), _) => "failed",
            (None, true) => "clean until then",
            (None, false) => "clean",
        };
        Self {
            verdict,
            seed: report.seed,
            machines: scenario.machines,
            duration_s: scenario.duration_s,
            faults: scenario.faults.name.clone(),
            about: scenario.faults.about.clone(),
            planted: scenario.planted.map(muster_sim::world::Planted::name),
            trace_hash: format!("{:016x}", report.trace_hash),
            virtual_s,
            together_after_s: report.counts.together_after_ms as f64 / 1_000.0,
            took_s: took.as_secs_f64(),
            times_real_time: virtual_s / took.as_secs_f64().max(1e-6),
            counts: CountsDocument::new(&report.counts),
            checks: checks(&report.checks),
            timeline: rows(report),
            violation: report.violation.as_ref().map(|violation| ViolationDocument {
                check: format!("{:?}", violation.check),
                machine: violation.machine,
                at_s: violation.at_us as f64 / 1e6,
                what: violation.what.clone(),
            }),
            told: report.told.as_ref().map(|told| ToldDocument {
                until_s,
                left_out: told.left_out,
                steps: told.steps.clone(),
                stands: told.stands.clone(),
            }),
            explain_with: again.to_owned(),
        }
    }
}

pub(super) fn checks(checks: &BTreeMap<Check, u64>) -> BTreeMap<String, u64> {
    let named = checks.iter().map(|(check, looks)| (format!("{check:?}"), *looks));
    named.collect()
}

fn rows(report: &Report) -> Vec<Row> {
    let rows = report.timeline.iter().map(|stretch| Row {
        from_s: stretch.from_s,
        online_least: stretch.online_least,
        entries: stretch.entries,
        faults: stretch
            .faults
            .iter()
            .map(|(fault, times)| (fault.name(), *times))
            .collect(),
    });
    rows.collect()
}

/// The verdict for people.
pub(super) fn table(verdict: &Verdict, report: &Report) -> String {
    let mut text = format!(
        "Seed {}: {} machines, {} of virtual time, faults {} ({})\n",
        verdict.seed,
        verdict.machines,
        clock(verdict.duration_s),
        verdict.faults,
        verdict.about
    );
    match &verdict.told {
        Some(_) => {
            if let Some(told) = &report.told {
                text.push_str(&format!("\n{told}"));
            }
        }
        None => timeline(&verdict.timeline, &mut text),
    }
    text.push('\n');
    let looks: u64 = report.checks.values().sum();
    let mut line = |name: &str, words: String| text.push_str(&format!("{name:<12}{words}\n"));
    let counts = &verdict.counts;
    line(
        "happened",
        format!(
            "{} events, {} entries in the log, {} frames up, {} down, {} connections",
            counts.events, counts.entries, counts.frames_up, counts.frames_down, counts.connections
        ),
    );
    line(
        "faults",
        format!(
            "{}; machines stopped {} times, the server {}; {} batches refused, {} disks lost",
            counts.faults,
            counts.machine_crashes,
            counts.server_crashes,
            counts.batches_failed,
            counts.disks_lost
        ),
    );
    line("trace", verdict.trace_hash.clone());
    line(
        "took",
        format!(
            "{:.2} s for {} ({:.0} times real time)",
            verdict.took_s,
            clock(verdict.virtual_s as u64),
            verdict.times_real_time
        ),
    );
    match &verdict.violation {
        None => {
            let together = format!("together {:.0} s after the faults", verdict.together_after_s);
            let end = if verdict.verdict == "clean" {
                together
            } else {
                "the rest was not run".to_owned()
            };
            line(
                "verdict",
                format!(
                    "{}: {} checks looked {looks} times; {end}",
                    verdict.verdict,
                    report.checks.len()
                ),
            );
        }
        Some(violation) => {
            line(
                "verdict",
                format!(
                    "FAILED: {} does not hold at {:.6} s: {}",
                    violation.check, violation.at_s, violation.what
                ),
            );
            if verdict.told.is_none() {
                let machine = violation
                    .machine
                    .map_or_else(String::new, |machine| format!(" --machine {machine}"));
                line("explain", format!("{}{machine}", verdict.explain_with));
            }
        }
    }
    text
}

fn timeline(rows: &[Row], text: &mut String) {
    text.push_str("\n        from    online   entries   faults\n");
    for row in rows {
        let online = row
            .online_least
            .map_or_else(|| "–".to_owned(), |online| online.to_string());
        let faults: Vec<String> = row
            .faults
            .iter()
            .map(|(fault, times)| match times {
                1 => (*fault).to_owned(),
                times => format!("{fault} {times}"),
            })
            .collect();
        text.push_str(&format!(
            "{:>12}  {online:>8}  {:>8}   {}\n",
            clock(row.from_s),
            row.entries,
            faults.join(", ")
        ));
    }
}

/// Virtual time for people: hours and minutes, with days before them where there are any.
pub(super) fn clock(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match days {
        0 => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        days => format!("{days}d {hours:02}:{minutes:02}:{seconds:02}"),
    }
}
