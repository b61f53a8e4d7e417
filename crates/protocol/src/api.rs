//! The documents of the REST API under `/api/v1`, shared by the server and its clients.
//!
//! Begin with [`MachineSummary`], a row of the table, and [`Machine`], the whole of one machine.

macro_rules! document {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        $(#[$doc])*
        pub struct $name {
            $($(#[$fdoc])* pub $field: $type),+
        }
    };
}

pub mod access;
mod command;
mod desired;
mod identity;
mod problem;
mod proposal;
mod recording;
mod release;
mod rollout;
mod stop;

use std::collections::BTreeMap;

use muster_model::entry::JsonText;
use muster_model::state::SectionTimes;
use muster_model::vocabulary::{Mode, Presence, Safety};
use muster_model::{BootId, LogPosition, MachineId, RecordNumber, ReportedState, SessionNumber, Severity};
use muster_model::{StateVersion, StatusWord, Timestamp};
use serde::{Deserialize, Serialize};

pub use command::{CommandTold, GiveCommand, GivenCommand, MachineCommands};
pub use desired::{
    CalibrationCheck, DESIRED_REASON_MAX_CHARS, Desired, DesiredChange, DesiredHistory, DesiredPast,
    DesiredSection,
};
pub use identity::{
    CertificateAuthorities, CertificateAuthority, ENROLMENT_LIFETIME_DEFAULT_S, ENROLMENT_LIFETIME_MAX_S,
    Enrolment, EnrolmentMade, EnrolmentPage, EnrolmentPolicy, EnrolmentState, IDENTITIES_PAGE_MAX,
    IDENTITY_REASON_MAX_CHARS, IdentityStanding, KIND_MAX_CHARS, MachineCertificate, MachineIdentity,
    MachineIdentityPage, NewEnrolment, RevokeIdentity,
};
pub use problem::{Problem, ProblemField};
pub use proposal::{ApproveProposal, Proposal, ProposalState, Proposals, RefuseProposal};
pub use recording::{MachineRecording, MachineRecordings, RecordingTransfer, StoredRecording, TransferState};
pub use release::{
    RELEASE_CONTENTS_MAX, RELEASE_DELTAS_MAX, RELEASE_MACHINES_MAX, Release, ReleaseContent, ReleaseContents,
    ReleaseDelta, ReleaseDeltas, ReleaseFits, ReleaseHealth, ReleaseHook, ReleasePage, ReleasePublished,
    ReleaseRunning, ReleaseSummary,
};
pub use rollout::{
    NewRollout, Rollout, RolloutDecided, RolloutDecision, RolloutHistory, RolloutLeftOut, RolloutLine,
    RolloutMachine, RolloutMachinePage, RolloutNotMeant, RolloutPage, RolloutPhase, RolloutPlan,
    RolloutPlannedMachine, RolloutPlannedPhase, RolloutSummary, UpdatesStanding, UpdatesStandingMachine,
    UpdatesStop, UpdatesStopped,
};
pub use stop::{
    STOP_LIFETIME_DEFAULT_S, STOP_LIFETIME_MAX_S, STOP_MACHINES_MAX, STOP_REASON_MAX_CHARS, Stop,
    StopMachine, StopRefused, StopRequest, StopSelection, StopTold, StopsIssued,
};

document! {
    /// One row of the table of machines. What is not known is null, never a made-up value.
    MachineSummary {
        /// The machine.
        id: MachineId,
        /// The name to be shown: the one people gave it, else its own, else the start of its id.
        name: String,
        /// Its kind: `lekiwi`, `car`, `pi`, `host` …; empty while unknown.
        kind: String,
        /// Where it belongs; empty while unknown or without one.
        region: String,
        /// Free words to find machines by.
        labels: BTreeMap<String, String>,
        /// Its status in one word.
        status: StatusWord,
        /// Why it is that one; empty where the word says it all.
        status_reason: String,
        /// How present it is.
        presence: Presence,
        /// Since when.
        presence_since: Timestamp,
        /// What it is doing.
        #[cfg_attr(feature = "schema", schema(required = true))]
        mode: Option<Mode>,
        /// What its safety node says.
        #[cfg_attr(feature = "schema", schema(required = true))]
        safety: Option<Safety>,
        /// Charge of the battery, 0 to 100.
        #[cfg_attr(feature = "schema", schema(required = true))]
        battery_percent: Option<f64>,
        /// Whether the battery is taking on energy.
        #[cfg_attr(feature = "schema", schema(required = true))]
        charging: Option<bool>,
        /// The hottest zone, in degrees Celsius.
        #[cfg_attr(feature = "schema", schema(required = true))]
        temperature_celsius: Option<f64>,
        /// Processor time in use, 0 to 100.
        #[cfg_attr(feature = "schema", schema(required = true))]
        cpu_percent: Option<f64>,
        /// Memory in use, 0 to 100.
        #[cfg_attr(feature = "schema", schema(required = true))]
        memory_percent: Option<f64>,
        /// How full the fullest disk is, 0 to 100.
        #[cfg_attr(feature = "schema", schema(required = true))]
        disk_percent: Option<f64>,
        /// Speed over ground.
        #[cfg_attr(feature = "schema", schema(required = true))]
        speed_m_per_s: Option<f64>,
        /// Latitude in degrees (WGS 84).
        #[cfg_attr(feature = "schema", schema(required = true))]
        latitude_degrees: Option<f64>,
        /// Longitude in degrees (WGS 84).
        #[cfg_attr(feature = "schema", schema(required = true))]
        longitude_degrees: Option<f64>,
        /// The version of its runtime; empty while unknown.
        version: String,
        /// When anything was last heard of it.
        last_seen: Timestamp,
        /// When it last reported its state.
        #[cfg_attr(feature = "schema", schema(required = true))]
        reported_at: Option<Timestamp>,
        /// The last remote stop that was asked of it, and how far that got; absent where none ever was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        last_stop: Option<Stop>,
    }
}

document! {
    /// A page of machines.
    MachinePage {
        /// The machines of this page.
        items: Vec<MachineSummary>,
        /// Give this as `cursor` to get the next page; null on the last one.
        #[cfg_attr(feature = "schema", schema(required = true))]
        next_cursor: Option<String>,
        /// How many machines pass the filter, on all pages.
        total: u64,
        /// The moment the page speaks of: now, or the `at` that was asked for.
        at: Timestamp,
        /// Whether the page shows the past.
        past: bool,
        /// The entry of the log up to which this is true. Every entry up to it is in the rows; a row may be newer.
        position: LogPosition,
    }
}

document! {
    /// The whole of one machine.
    Machine {
        /// Its row in the table.
        summary: MachineSummary,
        /// What it last reported, in full.
        reported: ReportedState,
        /// When it last reported each section of it. A section that is as it was is not reported again.
        sections_reported_at: SectionTimes,
        /// The version of that report.
        state_version: StateVersion,
        /// The name people gave it.
        #[cfg_attr(feature = "schema", schema(required = true))]
        display_name: Option<String>,
        /// The version of labels and display name: what the `ETag` of those is made of.
        profile_version: u64,
        /// Why it is present in this way.
        presence_reason: String,
        /// When the fleet met it.
        registered_at: Timestamp,
        /// The kinds of commands that it carries out, as it said when it last connected. `stop` can always be asked for.
        accepts: Vec<String>,
        /// Its latest session.
        session: SessionNumber,
        /// The boot that session belongs to.
        #[cfg_attr(feature = "schema", schema(required = true))]
        boot_id: Option<BootId>,
        /// The highest record of it that the log holds, without holes.
        highest_record: RecordNumber,
        /// The moment this speaks of: now, or the `at` that was asked for.
        at: Timestamp,
        /// Whether this shows the past.
        past: bool,
        /// The entry of the log up to which this is true.
        position: LogPosition,
    }
}

document! {
    /// Something that happened.
    Event {
        /// The entry of the log that tells of it.
        position: LogPosition,
        /// Which machine it is about.
        machine_id: MachineId,
        /// The name of that machine, as it is shown today.
        machine_name: String,
        /// Its kind, dotted: `thermal.high`, `presence.lost` …
        kind: String,
        /// How much it matters.
        severity: Severity,
        /// What happened, for a person.
        message: String,
        /// When it happened, in server time.
        occurred_at: Timestamp,
        /// When the server recorded it.
        recorded_at: Timestamp,
        /// Details for programs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
        data: Option<JsonText>,
        /// What it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        correlation_id: Option<String>,
        /// What brought it about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        causation_id: Option<String>,
    }
}

/// In which order a list comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The oldest first.
    Asc,
    /// The newest first.
    #[default]
    Desc,
}

impl Order {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

document! {
    /// A page of events, newest first, or oldest first where that was asked for.
    EventPage {
        /// The events of this page.
        items: Vec<Event>,
        /// Give this as `cursor` to go on where this page ends; null when there is nothing more.
        #[cfg_attr(feature = "schema", schema(required = true))]
        next_cursor: Option<String>,
        /// How far the log was searched for this page: back to this moment, or on to it where the oldest come first. A page
        /// can be short and yet have a `next_cursor`: the search has a limit per call.
        searched_to: Timestamp,
        /// The entry of the log up to which this is true. Whoever subscribes with the one of the first page as `resume_after`
        /// misses no event, and gets none twice.
        position: LogPosition,
    }
}

document! {
    /// The fleet in figures.
    FleetSummary {
        /// How many machines there are.
        total: u64,
        /// How many of each status; every status is named.
        by_status: BTreeMap<StatusWord, u64>,
        /// How many of each presence; every presence is named.
        by_presence: BTreeMap<Presence, u64>,
        /// How many of each kind; machines of unknown kind under the empty word.
        by_kind: BTreeMap<String, u64>,
        /// How many in each region; machines without one under the empty word.
        by_region: BTreeMap<String, u64>,
        /// How many in each mode; machines of unknown mode are left out.
        by_mode: BTreeMap<Mode, u64>,
        /// How many on each version of the runtime.
        by_version: BTreeMap<String, u64>,
        /// Machines with less than 20 % of charge that are not charging.
        low_battery: u64,
        /// The moment this speaks of.
        at: Timestamp,
        /// Whether this shows the past.
        past: bool,
        /// The entry of the log up to which this is true.
        position: LogPosition,
        /// The earliest moment the past can be looked up for; null while the log is empty.
        #[cfg_attr(feature = "schema", schema(required = true))]
        history_from: Option<Timestamp>,
        /// The server's clock.
        server_time: Timestamp,
        /// The server's version.
        server_version: String,
    }
}

document! {
    /// How many events happened, over time: what the scrubber shows.
    Timeline {
        /// Buckets of equal length, oldest first.
        buckets: Vec<TimelineBucket>,
        /// The length of a bucket in milliseconds.
        bucket_ms: u64,
        /// Where the search through the log ended: buckets before this moment are not counted.
        searched_to: Timestamp,
    }
}

document! {
    /// One bucket of a timeline.
    TimelineBucket {
        /// Its start.
        at: Timestamp,
        /// Events in it, of whatever severity.
        events: u64,
        /// Events in it of severity `warning`.
        warnings: u64,
        /// Events in it of severity `error` or `critical`.
        errors: u64,
    }
}

document! {
    /// The measurements of one machine over a span of time.
    Telemetry {
        /// The machine.
        machine_id: MachineId,
        /// Start of the span.
        from: Timestamp,
        /// End of the span.
        to: Timestamp,
        /// One series per metric, by name.
        series: Vec<Series>,
    }
}

document! {
    /// The measurements of one metric.
    Series {
        /// The metric: `cpu.percent` …
        metric: String,
        /// Its unit as a person reads it; empty where it has none.
        unit: String,
        /// What it measures; empty where Muster does not know the metric.
        about: String,
        /// The points, oldest first. Where many samples fall into one point, it holds their least, mean and greatest.
        points: Vec<Point>,
    }
}

document! {
    /// One point of a series.
    Point {
        /// When.
        at: Timestamp,
        /// The least value.
        min: f64,
        /// The mean.
        mean: f64,
        /// The greatest value.
        max: f64,
        /// How many samples it stands for.
        count: u32,
    }
}

document! {
    /// A page of log lines, newest first.
    LogPage {
        /// The lines of this page.
        items: Vec<LogLine>,
        /// Give this as `cursor` to get older ones; null when there are none.
        #[cfg_attr(feature = "schema", schema(required = true))]
        next_cursor: Option<String>,
    }
}

document! {
    /// One line of a machine's log.
    LogLine {
        /// When it was written, in server time.
        at: Timestamp,
        /// How much it matters.
        severity: Severity,
        /// Which part of the machine wrote it.
        target: String,
        /// What it says.
        message: String,
        /// Its fields.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
        fields: Option<JsonText>,
    }
}

document! {
    /// The labels of a machine.
    #[serde(deny_unknown_fields)]
    Labels {
        /// Keys of 1 to 63 letters, digits, '.', '_', '-', '/'; values of at most 256 characters; at most 64 of them.
        labels: BTreeMap<String, String>,
    }
}

document! {
    /// The name people gave a machine.
    #[serde(deny_unknown_fields)]
    DisplayName {
        /// 1 to 100 characters; null where people gave none.
        #[serde(deserialize_with = "given")]
        #[cfg_attr(feature = "schema", schema(required = true))]
        display_name: Option<String>,
    }
}

/// With a function of its own a field must be there, even where it may be null: who forgets it does not take a name away.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// How a port that is encrypted begins its answer to whoever speaks plain HTTP there: status 400, in plain text.
pub const SPEAKS_HTTPS: &str = "This address speaks https";

/// Most labels a machine can have.
pub const LABELS_MAX: usize = 64;
/// Longest label key, in characters.
pub const LABEL_KEY_MAX_CHARS: usize = 63;
/// Longest label value, in characters.
pub const LABEL_VALUE_MAX_CHARS: usize = 256;
/// Longest display name, in characters.
pub const DISPLAY_NAME_MAX_CHARS: usize = 100;
/// Most items on a page.
pub const PAGE_LIMIT_MAX: u32 = 1_000;
/// Items on a page where none is asked for.
pub const PAGE_LIMIT_DEFAULT: u32 = 100;
