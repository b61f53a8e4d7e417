//! What goes into the decision about updates, and what comes out.

use muster_model::release::{Act, Assignment, DesiredReleases, ManifestDigest, ProductName, ReleaseName};
use muster_model::vocabulary::UpdatePhase;
use muster_model::{Severity, Timestamp};
use serde::{Deserialize, Serialize};

use super::Readings;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Nothing but time.
    Time,
    /// What the fleet assigns, from now on.
    Desired(DesiredReleases),
    /// How the machine is, just now.
    Readings(Readings),
    /// Something about one product.
    Of(ProductName, Step),
}

/// What happened to one product.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// What lies in its slots: told at the start, and after every effect that changes them.
    Slots(Slots),
    /// What [`Effect::Note`] asked for is on the disk.
    Noted,
    /// It could not be written; it is tried again.
    NotNoted(String),
    /// So much came over the network.
    Progress {
        /// Bytes that came.
        fetched_bytes: u64,
        /// Bytes that are needed in all.
        to_fetch_bytes: u64,
    },
    /// All of it is here and verified.
    Fetched(Box<Facts>),
    /// It is not.
    NotFetched(Trouble),
    /// It lies whole in the slot that is not in use.
    Installed,
    /// It does not, and nothing that is in use was changed.
    NotInstalled(Trouble),
    /// The commands of a stage ended well.
    HooksRan(Stage),
    /// One of them did not.
    HookFailed(Stage, String),
    /// `current` leads to it.
    Activated,
    /// `current` leads to what it led to before.
    NotActivated(String),
    /// It was started.
    Started,
    /// It could not be.
    NotStarted(String),
    /// Its checks: nothing, or what is wrong.
    Checked(Vec<String>),
    /// It is confirmed on the disk.
    Confirmed,
    /// The disk refused.
    NotConfirmed(String),
    /// The version before is in use again, and was started.
    WentBack,
    /// It is not: `for_good` where trying again is of no use.
    NotWentBack {
        /// Why.
        why: String,
        /// Whether trying again is of no use.
        for_good: bool,
    },
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another time it may be.
    Later(String),
    /// It will not be.
    Never(String),
}

/// What lies in the slots of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// What is in use.
    pub running: Option<ReleaseName>,
    /// What lies whole in the other slot.
    pub other: Option<ReleaseName>,
    /// What is in use has not proved itself yet.
    pub on_probation: bool,
    /// What the manifest of what is in use says.
    pub facts: Box<Facts>,
    /// How often anything of this product was started.
    pub starts: u64,
    /// When what runs was started.
    pub started_at: Option<Timestamp>,
    /// What was taken back last, and why.
    pub taken_back: Option<(ManifestDigest, String)>,
}

/// What a manifest says that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What must hold of the machine.
    pub conditions: Vec<Condition>,
    /// When it is healthy; none: nothing is started, and there is nothing to look at.
    pub health: Option<HealthWanted>,
    /// There are commands to run before the change.
    pub has_before: bool,
    /// There are commands to run after it.
    pub has_after: bool,
    /// It is a program, and somebody has to run it.
    pub is_started: bool,
}

/// When a version is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthWanted {
    /// Everything holds for so long without a break.
    pub hold_ms: u64,
    /// Within this time after the start.
    pub within_ms: u64,
}

/// What must hold of one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub reading: String,
    /// How it must be.
    pub test: Test,
}

/// How a reading must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It or more.
    AtLeast(i32),
    /// It or less.
    AtMost(i32),
    /// One of these words.
    In(Vec<String>),
}

/// When commands of a release are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the change.
    Before,
    /// After it.
    After,
}

/// How far an assignment was dealt with: kept on the disk before anything is done about it, and before its end is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Which assignment.
    pub number: u64,
    /// What it asks for.
    pub act: Act,
    /// Of which version.
    pub version: String,
    /// Of which manifest.
    pub manifest: ManifestDigest,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How an assignment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `confirmed`, `rolled_back` or `refused`.
    pub phase: UpdatePhase,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// When, by the machine's wall clock.
    pub at: Timestamp,
}

/// What is to be done. Each is answered by a [`Step`] of its product.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Put this on the disk: `Noted` or `NotNoted`.
    Note(ProductName, Taken),
    /// Get the manifest and what it names, and verify all of it: `Progress`, then `Fetched` or `NotFetched`.
    Fetch(ProductName, Assignment),
    /// Stop getting it. Not answered.
    LeaveOff(ProductName),
    /// Put it into the slot that is not in use: `Installed` or `NotInstalled`.
    Install(ProductName),
    /// Run the commands of a stage: `HooksRan` or `HookFailed`.
    RunHooks(ProductName, Stage),
    /// Have `current` lead to it, on probation: `Activated` or `NotActivated`.
    Activate(ProductName),
    /// Start what is in use now instead of what runs: `Started` or `NotStarted`.
    Start(ProductName),
    /// Look whether it is well: `Checked`.
    Check(ProductName),
    /// It proved itself: `Confirmed` or `NotConfirmed`.
    Confirm(ProductName),
    /// Have the version before in use again, and start it: `WentBack` or `NotWentBack`.
    GoBack(ProductName, String),
    /// To be told.
    Tell {
        /// Of which.
        product: ProductName,
        /// The event's kind: `update.confirmed` …
        kind: &'static str,
        /// How much it matters.
        severity: Severity,
        /// For a person.
        message: String,
    },
}
