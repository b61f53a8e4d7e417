//! The keys of a profile in a file: a section for each fault, with how often and how long.

use muster_runtime::config::{Key, Settings, some_text, whole};

use super::super::schedule::{MILLISECOND, SECOND, Time};
use super::{Fault, Faults, HOUR, MINUTE, Strike};

const DAY: Time = 24 * HOUR;

/// What a time may look like.
const EVERY: &str = "a time from 1s to 3650d, such as 90s, 10m, 6h or 2d";
const SPAN: &str = "a time, or two with the shorter first, from 1ms to 3650d: such as 30s or 5s..2m";
const HITS: &str = "one (each machine by itself), or 1% to 100% of the machines at once";
const PERCENT: &str = "0 to 100, in percent";
const ABOUT_MAX_CHARS: usize = 500;

/// One key, for one part of one fault.
macro_rules! key {
    ($fault:ident, $path:literal, every) => {
        Key {
            path: $path,
            accepted: EVERY,
            set: |faults, text| {
                faults.strike(Fault::$fault).every = Some(every(text)?);
                Ok(())
            },
            get: |faults| faults.get(Fault::$fault)?.every.map(words_of_time),
        }
    };
    ($fault:ident, $path:literal, span) => {
        Key {
            path: $path,
            accepted: SPAN,
            set: |faults, text| {
                faults.strike(Fault::$fault).span = span(text)?;
                Ok(())
            },
            get: |faults| {
                let (from, to) = faults.get(Fault::$fault)?.span;
                Some(format!("{}..{}", words_of_time(from), words_of_time(to)))
            },
        }
    };
    ($fault:ident, $path:literal, hits) => {
        Key {
            path: $path,
            accepted: HITS,
            set: |faults, text| {
                faults.strike(Fault::$fault).share_percent = hits(text)?;
                Ok(())
            },
            get: |faults| {
                let share = faults.get(Fault::$fault)?.share_percent;
                Some(share.map_or_else(|| "one".to_owned(), |share| format!("{share}%")))
            },
        }
    };
}

impl Settings for Faults {
    const KEYS: &'static [Key<Self>] = &[
        Key {
            path: "about",
            accepted: "a text of 1 to 500 characters",
            set: |faults, text| {
                faults.about = some_text(text, ABOUT_MAX_CHARS)?;
                Ok(())
            },
            get: |faults| Some(faults.about.clone()),
        },
        Key {
            path: "spared_percent",
            accepted: PERCENT,
            set: |faults, text| {
                faults.spared_percent = whole(text, 0, 100)?;
                Ok(())
            },
            get: |faults| Some(faults.spared_percent.to_string()),
        },
        Key {
            path: "network.loss_percent",
            accepted: "0 to 30, in percent",
            set: |faults, text| {
                faults.wire.loss_percent = whole(text, 0, 30)?;
                Ok(())
            },
            get: |faults| Some(faults.wire.loss_percent.to_string()),
        },
        Key {
            path: "network.duplicates_percent",
            accepted: "0 to 50, in percent",
            set: |faults, text| {
                faults.wire.duplicates_percent = whole(text, 0, 50)?;
                Ok(())
            },
            get: |faults| Some(faults.wire.duplicates_percent.to_string()),
        },
        Key {
            path: "network.reordered_percent",
            accepted: "0 to 50, in percent",
            set: |faults, text| {
                faults.wire.reordered_percent = whole(text, 0, 50)?;
                Ok(())
            },
            get: |faults| Some(faults.wire.reordered_percent.to_string()),
        },
        key!(Reset, "reset.every", every),
        key!(Reset, "reset.hits", hits),
        key!(HalfOpen, "half_open.every", every),
        key!(HalfOpen, "half_open.hits", hits),
        key!(OldDelivers, "old_delivers.every", every),
        key!(OldDelivers, "old_delivers.hits", hits),
        key!(OldDelivers, "old_delivers.late", span),
        key!(Partition, "partition.every", every),
        key!(Partition, "partition.hits", hits),
        key!(Partition, "partition.lasts", span),
        Key {
            path: "partition.one_way_percent",
            accepted: PERCENT,
            set: |faults, text| {
                faults.strike(Fault::Partition).one_way_percent = whole(text, 0, 100)?;
                Ok(())
            },
            get: |faults| Some(faults.get(Fault::Partition)?.one_way_percent.to_string()),
        },
        key!(Latency, "latency.every", every),
        key!(Latency, "latency.hits", hits),
        key!(Latency, "latency.becomes", span),
        key!(MachineCrash, "machine_crash.every", every),
        key!(MachineCrash, "machine_crash.hits", hits),
        key!(MachineCrash, "machine_crash.lasts", span),
        key!(MachineCrashAtEffect, "machine_crash_at_effect.every", every),
        key!(MachineCrashAtEffect, "machine_crash_at_effect.hits", hits),
        key!(MachineCrashAtEffect, "machine_crash_at_effect.lasts", span),
        key!(DiskLoss, "disk_loss.every", every),
        key!(DiskLoss, "disk_loss.hits", hits),
        key!(DiskLoss, "disk_loss.lasts", span),
        key!(SlowDisk, "slow_disk.every", every),
        key!(SlowDisk, "slow_disk.hits", hits),
        key!(SlowDisk, "slow_disk.lasts", span),
        key!(FailingDisk, "failing_disk.every", every),
        key!(FailingDisk, "failing_disk.hits", hits),
        key!(FailingDisk, "failing_disk.lasts", span),
        key!(WallStep, "wall_step.every", every),
        key!(WallStep, "wall_step.hits", hits),
        key!(WallStep, "wall_step.by", span),
        key!(Drift, "drift.every", every),
        key!(Drift, "drift.hits", hits),
        Key {
            path: "drift.most_ppm",
            accepted: "1 to 10000, in parts per million",
            set: |faults, text| {
                faults.strike(Fault::Drift).most_ppm = whole(text, 1, 10_000)?;
                Ok(())
            },
            get: |faults| Some(faults.get(Fault::Drift)?.most_ppm.to_string()),
        },
        key!(Suspend, "suspend.every", every),
        key!(Suspend, "suspend.hits", hits),
        key!(Suspend, "suspend.lasts", span),
        key!(ServerCrash, "server_crash.every", every),
        key!(ServerCrash, "server_crash.lasts", span),
        key!(ServerCrashAtEffect, "server_crash_at_effect.every", every),
        key!(ServerCrashAtEffect, "server_crash_at_effect.lasts", span),
        key!(Drain, "drain.every", every),
        key!(Drain, "drain.lasts", span),
        key!(SlowLog, "slow_log.every", every),
        key!(SlowLog, "slow_log.lasts", span),
        key!(FailingLog, "failing_log.every", every),
        key!(ServerWallStep, "server_wall_step.every", every),
        key!(ServerWallStep, "server_wall_step.by", span),
        key!(RunawayMotor, "runaway_motor.every", every),
        key!(RunawayMotor, "runaway_motor.hits", hits),
        key!(RunawayMotor, "runaway_motor.lasts", span),
        key!(RelayStuckOn, "relay_stuck_on.every", every),
        key!(RelayStuckOn, "relay_stuck_on.hits", hits),
        key!(RelayStuckOn, "relay_stuck_on.lasts", span),
        key!(RelayStuckOff, "relay_stuck_off.every", every),
        key!(RelayStuckOff, "relay_stuck_off.hits", hits),
        key!(RelayStuckOff, "relay_stuck_off.lasts", span),
        key!(SpeedSilent, "speed_silent.every", every),
        key!(SpeedSilent, "speed_silent.hits", hits),
        key!(SpeedSilent, "speed_silent.lasts", span),
        key!(BoardOverheated, "board_overheated.every", every),
        key!(BoardOverheated, "board_overheated.hits", hits),
        key!(BoardOverheated, "board_overheated.lasts", span),
        key!(EstopPressed, "estop_pressed.every", every),
        key!(EstopPressed, "estop_pressed.hits", hits),
        key!(EstopPressed, "estop_pressed.lasts", span),
        key!(CaseOpen, "case_open.every", every),
        key!(CaseOpen, "case_open.hits", hits),
        key!(CaseOpen, "case_open.lasts", span),
    ];

    /// A fault that is described and never strikes was meant to strike.
    fn disagreements(&self) -> Vec<(&'static str, &'static str)> {
        let idle = self.strikes.iter().filter(|(_, strike)| strike.every.is_none());
        let keys = idle.filter_map(|(fault, strike)| key_of_idle(*fault, strike));
        let accepted = "only together with every, in the same section, which says how often it strikes";
        keys.map(|key| (key, accepted)).collect()
    }
}

/// The key by which a fault was described that never strikes.
fn key_of_idle(fault: Fault, strike: &Strike) -> Option<&'static str> {
    let usual = fault.strike();
    let changed = |key: &&Key<Faults>| match key.path.rsplit('.').next() {
        Some("hits") => strike.share_percent != usual.share_percent,
        Some("one_way_percent") => strike.one_way_percent != usual.one_way_percent,
        Some("most_ppm") => strike.most_ppm != usual.most_ppm,
        _ => strike.span != usual.span,
    };
    let mut keys = Faults::KEYS.iter().filter(|key| {
        let section = key.path.split_once('.').map(|(section, _)| section);
        section == Some(fault.name()) && !key.path.ends_with(".every")
    });
    let first = keys.clone().next();
    keys.find(changed).or(first).map(|key| key.path)
}

impl Faults {
    fn strike(&mut self, fault: Fault) -> &mut Strike {
        self.strikes.entry(fault).or_insert_with(|| fault.strike())
    }

    fn get(&self, fault: Fault) -> Option<&Strike> {
        self.strikes.get(&fault)
    }
}

/// Reads a time with its unit. At most one of each unit, such as `1h30m`, would be more than anybody needs: one is.
fn time(text: &str) -> Result<Time, Option<String>> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .ok_or_else(|| Some(format!("a unit is missing: such as {text}s, {text}m or {text}h")))?;
    let number: u64 = text[..digits].parse().map_err(|_| None)?;
    let unit = match text[digits..].trim() {
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" | "min" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return Err(Some("the units are ms, s, m, h and d".to_owned())),
    };
    let time = number.checked_mul(unit).ok_or(None)?;
    if (MILLISECOND..=3_650 * DAY).contains(&time) {
        Ok(time)
    } else {
        Err(None)
    }
}

fn every(text: &str) -> Result<Time, Option<String>> {
    let every = time(text)?;
    if every >= SECOND { Ok(every) } else { Err(None) }
}

fn span(text: &str) -> Result<(Time, Time), Option<String>> {
    let (from, to) = match text.split_once("..") {
        Some((from, to)) => (time(from.trim())?, time(to.trim())?),
        None => (time(text)?, time(text)?),
    };
    if from <= to { Ok((from, to)) } else { Err(None) }
}

fn hits(text: &str) -> Result<Option<u64>, Option<String>> {
    if text == "one" {
        return Ok(None);
    }
    let number = text.strip_suffix('%').ok_or(None)?;
    Ok(Some(whole(number.trim(), 1, 100)?))
}

/// A time as it is written in a file, in the largest unit that leaves nothing over.
fn words_of_time(time: Time) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
    let whole = units
        .iter()
        .find(|(unit, _)| time > 0 && time.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{}{name}", time / unit),
        None => format!("{}ms", time / MILLISECOND),
    }
}
