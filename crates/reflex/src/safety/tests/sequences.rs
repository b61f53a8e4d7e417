//! Chance: long sequences of anything with an actuator and measurements, and what must hold in each step.

use proptest::prelude::*;

use super::planted::{Planted, Subject};
use super::*;

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Estop(Contact),
    Press(u8),
    RemoteStop,
    Condition(usize, bool),
    Claim(Authority, u64),
    Command {
        authority: Authority,
        sequence: u64,
        value: f64,
        ahead_us: u64,
    },
    /// The mission does its work, and all is in order with it.
    Work(f64),
    Motion(Motion),
    Disk,
    PowerCut,
}

/// How the motor does what it is told, and is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Motion {
    Obeys,
    Lags,
    Silent,
    Runs(f64),
}

fn event() -> impl Strategy<Value = Event> {
    let authority = || {
        prop::sample::select(vec![
            Authority::None,
            Authority::Mission,
            Authority::Teleop,
            Authority::LocalManual,
            Authority::Service,
        ])
    };
    let value = prop_oneof![
        8 => -3.0..3.0,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::MAX, 0.0, -0.0]),
    ];
    prop_oneof![
        6 => (1..30_u64).prop_map(Event::Pass),
        1 => (50..400_u64).prop_map(Event::Pass),
        1 => prop::sample::select(vec![Contact::Open, Contact::Closed, Contact::Closed, Contact::Unknown]).prop_map(Event::Estop),
        4 => (0..4_u8).prop_map(Event::Press),
        1 => Just(Event::RemoteStop),
        1 => ((0..Condition::COUNT), any::<bool>()).prop_map(|(at, holds)| Event::Condition(at, holds)),
        3 => (authority(), 1..500_u64).prop_map(|(who, ms)| Event::Claim(who, ms)),
        10 => (authority(), 0..20_u64, value, 0..600_u64).prop_map(|(authority, sequence, value, ms)| Event::Command {
            authority, sequence, value, ahead_us: ms * MS,
        }),
        8 => (-3.0..3.0).prop_map(Event::Work),
        2 => prop_oneof![
            4 => Just(Motion::Obeys),
            1 => Just(Motion::Lags),
            1 => Just(Motion::Silent),
            1 => (-4.0..4.0).prop_map(Motion::Runs),
        ].prop_map(Event::Motion),
        4 => Just(Event::Disk),
        1 => Just(Event::PowerCut),
    ]
}

/// What is known of commands by somebody who only looks on.
struct Onlooker {
    config: Config,
    bug: Option<Planted>,
    subject: Subject,
    now_us: u64,
    sample: Sample,
    motion: Motion,
    disk: Kept,
    last: Option<Verdict>,
    holder: Authority,
    /// The highest sequence that was handed in since this one holds the machine.
    highest: u64,
    /// The command that may move it.
    valid: Option<Command>,
    moved: u64,
}

impl Onlooker {
    fn new(config: Config, bug: Option<Planted>) -> Self {
        Self {
            subject: Subject::new(config, None, bug),
            config,
            bug,
            now_us: 1_000_000,
            sample: well(),
            motion: Motion::Obeys,
            disk: Kept::default(),
            last: None,
            holder: Authority::None,
            highest: 0,
            valid: None,
            moved: 0,
        }
    }

    fn happen(&mut self, event: &Event) -> Result<(), String> {
        match *event {
            Event::Pass(ms) if ms < 50 => {
                for _ in 0..ms {
                    self.step(MS)?;
                }
                return Ok(());
            }
            Event::Pass(ms) => return self.step(ms * MS),
            Event::Estop(contact) => self.sample.estop = contact,
            Event::Press(0) => self.sample.asks.estop += 1,
            Event::Press(1) => self.sample.asks.stop += 1,
            Event::Press(2) => self.sample.asks.reset += 1,
            Event::Press(_) => self.sample.asks.resume += 1,
            Event::RemoteStop => self.sample.remote.stop += 1,
            Event::Condition(at, holds) => self.sample.conditions[at].holds = holds,
            Event::Claim(who, ms) => {
                let until_us = self.now_us + ms * MS;
                let claims = &mut self.sample.claims;
                match who {
                    Authority::None => *claims = Claims::default(),
                    Authority::Mission => claims.mission_until_us = until_us,
                    Authority::Teleop => claims.teleop_until_us = until_us,
                    Authority::LocalManual => claims.local_until_us = until_us,
                    Authority::Service => claims.service_until_us = until_us,
                }
            }
            Event::Command {
                authority,
                sequence,
                value,
                ahead_us,
            } => {
                let deadline_us = self.now_us + MS + ahead_us;
                self.sample.commands[0] = Some(Command {
                    value,
                    stamp: Stamp {
                        authority,
                        sequence,
                        deadline_us,
                    },
                });
            }
            Event::Work(value) => {
                self.sample.claims = Claims {
                    mission_until_us: self.now_us + 400 * MS,
                    ..Claims::default()
                };
                self.sample.commands[0] = Some(Command {
                    value,
                    stamp: Stamp {
                        authority: Authority::Mission,
                        sequence: self.highest + 1,
                        deadline_us: self.now_us + 12 * MS,
                    },
                });
                for _ in 0..10 {
                    self.step(MS)?;
                }
                return Ok(());
            }
            Event::Motion(motion) => self.motion = motion,
            Event::Disk => {
                if let Some(verdict) = self.last {
                    self.disk = verdict.keep.kept;
                    self.sample.kept = verdict.keep.number;
                }
            }
            Event::PowerCut => {
                self.subject = Subject::new(self.config, Some(self.disk), self.bug);
                self.sample.asks = Asks::default();
                self.sample.remote = RemoteAsks::default();
                self.sample.kept = 0;
                self.sample.commands = Default::default();
                self.last = None;
                (self.valid, self.highest) = (None, 0);
            }
        }
        self.step(MS)
    }

    fn step(&mut self, us: u64) -> Result<(), String> {
        self.now_us += us;
        self.measure();
        let before = self.last;
        let verdict = self.subject.step(self.now_us, &self.sample);
        self.last = Some(verdict);
        self.look_at_command(&verdict);
        let value = |verdict: Option<Verdict>| match verdict.map(|verdict| verdict.outputs.drives[0]) {
            Some(Drive::To(value)) => value,
            Some(Drive::Off) | None => 0.0,
        };
        let (was, is) = (value(before), value(Some(verdict)));
        self.moved += u64::from(is != 0.0);
        let say = |what: &str| Err(format!("{what}: {was} → {verdict:?}"));
        let limit = self.config.actuators[0].map_or(0.0, |actuator| actuator.max);
        if !is.is_finite() || is.abs() > limit {
            return say("beyond its limit");
        }
        if is != 0.0 && !verdict.outputs.enable {
            return say("driven without power");
        }
        if self.valid.is_none() && is != 0.0 && is.abs() >= was.abs() {
            return say("goes on without a command");
        }
        // More motion than before needs a command that is good now; less, or back to rest, is always allowed.
        if is.abs() > was.abs() + 1e-12 || is * was < 0.0 {
            let Some(command) = self.valid else {
                return say("moved by nobody");
            };
            if command.value.abs() + 1e-12 < is.abs() || command.value * is < 0.0 {
                return say("moved more than it was told to");
            }
            if !matches!(verdict.region, Region::Operational | Region::Limited) {
                return say("moved while it stands");
            }
        }
        if verdict.region == Region::EstopLatched && verdict.outputs != Outputs::default() {
            return say("power in an emergency stop");
        }
        if verdict.still == Some(true) && !self.is_measured_at_rest() {
            return say("said to be still without a measurement");
        }
        if verdict.outputs.enable && !self.measured_lately() {
            return say("power, and nobody measures");
        }
        if verdict.outputs.enable && us > self.config.late_us {
            return say("power after a pause");
        }
        Ok(())
    }

    /// By the words of the decision, and not by its code.
    fn look_at_command(&mut self, verdict: &Verdict) {
        if verdict.holder != self.holder {
            self.holder = verdict.holder;
            (self.valid, self.highest) = (None, 0);
        }
        if !matches!(verdict.region, Region::Operational | Region::Limited) || !verdict.outputs.enable {
            self.valid = None;
        }
        if let Some(command) = self.sample.commands[0]
            && command.stamp.authority == self.holder
            && self.holder != Authority::None
            && command.stamp.sequence > self.highest
        {
            self.highest = command.stamp.sequence;
            let deadline_us = command.stamp.deadline_us;
            let good = command.value.is_finite()
                && deadline_us > self.now_us
                && deadline_us - self.now_us <= self.config.horizon_us
                && verdict.outputs.enable
                && matches!(verdict.region, Region::Operational | Region::Limited);
            if good {
                self.valid = Some(command);
            }
        }
        self.valid = self.valid.filter(|valid| valid.stamp.deadline_us > self.now_us);
    }

    fn measure(&mut self) {
        let told = match self.last.map(|verdict| verdict.outputs.drives[0]) {
            Some(Drive::To(value)) => value,
            Some(Drive::Off) | None => 0.0,
        };
        let value = match self.motion {
            Motion::Obeys => told,
            Motion::Lags => 0.5 * told,
            Motion::Runs(value) => value,
            Motion::Silent => return,
        };
        self.sample.motion[0] = Some(Measured {
            value,
            at_us: self.now_us,
        });
    }

    fn measured_lately(&self) -> bool {
        self.sample.motion[0].is_some_and(|measured| self.now_us - measured.at_us <= self.config.fresh_us)
    }

    fn is_measured_at_rest(&self) -> bool {
        let measured = self.sample.motion[0];
        self.measured_lately()
            && measured.is_some_and(|measured| measured.value.abs() <= self.config.still_below)
    }
}

fn config() -> Config {
    let mut config = Config {
        start: Start::Automatic,
        after_power_cut: Start::Automatic,
        ..driven()
    };
    config.rules[0] = rule(Condition::LinkLost, 30 * MS, Action::Limit, Clears::WithCondition);
    config.rules[1] = rule(Condition::TooHot, 10 * MS, Action::Hold, Clears::Acknowledged);
    config.rules[2] = rule(
        Condition::BatteryLow,
        0,
        Action::ControlledStop,
        Clears::WithCondition,
    );
    config.rules[3] = rule(Condition::OutsideFence, 0, Action::PowerOff, Clears::Reset);
    config
}

fn look_on(events: &[Event], bug: Option<Planted>) -> Result<u64, String> {
    let mut onlooker = Onlooker::new(config(), bug);
    for event in events {
        onlooker.happen(event)?;
    }
    Ok(onlooker.moved)
}

proptest! {
    #[test]
    fn nothing_moves_that_must_not(events in prop::collection::vec(event(), 1..120)) {
        if let Err(what) = look_on(&events, None) {
            prop_assert!(false, "{}", what);
        }
    }
}

/// Sequences by chance from one seed, always the same.
fn chance(count: usize) -> Vec<Vec<Event>> {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(event(), 60..200);
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

#[test]
fn bugs_at_the_gate_are_found() {
    let sequences = chance(400);
    let moved: u64 = sequences
        .iter()
        .map(|events| look_on(events, None).unwrap())
        .sum();
    assert!(moved > 1_000, "the machine hardly moves: {moved} steps");
    for bug in [
        Planted::HeldForEver,
        Planted::ReplayPasses,
        Planted::AnybodyPasses,
        Planted::StaleIsStill,
        Planted::LateGoesOn,
    ] {
        let found = sequences
            .iter()
            .filter(|events| look_on(events, Some(bug)).is_err())
            .count();
        assert!(
            found > 20,
            "{bug:?} was found by {found} of {} only",
            sequences.len()
        );
    }
}
