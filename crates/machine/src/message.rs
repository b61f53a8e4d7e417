//! What nodes say to each other.
//!
//! Begin with [`Payload`]. Each payload knows the topic it belongs to and whether a node that comes later needs the
//! latest one. Everything here can be written as JSON, so that the traffic of a bus can be recorded and replayed.

use std::sync::Arc;

use muster_model::desired::{DesiredOutcome, HeldDesired};
use muster_model::state::{NodeReport, Problem, StatePatch};
use muster_model::{Mode, ReportedState, Severity, Timestamp, Topic};
use muster_protocol::link::{Command, Desired, EventReport, LogReport, Telemetry};
use muster_reflex::link::LinkState;
use muster_reflex::state::{Section, SectionKind};
use serde::{Deserialize, Serialize};

use crate::nodes::safety::steps::Steps;

/// Something that was said on the bus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Under which name.
    pub topic: Topic,
    /// When, by the machine's wall clock.
    pub at: Timestamp,
    /// When, by the clock that timers go by: milliseconds since the runtime began.
    #[serde(default)]
    pub mono_ms: u64,
    /// What.
    pub payload: Payload,
}

/// What is said.
///
/// Externally tagged on purpose: serde's other taggings would look into the raw JSON of commands and events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// Sections of the state as they were read just now; `null` where the machine has no such thing or cannot tell.
    Sections(Source, Box<StatePatch>),
    /// These sections are due to be read.
    Wanted(Vec<Wanted>),
    /// Network traffic, averaged since the reading before.
    Traffic(TrafficReading),
    /// Everything that is wrong as far as one source can tell; replaces what that source said before.
    Findings(Source, Vec<Finding>),
    /// Something happened.
    Event(Box<EventReport>),
    /// Measurements, taken when the message was said.
    Telemetry(Telemetry),
    /// Lines of the machine's log, written before the message was said.
    Log(LogReport),
    /// The state to be told.
    State(Box<ReportedState>),
    /// A command to carry out.
    Command(Box<Command>),
    /// What the server wants the machine to become, as it came: nobody acts on it before it is on disk.
    Offered(Desired),
    /// What the machine should become: it is on disk. All sections, also those that did not change.
    Desired(Arc<HeldDesired>),
    /// How a section of that stands, by the node that applies it.
    Outcome(Box<DesiredOutcome>),
    /// How a node fares.
    Node(NodeReport),
    /// How the link fares.
    Link(LinkReport),
    /// What the machine is doing, as its hardware shows.
    Mode(Mode),
    /// How fast something moves, as a gauge measured it just now.
    Motion(MotionReading),
    /// Steps of the safety region, said only while somebody listens.
    Steps(Arc<Steps>),
    /// What a node remembers, said now and then while somebody listens.
    Memory(Box<Memory>),
}

/// Who found something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Source {
    /// What is measured every few seconds.
    Measured,
    /// What is fixed or slow.
    Facts,
    /// The hardware about itself.
    Hardware,
    /// The sensors that cannot be read.
    Sensors,
    /// The supervisor.
    Nodes,
    /// The local store.
    Store,
    /// The health node.
    Health,
    /// The safety node.
    Safety,
    /// The desired node.
    Desired,
    /// The calibration node.
    Calibration,
    /// Whoever calibrates readings.
    Calibrated,
    /// What is connected to the machine.
    Devices,
    /// The recorder.
    Recorder,
    /// The workloads node.
    Workloads,
    /// The updates node.
    Updates,
    /// The watch node.
    Watch,
    /// How safety is set up.
    SafetySetup,
    /// What the gate did not let through.
    Gate,
    /// The simulation.
    Simulation,
}

/// The name of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Wanted(#[cfg_attr(feature = "schema", schemars(with = "String"))] pub SectionKind);

/// Network traffic over all interfaces but loopback.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrafficReading {
    /// Received bytes per second.
    pub receive_bytes_per_s: f64,
    /// Sent bytes per second.
    pub transmit_bytes_per_s: f64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// Its kind, dotted: `node.failed`, `sensor.unreadable` …
    pub kind: String,
    /// What it is about, where several of a kind can stand at once: a node, a sensor.
    pub subject: String,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, for a person.
    pub message: String,
}

/// How fast one actuator moves; the first, where the machine's own controller moves it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MotionReading {
    /// The actuator's place.
    pub place: usize,
    /// Its speed, in its unit.
    pub value: f64,
    /// When it was measured, by the clock of the safety loop.
    pub at_us: u64,
}

/// What a node remembers, by which it decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Memory {
    /// The node.
    pub node: String,
    /// Whether it begins here, and has heard nothing yet.
    #[serde(default)]
    pub fresh: bool,
    /// All of it.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "serde_json::Map<String, serde_json::Value>")
    )]
    pub state: serde_json::Value,
}

/// How the link fares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkReport {
    /// Its state.
    #[serde(with = "link_state")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub state: LinkState,
    /// Why it is in it, for a person.
    pub reason: String,
}

/// What a node that wants everything about something subscribes to.
pub mod topics {
    /// Every section that is read.
    pub const SECTIONS: &str = "section.>";
    /// What is measured every few seconds.
    pub const MEASURED: &str = "section.measured";
    /// Sections that are due.
    pub const WANTED: &str = "wanted";
    /// Network traffic.
    pub const TRAFFIC: &str = "traffic";
    /// Everything that is wrong.
    pub const FINDINGS: &str = "findings.>";
    /// Every event.
    pub const EVENTS: &str = "event.>";
    /// Measurements to be sent.
    pub const TELEMETRY: &str = "telemetry";
    /// Lines of the log.
    pub const LOG: &str = "log";
    /// The state to be told.
    pub const STATE: &str = "state";
    /// Commands of one kind are under `command.<kind>`.
    pub const IDENTIFY: &str = "command.identify";
    /// Faults to be put into a simulated machine.
    pub const FAULT: &str = "command.fault";
    /// What is asked of the recorder, and of what it recorded.
    pub const RECORD: &str = "command.record.*";
    /// Remote stops.
    pub const STOP: &str = "command.stop";
    /// What the machine is doing.
    pub const MODE: &str = "mode";
    /// How fast something moves.
    pub const MOTION: &str = "devices.motion";
    /// How every node fares.
    pub const NODES: &str = "node.*.status";
    /// Steps of the safety region.
    pub const STEPS: &str = "safety.steps";
    /// How the link fares.
    pub const LINK: &str = "link";
    /// What the server wants the machine to become, not on disk yet.
    pub const DESIRED_OFFERED: &str = "desired.offered";
    /// What the machine should become.
    pub const DESIRED: &str = "desired";
    /// How every section of that stands.
    pub const DESIRED_OUTCOMES: &str = "desired.outcome.*";
}

impl Payload {
    /// The topic it belongs to.
    pub fn topic(&self) -> Topic {
        let text = match self {
            Self::Sections(source, _) => return topic(&format!("section.{}", source.as_str())),
            Self::Findings(source, _) => return topic(&format!("findings.{}", source.as_str())),
            Self::Event(event) => match format!("event.{}", event.kind).parse() {
                Ok(topic) => return topic,
                // The kind is checked where the event is made; a wrong one must not end a node here.
                Err(_) => "event.unnamed",
            },
            Self::Command(command) => match serde_json::to_value(command.kind) {
                Ok(serde_json::Value::String(kind)) => return topic(&format!("command.{kind}")),
                Ok(_) | Err(_) => "command.unnamed",
            },
            Self::Node(report) => match format!("node.{}.status", report.name).parse() {
                Ok(topic) => return topic,
                Err(_) => "node.unnamed.status",
            },
            Self::Wanted(_) => topics::WANTED,
            Self::Traffic(_) => topics::TRAFFIC,
            Self::Telemetry(_) => topics::TELEMETRY,
            Self::Log(_) => topics::LOG,
            Self::State(_) => topics::STATE,
            Self::Offered(_) => topics::DESIRED_OFFERED,
            Self::Desired(_) => topics::DESIRED,
            Self::Outcome(outcome) => match format!("desired.outcome.{}", outcome.section).parse() {
                Ok(topic) => return topic,
                Err(_) => "desired.outcome.unnamed",
            },
            Self::Link(_) => topics::LINK,
            Self::Mode(_) => topics::MODE,
            Self::Motion(_) => topics::MOTION,
            Self::Steps(_) => topics::STEPS,
            Self::Memory(memory) => match format!("node.{}.memory", memory.node).parse() {
                Ok(topic) => return topic,
                Err(_) => "node.unnamed.memory",
            },
        };
        topic(text)
    }

    /// Whether a node that subscribes later gets the latest one at once: it says how something *is*, not what happened.
    pub const fn is_retained(&self) -> bool {
        match self {
            Self::Sections(..)
            | Self::Findings(..)
            | Self::State(_)
            | Self::Node(_)
            | Self::Link(_)
            | Self::Mode(_)
            | Self::Offered(_)
            | Self::Desired(_)
            | Self::Outcome(_) => true,
            Self::Wanted(_)
            | Self::Traffic(_)
            | Self::Event(_)
            | Self::Telemetry(_)
            | Self::Log(_)
            | Self::Motion(_)
            | Self::Steps(_)
            | Self::Memory(_)
            | Self::Command(_) => false,
        }
    }
}

/// A topic that is written in this crate.
fn topic(text: &str) -> Topic {
    text.parse().expect("the topics of this crate are well-formed")
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Facts => "facts",
            Self::Hardware => "hardware",
            Self::Sensors => "sensors",
            Self::Nodes => "nodes",
            Self::Store => "store",
            Self::Health => "health",
            Self::Safety => "safety",
            Self::Desired => "desired",
            Self::Calibration => "calibration",
            Self::Calibrated => "calibrated",
            Self::Devices => "devices",
            Self::Recorder => "recorder",
            Self::Workloads => "workloads",
            Self::Updates => "updates",
            Self::Watch => "watch",
            Self::SafetySetup => "safety-setup",
            Self::Gate => "gate",
            Self::Simulation => "simulation",
        }
    }
}

impl From<&Finding> for Problem {
    fn from(finding: &Finding) -> Self {
        Self {
            kind: finding.kind.clone(),
            severity: finding.severity,
            message: finding.message.clone(),
        }
    }
}

/// An event without further data.
pub fn event(kind: &str, severity: Severity, message: impl Into<String>) -> Payload {
    Payload::Event(Box::new(EventReport {
        kind: kind.to_owned(),
        severity,
        message: message.into(),
        data: None,
        correlation_id: None,
        causation_id: None,
    }))
}

/// The sections that a patch holds, as the aggregator takes them in.
pub fn sections_of(patch: &StatePatch) -> Vec<Section> {
    let mut sections = Vec::new();
    macro_rules! take {
        ($($field:ident: $variant:ident),+ $(,)?) => {
            $(if let Some(section) = &patch.$field { sections.push(Section::$variant(section.clone())); })+
        };
    }
    take! {
        identity: Identity, hardware: Hardware, network: Network, platform: Platform, deployment: Deployment,
        operation: Operation, resources: Resources, power: Power, thermal: Thermal, location: Location,
        devices: Devices, nodes: Nodes, health: Health, desired: Desired, calibration: Calibration,
        recordings: Recordings, workloads: Workloads, updates: Updates, services: Services, safety: Safety,
        gate: Gate, simulation: Simulation,
    }
    sections
}

/// A patch of one section.
pub fn section(section: Section) -> Box<StatePatch> {
    let mut patch = StatePatch::default();
    put(&mut patch, section);
    Box::new(patch)
}

/// Puts a section into a patch.
pub fn put(patch: &mut StatePatch, section: Section) {
    match section {
        Section::Identity(value) => patch.identity = Some(value),
        Section::Hardware(value) => patch.hardware = Some(value),
        Section::Network(value) => patch.network = Some(value),
        Section::Platform(value) => patch.platform = Some(value),
        Section::Deployment(value) => patch.deployment = Some(value),
        Section::Operation(value) => patch.operation = Some(value),
        Section::Resources(value) => patch.resources = Some(value),
        Section::Power(value) => patch.power = Some(value),
        Section::Thermal(value) => patch.thermal = Some(value),
        Section::Location(value) => patch.location = Some(value),
        Section::Devices(value) => patch.devices = Some(value),
        Section::Nodes(value) => patch.nodes = Some(value),
        Section::Health(value) => patch.health = Some(value),
        Section::Desired(value) => patch.desired = Some(value),
        Section::Calibration(value) => patch.calibration = Some(value),
        Section::Recordings(value) => patch.recordings = Some(value),
        Section::Workloads(value) => patch.workloads = Some(value),
        Section::Updates(value) => patch.updates = Some(value),
        Section::Services(value) => patch.services = Some(value),
        Section::Safety(value) => patch.safety = Some(value),
        Section::Gate(value) => patch.gate = Some(value),
        Section::Simulation(value) => patch.simulation = Some(value),
    }
}

/// A section that holds a value.
pub(crate) fn some<T>(value: T) -> Option<Arc<T>> {
    Some(Arc::new(value))
}

impl Serialize for Wanted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kind = SectionKind::ALL.iter().find(|kind| kind.as_str() == name);
        kind.copied()
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("there is no section {name:?}")))
    }
}

mod link_state {
    use muster_reflex::link::LinkState;
    use serde::{Deserialize, Deserializer, Serializer};

    const ALL: [LinkState; 6] = [
        LinkState::Initializing,
        LinkState::Registering,
        LinkState::Retrying,
        LinkState::Connected,
        LinkState::Disconnected,
        LinkState::Reconnecting,
    ];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(state: &LinkState, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(state.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LinkState, D::Error> {
        let word = String::deserialize(deserializer)?;
        ALL.into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| serde::de::Error::custom(format!("there is no link state {word:?}")))
    }
}
