//! What a machine says of itself.
//!
//! The state has sections; each is absent until the machine knows it. A [`StatePatch`] replaces whole sections: like
//! an RFC 7396 merge patch at the top level, but a section that is present stands for itself entirely, and `null`
//! removes it. Sections are behind `Arc`, so a view shares what did not change with the view before it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::calibration::CalibrationReport;
use crate::desired::DesiredReport;
use crate::devices::Devices;
use crate::gate::GateReport;
use crate::recording::Recordings;
use crate::release::UpdatesReport;
use crate::safety::SafetyReport;
use crate::service::Services;
use crate::simulation::Simulation;
use crate::time::Timestamp;
use crate::vocabulary::{Authority, Health, Mission, Mode, NodeStatus, Safety, Severity, UpdatePhase};
use crate::workload::report::WorkloadsReport;

macro_rules! sections {
    ($($(#[$doc:meta])* $field:ident: $section:ty),+ $(,)?) => {
        /// The full state a machine reports. The machine owns it; nobody else writes it.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
        pub struct ReportedState {
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                #[cfg_attr(feature = "schema", schema(nullable = false))]
                pub $field: Option<Arc<$section>>
            ),+
        }

        /// What changed since a known version of the state: sections that are present replace, `null` removes.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct StatePatch {
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
                pub $field: Option<Option<Arc<$section>>>
            ),+
        }

        impl ReportedState {
            /// The names of all sections, in the order they are written.
            pub const SECTIONS: &'static [&'static str] = &[$(stringify!($field)),+];

            /// Applies a patch that was made against exactly this state.
            pub fn apply(&mut self, patch: &StatePatch) {
                $(if let Some(section) = &patch.$field { self.$field.clone_from(section); })+
            }

            /// The patch that turns `self` into `newer`; empty if they are equal.
            pub fn difference(&self, newer: &Self) -> StatePatch {
                StatePatch {
                    $($field: if self.$field == newer.$field { None } else { Some(newer.$field.clone()) }),+
                }
            }
        }

        /// When the machine last reported each section, in server time; absent for those that it does not report.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[serde(default)]
        pub struct SectionTimes {
            $(
                $(#[$doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                #[cfg_attr(feature = "schema", schema(nullable = false))]
                pub $field: Option<Timestamp>
            ),+
        }

        impl SectionTimes {
            /// The times after the whole state was reported.
            pub fn of(state: &ReportedState, at: Timestamp) -> Self {
                Self {
                    $($field: state.$field.is_some().then_some(at)),+
                }
            }

            /// Notes what a patch reported, or took away.
            pub fn note(&mut self, patch: &StatePatch, at: Timestamp) {
                $(if let Some(section) = &patch.$field {
                    self.$field = section.is_some().then_some(at);
                })+
            }
        }

        impl StatePatch {
            /// Whether the patch changes nothing.
            pub fn is_empty(&self) -> bool {
                $(self.$field.is_none())&&+
            }

            /// Names of the sections that the patch touches.
            pub fn touched(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$field.is_some() { names.push(stringify!($field)); })+
                names
            }
        }
    };
}

sections! {
    /// Who the machine is.
    identity: Identity,
    /// What it is made of. Fixed until reboot.
    hardware: Hardware,
    /// How it can be reached. Looked at once an hour, and when a link changes.
    network: Network,
    /// Operating system and boot. Fixed until reboot.
    platform: Platform,
    /// What software it runs.
    deployment: Deployment,
    /// The regions: mode, safety, authority, mission.
    operation: Operation,
    /// Processor, memory and disks.
    resources: Resources,
    /// Battery and supply.
    power: Power,
    /// Temperatures.
    thermal: Thermal,
    /// Where it is.
    location: Location,
    /// What is connected to it.
    devices: Devices,
    /// The nodes of its runtime.
    nodes: Nodes,
    /// What is wrong with it.
    health: HealthReport,
    /// What of the desired state it holds, and how far it is with it.
    desired: DesiredReport,
    /// How its devices are calibrated.
    calibration: CalibrationReport,
    /// What it recorded.
    recordings: Recordings,
    /// What it runs for people.
    workloads: WorkloadsReport,
    /// Which releases it runs, and how far it is with others.
    updates: UpdatesReport,
    /// What it watches.
    services: Services,
    /// How its safety is set up.
    safety: SafetyReport,
    /// What the gate before its actuators did not let through.
    gate: GateReport,
    /// The simulation that it lives in. A machine without this is real.
    simulation: Simulation,
}

/// Keeps "absent" (`None`) apart from "null" (`Some(None)`).
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
        $(#[$doc])*
        pub struct $name {
            $($(#[$fdoc])* pub $field: $type),+
        }
    };
}

section! {
    /// Who the machine is.
    Identity {
        /// What people call it, as the machine was configured; the fleet may show another name.
        name: String,
        /// What kind of machine: `lekiwi`, `car`, `pi`, `host` …; lower-case letters, digits and dashes.
        kind: String,
        /// Where it belongs: `munich`, `berlin` …; the same letters as the kind.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        region: Option<String>,
    }
}

section! {
    /// What the machine is made of.
    Hardware {
        /// Who made it, as DMI or the device tree says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        vendor: Option<String>,
        /// Its model, as DMI or the device tree says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        model: Option<String>,
        /// Its serial number, as DMI or the device tree says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        serial: Option<String>,
        /// Its revision, where the maker gives one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        revision: Option<String>,
        /// Processor architecture: `x86_64`, `aarch64` …
        architecture: String,
        /// Processor name, where the kernel gives one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        processor: Option<String>,
        /// Processors that the kernel schedules on.
        processors: u32,
        /// Memory in bytes.
        memory_bytes: u64,
    }
}

section! {
    /// How the machine can be reached.
    Network {
        /// Its host name.
        hostname: String,
        /// Its network interfaces, by name; loopback is left out.
        interfaces: Vec<NetworkInterface>,
    }
}

section! {
    /// One network interface.
    NetworkInterface {
        /// The kernel's name for it.
        name: String,
        /// Its hardware address, colon-separated, lower case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        mac: Option<String>,
        /// Its addresses, without prefix length.
        addresses: Vec<String>,
        /// Whether it is up and has a carrier.
        up: bool,
        /// Speed in Mbit/s, where the driver knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        speed_mbit_per_s: Option<u32>,
    }
}

section! {
    /// Operating system and boot.
    Platform {
        /// The name of the operating system: `Debian GNU/Linux 12 (bookworm)`.
        os: String,
        /// The kernel's release.
        kernel: String,
        /// This boot.
        boot_id: crate::ids::BootId,
        /// When this boot began, in the machine's own wall-clock time.
        booted_at: Timestamp,
    }
}

section! {
    /// What software the machine runs.
    Deployment {
        /// Version of the Muster runtime.
        agent_version: String,
        /// As runtimes said it before there was the section `updates`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        release: Option<String>,
        /// As runtimes said it before there was the section `updates`: always `idle`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        phase: Option<UpdatePhase>,
    }
}

section! {
    /// The regions of the machine's state.
    Operation {
        /// What it is doing, in one word.
        mode: Mode,
        /// What the safety node says.
        safety: Safety,
        /// Why it does not move freely, the gravest first: `estop`, `asked`, `started` … Empty where nothing holds it back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        held_by: Vec<String>,
        /// Whether it is at rest, as measured; absent where nothing measures it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_rest: Option<bool>,
        /// Who may move it.
        authority: Authority,
        /// How far its mission is.
        mission: Mission,
    }
}

section! {
    /// Processor, memory and disks.
    Resources {
        /// Processor time in use over all processors, 0 to 100.
        cpu_percent: f64,
        /// Run-queue length averaged over one minute.
        load_1m: f64,
        /// Memory that is neither free nor reclaimable, in bytes.
        memory_used_bytes: u64,
        /// Memory in use, 0 to 100.
        memory_percent: f64,
        /// Mounted disks.
        disks: Vec<Disk>,
    }
}

section! {
    /// One mounted file system on a disk.
    Disk {
        /// Where it is mounted.
        mount: String,
        /// Its size in bytes.
        size_bytes: u64,
        /// Bytes in use.
        used_bytes: u64,
        /// In use of what unprivileged programs may use, 0 to 100: the figure of `df`.
        used_percent: f64,
    }
}

section! {
    /// Battery and supply.
    Power {
        /// Charge of the battery, 0 to 100; absent on a machine without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        battery_percent: Option<f64>,
        /// Whether the battery is taking on energy.
        charging: bool,
        /// Whether the machine is fed from outside.
        external_supply: bool,
        /// Voltage of the battery.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        volts: Option<f64>,
        /// Current out of the battery; negative while charging.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        amperes: Option<f64>,
    }
}

section! {
    /// Temperatures.
    Thermal {
        /// The hottest zone, in degrees Celsius.
        highest_celsius: f64,
        /// Every zone.
        zones: Vec<ThermalZone>,
    }
}

section! {
    /// One thermal zone.
    ThermalZone {
        /// What the zone measures: `cpu-thermal`, `x86_pkg_temp` …
        name: String,
        /// Its temperature in degrees Celsius.
        celsius: f64,
    }
}

section! {
    /// Where the machine is, on the WGS 84 ellipsoid.
    Location {
        /// Latitude in degrees, north positive.
        latitude_degrees: f64,
        /// Longitude in degrees, east positive.
        longitude_degrees: f64,
        /// Direction of travel in degrees clockwise from north.
        heading_degrees: f64,
        /// Speed over ground.
        speed_m_per_s: f64,
    }
}

section! {
    /// The nodes of the machine's runtime.
    Nodes {
        /// One line a node, by name.
        nodes: Vec<NodeReport>,
    }
}

section! {
    /// One node of the machine's runtime.
    NodeReport {
        /// Its name: `uplink`, `state`, `telemetry` …
        name: String,
        /// How it fares.
        status: NodeStatus,
        /// How often it was started again since the runtime began.
        restarts: u32,
        /// Why it was last started again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        last_failure: Option<String>,
    }
}

section! {
    /// What is wrong with the machine.
    HealthReport {
        /// The worst of it.
        level: Health,
        /// Every problem that stands, worst first.
        problems: Vec<Problem>,
    }
}

section! {
    /// One problem that stands.
    #[cfg_attr(feature = "schema", schema(as = HealthProblem), schemars(rename = "HealthProblem"))]
    Problem {
        /// Its kind, dotted: `thermal.high`, `node.failed` …
        kind: String,
        /// How much it matters.
        severity: Severity,
        /// What is wrong, for a person.
        message: String,
    }
}
