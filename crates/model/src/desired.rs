//! What people want a machine to become: sections by name, each a JSON object that only the machine's own nodes look into.
//!
//! Begin with [`DesiredState`], folded by [`MachineView::apply`](crate::MachineView::apply), and [`DesiredDocument`], what of it goes to the
//! machine. How far the machine got is its own to say: [`DesiredReport`], a section of its reported state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::entry::JsonText;
use crate::ids::DesiredVersion;
use crate::time::Timestamp;
use crate::vocabulary::words;

/// Longest name of a section, in characters.
pub const SECTION_NAME_MAX_CHARS: usize = 32;
/// Most sections of one machine.
pub const SECTIONS_MAX: usize = 16;
/// Longest content of one section, in bytes as it is sent.
pub const CONTENT_MAX_BYTES: usize = 32 * 1024;
/// Longest contents of all sections together, so that the whole fits a frame of the link.
pub const CONTENTS_MAX_BYTES: usize = 48 * 1024;
/// Deepest nesting of objects and arrays in a section. With what surrounds it, a frame stays within the link's depth.
pub const CONTENT_DEPTH_MAX: usize = 24;
/// Longest string in a section, in bytes as it is sent: the link's limit.
pub const CONTENT_STRING_MAX_BYTES: usize = 16 * 1024;

/// What people want one machine to become.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DesiredState {
    /// Grows with every change.
    pub version: DesiredVersion,
    /// Each section that is desired.
    #[serde(default)]
    pub sections: BTreeMap<String, DesiredSection>,
}

/// One section, and whose decision it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DesiredSection {
    /// The version in which it last changed.
    pub version: DesiredVersion,
    /// What is desired.
    pub content: JsonText,
    /// Who changed it last.
    pub issuer: String,
    /// Why.
    pub reason: String,
    /// When.
    pub changed_at: Timestamp,
}

impl DesiredState {
    /// What is sent to the machine.
    pub fn document(&self) -> DesiredDocument {
        let section = |(name, section): (&String, &DesiredSection)| {
            let content = SectionContent {
                version: section.version,
                content: section.content.clone(),
            };
            (name.clone(), content)
        };
        DesiredDocument(self.sections.iter().map(section).collect())
    }

    /// The length of all contents, with this one in the place of its section.
    pub fn contents_bytes_with(&self, name: &str, content: &JsonText) -> usize {
        let others = self.sections.iter().filter(|(other, _)| *other != name);
        let others: usize = others.map(|(_, section)| section.content.0.get().len()).sum();
        others + content.0.get().len()
    }
}

/// The desired state as a machine is told it: sections by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DesiredDocument(pub BTreeMap<String, SectionContent>);

/// One section as a machine is told it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SectionContent {
    /// The version in which it last changed: what the machine's answer is about.
    pub version: DesiredVersion,
    /// What is desired.
    pub content: JsonText,
}

impl DesiredDocument {
    /// The document as JSON.
    pub fn to_json(&self) -> JsonText {
        // Words, numbers and JSON that was read before can always be written.
        JsonText(to_raw_value(self).unwrap_or_default())
    }

    /// Reads a whole document.
    pub fn from_json(json: &JsonText) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json.0.get())
    }

    /// Takes in a merge patch: sections that are present replace, `null` removes.
    pub fn merge(&mut self, patch: &JsonText) -> Result<(), serde_json::Error> {
        let patch: BTreeMap<String, Option<SectionContent>> = serde_json::from_str(patch.0.get())?;
        for (name, section) in patch {
            match section {
                Some(section) => drop(self.0.insert(name, section)),
                None => drop(self.0.remove(&name)),
            }
        }
        Ok(())
    }
}

/// The desired state as a machine holds it on its disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeldDesired {
    /// The version of the whole; zero: none was ever told.
    pub version: DesiredVersion,
    /// The sections.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "serde_json::Map<String, serde_json::Value>")
    )]
    pub document: DesiredDocument,
}

/// What the node that applies a section has to say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DesiredOutcome {
    /// Which section.
    pub section: String,
    /// Which version of the section.
    pub version: DesiredVersion,
    /// How it stands.
    pub status: DesiredStatus,
    /// Why, where it is refused or in conflict; what is worth knowing otherwise. At most 500 characters are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

words! {
    /// How a desired section stands on its machine.
    DesiredStatus {
        /// The machine has not spoken about this version yet.
        Pending => "pending",
        /// It is so.
        Applied => "applied",
        /// It cannot be so, for the reason given. What was in force before stays in force.
        Refused => "refused",
        /// Something that was decided at the machine stands against it, and stays in force.
        Conflict => "conflict",
    }
}

/// What of the desired state a machine holds, and how far it is with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct DesiredReport {
    /// The version that is on the machine's disk.
    pub version: DesiredVersion,
    /// Each section of it.
    pub sections: Vec<DesiredSectionReport>,
}

/// How one section stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct DesiredSectionReport {
    /// Which.
    pub name: String,
    /// The version of the section that this is about.
    pub version: DesiredVersion,
    /// How it stands.
    pub status: DesiredStatus,
    /// Why, where it is refused or in conflict; what is worth knowing otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub reason: Option<String>,
}

/// Why something cannot be desired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesiredRefusal {
    /// The name is none of ours.
    #[error(
        "{0:?} is no name of a section: 1 to {SECTION_NAME_MAX_CHARS} lower-case letters, digits and underscores are accepted, a letter first"
    )]
    Name(String),
    /// It is no object.
    #[error("an object is accepted here")]
    NoObject,
    /// It is too long.
    #[error("{0} bytes: at most {CONTENT_MAX_BYTES} are accepted")]
    TooLong(usize),
    /// It is nested too deeply.
    #[error("it is nested more than {CONTENT_DEPTH_MAX} deep")]
    TooDeep,
    /// One of its strings is too long.
    #[error("a string of {0} bytes: at most {CONTENT_STRING_MAX_BYTES} are accepted")]
    StringTooLong(usize),
}

/// Whether a section may have this name.
pub fn check_name(name: &str) -> Result<(), DesiredRefusal> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if first && name.len() <= SECTION_NAME_MAX_CHARS && name.bytes().all(fits) {
        Ok(())
    } else {
        let given = name.chars().take(2 * SECTION_NAME_MAX_CHARS).collect();
        Err(DesiredRefusal::Name(given))
    }
}

/// The content of a section as it is kept and sent, if a machine would take it.
pub fn check_content(content: &Value) -> Result<JsonText, DesiredRefusal> {
    if !content.is_object() {
        return Err(DesiredRefusal::NoObject);
    }
    check_shape(content, 1)?;
    let text = to_raw_value(content).unwrap_or_default();
    if text.get().len() > CONTENT_MAX_BYTES {
        return Err(DesiredRefusal::TooLong(text.get().len()));
    }
    Ok(JsonText(text))
}

fn check_shape(value: &Value, depth: usize) -> Result<(), DesiredRefusal> {
    let string = |text: &str| {
        let written = to_raw_value(text).map_or(usize::MAX, |text| text.get().len() - 2);
        if written > CONTENT_STRING_MAX_BYTES {
            return Err(DesiredRefusal::StringTooLong(written));
        }
        Ok(())
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(text) => string(text),
        Value::Array(_) | Value::Object(_) if depth > CONTENT_DEPTH_MAX => Err(DesiredRefusal::TooDeep),
        Value::Array(values) => values.iter().try_for_each(|value| check_shape(value, depth + 1)),
        Value::Object(members) => members.iter().try_for_each(|(key, value)| {
            string(key)?;
            check_shape(value, depth + 1)
        }),
    }
}

#[cfg(test)]
mod tests;
