//! `muster workloads …`: what a machine shall run, and what it says that it runs.
//!
//! What the fleet wants is the desired section `workloads`: see [`super::machine::desired`]. What a machine's own file wants stands in its
//! report only, and nobody changes it from afar. [`standing`] brings the two together, [`file`] reads what is to be desired, [`difference`]
//! says what that changes.

mod difference;
mod file;
mod standing;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use muster_client::Versioned;
use muster_model::Presence;
use muster_model::workload::report::{GrantState, WorkloadPhase, WorkloadSource};
use muster_model::workload::{SECTION, WorkloadName};
use muster_protocol::api::{Desired, Machine};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use self::difference::Change;
use self::standing::{Line, lines};
use super::error::OperatorError;
use super::find::{Found, find};
use super::machine::desired::{ChangeOptions, LOOK_EVERY, after, edit, entries};
use super::machine::logs::{self, LogsOptions};
use super::moment::parse_duration;
use super::session::Session;
use super::text::{Cell, Column, Paint, Table, age, bytes, clean};

const LISTED: &str = "`muster workloads list MACHINE` lists them";

/// What machines run
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A MACHINE is a name, an id, or the beginning of an id.

A workload is wanted by the machine's own file or by the fleet. These commands change what the fleet wants; where the machine's own file
has another definition under the same name, that stays in force, and it is shown as a conflict.")]
pub enum WorkloadsCommand {
    /// List what a machine shall run and what it says that it runs
    #[command(after_help = "\
Examples:
  muster workloads list frida
  muster workloads list frida --output json | jq '.workloads[] | select(.agreement != \"as_desired\")'")]
    List(MachineOptions),
    /// Show one workload: how it fares, what it was granted, and how it is desired
    #[command(after_help = "\
Examples:
  muster workloads show frida camera
  muster workloads show frida camera --output json | jq .desired.definition > camera.json")]
    Show(WorkloadOptions),
    /// Desire the workloads of a file: each takes the place of the one with its name, the others stay
    #[command(after_help = "\
The file holds workloads by name, as the part `workloads` of a machine's own file does. It is checked before anything is sent, and what it
changes is shown.

Examples:
  muster workloads set frida camera.yaml --dry-run
  muster workloads set frida camera.yaml --reason 'camera 4' --wait 1m
  muster workloads set frida all.yaml --replace --reason 'as it stands in the repository'
  muster workloads show frida camera --output json | jq '{camera: .desired.definition}' | muster workloads set carl - --reason 'as frida'")]
    Set(SetOptions),
    /// Desire a workload no more: the machine ends it and removes its log
    #[command(after_help = "\
Examples:
  muster workloads remove frida camera --reason 'the camera was taken off' --wait 30s
  muster workloads remove frida camera tracker --dry-run")]
    Remove(RemoveOptions),
    /// Show what a workload printed, as far as the machine forwarded it
    #[command(after_help = "\
A machine forwards at most 20 lines a second of each workload, and says how many it left out. It has all of them itself: there
`muster-machine workloads logs NAME` shows them.

Examples:
  muster workloads logs frida camera
  muster workloads logs frida camera --from '10m ago' --limit 500")]
    Logs(WorkloadLogsOptions),
}

#[derive(Debug, Args)]
pub struct MachineOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,
}

#[derive(Debug, Args)]
pub struct WorkloadOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// The workload's name
    #[arg(value_name = "NAME")]
    pub name: WorkloadName,
}

#[derive(Debug, Args)]
pub struct SetOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Workloads by name, YAML or JSON; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Desire nothing but what the file holds
    #[arg(long)]
    pub replace: bool,

    #[command(flatten)]
    pub how: PlannedOptions,
}

#[derive(Debug, Args)]
pub struct RemoveOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Names of workloads
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<WorkloadName>,

    #[command(flatten)]
    pub how: PlannedOptions,
}

#[derive(Debug, Args)]
pub struct PlannedOptions {
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with_all = ["reason", "wait"])]
    pub dry_run: bool,

    /// Why; it stands in the log
    #[arg(long, value_name = "WORDS", required_unless_present = "dry_run")]
    pub reason: Option<String>,

    /// Wait at most so long until the machine says that it is so: 30s, 5m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct WorkloadLogsOptions {
    #[command(flatten)]
    pub which: WorkloadOptions,

    /// Lines from this moment on: 14:03, `yesterday 14:03`, `10m ago`, `2026-11-21 14:03`, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,

    /// Lines before this moment
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,

    /// Show at most so many of the newest
    #[arg(long, short, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

pub(super) async fn run(command: WorkloadsCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        WorkloadsCommand::List(options) => list(options, session).await,
        WorkloadsCommand::Show(options) => show(options, session).await,
        WorkloadsCommand::Set(options) => {
            let given = file::read(&options.file)?;
            let found = find(session, &options.machine, None).await?;
            let names: Vec<String> = given.keys().cloned().collect();
            let edited = |before: &Map<String, Value>| {
                let mut after = if options.replace {
                    Map::new()
                } else {
                    before.clone()
                };
                after.extend(given.clone());
                file::check(&after)?;
                Ok(after)
            };
            change(&found, &names, edited, &options.how, session).await
        }
        WorkloadsCommand::Remove(options) => {
            let found = find(session, &options.machine, None).await?;
            let names: Vec<String> = options.names.iter().map(ToString::to_string).collect();
            let edited = |before: &Map<String, Value>| {
                let mut after = before.clone();
                for name in &names {
                    if after.remove(name).is_none() {
                        let what = format!("the fleet wants no workload {name:?} of {}", found.title());
                        return Err(usage(what, LISTED));
                    }
                }
                Ok(after)
            };
            change(&found, &names, edited, &options.how, session).await
        }
        WorkloadsCommand::Logs(options) => show_logs(options, session).await,
    }
}

fn usage(what: impl Into<String>, hint: &str) -> OperatorError {
    OperatorError::Usage {
        what: what.into(),
        hint: hint.to_owned(),
    }
}

async fn seen(found: &Found, session: &Session) -> Result<(Machine, Versioned<Desired>), OperatorError> {
    let machine = session.client.machine(found.id, None).await?;
    let desired = session.client.desired(found.id).await?;
    Ok((machine, desired))
}

/// What a machine says may be old: whoever reads it is told.
fn note_absence(machine: &Machine, session: &mut Session) {
    let presence = machine.summary.presence;
    if presence != Presence::Lost {
        return;
    }
    let said = machine.sections_reported_at.workloads;
    let said = said.map_or("never".to_owned(), |at| format!("{} ago", age(at, machine.at)));
    let name = &machine.summary.name;
    session.note(&format!(
        "{name} is {presence}: it last spoke of its workloads {said}"
    ));
}

async fn list(options: MachineOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let (machine, desired) = seen(&found, session).await?;
    let lines = lines(&machine, &desired.value)?;
    let refused = machine
        .reported
        .workloads
        .as_deref()
        .and_then(|all| all.refused.as_deref());
    note_absence(&machine, session);
    if !session.is_table() {
        return session.document(&json!({
            "machine_id": machine.summary.id,
            "name": machine.summary.name,
            "presence": machine.summary.presence,
            "desired_version": desired.value.version,
            "held_version": desired.value.held_version,
            "refused": refused,
            "workloads": lines,
        }));
    }
    let mut text = String::new();
    if lines.is_empty() {
        text = format!(
            "{} runs no workloads, and none are desired\n",
            clean(&found.title())
        );
    } else {
        let mut table = Table::new([
            Column::left("NAME", 255),
            Column::left("STATE", 255),
            Column::left("HEALTH", 200),
            Column::right("RESTARTS", 150),
            Column::right("SINCE", 140),
            Column::left("WANTED BY", 180),
            Column::left("DESIRED", 220),
            Column::left("WHY", 100),
        ]);
        for line in &lines {
            table.push(row(line, &machine));
        }
        text.push_str(&table.take_lines(session.look));
    }
    if let Some(refused) = refused {
        let line = format!(
            "the machine does not accept what the fleet wants: {}",
            clean(refused)
        );
        text.push_str(&(session.look.paint(&line, Paint::Bad) + "\n"));
    }
    session.print(&text)
}

fn row(line: &Line, machine: &Machine) -> Vec<Cell> {
    let (state, paint) = state(line);
    let health = match line.phase() {
        Some(WorkloadPhase::Healthy) => Cell::painted("healthy", Paint::Good),
        Some(WorkloadPhase::Unhealthy) => Cell::painted("unhealthy", Paint::Bad),
        _ => Cell::new(""),
    };
    let reported = line.reported.as_ref();
    let restarts = reported.map_or(String::new(), |reported| reported.restarts.to_string());
    let since = reported.map_or(String::new(), |reported| {
        format!("{} ago", age(reported.since, machine.at))
    });
    let source = match line.source {
        WorkloadSource::Machine => "machine file",
        WorkloadSource::Fleet => "fleet",
    };
    vec![
        Cell::new(&line.name),
        Cell::painted(state, paint),
        health,
        Cell::new(restarts),
        Cell::new(since),
        Cell::new(source),
        Cell::painted(line.agreement.words(), line.agreement.paint()),
        Cell::new(line.why.as_deref().unwrap_or("")),
    ]
}

/// The state in a word; health stands beside it.
fn state(line: &Line) -> (&'static str, Paint) {
    match line.phase() {
        None => ("not there", Paint::Dim),
        Some(WorkloadPhase::Pending) => ("pending", Paint::Busy),
        Some(WorkloadPhase::Starting) => ("starting", Paint::Busy),
        Some(WorkloadPhase::Running | WorkloadPhase::Healthy | WorkloadPhase::Unhealthy) => {
            ("running", Paint::Good)
        }
        Some(WorkloadPhase::Backoff) => ("backoff", Paint::Warning),
        Some(WorkloadPhase::Stopping) => ("stopping", Paint::Busy),
        Some(WorkloadPhase::Stopped) => ("stopped", Paint::Dim),
        Some(WorkloadPhase::Failed) => ("failed", Paint::Bad),
    }
}

/// The line of one workload, or that there is none.
fn one(all: Vec<Line>, name: &WorkloadName, found: &Found) -> Result<Line, OperatorError> {
    let known: Vec<_> = all.iter().map(|line| line.name.clone()).collect();
    let missing = || {
        let hint = if known.is_empty() {
            "it runs none, and none are desired".to_owned()
        } else {
            format!("it has: {}", known.join(", "))
        };
        usage(
            format!("{} has no workload {:?}", found.title(), name.as_str()),
            &hint,
        )
    };
    all.into_iter()
        .find(|line| line.name == name.as_str())
        .ok_or_else(missing)
}

async fn show(options: WorkloadOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let (machine, desired) = seen(&found, session).await?;
    let line = one(lines(&machine, &desired.value)?, &options.name, &found)?;
    note_absence(&machine, session);
    if !session.is_table() {
        return session.document(&line);
    }
    let (state, paint) = state(&line);
    let mut text = format!(
        "{} of {}: {}",
        line.name,
        clean(&found.title()),
        session.look.paint(state, paint)
    );
    match line.phase() {
        Some(WorkloadPhase::Healthy) => text.push_str(", healthy"),
        Some(WorkloadPhase::Unhealthy) => text.push_str(", unhealthy"),
        _ => {}
    }
    if let Some(why) = &line.why {
        text.push_str(&format!(" ({})", clean(why)));
    }
    text.push('\n');
    if let Some(reported) = &line.reported {
        let since = age(reported.since, machine.at);
        text.push_str(&format!(
            "  {}, version {}, since {since}, started again {} times since the runtime began\n",
            reported.kind,
            clean(&reported.version),
            reported.restarts
        ));
        for (what, value) in [
            ("kept by", reported.runner.clone()),
            ("last ended", reported.last_exit.clone()),
            ("uses", reported.memory_bytes.map(bytes)),
            (
                "uses",
                reported
                    .cpu_percent
                    .map(|percent| format!("{percent:.1} % of a processor")),
            ),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("  {what}: {}\n", clean(&value)));
            }
        }
        for grant in &reported.granted {
            let (word, paint) = match grant.state {
                GrantState::Granted => ("granted", Paint::Good),
                GrantState::NotPermitted => ("NOT PERMITTED", Paint::Bad),
                GrantState::NotPresent => ("NOT PRESENT", Paint::Bad),
            };
            let word = session.look.paint(word, paint);
            text.push_str(&format!(
                "  {}: {word}, {}\n",
                clean(&grant.what),
                clean(&grant.detail)
            ));
        }
    }
    text.push_str(&format!("desired: {}\n", line.agreement.sentence()));
    if let Some(desired) = &line.desired {
        text.push_str(&format!(
            "  version {}, changed {} ago by {}: {}\n",
            desired.version,
            age(desired.changed_at, machine.at),
            clean(&desired.issuer),
            clean(&desired.reason)
        ));
        let definition: yaml_serde::Value = yaml_serde::to_value(&desired.definition).unwrap_or_default();
        for line in yaml_serde::to_string(&definition).unwrap_or_default().lines() {
            text.push_str(&format!("    {}\n", clean(line)));
        }
    } else if line.source == WorkloadSource::Machine {
        text.push_str("  its definition stands in the machine's own file\n");
    }
    session.print(&text)
}

async fn show_logs(options: WorkloadLogsOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.which.machine, None).await?;
    let name = &options.which.name;
    let (machine, desired) = seen(&found, session).await?;
    // One that is gone may have left lines.
    if let Err(error) = one(lines(&machine, &desired.value)?, name, &found) {
        session.note(&error.to_string());
    }
    let options = LogsOptions {
        machine: found.id.to_string(),
        severity: None,
        part: Some(format!("workload.{name}")),
        from: options.from,
        to: options.to,
        limit: options.limit,
    };
    logs::run(options, session).await
}

/// Shows what an edit changes, makes it, and waits if that is wished.
async fn change(
    found: &Found,
    names: &[String],
    edited: impl Fn(&Map<String, Value>) -> Result<Map<String, Value>, OperatorError>,
    how: &PlannedOptions,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let (machine, desired) = seen(found, session).await?;
    let before = entries(&desired.value, SECTION)?;
    let after_it = edited(&before)?;
    let changes = Change::between(&before, &after_it);
    if session.is_table() {
        let text = difference::shown(&changes, &found.title(), session.look);
        session.print(&text)?;
    }
    for name in after_it.keys().filter(|name| names.contains(name)) {
        let own = machine.reported.workloads.as_deref().is_some_and(|all| {
            let own = all.workloads.iter().find(|one| one.name == *name);
            own.is_some_and(|own| own.source == WorkloadSource::Machine)
        });
        if own {
            session.note(&format!(
                "the machine's own file has {name}: another definition is a conflict, and the machine's own stays in force"
            ));
        }
    }
    let Some(reason) = &how.reason else {
        // A trial: the parser lets nothing else be without a reason.
        return if session.is_table() {
            Ok(())
        } else {
            session.document(&changes)
        };
    };
    let how = ChangeOptions {
        reason: reason.clone(),
        wait: how.wait,
    };
    let until = how.wait.map(|wait| Instant::now() + wait);
    let now = if changes.is_empty() {
        desired.value
    } else {
        edit(found, SECTION, desired, edited, &how.reason, session).await?
    };
    after(found, SECTION, now, &how, session).await?;
    match until {
        Some(until) => until_they_run(found, names, until, session).await,
        None => Ok(()),
    }
}

/// Waits until the machine says of each workload that it runs as it is desired, or is gone if it is not.
async fn until_they_run(
    found: &Found,
    names: &[String],
    until: Instant,
    session: &mut Session,
) -> Result<(), OperatorError> {
    loop {
        let (machine, desired) = seen(found, session).await?;
        let all = lines(&machine, &desired.value)?;
        let open: Vec<String> = all
            .iter()
            .filter(|line| names.contains(&line.name) && !line.is_as_desired())
            .map(|line| {
                let why = line.why.as_ref().map_or(String::new(), |why| format!(" ({why})"));
                format!(
                    "{}: {}{why}",
                    line.name,
                    line.phase().map_or("not there", WorkloadPhase::as_str)
                )
            })
            .collect();
        if open.is_empty() {
            return session.print("the machine says that it is so\n");
        }
        let is_over = all
            .iter()
            .any(|line| names.contains(&line.name) && line.has_failed());
        if is_over || Instant::now() >= until {
            return Err(OperatorError::NotApplied {
                what: open.join("; "),
            });
        }
        tokio::time::sleep(LOOK_EVERY.min(Duration::from_secs(1))).await;
    }
}
