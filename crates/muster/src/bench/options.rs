//! What is to be measured, and how large.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::error::{BenchError, Result};
use super::scenario::Scenario;

/// Most machines of one run: more connections do not fit the ports of the addresses that the load uses.
const MACHINES_MAX: usize = 100_000;
/// Longest measurement of one figure.
const SECONDS_MAX: u64 = 600;

/// What is to be measured.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Each server runs in a process of its own, on the first core and a private loopback port; the load comes from \
    the other cores.\nWithout a scenario all of them are run. `--vs mosquitto,nats` runs the same load against these brokers, \
    where they are installed.\n\nExamples:\n  \
    muster bench --quick\n  \
    muster bench fleet-ingest --vs mosquitto,nats\n  \
    muster bench --vs mosquitto,nats --output json > today.json\n  \
    muster bench --vs mosquitto,nats --baseline today.json\n\n\
    Exit codes: 0 measured, 1 a measurement failed or fell behind the baseline, 64 asked for what is not accepted, \
    69 a broker is not installed, 70 a server did not start, 71 the system refused something, 73 a file cannot be used, \
    130 ended before it was done"
)]
pub(crate) struct BenchOptions {
    /// What to measure [default: everything]
    #[arg(value_enum, value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// Measure everything small and for a second only: whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Measure these servers, too, with the same load in the same run
    #[arg(long, value_enum, value_name = "BROKERS", value_delimiter = ',')]
    vs: Vec<Broker>,
    /// How many machines are connected [default: 10000, with --quick 200]
    #[arg(long, value_name = "N")]
    machines: Option<usize>,
    /// How long each load lasts [default: 10, with --quick 1]
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Compare the ratios with those of an earlier `--output json`, and fail when one fell by more than a quarter
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Explain how each figure is taken, and end; measures nothing
    #[arg(long)]
    methods: bool,
}

/// A server to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Broker {
    /// Eclipse Mosquitto, an MQTT broker
    Mosquitto,
    /// nats-server
    Nats,
}

/// What is measured, checked and complete.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) scenarios: Vec<Scenario>,
    pub(super) vs: Vec<Broker>,
    pub(super) quick: bool,
    pub(super) machines: usize,
    pub(super) time: Duration,
    pub(super) baseline: Option<PathBuf>,
    pub(super) methods: bool,
}

impl Plan {
    /// Messages a second of the whole fleet: ten of each machine.
    pub(super) fn fleet_rate(&self) -> f64 {
        self.machines as f64 * 10.0
    }

    /// Connections that send as much as they can.
    pub(super) fn busy_connections(&self) -> usize {
        self.machines.min(100)
    }

    /// Pause between a load and the moment at which memory is read.
    pub(super) fn settle(&self) -> Duration {
        if self.quick {
            Duration::from_millis(200)
        } else {
            Duration::from_secs(3)
        }
    }
}

impl BenchOptions {
    pub(super) fn plan(self) -> Result<Plan> {
        let usage = |what: String| Err(BenchError::Usage { what });
        let machines = self.machines.unwrap_or(if self.quick { 200 } else { 10_000 });
        if !(1..=MACHINES_MAX).contains(&machines) {
            return usage(format!(
                "--machines is {machines}: 1 to {MACHINES_MAX} is accepted"
            ));
        }
        let seconds = self.seconds.unwrap_or(if self.quick { 1 } else { 10 });
        if !(1..=SECONDS_MAX).contains(&seconds) {
            return usage(format!("--seconds is {seconds}: 1 to {SECONDS_MAX} is accepted"));
        }
        let mut scenarios: Vec<Scenario> = Scenario::value_variants().to_vec();
        if !self.scenarios.is_empty() {
            scenarios.retain(|scenario| self.scenarios.contains(scenario));
        }
        let mut vs: Vec<Broker> = Broker::value_variants().to_vec();
        vs.retain(|broker| self.vs.contains(broker));
        Ok(Plan {
            scenarios,
            vs,
            quick: self.quick,
            machines,
            time: Duration::from_secs(seconds),
            baseline: self.baseline,
            methods: self.methods,
        })
    }
}
