//! What of the readings is news.
//!
//! Nodes hand in sections as they read them; [`Aggregator`] keeps the latest of each, decides whether it differs enough
//! from what was told, waits a moment for company, and says what to tell. It also knows how long each section may be
//! believed, and so which ones are due to be read again.

mod news;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use muster_model::ReportedState;
use muster_model::calibration::CalibrationReport;
use muster_model::desired::DesiredReport;
use muster_model::devices::Devices;
use muster_model::gate::GateReport;
use muster_model::recording::Recordings;
use muster_model::release::UpdatesReport;
use muster_model::safety::SafetyReport;
use muster_model::service::Services;
use muster_model::simulation::Simulation;
use muster_model::state::{
    Deployment, Hardware, HealthReport, Identity, Location, Network, Nodes, Operation, Platform, Power,
    Resources, Thermal,
};
use muster_model::workload::report::WorkloadsReport;

pub use news::Deadbands;
use serde::{Deserialize, Serialize};

/// How the aggregator behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// How long news waits for company.
    pub debounce_ms: u64,
    /// How long news waits that a person must see at once: regions and health.
    pub debounce_urgent_ms: u64,
    /// The least time between two reports of figures, which are told together.
    pub measured_interval_ms: u64,
    /// The same while there is no link: history goes on, but coarser.
    pub measured_interval_offline_ms: u64,
    /// How far a measurement moves before it is news.
    pub deadbands: Deadbands,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            debounce_ms: 500,
            debounce_urgent_ms: 20,
            measured_interval_ms: 30_000,
            measured_interval_offline_ms: 300_000,
            deadbands: Deadbands::default(),
        }
    }
}

/// How long a section may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the machine starts again.
    UntilReboot,
    /// For so many milliseconds; then it is read again, and after three times as long it is unknown.
    Millis(u64),
    /// Its node tells of every change.
    Told,
}

macro_rules! section_kinds {
    ($($variant:ident, $field:ident: $type:ty, $lifetime:expr, $(#[$doc:meta])*;)+) => {
        /// A section as it was read; without a value where the machine has no such thing.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Section {
            $($(#[$doc])* $variant(Option<Arc<$type>>)),+
        }

        /// Which section.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum SectionKind {
            $($(#[$doc])* $variant),+
        }

        impl SectionKind {
            /// Every section.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// How long it may be believed. Source: source 5, caching strategy.
            pub const fn lifetime(self) -> Lifetime {
                match self { $(Self::$variant => $lifetime),+ }
            }

            /// Its name, as in the state.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($field)),+ }
            }
        }

        impl Section {
            /// Which one it is.
            pub const fn kind(&self) -> SectionKind {
                match self { $(Self::$variant(_) => SectionKind::$variant),+ }
            }
        }

        fn put(state: &mut ReportedState, section: Section) {
            match section { $(Section::$variant(value) => state.$field = value),+ }
        }

        fn copy(kind: SectionKind, from: &ReportedState, to: &mut ReportedState) {
            match kind { $(SectionKind::$variant => to.$field.clone_from(&from.$field)),+ }
        }

        fn forget(kind: SectionKind, state: &mut ReportedState) {
            match kind { $(SectionKind::$variant => state.$field = None),+ }
        }
    };
}

section_kinds! {
    Identity, identity: Identity, Lifetime::UntilReboot, #[doc = "Who the machine is."];
    Hardware, hardware: Hardware, Lifetime::UntilReboot, #[doc = "What it is made of."];
    Network, network: Network, Lifetime::Millis(3_600_000), #[doc = "How it can be reached."];
    Platform, platform: Platform, Lifetime::UntilReboot, #[doc = "Operating system and boot."];
    Deployment, deployment: Deployment, Lifetime::Millis(300_000), #[doc = "What software it runs."];
    Operation, operation: Operation, Lifetime::Told, #[doc = "The regions."];
    Resources, resources: Resources, Lifetime::Millis(30_000), #[doc = "Processor, memory and disks."];
    Power, power: Power, Lifetime::Millis(30_000), #[doc = "Battery and supply."];
    Thermal, thermal: Thermal, Lifetime::Millis(30_000), #[doc = "Temperatures."];
    Location, location: Location, Lifetime::Millis(30_000), #[doc = "Where it is."];
    Devices, devices: Devices, Lifetime::Told, #[doc = "What is connected to it."];
    Nodes, nodes: Nodes, Lifetime::Told, #[doc = "The nodes of its runtime."];
    Health, health: HealthReport, Lifetime::Told, #[doc = "What is wrong with it."];
    Desired, desired: DesiredReport, Lifetime::Told, #[doc = "What of the desired state it holds."];
    Calibration, calibration: CalibrationReport, Lifetime::Told, #[doc = "How its devices are calibrated."];
    Recordings, recordings: Recordings, Lifetime::Told, #[doc = "What it recorded."];
    Workloads, workloads: WorkloadsReport, Lifetime::Told, #[doc = "What it runs for people."];
    Updates, updates: UpdatesReport, Lifetime::Told, #[doc = "Which releases it runs."];
    Services, services: Services, Lifetime::Told, #[doc = "What it watches."];
    Safety, safety: SafetyReport, Lifetime::Told, #[doc = "How its safety is set up."];
    Gate, gate: GateReport, Lifetime::Told, #[doc = "What the gate did not let through."];
    Simulation, simulation: Simulation, Lifetime::Told, #[doc = "The simulation that it lives in."];
}

impl SectionKind {
    const fn index(self) -> usize {
        self as usize
    }

    const fn is_urgent(self) -> bool {
        match self {
            Self::Operation | Self::Health => true,
            Self::Identity
            | Self::Hardware
            | Self::Network
            | Self::Platform
            | Self::Deployment
            | Self::Resources
            | Self::Power
            | Self::Thermal
            | Self::Location
            | Self::Devices
            | Self::Recordings
            | Self::Nodes
            | Self::Desired
            | Self::Calibration
            | Self::Workloads
            | Self::Services
            | Self::Safety
            | Self::Gate
            | Self::Updates
            | Self::Simulation => false,
        }
    }

    /// Whether it holds figures that never quite stand still.
    const fn is_measured(self) -> bool {
        match self {
            Self::Resources
            | Self::Power
            | Self::Thermal
            | Self::Location
            | Self::Recordings
            | Self::Workloads
            | Self::Gate => true,
            Self::Identity
            | Self::Hardware
            | Self::Network
            | Self::Platform
            | Self::Deployment
            | Self::Operation
            | Self::Devices
            | Self::Nodes
            | Self::Health
            | Self::Desired
            | Self::Calibration
            | Self::Services
            | Self::Safety
            | Self::Updates
            | Self::Simulation => false,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Track {
    /// When it was last read.
    read_ms: Option<u64>,
    /// When what it says now became news.
    news_ms: Option<u64>,
    /// Whether the news is of a kind that does not wait for the interval.
    pressing: bool,
}

/// Keeps the latest readings and decides what to tell.
#[derive(Debug, Serialize, Deserialize)]
pub struct Aggregator {
    options: Options,
    read: ReportedState,
    told: ReportedState,
    tracks: [Track; SectionKind::ALL.len()],
    /// When figures were last told: all measured sections share one turn.
    figures_ms: Option<u64>,
    connected: bool,
}

impl Aggregator {
    /// An aggregator that has read and told nothing.
    pub fn new(options: Options) -> Self {
        let (read, told) = (ReportedState::default(), ReportedState::default());
        Self {
            options,
            read,
            told,
            tracks: Default::default(),
            figures_ms: None,
            connected: false,
        }
    }

    /// Takes in a section as it was read just now.
    pub fn observe(&mut self, now_ms: u64, section: Section) {
        let kind = section.kind();
        put(&mut self.read, section);
        let news = news::judge(kind, &self.options.deadbands, &self.told, &self.read);
        let track = &mut self.tracks[kind.index()];
        track.read_ms = Some(now_ms);
        track.pressing = news == news::News::Pressing;
        track.news_ms = match news {
            news::News::None => None,
            news::News::Some | news::News::Pressing => track.news_ms.or(Some(now_ms)),
        };
    }

    /// Something happened that makes a section doubtful: it is due at once.
    pub fn invalidate(&mut self, kind: SectionKind) {
        self.tracks[kind.index()].read_ms = None;
    }

    /// Whether there is a link: without one, history is coarser.
    pub fn set_connected(&mut self, connected: bool) {
        self.connected = connected;
    }

    /// What to tell now, if anything: the state as told before, with the sections that are news.
    pub fn step(&mut self, now_ms: u64) -> Option<ReportedState> {
        self.expire(now_ms);
        let due = SectionKind::ALL
            .iter()
            .any(|kind| self.due_at(*kind).is_some_and(|at| at <= now_ms));
        if !due {
            return None;
        }
        // What is news and may be told goes along, even if it could wait longer. Figures go together: where one of them
        // is told, the others need not be told apart from it soon after.
        let news = |kind: &SectionKind| self.tracks[kind.index()].news_ms.is_some();
        let figures = SectionKind::ALL
            .iter()
            .any(|kind| kind.is_measured() && news(kind) && self.may_be_told_at(*kind) <= now_ms);
        for kind in SectionKind::ALL.iter().copied() {
            if self.tracks[kind.index()].news_ms.is_some() && (figures || !kind.is_measured()) {
                copy(kind, &self.read, &mut self.told);
                let track = &mut self.tracks[kind.index()];
                (track.news_ms, track.pressing) = (None, false);
                if kind.is_measured() {
                    self.figures_ms = Some(now_ms);
                }
            }
        }
        Some(self.told.clone())
    }

    /// When [`step`](Self::step) could have something to tell; none if only a new reading can bring it about.
    pub fn next_step_at(&self) -> Option<u64> {
        SectionKind::ALL
            .iter()
            .filter_map(|kind| self.due_at(*kind))
            .min()
    }

    /// The sections that are due to be read.
    pub fn due_to_be_read(&self, now_ms: u64) -> Vec<SectionKind> {
        let due = |kind: &SectionKind| match (kind.lifetime(), self.tracks[kind.index()].read_ms) {
            (Lifetime::Told, _) | (Lifetime::UntilReboot, Some(_)) => false,
            (Lifetime::UntilReboot | Lifetime::Millis(_), None) => true,
            (Lifetime::Millis(lifetime), Some(read)) => read + lifetime <= now_ms,
        };
        SectionKind::ALL.iter().copied().filter(due).collect()
    }

    /// The state as it was last read, told or not.
    pub fn latest(&self) -> &ReportedState {
        &self.read
    }

    /// What was not read for three lifetimes is not known any more, and is told so.
    fn expire(&mut self, now_ms: u64) {
        for kind in SectionKind::ALL.iter().copied() {
            let track = &mut self.tracks[kind.index()];
            if let (Lifetime::Millis(lifetime), Some(read)) = (kind.lifetime(), track.read_ms)
                && read + 3 * lifetime <= now_ms
            {
                forget(kind, &mut self.read);
                track.read_ms = None;
                track.pressing = true;
                track.news_ms = Some(now_ms.saturating_sub(self.options.debounce_ms));
            }
        }
    }

    fn due_at(&self, kind: SectionKind) -> Option<u64> {
        let news_ms = self.tracks[kind.index()].news_ms?;
        let debounce = if kind.is_urgent() {
            self.options.debounce_urgent_ms
        } else {
            self.options.debounce_ms
        };
        Some((news_ms + debounce).max(self.may_be_told_at(kind)))
    }

    fn may_be_told_at(&self, kind: SectionKind) -> u64 {
        match self.figures_ms {
            Some(told_ms) if kind.is_measured() && !self.tracks[kind.index()].pressing => {
                let interval = if self.connected {
                    self.options.measured_interval_ms
                } else {
                    self.options.measured_interval_offline_ms
                };
                told_ms + interval
            }
            Some(_) | None => 0,
        }
    }
}
