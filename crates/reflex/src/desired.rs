//! Which desired state the machine holds, and how far it is with it.
//!
//! Begin with [`Keeper::offered`]: what the server sends is to be kept, or ignored with a reason. Nothing of it counts before
//! [`Keeper::kept`] says that the disk holds it. Whoever applies a section says so with [`Keeper::said`]; [`Keeper::report`] is what of all
//! that is reported. It does not look into sections.

use std::collections::BTreeMap;

use muster_model::DesiredVersion;
use muster_model::desired::{
    CONTENTS_MAX_BYTES, DesiredDocument, DesiredOutcome, DesiredReport, DesiredSectionReport, DesiredStatus,
    HeldDesired, SECTIONS_MAX, check_name,
};
use muster_protocol::link::Desired;

/// Longest reason that is reported, in characters.
pub const REASON_MAX_CHARS: usize = 500;

/// What to do with a desired state that the server sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Offered {
    /// Put this on disk, and then tell of it.
    Keep(HeldDesired),
    /// Nothing: the machine holds it, or a newer one.
    Known,
    /// Nothing: it cannot be used, for this reason. The server says the whole again with the next session.
    Unusable(String),
}

/// Holds the desired state, and what is said about it.
#[derive(Debug)]
pub struct Keeper {
    held: HeldDesired,
    /// Sections that somebody on this machine applies.
    applied_here: Vec<&'static str>,
    outcomes: BTreeMap<String, DesiredOutcome>,
}

impl Keeper {
    /// With what the disk holds.
    pub fn new(held: HeldDesired, applied_here: impl IntoIterator<Item = &'static &'static str>) -> Self {
        Self {
            held,
            applied_here: applied_here.into_iter().copied().collect(),
            outcomes: BTreeMap::new(),
        }
    }

    /// What is held.
    pub fn held(&self) -> &HeldDesired {
        &self.held
    }

    /// The server sent this.
    pub fn offered(&self, desired: &Desired) -> Offered {
        let version = DesiredVersion(desired.version);
        if version <= self.held.version {
            return Offered::Known;
        }
        let document = match desired.base {
            None => DesiredDocument::from_json(&desired.document),
            Some(base) if base == self.held.version.0 => {
                let mut document = self.held.document.clone();
                document.merge(&desired.document).map(|()| document)
            }
            Some(base) => {
                let held = self.held.version;
                return Offered::Unusable(format!("it is a patch to version {base}, and {held} is held"));
            }
        };
        let document = match document {
            Ok(document) => document,
            Err(error) => return Offered::Unusable(format!("it is no document of sections: {error}")),
        };
        match within_bounds(&document) {
            Ok(()) => Offered::Keep(HeldDesired { version, document }),
            Err(why) => Offered::Unusable(why),
        }
    }

    /// The disk holds it.
    pub fn kept(&mut self, held: HeldDesired) {
        self.held = held;
        let sections = &self.held.document.0;
        self.outcomes.retain(|name, outcome| {
            sections
                .get(name)
                .is_some_and(|section| section.version == outcome.version)
        });
    }

    /// Whoever applies a section says how it stands. What is about another version than the one that is held says nothing about
    /// that one.
    pub fn said(&mut self, outcome: &DesiredOutcome) {
        let section = self.held.document.0.get(&outcome.section);
        if section.is_some_and(|section| section.version == outcome.version) {
            let mut outcome = outcome.clone();
            if let Some(reason) = &mut outcome.reason
                && let Some((end, _)) = reason.char_indices().nth(REASON_MAX_CHARS)
            {
                reason.truncate(end);
            }
            self.outcomes.insert(outcome.section.clone(), outcome);
        }
    }

    /// What is to be reported; nothing where nothing was ever desired.
    pub fn report(&self) -> Option<DesiredReport> {
        if self.held.version == DesiredVersion::ZERO {
            return None;
        }
        let sections = self.held.document.0.iter().map(|(name, section)| {
            let outcome = self.outcomes.get(name);
            let (status, reason) = match outcome {
                Some(outcome) => (outcome.status, outcome.reason.clone()),
                None if self.applied_here.contains(&name.as_str()) => (DesiredStatus::Pending, None),
                None => {
                    let reason = "nothing on this machine applies a section of this name".to_owned();
                    (DesiredStatus::Refused, Some(reason))
                }
            };
            DesiredSectionReport {
                name: name.clone(),
                version: section.version,
                status,
                reason,
            }
        });
        Some(DesiredReport {
            version: self.held.version,
            sections: sections.collect(),
        })
    }
}

/// What the server promises, looked at once more: what is kept must stay small.
fn within_bounds(document: &DesiredDocument) -> Result<(), String> {
    let sections = &document.0;
    if sections.len() > SECTIONS_MAX {
        return Err(format!(
            "it has {} sections, at most {SECTIONS_MAX} are kept",
            sections.len()
        ));
    }
    for name in sections.keys() {
        check_name(name).map_err(|refusal| refusal.to_string())?;
    }
    let contents: usize = sections
        .values()
        .map(|section| section.content.0.get().len())
        .sum();
    if contents > CONTENTS_MAX_BYTES {
        return Err(format!(
            "it has {contents} bytes, at most {CONTENTS_MAX_BYTES} are kept"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
