//! Which calibration of each device is in force on this machine.
//!
//! Begin with [`Book`]: it keeps the versions of each device, takes in what somebody at the machine decides ([`Book::apply`],
//! [`Book::roll_back`], [`Book::follow`]) and what the server desires ([`Book::desire`]), and says what is in force. Neither overwrites the other
//! unseen: where they differ, what was decided at the machine stays in force, and the difference is told ([`Book::report`]).
//!
//! A book is changed in a copy, the copy goes to disk, and only then counts: this is the shell's to do.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_model::Timestamp;
pub use muster_model::calibration::{
    Calibrated, Calibrations, Compiled, DesiredCalibrations, DesiredProfile, Profile, Range, Refusal, Stage,
};
use muster_model::calibration::{
    CalibrationReport, CalibrationSource as Source, DEVICES_MAX, DeviceCalibration, check_device,
};
use muster_model::desired::DesiredStatus;
use serde::{Deserialize, Serialize};

/// Most versions of one device: the oldest that nothing refers to goes first.
pub const VERSIONS_MAX: usize = 50;
/// Longest book, in bytes as it is kept.
pub const BOOK_MAX_BYTES: usize = 512 * 1024;
/// Longest profile that is told in the reported state, in bytes, and the longest of all together.
const TOLD_MAX_BYTES: usize = 4 * 1024;
const TOLD_ALL_MAX_BYTES: usize = 48 * 1024;

/// What the devices of a machine are, as far as a calibration must respect it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// What moves something, and what it may be told at most: only a motor's profile is accepted for it.
    pub moves: BTreeMap<String, Range>,
    /// What the safety region measures with. Whoever calibrates that can make a machine that moves look still, so nothing but a decision
    /// at the machine does it.
    pub guarded: BTreeSet<String>,
    /// Where the safety region goes by temperatures, whose names are not known beforehand: what is none of them, and may be calibrated from
    /// afar all the same. None: everything that is not guarded.
    pub free: Option<BTreeSet<String>>,
}

impl Limits {
    fn of(&self, device: &str) -> Option<Range> {
        self.moves.get(device).copied()
    }
}

/// A profile that was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its number, for ever, among those of its device.
    pub version: u32,
    /// The profile.
    pub profile: Profile,
    /// Where it came from first.
    pub source: Source,
    /// When it was kept.
    pub kept_at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What is known of one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Oldest first.
    pub versions: Vec<Version>,
    /// The last number that was given.
    last: u32,
    /// What somebody at the machine decided: 0 is to take values as they are. None: nobody did.
    #[serde(default)]
    local: Option<u32>,
    /// What the server desires, as it was last taken in.
    #[serde(default)]
    wanted: Option<Wanted>,
    /// The version that came of what the server desires; 0: none.
    #[serde(default)]
    desired: u32,
    /// Whose decision is in force.
    source: Source,
    /// Since when.
    since: Timestamp,
    /// What was in force before.
    #[serde(default)]
    before: Option<u32>,
}

/// What the server desires of one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wanted {
    entry: DesiredProfile,
    /// Why it cannot be.
    #[serde(default)]
    refusal: Option<String>,
}

/// Why somebody at the machine was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The profile is not in order.
    #[error("{}", list(.0))]
    Profile(Vec<Refusal>),
    /// What was asked for cannot be done.
    #[error("{0}")]
    Cannot(String),
}

/// How what the server desires of one device stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Which device.
    pub device: String,
    /// How it stands: applied, refused or in conflict.
    pub status: DesiredStatus,
    /// Why, where it is not applied.
    pub reason: Option<String>,
}

/// All calibrations of one machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Book {
    devices: BTreeMap<String, Record>,
}

impl Book {
    /// What is known of a device.
    pub fn of(&self, device: &str) -> Option<&Record> {
        self.devices.get(device)
    }

    /// Somebody at the machine wants this profile for a device.
    pub fn apply(
        &mut self,
        now: Timestamp,
        device: &str,
        profile: Profile,
        reason: &str,
        limits: &Limits,
    ) -> Result<u32, Refused> {
        check_device(device).map_err(Refused::Cannot)?;
        profile.compile(limits.of(device)).map_err(Refused::Profile)?;
        self.room_for(device)?;
        let record = self.record(device, now);
        let version = record.keep(now, profile, Source::Local, reason);
        record.decide(now, Source::Local, version);
        record.local = Some(version);
        self.fit(Some((device, version)))?;
        Ok(version)
    }

    /// Somebody at the machine wants an earlier version in force again, or none (0); without a version what was in force before.
    pub fn roll_back(
        &mut self,
        now: Timestamp,
        device: &str,
        to: Option<u32>,
        limits: &Limits,
    ) -> Result<u32, Refused> {
        let record = self.known(device)?;
        let Some(version) = to.or(record.before) else {
            return Err(Refused::Cannot(format!(
                "nothing was in force for {device:?} before: say which version"
            )));
        };
        if version != 0 {
            let Some(kept) = record.version(version) else {
                let kept: Vec<String> = record
                    .versions
                    .iter()
                    .map(|kept| kept.version.to_string())
                    .collect();
                let kept = kept.join(", ");
                return Err(Refused::Cannot(format!(
                    "there is no version {version} of {device:?}: {kept} are kept, and 0 is none"
                )));
            };
            // Its limits may be narrower now than they were then.
            kept.profile
                .compile(limits.of(device))
                .map_err(Refused::Profile)?;
        }
        record.decide(now, Source::Local, version);
        record.local = Some(version);
        Ok(version)
    }

    /// Somebody at the machine gives up what was decided here: what the server desires is in force from now on.
    pub fn follow(&mut self, now: Timestamp, device: &str, limits: &Limits) -> Result<u32, Refused> {
        not_guarded(device, limits)?;
        let record = self.known(device)?;
        if record.desired == 0 {
            return Err(Refused::Cannot(format!(
                "the server desires nothing for {device:?} that could be followed"
            )));
        }
        let version = record.desired;
        record.decide(now, Source::Desired, version);
        record.local = None;
        Ok(version)
    }

    /// The server desires this: all of it, as it is sent. Says how each device stands.
    pub fn desire(&mut self, now: Timestamp, wanted: &DesiredCalibrations, limits: &Limits) -> Vec<Verdict> {
        for (device, record) in &mut self.devices {
            if record.wanted.is_some() && !wanted.0.contains_key(device) {
                // Nothing is desired any more: what was decided here counts again, or nothing.
                (record.wanted, record.desired) = (None, 0);
                if record.source == Source::Desired {
                    record.decide(now, Source::Local, record.local.unwrap_or(0));
                }
            }
        }
        let verdicts = wanted.0.iter().map(|(device, entry)| {
            self.take_in(now, device, entry, limits);
            match self.devices.get(device) {
                Some(record) => record.verdict(device),
                None => Verdict {
                    device: device.clone(),
                    status: DesiredStatus::Refused,
                    reason: Some("the machine keeps no more devices".to_owned()),
                },
            }
        });
        verdicts.collect()
    }

    fn take_in(&mut self, now: Timestamp, device: &str, entry: &DesiredProfile, limits: &Limits) {
        let known = self.devices.get(device).and_then(|record| record.wanted.as_ref());
        // What was refused is looked at again: the limits may be others now.
        if known.is_some_and(|wanted| wanted.entry == *entry && wanted.refusal.is_none()) {
            return;
        }
        let before = self.clone();
        let fits = check_device(device)
            .map_err(Refused::Cannot)
            .and_then(|()| not_guarded(device, limits))
            .and_then(|()| self.room_for(device))
            .and_then(|()| entry.profile.compile(limits.of(device)).map_err(Refused::Profile))
            .and_then(|_| {
                let record = self.record(device, now);
                let version = record.keep(now, entry.profile.clone(), Source::Desired, "");
                record.desired = version;
                let free = record.source == Source::Desired || record.local.is_none();
                let same = record.in_force() == version;
                if free || entry.overrule || same {
                    record.decide(now, Source::Desired, version);
                    record.local = None;
                }
                self.fit(Some((device, version)))
            });
        if fits.is_err() {
            *self = before;
        }
        if self.room_for(device).is_err() {
            return;
        }
        self.record(device, now).wanted = Some(Wanted {
            entry: entry.clone(),
            refusal: fits.err().map(|refused| refused.to_string()),
        });
    }

    /// What is in force, ready to be applied, and what of it does not fit the device any more: that is not applied.
    pub fn in_force(&self, limits: &Limits) -> (Calibrations, Vec<(String, String)>) {
        let mut compiled = BTreeMap::new();
        let mut unfit = Vec::new();
        for (device, record) in &self.devices {
            let Some(version) = record.version(record.in_force()) else {
                continue;
            };
            if record.source == Source::Desired
                && let Err(why) = not_guarded(device, limits)
            {
                unfit.push((device.clone(), why.to_string()));
                continue;
            }
            match version.profile.compile(limits.of(device)) {
                Ok(profile) => drop(compiled.insert(device.clone(), Arc::new(profile))),
                Err(refusals) => unfit.push((device.clone(), list(&refusals))),
            }
        }
        (Calibrations::new(compiled), unfit)
    }

    /// What is reported; nothing where there never was a profile.
    pub fn report(&self) -> Option<CalibrationReport> {
        if self.devices.is_empty() {
            return None;
        }
        let mut room = TOLD_ALL_MAX_BYTES;
        let devices = self.devices.iter().map(|(device, record)| {
            let profile = record.version(record.in_force()).map(|version| &version.profile);
            let told = profile.filter(|profile| {
                let bytes = bytes_of(profile);
                let fits = bytes <= TOLD_MAX_BYTES.min(room);
                room -= if fits { bytes } else { 0 };
                fits
            });
            let verdict = record.verdict(device);
            DeviceCalibration {
                device: device.clone(),
                version: record.in_force(),
                source: record.source,
                since: record.since,
                versions: record.versions.len(),
                drift: verdict.reason.filter(|_| record.wanted.is_some()),
                profile: told.cloned(),
            }
        });
        Some(CalibrationReport {
            devices: devices.collect(),
        })
    }

    fn known(&mut self, device: &str) -> Result<&mut Record, Refused> {
        self.devices
            .get_mut(device)
            .ok_or_else(|| Refused::Cannot(format!("there is no calibration of a device {device:?}")))
    }

    fn room_for(&self, device: &str) -> Result<(), Refused> {
        if self.devices.contains_key(device) || self.devices.len() < DEVICES_MAX {
            return Ok(());
        }
        Err(Refused::Cannot(format!(
            "calibrations of {DEVICES_MAX} devices are kept, and no more"
        )))
    }

    fn record(&mut self, device: &str, now: Timestamp) -> &mut Record {
        self.devices
            .entry(device.to_owned())
            .or_insert_with(|| Record::new(now))
    }

    /// Lets the oldest versions go that nothing refers to, until the book is short enough.
    fn fit(&mut self, new: Option<(&str, u32)>) -> Result<(), Refused> {
        let mut length = bytes_of(self);
        while length > BOOK_MAX_BYTES {
            let oldest = self.devices.iter().flat_map(|(device, record)| {
                let loose = record.versions.iter().filter(|kept| {
                    !record.refers_to(kept.version) && new != Some((device.as_str(), kept.version))
                });
                loose.map(move |kept| (kept.kept_at, device.clone(), kept.version))
            });
            let Some((_, device, version)) = oldest.min() else {
                return Err(Refused::Cannot(format!(
                    "all calibrations together are longer than {BOOK_MAX_BYTES} bytes"
                )));
            };
            if let Some(record) = self.devices.get_mut(&device) {
                record.versions.retain(|kept| kept.version != version);
            }
            length = bytes_of(self);
        }
        Ok(())
    }
}

impl Record {
    fn new(now: Timestamp) -> Self {
        Self {
            versions: Vec::new(),
            last: 0,
            local: None,
            wanted: None,
            desired: 0,
            source: Source::Local,
            since: now,
            before: None,
        }
    }

    /// The version in force; 0: none.
    pub fn in_force(&self) -> u32 {
        match self.source {
            Source::Local => self.local.unwrap_or(0),
            Source::Desired => self.desired,
        }
    }

    /// Whose decision is in force.
    pub fn source(&self) -> Source {
        self.source
    }

    /// A version that is kept.
    pub fn version(&self, version: u32) -> Option<&Version> {
        self.versions.iter().find(|kept| kept.version == version)
    }

    fn refers_to(&self, version: u32) -> bool {
        self.local == Some(version) || self.desired == version || self.before == Some(version)
    }

    /// Keeps a profile, unless it is kept already.
    fn keep(&mut self, now: Timestamp, profile: Profile, source: Source, reason: &str) -> u32 {
        if let Some(kept) = self.versions.iter().find(|kept| kept.profile == profile) {
            return kept.version;
        }
        self.last += 1;
        self.versions.push(Version {
            version: self.last,
            profile,
            source,
            kept_at: now,
            reason: reason.to_owned(),
        });
        while self.versions.len() > VERSIONS_MAX {
            let newest = self.last;
            let loose = |kept: &Version| !self.refers_to(kept.version) && kept.version != newest;
            let Some(oldest) = self.versions.iter().position(loose) else {
                break;
            };
            self.versions.remove(oldest);
        }
        self.last
    }

    /// This is in force from now on, by this decision.
    fn decide(&mut self, now: Timestamp, source: Source, version: u32) {
        let before = self.in_force();
        if before != version {
            self.before = Some(before);
        }
        if before != version || self.source != source {
            self.since = now;
        }
        self.source = source;
    }

    fn verdict(&self, device: &str) -> Verdict {
        let refusal = self.wanted.as_ref().and_then(|wanted| wanted.refusal.clone());
        let (status, reason) = match refusal {
            Some(refusal) => (DesiredStatus::Refused, Some(refusal)),
            None if self.in_force() == self.desired => (DesiredStatus::Applied, None),
            None => {
                let stands = match self.in_force() {
                    0 => "values are taken as they are".to_owned(),
                    version => format!("version {version} is in force"),
                };
                let reason = format!(
                    "{stands}, as somebody at the machine decided; what the server desires is kept as version {}",
                    self.desired
                );
                (DesiredStatus::Conflict, Some(reason))
            }
        };
        Verdict {
            device: device.to_owned(),
            status,
            reason,
        }
    }
}

/// What the safety region measures with is not calibrated from afar.
fn not_guarded(device: &str, limits: &Limits) -> Result<(), Refused> {
    let unfree = |free: &BTreeSet<String>| !free.contains(device);
    if limits.guarded.contains(device) || limits.free.as_ref().is_some_and(unfree) {
        let why = "the safety region measures with it: it is calibrated at the machine only";
        return Err(Refused::Cannot(why.to_owned()));
    }
    Ok(())
}

/// What is said of the whole section, from what is said of its devices: the gravest, with every reason.
pub fn outcome(verdicts: &[Verdict]) -> (DesiredStatus, Option<String>) {
    let refused = verdicts
        .iter()
        .any(|verdict| verdict.status == DesiredStatus::Refused);
    let conflict = verdicts
        .iter()
        .any(|verdict| verdict.status == DesiredStatus::Conflict);
    let status = match (refused, conflict) {
        (true, _) => DesiredStatus::Refused,
        (false, true) => DesiredStatus::Conflict,
        (false, false) => DesiredStatus::Applied,
    };
    let reasons: Vec<String> = verdicts
        .iter()
        .filter_map(|verdict| Some(format!("{}: {}", verdict.device, verdict.reason.as_ref()?)))
        .collect();
    (status, (!reasons.is_empty()).then(|| reasons.join("; ")))
}

fn list(refusals: &[Refusal]) -> String {
    let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// How long something is as JSON. What has none counts as too long.
fn bytes_of<T: Serialize>(value: &T) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |text| text.len())
}
