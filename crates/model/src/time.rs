//! Wall-clock time as data. Nobody here reads a clock: the caller says what time it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in server time: milliseconds since 1970-01-01T00:00:00Z. On the wire it is RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 moment between the years 1970 and 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time like 2026-11-21T07:00:00.123Z")]
pub struct TimestampError {
    text: String,
}

/// 9999-12-30T22:00:00.000Z, the last moment that is in the year 9999 everywhere on Earth, and that jiff can write.
const LAST_MS: i64 = 253_402_207_200_000;

impl Timestamp {
    /// The start of the Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since the epoch; moments outside 1970 to 9999 are moved to the nearest end.
    pub const fn from_millis(millis: i64) -> Self {
        if millis < 0 {
            Self(0)
        } else if millis > LAST_MS {
            Self(LAST_MS)
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment, moved by so many milliseconds (later if positive).
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this moment: negative if `earlier` is in fact later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{moment:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || TimestampError {
            text: text.chars().take(64).collect(),
        };
        // jiff also reads "2026-11-21 07:00Z" and friends; the wire has one form, so insist on the T.
        if text.len() < 20 || text.as_bytes().get(10) != Some(&b'T') {
            return Err(fail());
        }
        let millis = match usual(text.as_bytes()) {
            Some(millis) => millis,
            None => text
                .parse::<jiff::Timestamp>()
                .map_err(|_| fail())?
                .as_millisecond(),
        };
        if (0..=LAST_MS).contains(&millis) {
            Ok(Self(millis))
        } else {
            Err(fail())
        }
    }
}

/// Reads the one form that Muster writes, `2026-11-21T07:00:00.123Z`. Every message has such a time, and looking for all other
/// forms that RFC 3339 permits takes several times as long.
fn usual(text: &[u8]) -> Option<i64> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let marks = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
        (23, b'Z'),
    ];
    if marks.iter().any(|(at, mark)| text[*at] != *mark) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0i16, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + i16::from(digit - b'0'))
        })
    };
    let small = |from: usize| number(from, from + 2).map(|number| number as i8);
    let nanos = i32::from(number(20, 23)?) * 1_000_000;
    let moment = jiff::civil::DateTime::new(
        number(0, 4)?,
        small(5)?,
        small(8)?,
        small(11)?,
        small(14)?,
        small(17)?,
        nanos,
    );
    let moment = jiff::tz::Offset::UTC.to_timestamp(moment.ok()?).ok()?;
    Some(moment.as_millisecond())
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time like 2026-11-21T07:00:00.123Z")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(feature = "schema")]
mod schema {
    use super::Timestamp;

    impl schemars::JsonSchema for Timestamp {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Timestamp".into()
        }
        fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
            schemars::json_schema!({
                "type": "string", "format": "date-time",
                "description": "A moment in server time, RFC 3339 in UTC.",
                "examples": ["2026-11-21T07:00:00.123Z"],
            })
        }
    }

    impl utoipa::PartialSchema for Timestamp {
        fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
            utoipa::openapi::ObjectBuilder::new()
                .schema_type(utoipa::openapi::schema::Type::String)
                .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                    utoipa::openapi::KnownFormat::DateTime,
                )))
                .description(Some("A moment in server time, RFC 3339 in UTC."))
                .examples(["2026-11-21T07:00:00.123Z"])
                .build()
                .into()
        }
    }

    impl utoipa::ToSchema for Timestamp {}
}
