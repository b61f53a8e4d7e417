//! Figures, ages and words as people read them.

use jiff::tz::TimeZone;
use muster_model::{MachineId, Severity, StatusWord, Timestamp};

use super::{Paint, clean};

/// What stands where nothing is known.
pub(in crate::operator) const UNKNOWN: &str = "–";
/// The shortest id that is shown.
const SHORT_ID_MIN_CHARS: usize = 8;

pub(in crate::operator) fn word_or_unknown(word: &str) -> String {
    if word.is_empty() {
        UNKNOWN.to_owned()
    } else {
        clean(word)
    }
}

/// A figure with a fixed number of digits behind the point.
pub(in crate::operator) fn number(value: Option<f64>, digits: usize, unit: &str) -> String {
    match value {
        Some(value) if value.is_finite() => {
            // No "-0".
            let value = if value.abs() < 0.5 / 10_f64.powi(digits as i32) {
                0.0
            } else {
                value
            };
            let gap = if unit.is_empty() { "" } else { " " };
            format!("{value:.digits$}{gap}{unit}")
        }
        Some(_) | None => UNKNOWN.to_owned(),
    }
}

pub(in crate::operator) fn percent(value: Option<f64>) -> String {
    number(value, 0, "%")
}

pub(in crate::operator) fn temperature(value: Option<f64>) -> String {
    number(value, 1, "°C")
}

pub(in crate::operator) fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = value as f64;
    if value < 1024.0 {
        return format!("{value} B");
    }
    let mut unit = "";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

pub(in crate::operator) fn coordinates(latitude_degrees: f64, longitude_degrees: f64) -> String {
    let half = |degrees: f64, positive: char, negative: char| {
        let side = if degrees < 0.0 { negative } else { positive };
        format!("{:.5}° {side}", degrees.abs())
    };
    format!(
        "{}, {}",
        half(latitude_degrees, 'N', 'S'),
        half(longitude_degrees, 'E', 'W')
    )
}

/// A length of time in its two largest units.
pub(in crate::operator) fn span(millis: i64) -> String {
    let seconds = millis.max(0) / 1_000;
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// How long ago, in one unit: for tables.
pub(in crate::operator) fn age(moment: Timestamp, seen_from: Timestamp) -> String {
    let seconds = seen_from.millis_since(moment).max(0) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A moment in the reader's own time.
pub(in crate::operator) fn local_time(moment: Timestamp, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(moment.as_millis()) {
        Ok(instant) => instant
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => moment.to_string(),
    }
}

/// The sign that stands before a status, so that colour is not needed.
pub(in crate::operator) fn status_sign(word: StatusWord) -> (&'static str, Paint) {
    match word {
        StatusWord::Ok => ("●", Paint::Good),
        StatusWord::Attention => ("◐", Paint::Warning),
        StatusWord::Failed => ("✖", Paint::Bad),
        StatusWord::Lost => ("○", Paint::Dim),
        StatusWord::Updating => ("◌", Paint::Busy),
        StatusWord::Parked => ("▢", Paint::Dim),
        StatusWord::Unknown => ("?", Paint::Dim),
    }
}

pub(in crate::operator) fn severity_paint(severity: Severity) -> Paint {
    match severity {
        Severity::Debug => Paint::Dim,
        Severity::Info => Paint::Plain,
        Severity::Warning => Paint::Warning,
        Severity::Error | Severity::Critical => Paint::Bad,
    }
}

/// How many characters of the ids tell all of these machines apart. Ids made at the same time begin alike.
pub(in crate::operator) fn short_id_chars<'a>(ids: impl Iterator<Item = &'a MachineId>) -> usize {
    let mut texts: Vec<String> = ids.map(ToString::to_string).collect();
    texts.sort_unstable();
    let shared = |pair: &[String]| {
        let alike = pair[0].bytes().zip(pair[1].bytes());
        alike.take_while(|(a, b)| a == b).count()
    };
    let longest = texts.windows(2).map(shared).max().unwrap_or(0);
    (longest + 1).clamp(SHORT_ID_MIN_CHARS, 36)
}
