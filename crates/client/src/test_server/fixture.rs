//! The fleet that the server speaks of: always the same one, so that what is shown can be compared.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use muster_model::state::{
    Deployment, HealthReport, Identity, Location, Operation, Power, Problem as Complaint, Resources,
    SectionTimes,
};
use muster_model::vocabulary::{Authority, Health, Mission};
use muster_model::{
    LogPosition, MachineId, Mode, Presence, RecordNumber, ReportedState, Safety, SessionNumber, Severity,
    StateVersion, StatusWord, Timestamp,
};
use muster_protocol::api::{
    Desired, DesiredPast, Event, FleetSummary, GivenCommand, LogLine, Machine, MachineSummary, Problem,
    Series, Stop,
};

/// What the server knows, and how it is to behave.
pub struct Fleet {
    /// The machines, in the order of the table.
    pub machines: Vec<Machine>,
    /// The events, newest first.
    pub events: Vec<Event>,
    /// The log of every machine, newest first.
    pub logs: Vec<LogLine>,
    /// The telemetry of every machine.
    pub series: Vec<Series>,
    /// The server's clock.
    pub now: Timestamp,
    /// How far the log has come.
    pub position: LogPosition,
    /// What every stream begins with.
    pub greeting: String,
    /// Problems that the next requests are answered with.
    pub refusals: VecDeque<Problem>,
    /// So many of the next changes find that somebody else was faster.
    pub conflicts: u32,
    /// What becomes of the machines' stops: with each list of machines that is asked for after one, the next of these happens
    /// to every machine that is present.
    pub stop_steps: VecDeque<fn(&mut Stop)>,
    /// What is desired of machines; nothing of those that are not here.
    pub desired: BTreeMap<MachineId, Desired>,
    /// Every change of it, oldest first, with its section.
    pub desired_past: BTreeMap<MachineId, Vec<(String, DesiredPast)>>,
    /// What becomes of that: each time somebody looks at a machine's, the next of these happens to it.
    pub desired_steps: VecDeque<fn(&mut Desired)>,
    /// The commands that the machines were given, the newest first.
    pub commands: Vec<(MachineId, GivenCommand)>,
    /// What becomes of them: with each time that a machine's are asked for, the next of these happens to the newest.
    pub command_steps: VecDeque<fn(&mut GivenCommand)>,
}

impl Fleet {
    /// A fleet of so many machines, and nothing that happened.
    pub fn of(count: u32) -> Self {
        Self {
            machines: (0..count).map(machine).collect(),
            events: Vec::new(),
            logs: Vec::new(),
            series: Vec::new(),
            now: start(),
            position: LogPosition(100),
            greeting: String::new(),
            refusals: VecDeque::new(),
            conflicts: 0,
            stop_steps: VecDeque::new(),
            desired: BTreeMap::new(),
            desired_past: BTreeMap::new(),
            desired_steps: VecDeque::new(),
            commands: Vec::new(),
            command_steps: VecDeque::new(),
        }
    }

    /// The figures of this fleet.
    pub fn summary(&self) -> FleetSummary {
        let rows = || self.machines.iter().map(|machine| &machine.summary);
        let count = |text: fn(&MachineSummary) -> &String| {
            rows().fold(BTreeMap::new(), |mut counts, row| {
                *counts.entry(text(row).clone()).or_insert(0) += 1;
                counts
            })
        };
        let of = |holds: &dyn Fn(&MachineSummary) -> bool| rows().filter(|row| holds(row)).count() as u64;
        FleetSummary {
            total: self.machines.len() as u64,
            by_status: StatusWord::ALL
                .iter()
                .map(|word| (*word, of(&|row| row.status == *word)))
                .collect(),
            by_presence: Presence::ALL
                .iter()
                .map(|word| (*word, of(&|row| row.presence == *word)))
                .collect(),
            by_kind: count(|row| &row.kind),
            by_region: count(|row| &row.region),
            by_mode: Mode::ALL
                .iter()
                .map(|word| (*word, of(&|row| row.mode == Some(*word))))
                .filter(|(_, count)| *count > 0)
                .collect(),
            by_version: count(|row| &row.version),
            low_battery: of(&|row| row.battery_percent.is_some_and(|percent| percent < 20.0)),
            at: self.now,
            past: false,
            position: self.position,
            history_from: Some(self.now.plus_millis(-3 * 86_400_000)),
            server_time: self.now,
            server_version: "0.1.0".to_owned(),
        }
    }
}

/// The moment at which all this stands: 2026-11-21 12:00 UTC.
pub fn start() -> Timestamp {
    Timestamp::from_millis(1_795_262_400_000)
}

/// The id of the machine of this number. They differ in the first digits.
pub fn machine_id(number: u32) -> MachineId {
    let text = format!("{:08x}-0000-7000-8000-{number:012x}", 0x0190_0000 + number);
    text.parse().expect("written as an id")
}

/// The machine of this number. Each one differs from its neighbours in kind, region, status and figures.
pub fn machine(number: u32) -> Machine {
    const NAMES: [&str; 6] = ["frida", "otto", "hugo", "berta", "emil", "karla"];
    let pick = |words: [&str; 3]| words[number as usize % 3].to_owned();
    let turn = number as usize / NAMES.len();
    let name = match turn {
        0 => NAMES[number as usize % NAMES.len()].to_owned(),
        _ => format!("{}-{turn}", NAMES[number as usize % NAMES.len()]),
    };
    let now = start();
    let kind = pick(["lekiwi", "car", "pi"]);
    let region = pick(["munich", "berlin", "oslo"]);
    let (status, presence, reason) = match number % 5 {
        0 => (StatusWord::Ok, Presence::Online, ""),
        1 => (StatusWord::Attention, Presence::Online, "motor is warm"),
        2 => (StatusWord::Lost, Presence::Lost, "not heard of"),
        3 => (StatusWord::Parked, Presence::Online, ""),
        _ => (StatusWord::Failed, Presence::Online, "emergency stop, latched"),
    };
    let figure = f64::from(number % 17);
    let battery = (kind != "pi").then_some(96.0 - 5.5 * figure);
    let last_seen = match presence {
        Presence::Online => now.plus_millis(-1_200),
        Presence::Degraded | Presence::Lost => now.plus_millis(-7_500_000),
    };
    let mode = if status == StatusWord::Parked {
        Mode::Parked
    } else {
        Mode::Working
    };
    let summary = MachineSummary {
        id: machine_id(number),
        name: name.clone(),
        kind: kind.clone(),
        region: region.clone(),
        labels: BTreeMap::from([("line".to_owned(), (number % 3).to_string())]),
        status,
        status_reason: reason.to_owned(),
        presence,
        presence_since: now.plus_millis(-7_200_000),
        mode: Some(mode),
        safety: Some(Safety::Operational),
        battery_percent: battery,
        charging: battery.map(|_| number % 2 == 1),
        temperature_celsius: Some(41.25 + figure),
        cpu_percent: Some(3.4 * figure),
        memory_percent: Some(30.0 + figure),
        disk_percent: Some(55.0),
        speed_m_per_s: Some(0.5),
        latitude_degrees: Some(48.1374),
        longitude_degrees: Some(11.5755),
        version: "0.1.0".to_owned(),
        last_seen,
        reported_at: Some(now.plus_millis(-60_000)),
        last_stop: None,
    };
    let reported = reported(&summary, &name, mode);
    Machine {
        sections_reported_at: SectionTimes::of(&reported, now.plus_millis(-60_000)),
        summary,
        reported,
        state_version: StateVersion(12),
        display_name: None,
        profile_version: 3,
        presence_reason: "connected".to_owned(),
        registered_at: now.plus_millis(-3 * 86_400_000),
        accepts: vec!["identify".to_owned(), "stop".to_owned()],
        session: SessionNumber(4),
        boot_id: None,
        highest_record: RecordNumber(57),
        at: now,
        past: false,
        position: LogPosition(100),
    }
}

fn reported(summary: &MachineSummary, name: &str, mode: Mode) -> ReportedState {
    let problems = match summary.status {
        StatusWord::Attention => vec![Complaint {
            kind: "thermal.high".to_owned(),
            severity: Severity::Warning,
            message: "motor is warm".to_owned(),
        }],
        _ => Vec::new(),
    };
    ReportedState {
        identity: Some(Arc::new(Identity {
            name: name.to_owned(),
            kind: summary.kind.clone(),
            region: Some(summary.region.clone()),
        })),
        deployment: Some(Arc::new(Deployment {
            agent_version: summary.version.clone(),
            release: None,
            phase: None,
        })),
        operation: Some(Arc::new(Operation {
            mode,
            safety: Safety::Operational,
            held_by: Vec::new(),
            at_rest: None,
            authority: Authority::Mission,
            mission: Mission::Running,
        })),
        resources: Some(Arc::new(Resources {
            cpu_percent: summary.cpu_percent.unwrap_or(0.0),
            load_1m: 0.42,
            memory_used_bytes: 1_288_490_189,
            memory_percent: summary.memory_percent.unwrap_or(0.0),
            disks: vec![muster_model::state::Disk {
                mount: "/".to_owned(),
                size_bytes: 32_000_000_000,
                used_bytes: 17_600_000_000,
                used_percent: 55.0,
            }],
        })),
        power: Some(Arc::new(Power {
            battery_percent: summary.battery_percent,
            charging: summary.charging.unwrap_or(false),
            external_supply: false,
            volts: Some(12.4),
            amperes: Some(1.25),
        })),
        location: Some(Arc::new(Location {
            latitude_degrees: 48.1374,
            longitude_degrees: 11.5755,
            heading_degrees: 270.0,
            speed_m_per_s: 0.5,
        })),
        health: Some(Arc::new(HealthReport {
            level: if problems.is_empty() {
                Health::Ok
            } else {
                Health::Degraded
            },
            problems,
        })),
        ..ReportedState::default()
    }
}

/// The event at this position of the log, of the machine of this number.
pub fn event(position: u64, number: u32, kind: &str, severity: Severity, message: &str) -> Event {
    let happened = start().plus_millis(1_000 * position as i64 - 1_000_000);
    Event {
        position: LogPosition(position),
        machine_id: machine_id(number),
        machine_name: machine(number).summary.name,
        kind: kind.to_owned(),
        severity,
        message: message.to_owned(),
        occurred_at: happened,
        recorded_at: happened.plus_millis(20),
        data: None,
        correlation_id: None,
        causation_id: None,
    }
}

/// A problem as the server gives them.
pub fn problem(status: u16, code: &str, detail: &str) -> Problem {
    Problem {
        kind: format!("urn:muster:problem:{code}"),
        title: "Refused".to_owned(),
        status,
        detail: detail.to_owned(),
        code: code.to_owned(),
        errors: Vec::new(),
        trace_id: None,
        proposal: None,
    }
}
