//! `muster machine label` and `muster machine rename`: what people decide about a machine.
//!
//! A change is made only to the version that was seen. Where somebody else was faster it is made again on top of
//! theirs, as long as both do not mean the same thing.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;
use muster_client::{Etag, Precondition};
use muster_model::MachineId;
use muster_protocol::api::{DISPLAY_NAME_MAX_CHARS, LABEL_KEY_MAX_CHARS, LABEL_VALUE_MAX_CHARS, Labels};
use serde::Serialize;

use crate::operator::error::OperatorError;
use crate::operator::find::{Found, find};
use crate::operator::session::Session;
use crate::operator::text::clean;

/// How often a change is tried before somebody else's changes win.
const ATTEMPTS: u32 = 5;

#[derive(Debug, Args)]
pub struct LabelOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// key=value sets a label, key- takes it away; without any the labels are shown
    #[arg(value_name = "CHANGE")]
    pub changes: Vec<LabelChange>,
}

#[derive(Debug, Args)]
pub struct RenameOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// The name that is shown from now on
    #[arg(value_name = "NAME", required_unless_present = "clear", value_parser = display_name)]
    pub name: Option<String>,

    /// Show it under its own name again
    #[arg(long, conflicts_with = "name")]
    pub clear: bool,
}

/// One change of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelChange {
    /// `key=value`
    Set {
        /// Which label.
        key: String,
        /// Its value; may be empty.
        value: String,
    },
    /// `key-`
    Remove {
        /// Which label.
        key: String,
    },
}

impl FromStr for LabelChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let change = match (text.split_once('='), text.strip_suffix('-')) {
            (Some((key, value)), _) => Self::Set {
                key: key.to_owned(),
                value: value.to_owned(),
            },
            (None, Some(key)) => Self::Remove { key: key.to_owned() },
            (None, None) => return Err("write key=value to set a label, or key- to take it away".to_owned()),
        };
        let (key, value) = match &change {
            Self::Set { key, value } => (key, value.as_str()),
            Self::Remove { key } => (key, ""),
        };
        let is_key_char =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '/');
        if key.is_empty() || key.len() > LABEL_KEY_MAX_CHARS || !key.chars().all(is_key_char) {
            return Err(format!(
                "a key has 1 to {LABEL_KEY_MAX_CHARS} letters, digits, '.', '_', '-' and '/'"
            ));
        }
        if value.chars().count() > LABEL_VALUE_MAX_CHARS || value.chars().any(char::is_control) {
            return Err(format!(
                "a value has at most {LABEL_VALUE_MAX_CHARS} characters, and no control characters"
            ));
        }
        Ok(change)
    }
}

fn display_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let fits = (1..=DISPLAY_NAME_MAX_CHARS).contains(&name.chars().count());
    if !fits || name.chars().any(char::is_control) {
        return Err(format!(
            "a name has 1 to {DISPLAY_NAME_MAX_CHARS} characters, and no control characters"
        ));
    }
    Ok(name.to_owned())
}

/// What JSON and YAML hold after a change.
#[derive(Serialize)]
struct Changed<T> {
    machine_id: MachineId,
    #[serde(flatten)]
    now: T,
}

pub(super) async fn label(options: LabelOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let mut first: Option<BTreeMap<String, String>> = None;
    for _ in 0..ATTEMPTS {
        let seen = session.client.labels(found.id).await?;
        let before = seen.value.labels;
        if let Some(first) = first.replace(before.clone()) {
            still_as_meant(&options.changes, &first, &before, &found)?;
            session.note("somebody else changed this machine at the same time; trying again on top of that");
        }
        let wanted = apply(&options.changes, &before);
        if wanted == before {
            return labels_now(&found, before, session);
        }
        let put = session
            .client
            .put_labels(found.id, wanted, condition(seen.etag.as_ref()))
            .await;
        match put {
            Ok(now) => return labels_now(&found, now.value.labels, session),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(too_busy(&found))
}

/// A label that the other one changed, too, is not overwritten unseen.
fn still_as_meant(
    changes: &[LabelChange],
    first: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    found: &Found,
) -> Result<(), OperatorError> {
    for change in changes {
        let (LabelChange::Set { key, .. } | LabelChange::Remove { key }) = change;
        if first.get(key) != now.get(key) {
            let current = now
                .get(key)
                .map_or_else(|| "gone".to_owned(), |value| format!("{value:?}"));
            return Err(OperatorError::Conflict {
                what: format!(
                    "somebody else changed the label {key:?} of {} at the same time: it is {current} now",
                    found.title()
                ),
            });
        }
    }
    Ok(())
}

fn apply(changes: &[LabelChange], before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = before.clone();
    for change in changes {
        match change {
            LabelChange::Set { key, value } => {
                labels.insert(key.clone(), value.clone());
            }
            LabelChange::Remove { key } => {
                labels.remove(key);
            }
        }
    }
    labels
}

fn labels_now(
    found: &Found,
    labels: BTreeMap<String, String>,
    session: &mut Session,
) -> Result<(), OperatorError> {
    if !session.is_table() {
        return session.document(&Changed {
            machine_id: found.id,
            now: Labels { labels },
        });
    }
    if labels.is_empty() {
        session.note(&format!("{} has no labels", found.title()));
    }
    let lines: String = labels
        .iter()
        .map(|(key, value)| format!("{}={}\n", clean(key), clean(value)))
        .collect();
    session.print(&lines)
}

pub(super) async fn rename(options: RenameOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let mut first: Option<Option<String>> = None;
    for _ in 0..ATTEMPTS {
        let seen = session.client.display_name(found.id).await?;
        let before = seen.value.display_name;
        match first.replace(before.clone()) {
            Some(first) if first != before => {
                let now = before.map_or_else(|| "its own name".to_owned(), |name| format!("{name:?}"));
                return Err(OperatorError::Conflict {
                    what: format!(
                        "somebody else renamed {} at the same time: it is shown under {now} now",
                        found.title()
                    ),
                });
            }
            Some(_) | None => {}
        }
        let condition = condition(seen.etag.as_ref());
        let changed = match &options.name {
            Some(name) => session.client.put_display_name(found.id, name, condition).await,
            None => session.client.delete_display_name(found.id, condition).await,
        };
        match changed {
            Ok(now) => {
                return if session.is_table() {
                    let line = match &now.value.display_name {
                        Some(name) => format!("{} is now shown as {name}", found.title()),
                        None => format!("{} is shown under its own name again", found.title()),
                    };
                    session.print(&(clean(&line) + "\n"))
                } else {
                    session.document(&Changed {
                        machine_id: found.id,
                        now: now.value,
                    })
                };
            }
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(too_busy(&found))
}

fn condition(etag: Option<&Etag>) -> Precondition<'_> {
    etag.map_or(Precondition::None, Precondition::Unchanged)
}

fn too_busy(found: &Found) -> OperatorError {
    OperatorError::Conflict {
        what: format!(
            "others changed {} each of the {ATTEMPTS} times that it was tried",
            found.title()
        ),
    }
}

#[cfg(test)]
mod tests;
