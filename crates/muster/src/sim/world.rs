//! `muster sim run` and `muster sim replay`: one world, judged or told.

use std::process::ExitCode;

use clap::Args;
use muster_sim::world::{Faults, Planted, ProfileError, Report, Scenario, Telling, run_once, tell};

use super::progress::ProgressLine;
use super::verdict::{self, Verdict, clock};
use super::{quiet_panics, refuse, render, write_out};
use crate::operator::OutputFormat;
use crate::rundown::{EXIT_CONFIGURATION, fail};

/// Most machines in one world.
const MACHINES_MAX: usize = 20_000;
/// Longest time in one world: five weeks.
const HOURS_MAX: f64 = 840.0;
/// Most steps that are told.
const STEPS_MAX: usize = 100_000;
/// A fleet where nothing else is asked for.
const MACHINES: usize = 100;
const HOURS: f64 = 1.0;

/// Which world.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WorldOptions {
    /// How many machines [default: 100]
    #[arg(long, value_name = "N")]
    pub(super) machines: Option<usize>,
    /// How many hours of virtual time; what goes wrong ends then, and the fleet has to come together [default: 1]
    #[arg(long, value_name = "H")]
    pub(super) hours: Option<f64>,
    /// What goes wrong: none, radio, power, server, disk, clock, suspend, all, hostile, or a YAML file [default: all]
    #[arg(long, value_name = "PROFILE")]
    pub(super) faults: Option<String>,
    /// Put one of the planted bugs in, to see the judge notice; `muster sim prove` names them
    #[arg(long, value_name = "NAME")]
    pub(super) planted: Option<String>,
}

/// What is to be told.
#[derive(Clone, Debug, Args)]
pub(crate) struct TellOptions {
    /// Tell the run up to this moment of virtual time, such as 90s, 12m or 1h
    #[arg(long, value_name = "T", value_parser = virtual_time)]
    pub(super) until: Option<u64>,
    /// Tell only what concerns this machine (machines count from 0), and what concerns all
    #[arg(long, value_name = "N")]
    pub(super) machine: Option<usize>,
    /// How many steps are told: the last ones
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(super) steps: usize,
}

/// What is run, and whether it is told.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The same seed and the same options are the same run, to the last bit of its trace hash.\n\
    Exit codes: 0 everything held; 1 a check failed; 64 an option or a profile is not accepted.\n\n\
    muster sim run --seed 7 --machines 1000 --hours 1 --faults radio\n\
    muster sim run --seed 7 --machines 200 --hours 168 --faults examples/faults/week-of-power-cuts.yaml\n\
    muster sim run --replay 7 --until 90s --explain"
)]
pub(crate) struct RunOptions {
    /// Where all chance comes from [default: 1]
    #[arg(long, value_name = "S", conflicts_with = "replay")]
    seed: Option<u64>,
    /// Run the small world that `muster sim prove` runs for this seed, or, with --machines, --hours or --faults, that fleet
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
    #[command(flatten)]
    world: WorldOptions,
    /// Tell step by step, in words, how it came to the verdict
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    tell: TellOptions,
}

/// Which run is told.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Without --machines, --hours and --faults it is the small world that `muster sim prove` runs for this seed.\n\
    Exit codes: 0 everything held until then; 1 a check failed; 64 an option is not accepted."
)]
pub(crate) struct ReplayOptions {
    /// The seed
    #[arg(value_name = "SEED")]
    seed: u64,
    #[command(flatten)]
    world: WorldOptions,
    /// Steps are told anyway
    #[arg(long, hide = true)]
    explain: bool,
    #[command(flatten)]
    tell: TellOptions,
}

/// A world that is run, and what of it is said.
struct Run {
    scenario: Scenario,
    /// How it is run again.
    again: String,
    telling: Option<Telling>,
}

/// `muster sim run`.
pub(crate) fn run(options: &RunOptions, output: OutputFormat) -> ExitCode {
    let told = options.tell.until.is_some() || options.tell.machine.is_some();
    if told && !options.explain {
        return refuse(
            "--explain",
            &"missing",
            "--until or --machine together with --explain",
        );
    }
    let telling = options.explain.then_some(&options.tell);
    let scenario = match options.replay {
        Some(seed) => replayed(seed, &options.world),
        None => fleet(options.seed.unwrap_or(1), &options.world),
    };
    finish(scenario, telling, output)
}

/// `muster sim replay`.
pub(crate) fn replay(options: &ReplayOptions, output: OutputFormat) -> ExitCode {
    finish(
        replayed(options.seed, &options.world),
        Some(&options.tell),
        output,
    )
}

fn finish(
    scenario: Result<(Scenario, String), ExitCode>,
    telling: Option<&TellOptions>,
    output: OutputFormat,
) -> ExitCode {
    let (scenario, again) = match scenario {
        Ok(scenario) => scenario,
        Err(code) => return code,
    };
    if let Some(tell) = telling {
        if !(1..=STEPS_MAX).contains(&tell.steps) {
            return refuse("--steps", &tell.steps, &format!("1 to {STEPS_MAX}"));
        }
        let most = scenario.machines - 1;
        if let Some(machine) = tell.machine.filter(|machine| *machine > most) {
            return refuse("--machine", &machine, &format!("0 to {most}"));
        }
    }
    let telling = telling.map(|tell| Telling {
        machine: tell.machine,
        until_s: tell.until,
        steps_max: tell.steps,
    });
    let run = Run {
        scenario,
        again,
        telling,
    };
    run.carry_out(output)
}

impl Run {
    fn carry_out(self, output: OutputFormat) -> ExitCode {
        quiet_panics();
        let mut line = ProgressLine::new();
        let scenario = &self.scenario;
        let report = match self.telling {
            Some(telling) => tell(scenario, telling),
            None => run_once(scenario, &mut |progress| {
                let told = line.took().as_secs_f64();
                line.tell(|| {
                    format!(
                        "virtual time {} of {}  machines online {}/{}  entries {}  faults {}  ({told:.0} s)",
                        clock(progress.at_s),
                        clock(scenario.duration_s),
                        progress.online,
                        scenario.machines,
                        progress.entries,
                        progress.faults
                    )
                });
            }),
        };
        let took = line.took();
        line.end();
        let exit = exit_code(&report);
        let document = Verdict::new(scenario, &self.again, self.telling, &report, took);
        let text = render(&document, output, || verdict::table(&document, &report));
        match text.and_then(|text| write_out(&text)) {
            Ok(()) => exit,
            Err(code) => code,
        }
    }
}

fn exit_code(report: &Report) -> ExitCode {
    if report.violation.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The small world of a seed; the fleet, if anything about a fleet is said.
fn replayed(seed: u64, options: &WorldOptions) -> Result<(Scenario, String), ExitCode> {
    if options.machines.is_some() || options.hours.is_some() || options.faults.is_some() {
        return fleet(seed, options);
    }
    let mut again = format!("muster sim replay {seed}");
    let planted = planted(options, &mut again)?;
    Ok((with(planted, Scenario::of_seed(seed)), again))
}

fn fleet(seed: u64, options: &WorldOptions) -> Result<(Scenario, String), ExitCode> {
    let machines = options.machines.unwrap_or(MACHINES);
    if !(1..=MACHINES_MAX).contains(&machines) {
        return Err(refuse("--machines", &machines, &format!("1 to {MACHINES_MAX}")));
    }
    let hours = options.hours.unwrap_or(HOURS);
    // A minute, at least.
    if !(hours.is_finite() && (1.0 / 60.0..=HOURS_MAX).contains(&hours)) {
        return Err(refuse("--hours", &hours, &format!("0.017 to {HOURS_MAX}")));
    }
    let given = options.faults.as_deref().unwrap_or("all");
    let faults = Faults::find(given).map_err(|error| match error {
        ProfileError::Unknown { .. } => fail("MST-X002", &error, EXIT_CONFIGURATION),
        ProfileError::File(_) => fail("MST-X003", &error, EXIT_CONFIGURATION),
    })?;
    let mut again =
        format!("muster sim replay {seed} --machines {machines} --hours {hours} --faults {given}");
    let planted = planted(options, &mut again)?;
    let duration_s = (hours * 3_600.0).round() as u64;
    let scenario = Scenario::fleet(seed, machines, duration_s, faults);
    Ok((with(planted, scenario), again))
}

/// The bug, where one was asked for.
fn with(planted: Option<Planted>, scenario: Scenario) -> Scenario {
    match planted {
        Some(planted) => scenario.with(planted),
        None => scenario,
    }
}

fn planted(options: &WorldOptions, again: &mut String) -> Result<Option<Planted>, ExitCode> {
    let Some(name) = &options.planted else {
        return Ok(None);
    };
    let planted = Planted::named(name).ok_or_else(|| {
        let names: Vec<&str> = Planted::ALL.iter().map(|planted| planted.name()).collect();
        refuse("--planted", name, &format!("one of {}", names.join(", ")))
    })?;
    again.push_str(&format!(" --planted {name}"));
    Ok(Some(planted))
}

/// Reads a moment of virtual time, in seconds.
fn virtual_time(text: &str) -> Result<u64, String> {
    let accepted = || "a time such as 90s, 12m, 3h or 2d".to_owned();
    let (digits, unit) = text.split_at(
        text.find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let number: u64 = digits.parse().map_err(|_| accepted())?;
    let seconds = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(accepted()),
    };
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds <= 10_000 * 86_400)
        .ok_or_else(accepted)
}
