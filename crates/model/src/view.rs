//! What the fleet knows of one machine: the fold of its entries, and what was heard since.
//!
//! [`MachineView::apply`] is the only way that log entries change a view; the server, time travel and the simulation
//! all use it, so that a view can always be rebuilt from the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::command::{Accepts, CommandAnswer, GivenCommand, RecentCommands};
use crate::desired::{DesiredSection, DesiredState};
use crate::entry::{MachineEntry, StateChange};
use crate::ids::{BootId, LogPosition, MachineId, RecordNumber, SessionNumber, StateVersion, StreamVersion};
use crate::state::{Identity, ReportedState, SectionTimes};
use crate::status::Status;
use crate::stop::{LastStop, STOP_KIND};
use crate::telemetry;
use crate::time::Timestamp;
use crate::vocabulary::Presence;

/// Stands for the id of a machine of which none is chosen yet. No machine gets it.
const NO_ID_YET: MachineId = MachineId::from_uuid(uuid::Uuid::nil());

/// What people decided about a machine: its logical state, kept apart from what it reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The name to be shown instead of the machine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Free words to find machines by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The stream version of the last change of the labels or the name: what `ETag` is made of.
    #[serde(default)]
    pub version: StreamVersion,
}

/// The latest telemetry of the metrics that tables show. Not durable: empty after a restart until heard again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vitals {
    /// When any of these was last heard, in server time.
    pub at: Option<Timestamp>,
    /// `cpu.percent`
    pub cpu_percent: Option<f32>,
    /// `memory.percent`
    pub memory_percent: Option<f32>,
    /// `disk.percent`
    pub disk_percent: Option<f32>,
    /// `temperature.celsius`
    pub temperature_celsius: Option<f32>,
    /// `battery.percent`
    pub battery_percent: Option<f32>,
    /// `speed.m_per_s`
    pub speed_m_per_s: Option<f32>,
}

impl Vitals {
    /// Takes in one sample; other metrics than those above are left to the time series.
    pub fn observe(&mut self, metric: &str, value: f64, at: Timestamp) {
        let slot = match metric {
            telemetry::CPU_PERCENT => &mut self.cpu_percent,
            telemetry::MEMORY_PERCENT => &mut self.memory_percent,
            telemetry::DISK_PERCENT => &mut self.disk_percent,
            telemetry::TEMPERATURE_CELSIUS => &mut self.temperature_celsius,
            telemetry::BATTERY_PERCENT => &mut self.battery_percent,
            telemetry::SPEED_M_PER_S => &mut self.speed_m_per_s,
            _ => return,
        };
        *slot = Some(value as f32);
        self.at = Some(self.at.map_or(at, |last| last.max(at)));
    }
}

/// What the fleet knows of one machine. Cheap to clone: sections and profile are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineView {
    /// Which machine.
    pub id: MachineId,
    /// The last entry of the log that was folded in.
    pub position: LogPosition,
    /// How many entries about this machine were folded in.
    pub version: StreamVersion,
    /// When the fleet met it.
    pub registered_at: Timestamp,
    /// What people decided about it.
    pub profile: Arc<Profile>,
    /// What it last reported.
    pub reported: ReportedState,
    /// The version of that report.
    pub state_version: StateVersion,
    /// When it reported that.
    pub reported_at: Option<Timestamp>,
    /// When it reported each section of that.
    pub sections_at: Arc<SectionTimes>,
    /// The highest record of it that the log holds, without holes.
    pub highest_record: RecordNumber,
    /// Its latest session.
    pub session: SessionNumber,
    /// The boot that session belongs to.
    pub boot_id: Option<BootId>,
    /// How present it is.
    pub presence: Presence,
    /// Since when.
    pub presence_since: Timestamp,
    /// Why, for a person.
    pub presence_reason: Arc<str>,
    /// The last remote stop that was asked of it, and how far that got.
    pub last_stop: Option<Arc<LastStop>>,
    /// What people want it to become; none where nobody ever said.
    pub desired: Option<Arc<DesiredState>>,
    /// The kinds of commands that it carries out, as it said when it last connected.
    pub accepts: Accepts,
    /// The commands that were last given to it, stops among them.
    pub commands: RecentCommands,
    /// When anything was last heard of it: from memory where the server is running, from the log otherwise.
    pub last_seen: Timestamp,
    /// Its latest telemetry.
    pub vitals: Vitals,
}

/// What a snapshot keeps of a view: all that the log says, nothing that was only heard.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    position: LogPosition,
    version: StreamVersion,
    registered_at: Timestamp,
    profile: Arc<Profile>,
    reported: ReportedState,
    state_version: StateVersion,
    reported_at: Option<Timestamp>,
    /// Snapshots of before this was kept know nothing of it.
    #[serde(default)]
    sections_at: Arc<SectionTimes>,
    highest_record: RecordNumber,
    session: SessionNumber,
    boot_id: Option<BootId>,
    presence: Presence,
    presence_since: Timestamp,
    presence_reason: Arc<str>,
    /// Snapshots of before there were stops know of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_stop: Option<Arc<LastStop>>,
    /// Nor of any desired state before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    desired: Option<Arc<DesiredState>>,
    /// Nor of what machines accept, and what they were given.
    #[serde(default, skip_serializing_if = "Accepts::is_empty")]
    accepts: Accepts,
    #[serde(default, skip_serializing_if = "RecentCommands::is_empty")]
    commands: RecentCommands,
    last_seen: Timestamp,
}

impl MachineView {
    /// A machine of which nothing is known yet.
    pub fn new(id: MachineId, now: Timestamp) -> Self {
        Self {
            id,
            position: LogPosition::ZERO,
            version: StreamVersion::ZERO,
            registered_at: now,
            profile: Arc::default(),
            reported: ReportedState::default(),
            state_version: StateVersion::ZERO,
            reported_at: None,
            sections_at: Arc::default(),
            highest_record: RecordNumber::ZERO,
            session: SessionNumber::ZERO,
            boot_id: None,
            presence: Presence::Lost,
            presence_since: now,
            presence_reason: "never connected".into(),
            last_stop: None,
            desired: None,
            accepts: Accepts::default(),
            commands: RecentCommands::default(),
            last_seen: now,
            vitals: Vitals::default(),
        }
    }

    /// A machine as people said that it will be, before it has come; without an id where none is chosen yet.
    pub fn announced(
        id: Option<MachineId>,
        kind: Option<&str>,
        name: Option<&str>,
        labels: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Self {
        let mut view = Self::new(id.unwrap_or(NO_ID_YET), now);
        view.profile = Arc::new(Profile {
            display_name: name.map(str::to_owned),
            labels: labels.clone(),
            version: StreamVersion::ZERO,
        });
        view.reported.identity = kind.map(|kind| {
            Arc::new(Identity {
                name: name.unwrap_or_default().to_owned(),
                kind: kind.to_owned(),
                region: None,
            })
        });
        view
    }

    /// Whether it is one of which not even the id is chosen.
    pub fn has_no_id_yet(&self) -> bool {
        self.id == NO_ID_YET
    }

    /// Becomes the same as a newer view of the same machine. Where nothing was folded in since, it costs next to nothing.
    pub fn catch_up(&mut self, newer: &Self) {
        if self.id == newer.id && self.position == newer.position && self.version == newer.version {
            self.last_seen = newer.last_seen;
            self.vitals = newer.vitals;
        } else {
            self.clone_from(newer);
        }
    }

    /// Folds one entry in. The entry must be the next one of this machine's stream.
    pub fn apply(
        &mut self,
        position: LogPosition,
        version: StreamVersion,
        recorded_at: Timestamp,
        entry: &MachineEntry,
    ) {
        self.position = position;
        self.version = version;
        if let Some(record) = entry.record() {
            self.highest_record = self.highest_record.max(record);
            self.last_seen = self.last_seen.max(recorded_at);
        }
        match entry {
            MachineEntry::Registered => self.registered_at = recorded_at,
            MachineEntry::SessionOpened {
                session,
                boot_id,
                agent_version: _,
                commands,
            } => {
                self.accepts.say(commands);
                self.session = *session;
                self.boot_id = Some(*boot_id);
                self.last_seen = self.last_seen.max(recorded_at);
                self.presence = Presence::Online;
                self.presence_since = recorded_at;
                self.presence_reason = "connected".into();
            }
            MachineEntry::PresenceChanged { presence, reason } => {
                self.presence = *presence;
                self.presence_since = recorded_at;
                self.presence_reason = reason.as_str().into();
            }
            MachineEntry::StateReported {
                record: _,
                version,
                at,
                change,
            } => {
                match change {
                    StateChange::Full(state) => {
                        self.sections_at = Arc::new(SectionTimes::of(state, *at));
                        self.reported = (**state).clone();
                    }
                    StateChange::Patch(patch) => {
                        Arc::make_mut(&mut self.sections_at).note(patch, *at);
                        self.reported.apply(patch);
                    }
                }
                self.state_version = *version;
                self.reported_at = Some(*at);
                if let (Some(stop), Some(operation)) = (&mut self.last_stop, &self.reported.operation)
                    && stop.is_under_way()
                {
                    Arc::make_mut(stop).reported(*at, operation);
                }
            }
            MachineEntry::CommandIssued {
                command_id,
                kind,
                arguments,
                issuer,
                reason,
                issued,
                expires,
            } => {
                let given = GivenCommand {
                    command_id: command_id.clone(),
                    kind: kind.clone(),
                    arguments: arguments.clone(),
                    issuer: issuer.clone(),
                    reason: reason.clone(),
                    issued: *issued,
                    expires: *expires,
                    answer: None,
                };
                self.commands.given(recorded_at, given);
                if kind == STOP_KIND {
                    self.last_stop = Some(Arc::new(LastStop {
                        command_id: command_id.clone(),
                        issuer: issuer.clone(),
                        reason: reason.clone(),
                        issued: *issued,
                        expires: *expires,
                        answer: None,
                        standing_at: None,
                        at_rest_at: None,
                        released_at: None,
                    }));
                }
            }
            MachineEntry::ResponseReported {
                record: _,
                at,
                command_id,
                outcome,
                reason,
            } => {
                let answer = CommandAnswer {
                    outcome: outcome.clone(),
                    reason: reason.clone(),
                    at: *at,
                };
                self.commands.answered(command_id, &answer);
                if let Some(stop) = &mut self.last_stop
                    && stop.command_id == *command_id
                    && stop.answer.is_none()
                {
                    Arc::make_mut(stop).answered(answer, self.reported.operation.as_deref());
                }
            }
            MachineEntry::DesiredChanged {
                version,
                section,
                content,
                issuer,
                reason,
            } => {
                let desired = Arc::make_mut(self.desired.get_or_insert_default());
                desired.version = *version;
                match content {
                    Some(content) => {
                        let changed = DesiredSection {
                            version: *version,
                            content: content.clone(),
                            issuer: issuer.clone(),
                            reason: reason.clone(),
                            changed_at: recorded_at,
                        };
                        desired.sections.insert(section.clone(), changed);
                    }
                    None => drop(desired.sections.remove(section)),
                }
            }
            MachineEntry::EventReported { .. }
            | MachineEntry::RecordRefused { .. }
            | MachineEntry::IdentityNoted { .. } => {}
            MachineEntry::RecordsLost { first: _, last } => {
                self.highest_record = self.highest_record.max(*last);
            }
            MachineEntry::Renamed { display_name } => {
                let profile = Arc::make_mut(&mut self.profile);
                profile.display_name.clone_from(display_name);
                profile.version = version;
            }
            MachineEntry::Labelled { labels } => {
                let profile = Arc::make_mut(&mut self.profile);
                profile.labels.clone_from(labels);
                profile.version = version;
            }
        }
    }

    /// The view as a snapshot keeps it.
    pub fn to_snapshot(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Snapshot {
            position: self.position,
            version: self.version,
            registered_at: self.registered_at,
            profile: self.profile.clone(),
            reported: self.reported.clone(),
            state_version: self.state_version,
            reported_at: self.reported_at,
            sections_at: self.sections_at.clone(),
            highest_record: self.highest_record,
            session: self.session,
            boot_id: self.boot_id,
            presence: self.presence,
            presence_since: self.presence_since,
            presence_reason: self.presence_reason.clone(),
            last_stop: self.last_stop.clone(),
            desired: self.desired.clone(),
            accepts: self.accepts.clone(),
            commands: self.commands.clone(),
            last_seen: self.last_seen,
        })
    }

    /// The view that a snapshot keeps.
    pub fn from_snapshot(id: MachineId, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let kept: Snapshot = serde_json::from_slice(bytes)?;
        Ok(Self {
            id,
            position: kept.position,
            version: kept.version,
            registered_at: kept.registered_at,
            profile: kept.profile,
            reported: kept.reported,
            state_version: kept.state_version,
            reported_at: kept.reported_at,
            sections_at: kept.sections_at,
            highest_record: kept.highest_record,
            session: kept.session,
            boot_id: kept.boot_id,
            presence: kept.presence,
            presence_since: kept.presence_since,
            presence_reason: kept.presence_reason,
            last_stop: kept.last_stop,
            desired: kept.desired,
            accepts: kept.accepts,
            commands: kept.commands,
            last_seen: kept.last_seen,
            vitals: Vitals::default(),
        })
    }

    /// Its status in one word, with the reason.
    pub fn status(&self) -> Status {
        Status::derive(self.presence, &self.reported)
    }

    /// The name to be shown: the one people gave it, else its own, else the start of its id.
    pub fn name(&self) -> String {
        let own = || {
            self.reported
                .identity
                .as_ref()
                .map(|identity| identity.name.clone())
        };
        self.profile
            .display_name
            .clone()
            .or_else(own)
            .unwrap_or_else(|| self.id.to_string()[..8].to_owned())
    }

    /// Its kind; empty while unknown.
    pub fn kind(&self) -> &str {
        self.reported
            .identity
            .as_ref()
            .map_or("", |identity| &identity.kind)
    }

    /// Its region; empty while unknown or without one.
    pub fn region(&self) -> &str {
        self.reported
            .identity
            .as_ref()
            .and_then(|identity| identity.region.as_deref())
            .unwrap_or("")
    }

    /// The version of its runtime; empty while unknown.
    pub fn agent_version(&self) -> &str {
        self.reported
            .deployment
            .as_ref()
            .map_or("", |deployment| &deployment.agent_version)
    }

    /// Processor time in use: the latest telemetry, else what the state says.
    pub fn cpu_percent(&self) -> Option<f64> {
        self.vitals
            .cpu_percent
            .map(widen)
            .or_else(|| self.reported.resources.as_ref().map(|r| r.cpu_percent))
    }

    /// Memory in use: the latest telemetry, else what the state says.
    pub fn memory_percent(&self) -> Option<f64> {
        self.vitals
            .memory_percent
            .map(widen)
            .or_else(|| self.reported.resources.as_ref().map(|r| r.memory_percent))
    }

    /// How full the fullest disk is: the latest telemetry, else what the state says.
    pub fn disk_percent(&self) -> Option<f64> {
        let reported = || {
            let disks = &self.reported.resources.as_ref()?.disks;
            disks.iter().map(|disk| disk.used_percent).reduce(f64::max)
        };
        self.vitals.disk_percent.map(widen).or_else(reported)
    }

    /// The hottest zone: the latest telemetry, else what the state says.
    pub fn temperature_celsius(&self) -> Option<f64> {
        let reported = || {
            self.reported
                .thermal
                .as_ref()
                .map(|thermal| thermal.highest_celsius)
        };
        self.vitals.temperature_celsius.map(widen).or_else(reported)
    }

    /// Charge of the battery: the latest telemetry, else what the state says.
    pub fn battery_percent(&self) -> Option<f64> {
        let reported = || {
            self.reported
                .power
                .as_ref()
                .and_then(|power| power.battery_percent)
        };
        self.vitals.battery_percent.map(widen).or_else(reported)
    }
}

/// One decimal is all that a table shows, and all that 32 bits hold honestly.
fn widen(value: f32) -> f64 {
    (f64::from(value) * 100.0).round() / 100.0
}
