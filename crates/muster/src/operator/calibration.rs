//! `muster calibration …`: how the devices of a machine are calibrated, by what it reports, and what is desired of it.
//!
//! A change is a change of the desired section `calibration`: see [`super::machine::desired`]. What was decided at the machine stays in force
//! unless `--overrule` says otherwise.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use muster_model::calibration::{
    CalibrationSource, DesiredCalibrations, DesiredProfile, DeviceCalibration, Profile, SECTION, check_device,
};
use muster_protocol::api::Desired;
use serde_json::{Map, Value};

use super::error::OperatorError;
use super::find::{Found, find};
use super::machine::desired::{ChangeOptions, after, edit, read};
use super::session::Session;
use super::text::{Cell, Column, Paint, Table, age, clean};

/// Values that a comparison shows.
const COMPARED: u32 = 11;

/// How the devices of machines are calibrated
#[derive(Debug, Subcommand)]
#[command(after_help = "A MACHINE is a name, an id, or the beginning of an id.")]
pub enum CalibrationCommand {
    /// List how each device of a machine is calibrated, and where that differs from what is desired
    #[command(after_help = "Example:\n  muster calibration list frida")]
    List(MachineOptions),
    /// Show the profile of one device that is in force, as JSON
    #[command(after_help = "Example:\n  muster calibration show frida cpu-thermal > profile.json")]
    Show(DeviceOptions),
    /// Desire a profile for a device: the machine looks at it, and applies it without a restart
    #[command(after_help = "\
Examples:
  muster calibration set frida cpu-thermal profile.yaml --reason 'measured against the reference' --wait 30s
  muster calibration set frida cpu-thermal profile.yaml --reason 'the one at the machine is wrong' --overrule")]
    Set(SetOptions),
    /// Say whether a profile is in order; no machine is asked
    #[command(after_help = "Example:\n  muster calibration validate profile.yaml")]
    Validate {
        /// The profile, JSON or YAML; - reads standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Desire the profile that was desired before, or that of an earlier version
    #[command(after_help = "\
Examples:
  muster calibration rollback frida cpu-thermal --reason 'worse than before'
  muster calibration rollback frida cpu-thermal --to 4 --reason 'the last good one'")]
    Rollback(RollbackOptions),
    /// Desire no profile of a device any more: what was decided at the machine counts again, or values are taken as they are
    #[command(
        after_help = "Example:\n  muster calibration clear frida cpu-thermal --reason 'the sensor was changed'"
    )]
    Clear(ClearOptions),
    /// Show what is in force beside a profile in a file, or beside what is desired: what each makes of the same values
    #[command(after_help = "Example:\n  muster calibration compare frida cpu-thermal new.yaml")]
    Compare(CompareOptions),
}

#[derive(Debug, Args)]
pub struct MachineOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,
}

#[derive(Debug, Args)]
pub struct DeviceOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Which device
    #[arg(value_name = "DEVICE")]
    pub device: String,
}

#[derive(Debug, Args)]
pub struct SetOptions {
    #[command(flatten)]
    pub device: DeviceOptions,

    /// The profile, JSON or YAML; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Take the place of what was decided at the machine
    #[arg(long)]
    pub overrule: bool,

    #[command(flatten)]
    pub how: ChangeOptions,
}

#[derive(Debug, Args)]
pub struct RollbackOptions {
    #[command(flatten)]
    pub device: DeviceOptions,

    /// The desired version to go back to, as `muster machine desired show` counts them
    #[arg(long, value_name = "VERSION")]
    pub to: Option<u64>,

    /// Take the place of what was decided at the machine
    #[arg(long)]
    pub overrule: bool,

    #[command(flatten)]
    pub how: ChangeOptions,
}

#[derive(Debug, Args)]
pub struct ClearOptions {
    #[command(flatten)]
    pub device: DeviceOptions,

    #[command(flatten)]
    pub how: ChangeOptions,
}

#[derive(Debug, Args)]
pub struct CompareOptions {
    #[command(flatten)]
    pub device: DeviceOptions,

    /// The profile to compare with; without it what is desired
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

pub(super) async fn run(command: CalibrationCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        CalibrationCommand::List(options) => list(options, session).await,
        CalibrationCommand::Show(options) => show(options, session).await,
        CalibrationCommand::Set(options) => {
            let profile = profile_in(&options.file)?;
            check_device(&options.device.device)
                .map_err(|what| usage(what, "see `muster calibration list`"))?;
            let found = find(session, &options.device.machine, None).await?;
            let entry = DesiredProfile {
                profile,
                overrule: options.overrule,
            };
            set(&found, &options.device.device, Some(entry), &options.how, session).await
        }
        CalibrationCommand::Clear(options) => {
            let found = find(session, &options.device.machine, None).await?;
            set(&found, &options.device.device, None, &options.how, session).await
        }
        CalibrationCommand::Validate { file } => {
            profile_in(&file)?;
            session.print("the profile is in order\n")
        }
        CalibrationCommand::Rollback(options) => rollback(options, session).await,
        CalibrationCommand::Compare(options) => compare(options, session).await,
    }
}

/// A profile from a file, if it is in order.
fn profile_in(file: &Path) -> Result<Profile, OperatorError> {
    let hint = "`docs/how-to/calibrate.md` explains profiles";
    let profile: Profile = serde_json::from_value(read(file)?)
        .map_err(|error| usage(format!("it is no profile: {error}"), hint))?;
    match profile.compile(None) {
        Ok(_) => Ok(profile),
        Err(refusals) => {
            let lines: Vec<String> = refusals.iter().map(|refusal| format!("\n  {refusal}")).collect();
            Err(usage(
                format!("the profile is not accepted:{}", lines.concat()),
                hint,
            ))
        }
    }
}

fn usage(what: impl Into<String>, hint: &str) -> OperatorError {
    OperatorError::Usage {
        what: what.into(),
        hint: hint.to_owned(),
    }
}

async fn list(options: MachineOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let machine = session.client.machine(found.id, None).await?;
    let report = machine
        .reported
        .calibration
        .as_deref()
        .cloned()
        .unwrap_or_default();
    if !session.is_table() {
        return session.document(&report);
    }
    if report.devices.is_empty() {
        let title = clean(&found.title());
        return session.print(&format!(
            "{title} reports no calibrations: values are taken as they are\n"
        ));
    }
    let mut table = Table::new([
        Column::left("DEVICE", 255),
        Column::right("VERSION", 255),
        Column::left("DECIDED", 200),
        Column::right("SINCE", 100),
        Column::right("KEPT", 60),
        Column::left("DIFFERS FROM WHAT IS DESIRED", 220),
    ]);
    for device in &report.devices {
        let version = match device.version {
            0 => "none".to_owned(),
            version => version.to_string(),
        };
        let who = match device.source {
            CalibrationSource::Local => "at the machine",
            CalibrationSource::Desired => "by the server",
        };
        table.push(vec![
            Cell::new(&device.device),
            Cell::new(version),
            Cell::new(who),
            Cell::new(format!("{} ago", age(device.since, machine.at))),
            Cell::new(device.versions.to_string()),
            Cell::painted(device.drift.as_deref().unwrap_or(""), Paint::Warning),
        ]);
    }
    let text = table.take_lines(session.look);
    session.print(&text)
}

/// How a device is calibrated, by what the machine reports.
async fn reported(
    found: &Found,
    device: &str,
    session: &Session,
) -> Result<Option<DeviceCalibration>, OperatorError> {
    let machine = session.client.machine(found.id, None).await?;
    let report = machine
        .reported
        .calibration
        .as_deref()
        .cloned()
        .unwrap_or_default();
    Ok(report
        .devices
        .into_iter()
        .find(|reported| reported.device == device))
}

async fn show(options: DeviceOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let reported = reported(&found, &options.device, session).await?;
    match reported.and_then(|reported| reported.profile) {
        Some(profile) => session.document(&profile),
        None => Err(usage(
            format!(
                "{} reports no profile of {:?} that is in force",
                found.title(),
                options.device
            ),
            "it is not told where it is longer than 4 KiB: `muster-machine calibration show` has it at the machine",
        )),
    }
}

/// The profiles that are desired.
fn profiles(desired: &Desired) -> Result<DesiredCalibrations, OperatorError> {
    let section = desired.sections.iter().find(|section| section.name == SECTION);
    let Some(section) = section else {
        return Ok(DesiredCalibrations::default());
    };
    serde_json::from_str(section.content.0.get()).map_err(|error| {
        usage(
            format!("what is desired holds no profiles by device: {error}"),
            "look at it with `muster machine desired show`",
        )
    })
}

/// Desires a profile of one device, or none any more, on top of what is desired of the others.
async fn set(
    found: &Found,
    device: &str,
    entry: Option<DesiredProfile>,
    how: &ChangeOptions,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let seen = session.client.desired(found.id).await?;
    let entry = match entry.map(serde_json::to_value).transpose() {
        Ok(entry) => entry,
        Err(error) => return Err(usage(error.to_string(), "this is a defect")),
    };
    let edited = |before: &Map<String, Value>| {
        let mut after = before.clone();
        let before = match &entry {
            Some(entry) => after.insert(device.to_owned(), entry.clone()),
            None => after.remove(device),
        };
        if entry.is_none() && before.is_none() {
            let what = format!("nothing is desired of {device:?} of {}", found.title());
            return Err(usage(what, "`muster calibration list` shows what is in force"));
        }
        Ok(after)
    };
    let now = edit(found, SECTION, seen, edited, &how.reason, session).await?;
    after(found, SECTION, now, how, session).await
}

async fn rollback(options: RollbackOptions, session: &mut Session) -> Result<(), OperatorError> {
    let device = &options.device.device;
    let found = find(session, &options.device.machine, None).await?;
    let now = profiles(&session.client.desired(found.id).await?.value)?;
    let now = now.0.get(device).map(|entry| entry.profile.clone());
    let history = session.client.desired_history(found.id, SECTION).await?;
    let earlier = history.items.iter().filter_map(|past| {
        let content = past.content.as_ref()?;
        let mut all: DesiredCalibrations = serde_json::from_str(content.0.get()).ok()?;
        Some((past.version.0, all.0.remove(device)?.profile))
    });
    let mut meant = earlier.filter(|(version, profile)| match options.to {
        Some(to) => *version == to,
        None => Some(profile) != now.as_ref(),
    });
    let Some((version, profile)) = meant.next() else {
        return Err(usage(
            format!(
                "nothing else was desired of {device:?} of {} in the versions that are looked through",
                found.title()
            ),
            "`muster calibration set` desires a profile from a file",
        ));
    };
    drop(meant);
    session.note(&format!("this is the profile of desired version {version}"));
    let entry = DesiredProfile {
        profile,
        overrule: options.overrule,
    };
    set(&found, device, Some(entry), &options.how, session).await
}

async fn compare(options: CompareOptions, session: &mut Session) -> Result<(), OperatorError> {
    let device = &options.device.device;
    let given = options.file.as_deref().map(profile_in).transpose()?;
    let found = find(session, &options.device.machine, None).await?;
    let before = reported(&found, device, session).await?;
    let other = match given {
        Some(profile) => Some(profile),
        None => {
            let desired = session.client.desired(found.id).await?.value;
            profiles(&desired)?.0.remove(device).map(|entry| entry.profile)
        }
    };
    let Some(other) = other else {
        return Err(usage(
            format!("nothing is desired of {device:?}"),
            "name a file to compare with",
        ));
    };
    if before
        .as_ref()
        .is_some_and(|before| before.version > 0 && before.profile.is_none())
    {
        return Err(usage(
            "the profile in force is too long to be reported".to_owned(),
            "compare at the machine: `muster-machine calibration compare`",
        ));
    }
    let before = before.and_then(|before| before.profile);
    let (Some(a), Some(b)) = (curve(before.as_ref(), &other), curve(Some(&other), &other)) else {
        return Err(usage(
            "what has several axes is not compared here",
            "compare one axis at a time",
        ));
    };
    if !session.is_table() {
        let pairs: Vec<[f64; 3]> = a.iter().zip(&b).map(|(a, b)| [a[0], a[1], b[1]]).collect();
        return session.document(&pairs);
    }
    let name = if options.file.is_some() { "FILE" } else { "DESIRED" };
    let mut table = Table::new([
        Column::right("INPUT", 255),
        Column::right("IN FORCE", 255),
        Column::right(name, 255),
        Column::right("DIFFERENCE", 255),
    ]);
    for (a, b) in a.iter().zip(&b) {
        let cells = [a[0], a[1], b[1], b[1] - a[1]];
        table.push(
            cells
                .iter()
                .map(|value| Cell::new(format!("{value:.4}")))
                .collect(),
        );
    }
    let text = table.take_lines(session.look);
    session.print(&text)
}

/// What a profile, or none, makes of values over the input of another one.
fn curve(profile: Option<&Profile>, over: &Profile) -> Option<Vec<[f64; 2]>> {
    let compiled = match profile {
        Some(profile) => Some(profile.compile(None).ok()?),
        None => None,
    };
    let input = over.input;
    let point = |step: u32| {
        let value = input.min + (input.max - input.min) * f64::from(step) / f64::from(COMPARED - 1);
        let out = match &compiled {
            Some(compiled) => compiled.apply(value)?.value,
            None => value,
        };
        Some([value, out])
    };
    (0..COMPARED).map(point).collect()
}
