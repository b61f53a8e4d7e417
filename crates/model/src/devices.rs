//! What is connected to a machine, as it says itself.

use serde::{Deserialize, Serialize};

/// The devices that the machine file describes, and what they are for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct Devices {
    /// Every device, by name.
    pub devices: Vec<DeviceState>,
    /// What is measured. Readings come as telemetry, as `sensor.` and the name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensors: Vec<SensorState>,
    /// What moves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actuators: Vec<ActuatorState>,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct DeviceState {
    /// Its name in the machine file.
    pub name: String,
    /// Its type there: `gpio`, `i2c` …
    pub kind: String,
    /// Whether it can be used.
    pub usable: bool,
    /// What it says of itself, or why it cannot be used.
    pub detail: String,
}

/// Something that is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct SensorState {
    /// Its name in the machine file.
    pub name: String,
    /// The device that measures it.
    pub device: String,
    /// The unit of its readings.
    pub unit: String,
    /// Why it gives no readings; absent while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub silent: Option<String>,
}

/// Something that moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct ActuatorState {
    /// Its name in the machine file.
    pub name: String,
    /// The device that moves it.
    pub device: String,
    /// The unit of its commands.
    pub unit: String,
    /// The greatest command, either way.
    pub max: f64,
    /// How much a command may change in a second.
    pub change_max_per_s: f64,
    /// The sensor that measures how fast it moves; absent where it cannot hurt anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub sensor: Option<String>,
}
