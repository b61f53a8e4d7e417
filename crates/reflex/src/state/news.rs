//! Whether a section differs enough from what was told to be worth telling.

use muster_model::ReportedState;
use muster_model::gate::{DECISIONS_MAX, GateDecision, GateReport};
use muster_model::recording::Recordings;
use muster_model::release::UpdatesReport;
use muster_model::state::{Location, Power, Resources, Thermal};
use muster_model::workload::report::WorkloadsReport;
use serde::{Deserialize, Serialize};

use super::SectionKind;

/// How far a measurement moves before it is news.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deadbands {
    /// Processor time, in points.
    pub cpu_points: f64,
    /// Memory, in points.
    pub memory_points: f64,
    /// A disk, in points.
    pub disk_points: f64,
    /// Charge of the battery, in points.
    pub battery_points: f64,
    /// A temperature, in degrees.
    pub celsius: f64,
    /// A place, in metres.
    pub metres: f64,
    /// What a workload uses: memory, as a share of what was told.
    pub workload_share: f64,
    /// How much is recorded and rolls, as a share of what was told.
    pub rolling_share: f64,
}

impl Default for Deadbands {
    fn default() -> Self {
        Self {
            cpu_points: 10.0,
            memory_points: 5.0,
            disk_points: 1.0,
            battery_points: 1.0,
            celsius: 3.0,
            metres: 25.0,
            workload_share: 0.2,
            rolling_share: 0.2,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing worth telling.
    None,
    /// Worth telling when its turn comes.
    Some,
    /// Worth telling now: something began, ended or went missing.
    Pressing,
}

pub(super) fn judge(
    kind: SectionKind,
    bands: &Deadbands,
    told: &ReportedState,
    read: &ReportedState,
) -> News {
    fn compare<T: PartialEq>(told: Option<&T>, read: Option<&T>, measured: impl Fn(&T, &T) -> News) -> News {
        match (told, read) {
            (None, None) => News::None,
            (Some(_), None) | (None, Some(_)) => News::Pressing,
            (Some(told), Some(read)) if told == read => News::None,
            (Some(told), Some(read)) => measured(told, read),
        }
    }
    macro_rules! compare {
        ($field:ident, $judge:expr) => {
            compare(told.$field.as_deref(), read.$field.as_deref(), $judge)
        };
    }
    match kind {
        SectionKind::Identity => compare!(identity, |_, _| News::Pressing),
        SectionKind::Hardware => compare!(hardware, |_, _| News::Pressing),
        SectionKind::Network => compare!(network, |_, _| News::Pressing),
        SectionKind::Platform => compare!(platform, |_, _| News::Pressing),
        SectionKind::Deployment => compare!(deployment, |_, _| News::Pressing),
        SectionKind::Operation => compare!(operation, |_, _| News::Pressing),
        SectionKind::Devices => compare!(devices, |_, _| News::Some),
        SectionKind::Nodes => compare!(nodes, |_, _| News::Pressing),
        SectionKind::Health => compare!(health, |_, _| News::Pressing),
        SectionKind::Desired => compare!(desired, |_, _| News::Pressing),
        SectionKind::Calibration => compare!(calibration, |_, _| News::Pressing),
        SectionKind::Services => compare!(services, |_, _| News::Pressing),
        SectionKind::Recordings => compare!(recordings, |told, read| recordings(bands, told, read)),
        SectionKind::Workloads => compare!(workloads, |told, read| workloads(bands, told, read)),
        SectionKind::Updates => compare!(updates, updates),
        SectionKind::Safety => compare!(safety, |_, _| News::Pressing),
        SectionKind::Gate => compare!(gate, gate),
        SectionKind::Simulation => compare!(simulation, |_, _| News::Pressing),
        SectionKind::Resources => compare!(resources, |told, read| resources(bands, told, read)),
        SectionKind::Power => compare!(power, |told, read| power(bands, told, read)),
        SectionKind::Thermal => compare!(thermal, |told, read| thermal(bands, told, read)),
        SectionKind::Location => compare!(location, |told, read| location(bands, told, read)),
    }
}

/// Bytes come in all the time; what else changes is waited for.
fn updates(told: &UpdatesReport, read: &UpdatesReport) -> News {
    let without_figures = |report: &UpdatesReport| {
        let mut report = report.clone();
        for update in report
            .products
            .iter_mut()
            .filter_map(|product| product.update.as_mut())
        {
            update.fetched_bytes = 0;
        }
        report
    };
    if without_figures(told) == without_figures(read) {
        News::Some
    } else {
        News::Pressing
    }
}

/// How much rolls changes all the time.
fn recordings(bands: &Deadbands, told: &Recordings, read: &Recordings) -> News {
    let without_figures = |report: &Recordings| Recordings {
        rolling_s: 0,
        rolling_bytes: 0,
        ..report.clone()
    };
    if without_figures(told) != without_figures(read) {
        return News::Pressing;
    }
    let far = |told: u64, read: u64| told.abs_diff(read) as f64 > told as f64 * bands.rolling_share;
    when(far(told.rolling_s, read.rolling_s) || far(told.rolling_bytes, read.rolling_bytes))
}

/// What a workload uses moves all the time; anything else about it is worth telling at once.
fn workloads(bands: &Deadbands, told: &WorkloadsReport, read: &WorkloadsReport) -> News {
    let without_figures = |report: &WorkloadsReport| {
        let mut report = report.clone();
        for workload in &mut report.workloads {
            (workload.memory_bytes, workload.cpu_percent) = (None, None);
        }
        report
    };
    if without_figures(told) != without_figures(read) {
        return News::Pressing;
    }
    let pairs = told.workloads.iter().zip(&read.workloads);
    let news = pairs.into_iter().any(|(told, read)| {
        let cpu = match (told.cpu_percent, read.cpu_percent) {
            (Some(told), Some(read)) => moved(told, read, bands.cpu_points),
            (told, read) => told.is_some() != read.is_some(),
        };
        let memory = match (told.memory_bytes, read.memory_bytes) {
            (Some(told), Some(read)) => told.abs_diff(read) as f64 > told as f64 * bands.workload_share,
            (told, read) => told.is_some() != read.is_some(),
        };
        cpu || memory
    });
    when(news)
}

/// That the gate says no for another reason is worth telling at once, as long as there is room for it; that it says it again, when
/// the figures are told. So a flood of commands is a number that grows.
fn gate(told: &GateReport, read: &GateReport) -> News {
    let is_like = |a: &GateDecision, b: &GateDecision| {
        (&a.actuator, a.authority, &a.reason) == (&b.actuator, b.authority, &b.reason)
    };
    let is_told = |new: &GateDecision| told.decisions.iter().any(|old| is_like(old, new));
    let has_room = told.decisions.len() < DECISIONS_MAX;
    if has_room && !read.decisions.iter().all(is_told) {
        News::Pressing
    } else {
        News::Some
    }
}

fn moved(told: f64, read: f64, band: f64) -> bool {
    (told - read).abs() >= band
}

fn when(news: bool) -> News {
    if news { News::Some } else { News::None }
}

fn resources(bands: &Deadbands, told: &Resources, read: &Resources) -> News {
    let same_mounts = told.disks.len() == read.disks.len()
        && told
            .disks
            .iter()
            .zip(&read.disks)
            .all(|(told, read)| told.mount == read.mount);
    if !same_mounts {
        return News::Pressing;
    }
    let mut disks = told.disks.iter().zip(&read.disks);
    when(
        moved(told.cpu_percent, read.cpu_percent, bands.cpu_points)
            || moved(told.memory_percent, read.memory_percent, bands.memory_points)
            || disks.any(|(told, read)| moved(told.used_percent, read.used_percent, bands.disk_points)),
    )
}

fn power(bands: &Deadbands, told: &Power, read: &Power) -> News {
    if told.charging != read.charging || told.external_supply != read.external_supply {
        return News::Pressing;
    }
    match (told.battery_percent, read.battery_percent) {
        (Some(told), Some(read)) => when(moved(told, read, bands.battery_points)),
        (None, None) => News::None,
        (Some(_), None) | (None, Some(_)) => News::Pressing,
    }
}

fn thermal(bands: &Deadbands, told: &Thermal, read: &Thermal) -> News {
    when(moved(told.highest_celsius, read.highest_celsius, bands.celsius))
}

fn location(bands: &Deadbands, told: &Location, read: &Location) -> News {
    let stands = |location: &Location| location.speed_m_per_s < 0.05;
    // Metres per degree: near enough for a threshold.
    let north = (told.latitude_degrees - read.latitude_degrees) * 111_320.0;
    let east = (told.longitude_degrees - read.longitude_degrees)
        * 111_320.0
        * read.latitude_degrees.to_radians().cos();
    when(stands(told) != stands(read) || north.hypot(east) >= bands.metres)
}
