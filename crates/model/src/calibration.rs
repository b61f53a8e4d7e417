//! Calibration: what a motor is told so that it does what was asked, and what a sensor's reading means.
//!
//! Begin with [`Profile`], which people write. [`Profile::compile`] looks at all of it ([`check`]) and gives [`Compiled`], which is
//! evaluated without allocating. Nothing here knows where a profile comes from or which one is in force.
//!
//! What is promised: a compiled profile never gives what is no number, and never what lies beyond the limits of its device, whatever goes
//! in.

mod check;
mod compiled;
mod interval;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::vocabulary::words;

pub use compiled::{Calibrated, Calibrations, Compiled};

/// The desired section that holds profiles by device.
pub const SECTION: &str = "calibration";
/// Most stages of a profile.
pub const STAGES_MAX: usize = 16;
/// Highest power of a polynomial.
pub const DEGREE_MAX: usize = 8;
/// Most points of a table.
pub const POINTS_MAX: usize = 256;
/// Most axes of a device.
pub const AXES_MAX: usize = 6;
/// Most devices with a profile.
pub const DEVICES_MAX: usize = 64;
/// Longest name of a device, in characters.
pub const DEVICE_NAME_MAX_CHARS: usize = 64;
/// The greatest number that may go in, or come out of a stage: far beyond what anything measures, and far from where numbers end.
pub const VALUE_MAX: f64 = 1e15;
/// Longest unit, in characters.
pub const UNIT_MAX_CHARS: usize = 24;
/// Longest name of whoever made it, in characters.
pub const AUTHOR_MAX_CHARS: usize = 100;
/// Longest note, in characters.
pub const NOTE_MAX_CHARS: usize = 500;

words! {
    /// What is calibrated.
    CalibrationKind {
        /// Something that moves: its command is calibrated. No command means no motion, before and after.
        Motor => "motor",
        /// Something that measures: its reading is calibrated.
        Sensor => "sensor",
    }
}

/// From here to there, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CalibrationRange), schemars(rename = "CalibrationRange"))]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// How one device is calibrated: stages, one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CalibrationProfile), schemars(rename = "CalibrationProfile"))]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What is calibrated.
    pub kind: CalibrationKind,
    /// The unit of what comes out.
    pub unit: String,
    /// What may go in. What lies beyond is taken as the end of this, and said to be beyond.
    pub input: Range,
    /// What may come out: a motor's limits (required there), or what a sensor can mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub output: Option<Range>,
    /// Whether what would come out beyond that is cut there. Otherwise a profile that goes beyond is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clamp: bool,
    /// How many values belong together: 1 to 6, as an accelerometer has 3.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub axes: usize,
    /// What happens to a value, in this order. None: nothing.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// Who measured it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// What a person should know of it: how and with what it was measured.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub measured_at: Option<Timestamp>,
}

const fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_one(axes: &usize) -> bool {
    *axes == 1
}

/// One thing that happens to a value. Where a device has several axes, `axis` (from 1) says which one it is about; without it, it
/// happens to each of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CalibrationStage), schemars(rename = "CalibrationStage"))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Stage {
    /// Times this.
    Scale {
        /// Not zero.
        factor: f64,
        /// Which axis.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        axis: Option<usize>,
    },
    /// Plus this.
    Offset {
        /// What is added.
        add: f64,
        /// Which axis.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        axis: Option<usize>,
    },
    /// A polynomial.
    Polynomial {
        /// Of x to the power of 0, 1, 2 …: at most 9.
        coefficients: Vec<f64>,
        /// Which axis.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        axis: Option<usize>,
    },
    /// A table, with straight lines between its points.
    Table {
        /// What goes in and what comes out; what goes in grows from each to the next. 2 to 256.
        points: Vec<[f64; 2]>,
        /// Which axis.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        axis: Option<usize>,
    },
    /// What is so near to the centre counts as the centre.
    Deadband {
        /// How near, either way.
        width: f64,
        /// The centre.
        #[serde(default)]
        center: f64,
        /// Which axis.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        axis: Option<usize>,
    },
    /// Which axis comes from which: for `[2, -1, 3]` the first is the second as it went in, the second the first turned round.
    AxisMap {
        /// For each axis the one that it comes from, from 1; negative: turned round. Each stands once.
        from: Vec<i8>,
    },
}

impl Stage {
    /// Its name, as it is written.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Scale { .. } => "scale",
            Self::Offset { .. } => "offset",
            Self::Polynomial { .. } => "polynomial",
            Self::Table { .. } => "table",
            Self::Deadband { .. } => "deadband",
            Self::AxisMap { .. } => "axis_map",
        }
    }

    /// The axis that it is about; none: each, or the map of all.
    const fn axis(&self) -> Option<usize> {
        match self {
            Self::Scale { axis, .. }
            | Self::Offset { axis, .. }
            | Self::Polynomial { axis, .. }
            | Self::Table { axis, .. }
            | Self::Deadband { axis, .. } => *axis,
            Self::AxisMap { .. } => None,
        }
    }
}

/// Why a profile is not accepted: what, where, and what is accepted there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Where: `stages[2].points[4]`, `output` …
    pub at: String,
    /// What is wrong, and what is accepted, for a person.
    pub what: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.at.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.at, self.what)
        }
    }
}

impl Profile {
    /// Looks at all of it, and makes it ready to be applied: to something that moves where limits are given, which it may be told at
    /// most either way.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn compile(&self, device: Option<Range>) -> Result<Compiled, Vec<Refusal>> {
        let refusals = check::refusals(self, device);
        if refusals.is_empty() {
            Ok(Compiled::of(self, device))
        } else {
            Err(refusals)
        }
    }
}

/// A profile as it is desired, in the desired section [`SECTION`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = DesiredCalibration))]
#[serde(deny_unknown_fields)]
pub struct DesiredProfile {
    /// The profile.
    pub profile: Profile,
    /// Whether it takes the place of what was decided at the machine until then. Without it that stays in force, and the machine
    /// reports the conflict. It does so once: what is decided at the machine after that stands again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrule: bool,
}

/// The content of the desired section [`SECTION`]: profiles by device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct DesiredCalibrations(pub BTreeMap<String, DesiredProfile>);

impl DesiredCalibrations {
    /// What is wrong with it, as far as that can be said without the machine.
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if self.0.len() > DEVICES_MAX {
            let what = format!("{} devices: at most {DEVICES_MAX} are accepted", self.0.len());
            refusals.push(Refusal {
                at: String::new(),
                what,
            });
        }
        for (device, desired) in &self.0 {
            if let Err(what) = check_device(device) {
                refusals.push(Refusal {
                    at: String::new(),
                    what,
                });
            }
            if let Err(found) = desired.profile.compile(None) {
                refusals.extend(found.into_iter().map(|refusal| {
                    Refusal {
                        at: format!("{device}.profile.{}", refusal.at)
                            .trim_end_matches('.')
                            .to_owned(),
                        what: refusal.what,
                    }
                }));
            }
        }
        refusals
    }
}

/// Whether a device may have this name.
pub fn check_device(name: &str) -> Result<(), String> {
    let count = name.chars().count();
    if (1..=DEVICE_NAME_MAX_CHARS).contains(&count) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!(
        "a device has a name of 1 to {DEVICE_NAME_MAX_CHARS} characters without control characters"
    ))
}

/// What a machine reports of its calibrations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct CalibrationReport {
    /// Each device that has or had a profile, by name.
    pub devices: Vec<DeviceCalibration>,
}

words! {
    /// Who decided what is in force.
    CalibrationSource {
        /// Somebody at the machine.
        Local => "local",
        /// The server.
        Desired => "desired",
    }
}

/// How one device is calibrated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct DeviceCalibration {
    /// Which device.
    pub device: String,
    /// The version in force; 0: none, values are taken as they are.
    pub version: u32,
    /// Who decided that.
    pub source: CalibrationSource,
    /// Since when.
    pub since: Timestamp,
    /// How many versions the machine holds.
    pub versions: usize,
    /// How what is in force differs from what the server desires, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub drift: Option<String>,
    /// The profile in force, where it is short enough to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub profile: Option<Profile>,
}
