//! What the file `state` says, and nothing about how it gets there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// How states are written that this version reads.
pub(super) const FORMAT: u8 = 1;
/// The file is not longer.
pub(super) const STATE_MAX_BYTES: usize = 64 * 1024;
/// Why a version was taken back, in characters.
pub const WHY_MAX_CHARS: usize = 500;

/// One of the two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// `a/`
    A,
    /// `b/`
    B,
}

impl Slot {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The name of its directory.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A release that lies whole in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Its counter.
    pub counter: u64,
    /// The SHA-256 of its manifest.
    pub manifest: Sha256Digest,
    /// Its version.
    pub version: String,
}

/// What is being done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Nothing: `current` leads to a confirmed version, or nowhere.
    Idle,
    /// The slot that is not in use is being filled. What lies in it is worth nothing.
    Installing(Slot),
    /// A release lies whole in the slot that is not in use.
    Installed(Slot),
    /// `current` leads to a version that has not proved itself.
    Probation(Probation),
    /// `current` is on its way back.
    RollingBack(RollingBack),
}

/// A version that has not proved itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probation {
    /// Where the version lies that was confirmed before, if there is one.
    pub before: Option<Slot>,
    /// Where the new one lies.
    pub slot: Slot,
    /// How often it was started.
    pub starts: u32,
}

/// A change back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollingBack {
    /// The slot that is left.
    pub from: Slot,
    /// The slot that is gone back to, if there is one.
    pub to: Option<Slot>,
    /// Why.
    pub why: String,
}

/// How the last update ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Which release.
    pub release: Held,
    /// Why it was taken back; nothing if it was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
}

/// Everything that is known of the slots of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// What lies whole in `a`.
    pub a: Option<Held>,
    /// What lies whole in `b`.
    pub b: Option<Held>,
    /// The highest counter that was ever confirmed: nothing lower is taken.
    pub floor: u64,
    pub(super) format: u8,
    /// How the last update ended.
    pub last: Option<Ended>,
    /// How often anything was started from here, whatever it was.
    #[serde(default)]
    pub starts: u64,
    /// What is being done.
    pub step: Step,
}

impl State {
    pub(super) const fn new() -> Self {
        Self {
            a: None,
            b: None,
            floor: 0,
            format: FORMAT,
            last: None,
            starts: 0,
            step: Step::Idle,
        }
    }

    /// What lies whole in a slot.
    pub const fn held(&self, slot: Slot) -> Option<&Held> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
        }
    }

    pub(super) fn hold(&mut self, slot: Slot, held: Option<Held>) {
        match slot {
            Slot::A => self.a = held,
            Slot::B => self.b = held,
        }
    }
}
