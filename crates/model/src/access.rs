//! What people may do: permissions, the roles that hold them, and the machines that a grant reaches.
//!
//! Begin with [`Grant`]. Deciding is pure and adds up: somebody may do what at least one of their grants allows; no grant takes
//! anything away. Who somebody is, and policies that forbid, are not known here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::filter::FilterError;
use crate::vocabulary::words;
use crate::{Filter, MachineView};

/// Longest name of a person, in characters.
pub const PERSON_NAME_MAX_CHARS: usize = 64;
/// Longest scope, in bytes.
pub const SCOPE_MAX_BYTES: usize = 512;
/// What a scope over everything is written as.
const EVERYTHING: &str = "*";

words! {
    /// One kind of thing that people do.
    Permission {
        /// See machines, what they report, what happened.
        Read => "read",
        /// Stop machines.
        Stop => "stop",
        /// Take control, and give ordinary commands.
        Operate => "operate",
        /// Have recordings and diagnostics made and brought.
        Diagnose => "diagnose",
        /// Decide what runs on machines.
        Deploy => "deploy",
        /// Change labels, names and whatever else is desired of machines.
        Configure => "configure",
        /// Give machines identities, and take them away.
        Enrol => "enrol",
        /// Change people, roles, policies; end other people's sessions and tokens.
        Administer => "administer",
        /// Read who did what.
        Audit => "audit",
    }
}

words! {
    /// A set of permissions with a name.
    Role {
        /// Sees.
        Viewer => "viewer",
        /// Sees, stops, operates.
        Operator => "operator",
        /// Sees, deploys, configures.
        Engineer => "engineer",
        /// Everything.
        Admin => "admin",
    }
}

impl Role {
    /// What it holds.
    pub const fn permissions(self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Self::Viewer => &[P::Read],
            Self::Operator => &[P::Read, P::Stop, P::Operate, P::Diagnose],
            Self::Engineer => &[P::Read, P::Diagnose, P::Deploy, P::Configure],
            Self::Admin => P::ALL,
        }
    }

    /// Whether it holds this one.
    pub fn holds(self, permission: Permission) -> bool {
        self.permissions().contains(&permission)
    }
}

impl Permission {
    /// The roles that hold it, in words: for whoever is told that they may not.
    pub fn held_by(self) -> String {
        let roles = Role::ALL.iter().filter(|role| role.holds(self));
        let words: Vec<&str> = roles.map(|role| role.as_str()).collect();
        words.join(", ")
    }
}

/// The machines that a grant reaches: all, or those that pass a filter over what people decide of them.
///
/// What machines say of themselves is no part of it, because no machine must choose who may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    text: String,
    filter: Option<Filter>,
    /// Whether it looks at the id of a machine.
    by_id: bool,
}

/// Why a text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Nothing stands there.
    #[error("it is empty: write * for every machine, or label.KEY=VALUE")]
    Empty,
    /// Too long.
    #[error("a scope has at most {SCOPE_MAX_BYTES} bytes")]
    TooLong,
    /// A filter, but not over what people decide.
    #[error(
        "{field} is not accepted in a scope: only label.KEY=VALUE, label.KEY~PART and id=ID are, because the rest is what \
         machines say of themselves, or lets in machines that nobody thought of"
    )]
    NotDecidedByPeople {
        /// The field or operator.
        field: String,
    },
    /// No filter at all.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl Scope {
    /// Every machine, and the fleet as such.
    pub fn everything() -> Self {
        Self {
            text: EVERYTHING.to_owned(),
            filter: None,
            by_id: false,
        }
    }

    /// Whether it is every machine.
    pub fn is_everything(&self) -> bool {
        self.filter.is_none()
    }

    /// Whether it reaches a machine. One that [has no id yet](MachineView::has_no_id_yet) is reached by its labels alone.
    pub fn reaches(&self, view: &MachineView) -> bool {
        let matches = self.filter.as_ref().is_none_or(|filter| filter.matches(view));
        matches && !(self.by_id && view.has_no_id_yet())
    }

    /// The parts of it that a machine does not pass, as people write them.
    pub fn lacking(&self, view: &MachineView) -> Vec<String> {
        let mut lacking = self
            .filter
            .as_ref()
            .map_or_else(Vec::new, |filter| filter.unmet(view));
        if self.by_id && view.has_no_id_yet() {
            lacking.retain(|term| !term.starts_with("id"));
            lacking.push("an id, which the server chooses later".to_owned());
        }
        lacking
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let text = text.trim();
        if text == EVERYTHING {
            return Ok(Self::everything());
        }
        if text.len() > SCOPE_MAX_BYTES {
            return Err(ScopeError::TooLong);
        }
        let filter: Filter = text.parse()?;
        if filter.is_empty() {
            return Err(ScopeError::Empty);
        }
        if let Some(field) = filter.not_decided_by_people() {
            return Err(ScopeError::NotDecidedByPeople { field });
        }
        Ok(Self {
            text: text.to_owned(),
            by_id: filter.looks_at_id(),
            filter: Some(filter),
        })
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A role over some machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What may be done.
    pub role: Role,
    /// To which machines.
    pub scope: Scope,
}

impl Grant {
    /// Everything, everywhere.
    pub fn admin() -> Self {
        Self {
            role: Role::Admin,
            scope: Scope::everything(),
        }
    }

    /// Whether it allows this to be done to a machine.
    pub fn allows(&self, permission: Permission, view: &MachineView) -> bool {
        self.role.holds(permission) && self.scope.reaches(view)
    }

    /// Whether it allows this for the fleet as such.
    pub fn allows_everywhere(&self, permission: Permission) -> bool {
        self.role.holds(permission) && self.scope.is_everything()
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scope.is_everything() {
            write!(f, "{}", self.role)
        } else {
            write!(f, "{} on {}", self.role, self.scope)
        }
    }
}

/// A word by which a person signs in: lower-case letters, digits, `.`, `-`, `_`, `@`; a letter or digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct PersonName(String);

/// Why a text is no name of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to {PERSON_NAME_MAX_CHARS} of the characters a-z, 0-9, '.', '-', '_' and '@', and begins with a letter or digit"
)]
pub struct PersonNameError;

impl PersonName {
    /// Who acts where nobody signs in: everybody on the server's computer, by its posture.
    pub fn local() -> Self {
        Self("local".to_owned())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for PersonName {
    type Err = PersonNameError;

    fn from_str(text: &str) -> Result<Self, PersonNameError> {
        let accepted =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_@".contains(&byte);
        let begins_well = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins_well || text.len() > PERSON_NAME_MAX_CHARS || !text.bytes().all(accepted) {
            return Err(PersonNameError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for PersonName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether any of these allows something to be done to a machine, and which.
pub fn allowing<'a>(
    grants: impl IntoIterator<Item = &'a Grant>,
    permission: Permission,
    view: &MachineView,
) -> Option<&'a Grant> {
    grants.into_iter().find(|grant| grant.allows(permission, view))
}

#[cfg(test)]
mod tests;
