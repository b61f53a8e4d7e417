//! What a simulated machine moves with: a motor behind the gate, a contactor, contacts, a sensor; and the real safety region that works
//! them, turn by turn, on the machine's own disk.
//!
//! Begin with [`World::turn`]. The hardware lives on when the computer stops. People beside it press now and then, and a mission commands,
//! not always as it may.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::state::Operation;
use muster_model::vocabulary::{Authority, Contact, Mission, Mode, Safety as Region};
use muster_reflex::link::{Input, LinkState};
use muster_reflex::safety::config::{Action, Actuator, Clears, Rule, Start};
use muster_reflex::safety::{
    Asks, Cause, Causes, Claims, Command, Condition, Config, Drive, Kept, Measured, RemoteAsks, Safety,
    Sample, Stamp, Told, Verdict,
};

use super::World;
use super::disk::Operation as Write;
use super::event::Event;
use super::judge::{Pressed, Seen};
use super::planted::Planted;
use super::profile::Fault;
use super::schedule::{MILLISECOND, SECOND, Time};

/// How often the loop turns.
const TURN_EVERY: Time = 200 * MILLISECOND;
/// Without a link for so long it comes to rest.
pub(super) const LINK_LOST_AFTER: Time = 20 * SECOND;
/// The motor, in its unit: what it may do, and what it does when nothing holds it.
pub(super) const MOTOR_MAX: f64 = 2.0;
pub(super) const CHANGE_MAX_PER_S: f64 = 4.0;
const RUNS_AWAY_TO: f64 = 6.0;
const RUNS_AWAY_PER_S: f64 = 3.0;
const FOLLOWS_PER_S: f64 = 8.0;
const ROLLS_OUT_PER_S: f64 = 2.0;

/// How the safety of a machine in this world is set up: every second one goes on by itself after an ordinary start.
pub(super) fn config(machine: usize) -> Config {
    let mut config = Config {
        estop_circuit: true,
        tamper_circuit: true,
        start: if machine.is_multiple_of(2) {
            Start::Explicit
        } else {
            Start::Automatic
        },
        after_power_cut: Start::Explicit,
        still_below: 0.05,
        still_after_us: 3 * TURN_EVERY,
        fresh_us: 3 * TURN_EVERY,
        runaway_us: 3 * TURN_EVERY,
        stop_within_us: 5 * SECOND,
        late_us: SECOND,
        horizon_us: 2 * SECOND,
        ..Config::default()
    };
    config.actuators[0] = Some(Actuator {
        max: MOTOR_MAX,
        change_max_per_s: CHANGE_MAX_PER_S,
        measured: true,
    });
    let row = |when, after_us, action, clears| {
        Some(Rule {
            when,
            after_us,
            action,
            clears,
        })
    };
    config.rules[0] = row(
        Condition::LinkLost,
        LINK_LOST_AFTER,
        Action::ControlledStop,
        Clears::WithCondition,
    );
    config.rules[1] = row(
        Condition::TooHot,
        SECOND,
        Action::ControlledStop,
        Clears::Acknowledged,
    );
    config
}

/// What is there without the computer.
#[derive(Debug, Default)]
pub(super) struct Hardware {
    /// What the contactor was told.
    pub enable: bool,
    /// What the motor was told.
    pub told: f64,
    /// How fast it turns.
    pub speed: f64,
    /// What is broken, and until when.
    broken: BTreeMap<Fault, Time>,
    looked_at: Time,
}

impl Hardware {
    pub(super) fn is(&self, fault: Fault, now: Time) -> bool {
        self.broken.get(&fault).is_some_and(|until| now < *until)
    }

    /// Whether the motor has power.
    pub(super) fn powered(&self, now: Time) -> bool {
        !self.is(Fault::RelayStuckOff, now) && (self.enable || self.is(Fault::RelayStuckOn, now))
    }

    fn advance(&mut self, now: Time) {
        let passed = now.saturating_sub(std::mem::replace(&mut self.looked_at, now));
        let seconds = passed as f64 / SECOND as f64;
        let towards = |value: f64, wanted: f64, per_s: f64| {
            value + (wanted - value).clamp(-per_s * seconds, per_s * seconds)
        };
        self.speed = match (self.powered(now), self.is(Fault::RunawayMotor, now)) {
            (true, true) => towards(self.speed, RUNS_AWAY_TO, RUNS_AWAY_PER_S),
            (true, false) => towards(self.speed, self.told, FOLLOWS_PER_S),
            (false, _) => towards(self.speed, 0.0, ROLLS_OUT_PER_S),
        };
    }
}

/// A body, and what works it while the computer is on.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub hardware: Hardware,
    works: Option<Loop>,
}

#[derive(Debug)]
struct Loop {
    config: Config,
    safety: Safety,
    began: Time,
    asks: Asks,
    remote: RemoteAsks,
    /// The last wish that was given to the disk, and the last that it holds.
    wished: u64,
    kept: u64,
    outputs_failed: bool,
    command: Option<Command>,
    sequence: u64,
    claimed_until_us: u64,
    region: Region,
    causes: Causes,
}

impl Body {
    /// The computer has no power: neither has what it switches.
    pub(super) fn off(&mut self, now: Time) {
        self.hardware.advance(now);
        self.works = None;
        self.hardware.enable = false;
        self.hardware.told = 0.0;
    }

    /// Something breaks, until then.
    pub(super) fn breaks(&mut self, fault: Fault, now: Time, until: Time) {
        self.hardware.advance(now);
        self.hardware.broken.insert(fault, until);
    }

    pub(super) fn is_mended(&mut self, now: Time) {
        self.hardware.advance(now);
        self.hardware.broken.clear();
    }

    /// Whether what moves was released by the computer.
    pub(super) fn is_released(&self) -> bool {
        self.hardware.enable
    }

    /// Somebody far away asks it to stop.
    pub(super) fn stop_from_afar(&mut self) {
        if let Some(works) = &mut self.works {
            works.remote.stop += 1;
        }
    }

    /// The disk holds this wish of this life.
    pub(super) fn kept(&mut self, number: u64) {
        if let Some(works) = &mut self.works {
            works.kept = works.kept.max(number);
        }
    }
}

impl World {
    /// The computer of a machine with a body is on: its safety loop begins.
    pub(super) fn body_on(&mut self, machine: usize) {
        let now = self.schedule.now();
        let this = &mut self.machines[machine];
        let (life, mut found) = (this.life, this.disk.durable.safety);
        let Some(body) = &mut this.body else { return };
        if self.scenario.planted == Some(Planted::LatchForgotten) {
            found = Some(Kept::default());
        }
        let config = config(machine);
        body.works = Some(Loop {
            config,
            safety: Safety::new(config, found),
            began: now,
            asks: Asks::default(),
            remote: RemoteAsks::default(),
            wished: 0,
            kept: 0,
            outputs_failed: false,
            command: None,
            sequence: 0,
            claimed_until_us: 0,
            region: Region::Init,
            causes: Causes::default(),
        });
        self.judge.body_on(machine);
        self.turn(machine, life);
    }

    /// One turn of a machine's safety loop: read, decide, set, keep, tell.
    pub(super) fn turn(&mut self, machine: usize, life: u64) {
        let now = self.schedule.now();
        let this = &mut self.machines[machine];
        if this.life != life || this.link.is_none() {
            return;
        }
        self.schedule.after(TURN_EVERY, Event::Turn { machine, life });
        let linked = this
            .link
            .as_ref()
            .is_some_and(|link| link.state() == LinkState::Connected);
        self.people_press(machine);
        self.mission_commands(machine);
        let planted = self.scenario.planted;
        let Some(body) = &mut self.machines[machine].body else {
            return;
        };
        body.hardware.advance(now);
        let Some(works) = &mut body.works else { return };
        let now_us = now - works.began + 1;
        let sample = works.sample(now, now_us, linked, &body.hardware, planted);
        let verdict = works.safety.step(now_us, &sample);
        let is_news = (works.region, works.causes) != (verdict.region, verdict.causes);
        (works.region, works.causes) = (verdict.region, verdict.causes);
        let value = match verdict.outputs.drives[0] {
            Drive::Off => 0.0,
            Drive::To(value) => value,
        };
        let hardware = &mut body.hardware;
        hardware.enable = verdict.outputs.enable;
        let holds_on = planted == Some(Planted::CommandHeld) && value.abs() < hardware.told.abs();
        if !(holds_on && hardware.enable) {
            hardware.told = value;
        }
        works.outputs_failed = hardware.powered(now) != hardware.enable;
        let seen = Seen {
            now_us,
            config: works.config,
            linked,
            sample,
            verdict,
        };
        self.judge.turned(now, machine, &seen, hardware);
        let wish = (verdict.keep.number > works.wished).then_some(verdict.keep);
        works.wished = works.wished.max(verdict.keep.number);
        if is_news {
            self.note_turn(machine, &verdict);
        }
        if let Some(keep) = wish
            && planted == Some(Planted::ServiceNotKept)
        {
            works_kept(&mut self.machines[machine], keep.number);
        } else if let Some(keep) = wish {
            self.submit(machine, vec![Write::KeepSafety(keep.number, keep.kept)]);
        }
        self.tell_operation(machine, &verdict);
    }

    /// That a machine stands otherwise than before is a step of the run.
    fn note_turn(&mut self, machine: usize, verdict: &Verdict) {
        let numbers = [
            machine as u64,
            verdict.region as u64,
            u64::from(verdict.causes.bits()),
        ];
        self.note(Some(machine), "region", &numbers, || {
            let causes: Vec<_> = verdict.causes.iter().map(Cause::as_str).collect();
            format!("machine {machine} is {}, [{}]", verdict.region, causes.join(", "))
        });
    }

    /// The machine says how it stands, if that is news.
    fn tell_operation(&mut self, machine: usize, verdict: &Verdict) {
        let now = self.schedule.now();
        let stands = !matches!(verdict.region, Region::Operational | Region::Limited);
        let at_rest = match self.scenario.planted {
            Some(Planted::RestAssumed) if !verdict.outputs.enable => Some(true),
            _ => verdict.still,
        };
        let this = &mut self.machines[machine];
        let mode = this
            .workload
            .state
            .operation
            .as_ref()
            .map_or(Mode::Idle, |operation| operation.mode);
        let operation = Operation {
            mode,
            safety: verdict.region,
            held_by: verdict
                .causes
                .iter()
                .map(|cause| cause.as_str().to_owned())
                .collect(),
            at_rest: at_rest.filter(|_| stands),
            authority: Authority::None,
            mission: Mission::Idle,
        };
        if this.workload.state.operation.as_deref() == Some(&operation) {
            return;
        }
        if let Some(body) = &this.body {
            self.judge
                .rest_told(now, machine, operation.at_rest, &body.hardware);
        }
        this.workload.state.operation = Some(Arc::new(operation));
        let state = this.workload.state();
        self.step_machine(machine, Input::Publish(state));
    }

    /// Somebody beside the machine presses what lets it go on, and now and then what does not.
    fn people_press(&mut self, machine: usize) {
        let quiet = self.quiet;
        let random = &mut self.random.bodies;
        let draw = random.below(1_000);
        let Some(works) = self.machines[machine]
            .body
            .as_mut()
            .and_then(|body| body.works.as_mut())
        else {
            return;
        };
        let latched = matches!(works.region, Region::EstopLatched | Region::FaultLatched);
        let (pressed, count) = match draw {
            0..40 if latched => (Pressed::Reset, &mut works.asks.reset),
            40..90 => (Pressed::Resume, &mut works.asks.resume),
            990..992 if !quiet => (Pressed::Stop, &mut works.asks.stop),
            992..994 if !quiet => (Pressed::Estop, &mut works.asks.estop),
            // Also when nothing is latched, or everything at once.
            994..997 if !quiet => (Pressed::Reset, &mut works.asks.reset),
            _ => return,
        };
        *count += 1;
        self.judge.pressed(machine, pressed);
    }

    /// The mission wants to move: mostly as it may.
    fn mission_commands(&mut self, machine: usize) {
        let now = self.schedule.now();
        let random = &mut self.random.bodies;
        let (draw, value) = (random.below(100), random.below(6_001) as f64 / 1_000.0 - 3.0);
        let Some(works) = self.machines[machine]
            .body
            .as_mut()
            .and_then(|body| body.works.as_mut())
        else {
            return;
        };
        let now_us = now - works.began + 1;
        works.claimed_until_us = match draw {
            0..90 => now_us + SECOND,
            _ => works.claimed_until_us,
        };
        let good = Stamp {
            authority: Authority::Mission,
            sequence: works.sequence + 1,
            deadline_us: now_us + 3 * TURN_EVERY,
        };
        let (value, stamp) = match draw {
            0..40 => (value, good),
            // Somebody who has not claimed it; one that was there before; one that is over; one for ever; no number.
            40..43 => (
                value,
                Stamp {
                    authority: Authority::Teleop,
                    ..good
                },
            ),
            43..46 => (
                value,
                Stamp {
                    sequence: works.sequence,
                    ..good
                },
            ),
            46..48 => (
                value,
                Stamp {
                    deadline_us: now_us.saturating_sub(1),
                    ..good
                },
            ),
            48..50 => (
                value,
                Stamp {
                    deadline_us: now_us + 100 * SECOND,
                    ..good
                },
            ),
            50..52 => (f64::NAN, good),
            _ => return,
        };
        works.sequence = works.sequence.max(stamp.sequence);
        works.command = Some(Command { value, stamp });
    }
}

impl Loop {
    fn sample(
        &self,
        now: Time,
        now_us: u64,
        linked: bool,
        hardware: &Hardware,
        planted: Option<Planted>,
    ) -> Sample {
        let contact = |opened: bool| if opened { Contact::Open } else { Contact::Closed };
        let mut sample = Sample {
            estop: contact(hardware.is(Fault::EstopPressed, now)),
            tamper: contact(hardware.is(Fault::CaseOpen, now)),
            outputs_failed: self.outputs_failed && planted != Some(Planted::FeedbackIgnored),
            asks: self.asks,
            remote: self.remote,
            claims: Claims {
                mission_until_us: self.claimed_until_us,
                ..Claims::default()
            },
            kept: self.kept,
            ..Sample::default()
        };
        if planted == Some(Planted::LinkResumes) && linked {
            // Whoever is far away says go, again and again.
            sample.asks.resume = sample.asks.resume.wrapping_add((now_us / SECOND) as u32);
        }
        sample.commands[0] = self.command;
        sample.motion[0] = (!hardware.is(Fault::SpeedSilent, now)).then_some(Measured {
            value: hardware.speed,
            at_us: now_us,
        });
        let told = |holds: bool, until_us: u64| Told { holds, until_us };
        sample.conditions = [told(false, u64::MAX); Condition::COUNT];
        sample.conditions[Condition::LinkLost as usize] = told(!linked, u64::MAX);
        let hot = hardware.is(Fault::BoardOverheated, now);
        sample.conditions[Condition::TooHot as usize] = told(hot, now_us + SECOND);
        sample
    }
}

/// As if the disk held it.
fn works_kept(machine: &mut super::machine::Machine, number: u64) {
    if let Some(body) = &mut machine.body {
        body.kept(number);
    }
}
