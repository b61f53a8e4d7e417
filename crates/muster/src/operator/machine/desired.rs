//! `muster machine desired …`: what a machine should become, and how far it says it is.
//!
//! A change is made only to the version that was seen. Where somebody else was faster with another section it is made again on
//! top of theirs; where it was the same section, it is not.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use muster_client::{Etag, Precondition, Versioned};
use muster_model::DesiredVersion;
use muster_model::desired::DesiredStatus;
use muster_protocol::api::{Desired, DesiredChange, DesiredSection};
use serde_json::{Map, Value};

use crate::operator::error::OperatorError;
use crate::operator::find::{Found, find};
use crate::operator::moment::parse_duration;
use crate::operator::session::Session;
use crate::operator::text::{Cell, Column, Paint, Table, age, clean};

/// How often a change is tried before somebody else's changes win.
const ATTEMPTS: u32 = 5;
/// Longest file that is read.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// Between two looks at how far a machine is.
pub(in crate::operator) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a machine should become
#[derive(Debug, Subcommand)]
pub enum DesiredCommand {
    /// Show what a machine should become, and how far it says it is
    #[command(after_help = "\
Examples:
  muster machine desired show frida
  muster machine desired show frida calibration > calibration.json")]
    Show(ShowOptions),
    /// Desire a section: the file takes the place of what was desired
    #[command(after_help = "\
Examples:
  muster machine desired set frida calibration calibration.json --reason 'new wheels' --wait 30s")]
    Set(SetOptions),
    /// Desire a section no more
    #[command(after_help = "\
Examples:
  muster machine desired remove frida calibration --reason 'back to what the maker measured'")]
    Remove(RemoveOptions),
}

#[derive(Debug, Args)]
pub struct ShowOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Write only what is desired of this section, as JSON
    #[arg(value_name = "SECTION")]
    pub section: Option<String>,
}

#[derive(Debug, Args)]
pub struct SetOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Which section: calibration …
    #[arg(value_name = "SECTION")]
    pub section: String,

    /// What is desired, JSON or YAML; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub how: ChangeOptions,
}

#[derive(Debug, Args)]
pub struct RemoveOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Which section: calibration …
    #[arg(value_name = "SECTION")]
    pub section: String,

    #[command(flatten)]
    pub how: ChangeOptions,
}

#[derive(Debug, Args)]
pub struct ChangeOptions {
    /// Why; it stands in the log
    #[arg(long, value_name = "WORDS")]
    pub reason: String,

    /// Wait at most so long until the machine says how the section stands: 30s, 5m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait: Option<Duration>,
}

pub(super) async fn run(command: DesiredCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        DesiredCommand::Show(options) => show(options, session).await,
        DesiredCommand::Set(options) => {
            let content = read(&options.file)?;
            let found = find(session, &options.machine, None).await?;
            let section = options.section;
            put(&found, &section, content, &options.how, session).await
        }
        DesiredCommand::Remove(options) => {
            let found = find(session, &options.machine, None).await?;
            let now = change(&found, &options.section, None, &options.how.reason, session).await?;
            after(&found, &options.section, now, &options.how, session).await
        }
    }
}

/// Desires a section, and says what came of it.
async fn put(
    found: &Found,
    section: &str,
    content: Value,
    how: &ChangeOptions,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let now = change(found, section, Some(content), &how.reason, session).await?;
    after(found, section, now, how, session).await
}

async fn show(options: ShowOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let desired = session.client.desired(found.id).await?.value;
    let Some(name) = options.section else {
        return shown(&found, &desired, session);
    };
    match section_of(&desired, &name) {
        Some(section) => {
            // As it came it stands in one line.
            let content: Result<Value, _> = serde_json::from_str(section.content.0.get());
            match content {
                Ok(content) => session.document(&content),
                Err(_) => session.document(&section.content),
            }
        }
        None => Err(OperatorError::Usage {
            what: format!("nothing is desired of a section {name:?} of {}", found.title()),
            hint: "`muster machine desired show MACHINE` lists what is".to_owned(),
        }),
    }
}

/// Makes a change on top of what is desired now; none removes.
async fn change(
    found: &Found,
    section: &str,
    content: Option<Value>,
    reason: &str,
    session: &mut Session,
) -> Result<Desired, OperatorError> {
    let mut first: Option<Option<DesiredVersion>> = None;
    let body = content.map(|content| DesiredChange {
        content,
        reason: reason.to_owned(),
    });
    for _ in 0..ATTEMPTS {
        let seen = session.client.desired(found.id).await?;
        let version = section_of(&seen.value, section).map(|section| section.version);
        if first.is_some_and(|first| first != version) {
            return Err(OperatorError::Conflict {
                what: format!(
                    "somebody else changed the section {section:?} of {} at the same time",
                    found.title()
                ),
            });
        }
        first = Some(version);
        let condition = condition(&seen);
        let client = &session.client;
        let changed = match &body {
            Some(body) => client.put_desired(found.id, section, body, condition).await,
            None => client.delete_desired(found.id, section, reason, condition).await,
        };
        match changed {
            Ok(now) => return Ok(now.value),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(tried_in_vain(found))
}

fn tried_in_vain(found: &Found) -> OperatorError {
    OperatorError::Conflict {
        what: format!(
            "others changed what is desired of {} each of the {ATTEMPTS} times that it was tried",
            found.title()
        ),
    }
}

/// What is desired of a section that holds something by name; nothing where there is no such section.
pub(in crate::operator) fn entries(
    desired: &Desired,
    section: &str,
) -> Result<Map<String, Value>, OperatorError> {
    let Some(section) = section_of(desired, section) else {
        return Ok(Map::new());
    };
    serde_json::from_str(section.content.0.get()).map_err(|error| OperatorError::Usage {
        what: format!(
            "what is desired of {:?} is nothing by name: {error}",
            section.name
        ),
        hint: "look at it with `muster machine desired show`".to_owned(),
    })
}

/// Changes what a section holds by name, beginning with what was seen. `edit` is asked again where somebody else was faster; what it
/// changes then must be what it changed at first, and everything else stays as the others have it.
pub(in crate::operator) async fn edit(
    found: &Found,
    section: &str,
    mut seen: Versioned<Desired>,
    edit: impl Fn(&Map<String, Value>) -> Result<Map<String, Value>, OperatorError>,
    reason: &str,
    session: &Session,
) -> Result<Desired, OperatorError> {
    let mut first: Option<BTreeMap<String, Option<Value>>> = None;
    for _ in 0..ATTEMPTS {
        let before = entries(&seen.value, section)?;
        let after = edit(&before)?;
        let overwritten = overwritten(&before, &after);
        if first.as_ref().is_some_and(|first| *first != overwritten) {
            let names: Vec<_> = overwritten.keys().map(|name| format!("{name:?}")).collect();
            return Err(OperatorError::Conflict {
                what: format!(
                    "somebody else changed what is desired of {} of {} at the same time",
                    names.join(", "),
                    found.title()
                ),
            });
        }
        first = Some(overwritten);
        let change = DesiredChange {
            content: Value::Object(after),
            reason: reason.to_owned(),
        };
        let changed = session
            .client
            .put_desired(found.id, section, &change, condition(&seen))
            .await;
        match changed {
            Ok(now) => return Ok(now.value),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
        seen = session.client.desired(found.id).await?;
    }
    Err(tried_in_vain(found))
}

/// What stood under each name that a change touches.
fn overwritten(before: &Map<String, Value>, after: &Map<String, Value>) -> BTreeMap<String, Option<Value>> {
    let names = before.keys().chain(after.keys());
    let touched = names.filter(|name| before.get(*name) != after.get(*name));
    touched
        .map(|name| (name.clone(), before.get(name).cloned()))
        .collect()
}

/// Waits, if that is wished, and says how it stands.
pub(in crate::operator) async fn after(
    found: &Found,
    section: &str,
    mut desired: Desired,
    how: &ChangeOptions,
    session: &mut Session,
) -> Result<(), OperatorError> {
    if let Some(wait) = how.wait {
        let until = tokio::time::Instant::now() + wait;
        while !is_settled(&desired, section) && tokio::time::Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
            desired = session.client.desired(found.id).await?.value;
        }
    }
    shown(found, &desired, session)?;
    if how.wait.is_none() || is_so(&desired, section) {
        return Ok(());
    }
    let what = match section_of(&desired, section) {
        Some(section) => match section.status_reason.as_deref() {
            Some(reason) => format!("{}: {}", section.status, reason),
            None => section.status.to_string(),
        },
        None => "the machine does not hold the change yet".to_owned(),
    };
    Err(OperatorError::NotApplied { what })
}

/// Whether the machine has spoken about this section as it is desired now.
fn is_settled(desired: &Desired, section: &str) -> bool {
    match section_of(desired, section) {
        Some(section) => section.status != DesiredStatus::Pending,
        None => desired.held_version >= desired.version,
    }
}

fn is_so(desired: &Desired, section: &str) -> bool {
    match section_of(desired, section) {
        Some(section) => section.status == DesiredStatus::Applied,
        None => desired.held_version >= desired.version,
    }
}

pub(in crate::operator) fn section_of<'a>(desired: &'a Desired, name: &str) -> Option<&'a DesiredSection> {
    desired.sections.iter().find(|section| section.name == name)
}

fn condition(seen: &Versioned<Desired>) -> Precondition<'_> {
    let tag: Option<&Etag> = seen.etag.as_ref();
    tag.map_or(Precondition::None, Precondition::Unchanged)
}

fn shown(found: &Found, desired: &Desired, session: &mut Session) -> Result<(), OperatorError> {
    if !session.is_table() {
        return session.document(desired);
    }
    let stands = if desired.converged {
        "it is so".to_owned()
    } else if desired.held_version < desired.version {
        format!("the machine holds version {}", desired.held_version)
    } else {
        "the machine holds it, and not all of it is applied".to_owned()
    };
    let head = format!("{}: desired version {}, {stands}", found.title(), desired.version);
    let mut text = clean(&head) + "\n";
    if desired.version == DesiredVersion::ZERO {
        return session.print(&format!("nothing is desired of {}\n", clean(&found.title())));
    }
    if desired.sections.is_empty() {
        return session.print(&text);
    }
    let mut table = Table::new([
        Column::left("SECTION", 255),
        Column::right("VERSION", 200),
        Column::left("STATUS", 255),
        Column::left("WHY", 150),
        Column::right("CHANGED", 100),
        Column::left("BY", 60),
        Column::left("REASON", 80),
    ]);
    let now = muster_model::Timestamp::from_millis(session.now.timestamp().as_millisecond());
    for section in &desired.sections {
        let (sign, paint) = sign(section.status);
        table.push(vec![
            Cell::new(&section.name),
            Cell::new(section.version.to_string()),
            Cell::painted(format!("{sign} {}", section.status), paint),
            Cell::new(section.status_reason.as_deref().unwrap_or("")),
            Cell::new(format!("{} ago", age(section.changed_at, now))),
            Cell::new(&section.issuer),
            Cell::new(&section.reason),
        ]);
    }
    text.push_str(&table.take_lines(session.look));
    session.print(&text)
}

/// How a status is shown.
pub(super) fn sign(status: DesiredStatus) -> (&'static str, Paint) {
    match status {
        DesiredStatus::Pending => ("…", Paint::Busy),
        DesiredStatus::Applied => ("●", Paint::Good),
        DesiredStatus::Refused => ("✕", Paint::Bad),
        DesiredStatus::Conflict => ("▲", Paint::Warning),
    }
}

/// A document from a file, or from standard input. JSON is YAML, too.
pub(in crate::operator) fn read(file: &Path) -> Result<Value, OperatorError> {
    yaml_serde::from_str(&read_text(file)?).map_err(|error| unreadable(file, &error.to_string()))
}

/// Why a file is not accepted.
pub(in crate::operator) fn unreadable(file: &Path, why: &str) -> OperatorError {
    OperatorError::Usage {
        what: format!("{}: {why}", file.display()),
        hint: "a file with one JSON or YAML document is accepted, or - for standard input".to_owned(),
    }
}

/// The text of a file, or what comes over standard input, up to a bound.
pub(in crate::operator) fn read_text(file: &Path) -> Result<String, OperatorError> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin()
            .take(FILE_MAX_BYTES + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|error| unreadable(file, &error.to_string()))?;
    if length as u64 > FILE_MAX_BYTES {
        let why = format!("it is longer than {FILE_MAX_BYTES} bytes");
        return Err(unreadable(file, &why));
    }
    Ok(text)
}
