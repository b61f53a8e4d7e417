//! Where simulated machines live, and what the weather is there.

use std::f64::consts::{PI, TAU};
use std::fmt;
use std::str::FromStr;

use muster_model::Timestamp;
use muster_model::vocabulary::UnknownWord;
use serde::{Deserialize, Serialize};

use super::streets::BLOCK_M;

/// A kind of simulated machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A small mobile robot with an arm, in a hall.
    Lekiwi,
    /// An electric car in a city.
    Car,
    /// A single-board computer in a rack.
    Pi,
}

impl Profile {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Lekiwi, Self::Car, Self::Pi];

    /// The word for it, as a machine's kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lekiwi => "lekiwi",
            Self::Car => "car",
            Self::Pi => "pi",
        }
    }
}

/// A place with simulated machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Site {
    /// Munich, Germany.
    Munich,
    /// Berlin, Germany.
    Berlin,
    /// Oslo, Norway.
    Oslo,
}

impl Site {
    /// Every site.
    pub const ALL: &'static [Self] = &[Self::Munich, Self::Berlin, Self::Oslo];

    /// The word for it, as a machine's region.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Munich => "munich",
            Self::Berlin => "berlin",
            Self::Oslo => "oslo",
        }
    }

    /// Latitude and longitude of its middle in degrees (WGS 84): Marienplatz, Alexanderplatz, Carl Berners plass
    /// (north-east of the harbour, so that cars stay out of the fjord).
    pub const fn centre_degrees(self) -> (f64, f64) {
        match self {
            Self::Munich => (48.137_154, 11.576_124),
            Self::Berlin => (52.521_918, 13.413_215),
            Self::Oslo => (59.926_500, 10.777_000),
        }
    }

    /// How far its street grid reaches from the middle, in blocks east and north.
    pub(crate) const fn blocks(self) -> (i32, i32) {
        match self {
            Self::Munich | Self::Berlin => (14, 14),
            Self::Oslo => (12, 8),
        }
    }

    /// How far its street grid is turned clockwise, in radians.
    pub(crate) const fn turned(self) -> f64 {
        match self {
            Self::Munich => 0.14,
            Self::Berlin => 0.52,
            Self::Oslo => 0.35,
        }
    }

    /// Latitude and longitude of a place on the street grid, given in metres from the middle.
    pub(crate) fn degrees_at(self, (east, north): (f64, f64)) -> (f64, f64) {
        const METRES_PER_DEGREE: f64 = 6_371_000.0 * PI / 180.0;
        let (sin, cos) = self.turned().sin_cos();
        let (east, north) = (east * cos + north * sin, north * cos - east * sin);
        let (latitude, longitude) = self.centre_degrees();
        (
            latitude + north / METRES_PER_DEGREE,
            longitude + east / (METRES_PER_DEGREE * latitude.to_radians().cos()),
        )
    }

    /// Latitude and longitude of the corners of what lies within this of its streets, in degrees.
    pub fn outline_degrees(self, beyond_m: f64) -> [(f64, f64); 4] {
        let (east, north) = self.blocks();
        let east = f64::from(east) * BLOCK_M + beyond_m;
        let north = f64::from(north) * BLOCK_M + beyond_m;
        [(-east, -north), (east, -north), (east, north), (-east, north)].map(|corner| self.degrees_at(corner))
    }

    /// Hour of the day by the sun, 0 to 24.
    pub(crate) fn solar_hour(self, at: Timestamp) -> f64 {
        let (_, longitude) = self.centre_degrees();
        (days(at).fract() * 24.0 + longitude / 15.0).rem_euclid(24.0)
    }

    /// Outdoor temperature: a year's wave, coldest in mid-January, and a day's, warmest at three.
    pub(crate) fn outdoor_celsius(self, at: Timestamp) -> f64 {
        let (mean, year_swing, day_swing) = match self {
            Self::Munich => (9.7, 9.5, 4.5),
            Self::Berlin => (10.3, 9.5, 4.0),
            Self::Oslo => (7.0, 10.5, 4.0),
        };
        let year = (days(at) - 15.0) / 365.2425;
        let day = (self.solar_hour(at) - 15.0) / 24.0;
        mean - year_swing * (year * TAU).cos() + day_swing * (day * TAU).cos()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds until the year 9999 fit a double"
)]
fn days(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 86_400_000.0
}

macro_rules! word {
    ($name:ident, [$($word:literal),+]) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text).ok_or_else(|| UnknownWord {
                    given: text.chars().take(64).collect(),
                    accepted: &[$($word),+],
                })
            }
        }
    };
}

word!(Profile, ["lekiwi", "car", "pi"]);
word!(Site, ["munich", "berlin", "oslo"]);
