//! What a simulated machine has to tell: events with tokens, a state that changes, measurements, lines of log.

use std::borrow::Cow;
use std::sync::Arc;

use muster_model::state::{Identity, Location, Operation, Power};
use muster_model::vocabulary::Quality;
use muster_model::{Authority, Mission, Mode, ReportedState, Safety, Severity, Timestamp};
use muster_protocol::link::{EventReport, LogReport, MachineMessage, Telemetry, WireLogLine, WireSample};
use muster_reflex::link::Publication;

use super::random::Random;
use super::scenario::Pace;
use super::schedule::{MILLISECOND, SECOND, Time};

/// Tells one event of one machine apart from all others, for ever: 1, 2, 3 …
pub(super) type Token = u64;

/// The part of a machine that lives on when its computer stops.
#[derive(Debug)]
pub(super) struct Workload {
    /// How the machine really is.
    pub state: ReportedState,
    tokens: Token,
    pace: Pace,
    /// Whether it moves.
    has_body: bool,
    random: Random,
}

impl Workload {
    pub(super) fn new(machine: usize, pace: Pace, has_body: bool, random: Random) -> Self {
        let identity = Identity {
            name: format!("machine {machine}"),
            kind: "pi".to_owned(),
            region: Some("munich".to_owned()),
        };
        Self {
            state: ReportedState {
                identity: Some(Arc::new(identity)),
                ..ReportedState::default()
            },
            tokens: 0,
            pace,
            has_body,
            random,
        }
    }

    /// How long until there is something to tell again.
    pub(super) fn pause(&mut self) -> Time {
        match (self.pace, self.random.below(20)) {
            (Pace::Steady, 1..) => self.random.between(2, 20) * SECOND,
            (_, 0) => self.random.between(0, 5) * MILLISECOND,
            (Pace::Dense, 1..=3) => self.random.between(10, 400) * MILLISECOND,
            (Pace::Dense, _) => self.random.between(500, 8_000) * MILLISECOND,
        }
    }

    pub(super) fn state(&self) -> Publication {
        Publication::State(self.state.clone())
    }

    /// Something to tell.
    pub(super) fn publish(&mut self, wall: Timestamp) -> Publication {
        match self.random.below(100) {
            0..50 => self.event(),
            50..80 => {
                self.change();
                self.state()
            }
            80..95 => self.telemetry(wall),
            _ => self.log(wall),
        }
    }

    fn event(&mut self) -> Publication {
        self.tokens += 1;
        let severities = [
            Severity::Debug,
            Severity::Info,
            Severity::Info,
            Severity::Warning,
            Severity::Error,
            Severity::Critical,
        ];
        Publication::Event(Box::new(EventReport {
            kind: "sim.token".to_owned(),
            severity: severities[self.random.index(severities.len())],
            message: self.tokens.to_string(),
            data: None,
            correlation_id: None,
            causation_id: None,
        }))
    }

    fn change(&mut self) {
        let level = self.random.below(100) as f64;
        match self.random.below(5) {
            0 => {
                let modes = [Mode::Idle, Mode::Working, Mode::Driving, Mode::Charging];
                let mode = modes[self.random.index(modes.len())];
                if self.has_body {
                    // How it stands its safety region says, and nobody else.
                    if let Some(operation) = &mut self.state.operation {
                        Arc::make_mut(operation).mode = mode;
                    }
                    return;
                }
                self.state.operation = Some(Arc::new(Operation {
                    mode,
                    safety: Safety::Operational,
                    held_by: Vec::new(),
                    at_rest: None,
                    authority: Authority::None,
                    mission: Mission::Idle,
                }));
            }
            1 => self.state.location = None,
            2 => {
                self.state.location = Some(Arc::new(Location {
                    latitude_degrees: 48.0 + level / 1_000.0,
                    longitude_degrees: 11.5,
                    heading_degrees: level,
                    speed_m_per_s: level / 10.0,
                }));
            }
            _ => {
                self.state.power = Some(Arc::new(Power {
                    battery_percent: Some(level),
                    charging: level < 20.0,
                    external_supply: false,
                    volts: None,
                    amperes: None,
                }));
            }
        }
    }

    fn telemetry(&mut self, wall: Timestamp) -> Publication {
        let samples = (0..self.random.between(1, 4)).map(|_| WireSample {
            metric: Cow::Borrowed(muster_model::telemetry::CPU_PERCENT),
            value: self.random.below(1_000) as f64 / 10.0,
            unit: None,
            quality: Quality::Good,
            offset_ms: 0,
        });
        Publication::Telemetry(
            Telemetry {
                samples: samples.collect(),
            },
            wall,
        )
    }

    fn log(&mut self, wall: Timestamp) -> Publication {
        let line = WireLogLine {
            severity: Severity::Info,
            target: "sim".to_owned(),
            message: format!("line {}", self.random.below(1_000)),
            fields: None,
            offset_ms: 0,
        };
        Publication::Log(LogReport { lines: vec![line] }, wall)
    }
}

/// The token of a message that is an event.
pub(super) fn token_of(message: &MachineMessage) -> Option<Token> {
    match message {
        MachineMessage::Event(event) => event.message.parse().ok(),
        MachineMessage::Hello(_)
        | MachineMessage::Heartbeat(_)
        | MachineMessage::State(_)
        | MachineMessage::Telemetry(_)
        | MachineMessage::Log(_)
        | MachineMessage::Response(_) => None,
    }
}
