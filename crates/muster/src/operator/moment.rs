//! Moments and durations as people write them. Pure: the clock and the zone are given.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::{ToSpan, Zoned};
use muster_model::Timestamp;

/// What is accepted as a moment, for help and hints.
pub(super) const ACCEPTED: &str = "write a time like 14:03, 14:03:22, `yesterday 14:03`, `10m ago`, -10m, `2026-11-21 14:03` (local \
     time), or 2026-11-21T14:03:22Z";

/// A text that is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a time")]
pub(super) struct MomentError {
    given: String,
}

/// The moment that a text means for a person for whom it is `now`.
pub(super) fn parse_moment(text: &str, now: &Zoned) -> Result<Timestamp, MomentError> {
    let found = read_moment(text.trim(), now);
    found.ok_or_else(|| MomentError {
        given: text.chars().take(64).collect(),
    })
}

fn read_moment(text: &str, now: &Zoned) -> Option<Timestamp> {
    let moment = |moment: jiff::Timestamp| Timestamp::from_millis(moment.as_millisecond());
    let at_now = moment(now.timestamp());
    if text.eq_ignore_ascii_case("now") {
        return Some(at_now);
    }
    let back = text.strip_prefix('-').or_else(|| text.strip_suffix("ago"));
    if let Some(length) = back {
        let length = parse_duration(length.trim()).ok()?;
        let millis = i64::try_from(length.as_millis()).ok()?;
        return Some(at_now.plus_millis(-millis));
    }
    if let Ok(exact) = text.parse::<jiff::Timestamp>() {
        return Some(moment(exact));
    }
    let civil = read_civil(text, now)?;
    let zoned = civil.to_zoned(now.time_zone().clone()).ok()?;
    Some(moment(zoned.timestamp()))
}

/// A date and a time of day, either of which may be left out.
fn read_civil(text: &str, now: &Zoned) -> Option<DateTime> {
    let today = now.date();
    // Alone first: there is a T in `Today`, too.
    let (date, time) = match (read_date(text, today), text.split_once([' ', 'T'])) {
        (Some(date), _) => (date, Time::midnight()),
        (None, Some((date, time))) => (read_date(date, today)?, read_time(time.trim())?),
        (None, None) => (today, read_time(text)?),
    };
    Some(date.to_datetime(time))
}

fn read_date(text: &str, today: Date) -> Option<Date> {
    match text.to_ascii_lowercase().as_str() {
        "today" => Some(today),
        "yesterday" => today.checked_sub(1.day()).ok(),
        _ => Date::strptime("%Y-%m-%d", text).ok(),
    }
}

fn read_time(text: &str) -> Option<Time> {
    Time::strptime("%H:%M:%S", text)
        .or_else(|_| Time::strptime("%H:%M", text))
        .ok()
}

/// A length of time: `500ms`, `15s`, `1h30m`, `2d`; a bare number means seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a length of time: write it like 500ms, 15s, 10m, 1h30m or 2d");
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<u32>() {
        return not_zero(Duration::from_secs(seconds.into()), bad);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit())
            .ok_or_else(bad)?;
        let number: u32 = rest[..digits].parse().map_err(|_| bad())?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|character: char| !character.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit_ms: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" | "sec" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return Err(bad()),
        };
        total = total.saturating_add(Duration::from_millis(unit_ms * u64::from(number)));
        rest = rest[letters..].trim_start();
    }
    not_zero(total, bad)
}

fn not_zero(length: Duration, bad: impl Fn() -> String) -> Result<Duration, String> {
    if length.is_zero() { Err(bad()) } else { Ok(length) }
}

#[cfg(test)]
mod tests;
