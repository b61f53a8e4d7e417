//! What is watched of what moves: power, motion, latches, rest. The judge sees the hardware as it is, and what people pressed; it does not
//! ask the safety region what it thinks.

use muster_model::vocabulary::{Authority, Safety as Region};
use muster_reflex::safety::{Cause, Command, Config, Kept, Sample, Verdict};

use super::super::body::{CHANGE_MAX_PER_S, Hardware, LINK_LOST_AFTER, MOTOR_MAX};
use super::super::profile::Fault;
use super::super::schedule::{SECOND, Time};
use super::{Check, Judge};

/// Speeds are computed in steps, and compared with this much in between.
const NEARLY: f64 = 1e-6;
/// A motor may overshoot a little before it counts as a runaway. Source: `reflex::safety`, `motion`.
const TOLERANCE: f64 = 1.1;

/// What a machine stays latched by.
const LATCHES: [Cause; 7] = [
    Cause::Estop,
    Cause::EstopAsked,
    Cause::Tamper,
    Cause::Runaway,
    Cause::MovedUnpowered,
    Cause::OutputFailed,
    Cause::RuleLatched,
];

/// What somebody beside a machine presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Pressed {
    /// Emergency stop.
    Estop,
    /// Stop.
    Stop,
    /// Latches may be cleared.
    Reset,
    /// It may move again.
    Resume,
}

/// A turn of a safety loop, as it went in and came out.
#[derive(Debug)]
pub(in super::super) struct Seen {
    pub now_us: u64,
    pub config: Config,
    /// Whether the machine has a link.
    pub linked: bool,
    pub sample: Sample,
    pub verdict: Verdict,
}

/// What the judge knows of a body.
#[derive(Debug, Default)]
pub(super) struct Watched {
    turn: Turn,
    /// It is latched, as it was last seen, or its disk held that when the power went.
    latched: bool,
    kept_latched: bool,
    kept_in_service: bool,
    /// Somebody pressed reset since it latched.
    was_reset: bool,
    /// It must not move before somebody presses resume, and whether somebody has.
    must_be_resumed: bool,
    /// The same after a stop from afar.
    was_stopped: bool,
    was_resumed: bool,
    /// Whether it ever said that it is at rest.
    rest_told: bool,
}

/// What is only of this life of the computer.
#[derive(Debug, Default)]
struct Turn {
    pressed: Vec<Pressed>,
    last: Option<(u64, u32)>,
    /// What the motor was told last.
    told: f64,
    holder: Option<Authority>,
    highest: u64,
    /// The command that may move it.
    command: Option<Command>,
    /// The contactor did not follow.
    mismatch: bool,
    slow_since: Option<Time>,
    fast_since: Option<Time>,
    hot_since: Option<Time>,
    unlinked_since: Option<Time>,
}

impl Judge {
    /// The computer of a machine is on again.
    pub(in super::super) fn body_on(&mut self, machine: usize) {
        let watched = &mut self.machines[machine].body;
        watched.turn = Turn::default();
        // What was latched and not on disk yet went with the power; what had power then must be resumed.
        watched.latched = watched.kept_latched;
        watched.was_reset = false;
        watched.was_stopped = false;
        watched.was_resumed = false;
    }

    /// The power goes, while what moves was released or not.
    pub(in super::super) fn body_off(&mut self, machine: usize, released: bool) {
        self.machines[machine].body.must_be_resumed |= released;
    }

    /// A disk holds this of a safety region.
    pub(in super::super) fn safety_kept(&mut self, machine: usize, kept: &Kept) {
        let watched = &mut self.machines[machine].body;
        watched.kept_latched = LATCHES.iter().any(|latch| kept.causes.contains(*latch));
        watched.kept_in_service = kept.in_service;
    }

    /// A disk is lost, and all that it knew of latches.
    pub(in super::super) fn safety_lost(&mut self, machine: usize) {
        let watched = &mut self.machines[machine].body;
        let rest_told = watched.rest_told;
        *watched = Watched {
            rest_told,
            ..Watched::default()
        };
    }

    /// Somebody beside the machine presses this.
    pub(in super::super) fn pressed(&mut self, machine: usize, pressed: Pressed) {
        self.machines[machine].body.turn.pressed.push(pressed);
    }

    /// A machine says whether it is at rest.
    pub(in super::super) fn rest_told(
        &mut self,
        now: Time,
        machine: usize,
        told: Option<bool>,
        body: &Hardware,
    ) {
        if told != Some(true) {
            return;
        }
        let watched = &mut self.machines[machine].body;
        watched.rest_told = true;
        let still_after = super::super::body::config(machine).still_after_us;
        let slow_since = watched.turn.slow_since;
        let holds = slow_since.is_some_and(|since| now - since >= still_after);
        let speed = body.speed;
        self.look(Some(machine), now, Check::RestIsMeasured, holds, || {
            format!("machine {machine} says it is at rest; it turns with {speed}, slow since {slow_since:?}")
        });
    }

    /// The server shows that a machine came to rest after a stop.
    pub(in super::super) fn rest_shown(&mut self, now: Time, machine: usize) {
        let holds = self.machines[machine].body.rest_told;
        self.look(Some(machine), now, Check::RestIsMeasured, holds, || {
            format!("machine {machine} is shown at rest, and never said so")
        });
    }

    /// A turn of the safety loop is over, and the hardware set.
    pub(in super::super) fn turned(&mut self, now: Time, machine: usize, seen: &Seen, body: &Hardware) {
        self.look_at_motion(now, machine, seen, body);
        self.look_at_faults(now, machine, seen, body);
        self.look_at_people(now, machine, seen, body);
        let watched = &mut self.machines[machine].body;
        watched.turn.told = body.told;
        watched.turn.mismatch = body.powered(now) != body.enable;
        watched.turn.last = Some((seen.now_us, seen.sample.remote.stop));
        watched.turn.pressed.clear();
    }

    /// No motion without a valid stamp, none without power, none beyond the limit.
    fn look_at_motion(&mut self, now: Time, machine: usize, seen: &Seen, body: &Hardware) {
        let turn = &mut self.machines[machine].body.turn;
        let holder = seen.sample.claims.holder(seen.now_us);
        if turn.holder != Some(holder) {
            (turn.holder, turn.highest, turn.command) = (Some(holder), 0, None);
        }
        if let Some(command) = seen.sample.commands[0].filter(|command| turn.command != Some(*command)) {
            let stamp = command.stamp;
            let ours = stamp.authority == holder && holder != Authority::None;
            let in_time =
                stamp.deadline_us > seen.now_us && stamp.deadline_us - seen.now_us <= seen.config.horizon_us;
            if ours && stamp.sequence > turn.highest && in_time && command.value.is_finite() {
                turn.command = Some(command);
            }
            if stamp.authority == holder {
                turn.highest = turn.highest.max(stamp.sequence);
            }
        }
        if !(moves(&seen.verdict) && body.enable) {
            turn.command = None;
        }
        let valid = turn
            .command
            .is_some_and(|command| command.stamp.deadline_us > seen.now_us);
        let passed_us = turn.last.map_or(0, |(last_us, _)| seen.now_us - last_us);
        let (before, told) = (turn.told, body.told);
        let slower = before.abs() - CHANGE_MAX_PER_S * passed_us as f64 / SECOND as f64;
        let most = if valid { MOTOR_MAX } else { slower.max(0.0) };
        let holds = told.abs() <= most + NEARLY && (body.enable || told.abs() <= NEARLY);
        self.look(Some(machine), now, Check::MotionIsStamped, holds, || {
            format!(
                "the motor of machine {machine} is told {told} after {before}, with power: {}, by a valid command: {valid}",
                body.enable
            )
        });
    }

    /// What breaks leads to where it must.
    fn look_at_faults(&mut self, now: Time, machine: usize, seen: &Seen, body: &Hardware) {
        let (config, verdict) = (&seen.config, &seen.verdict);
        let is = |fault| body.is(fault, now);
        let turn = &mut self.machines[machine].body.turn;
        let since = |since: &mut Option<Time>, is: bool| {
            *since = is.then(|| since.unwrap_or(now));
            since.map_or(0, |since| now - since + 1)
        };
        let silent = is(Fault::SpeedSilent);
        since(
            &mut turn.slow_since,
            !silent && body.speed.abs() <= config.still_below,
        );
        let too_fast = body.speed.abs() > MOTOR_MAX * TOLERANCE + config.still_below;
        let fast_for = since(&mut turn.fast_since, too_fast && !silent);
        let hot_for = since(&mut turn.hot_since, is(Fault::BoardOverheated));
        let unlinked_for = since(&mut turn.unlinked_since, !seen.linked);
        let late = turn
            .last
            .is_some_and(|(last_us, _)| seen.now_us - last_us > config.late_us);
        let region = verdict.region;
        let latched = is_latched(region);
        let powerless = !verdict.outputs.enable && !body.enable;
        let expectations = [
            (
                "its emergency stop is pressed or its case open",
                is(Fault::EstopPressed) || is(Fault::CaseOpen),
                region == Region::EstopLatched && powerless,
            ),
            (
                "its contactor did not follow",
                turn.mismatch,
                latched && powerless,
            ),
            ("it runs away", fast_for > config.runaway_us, latched && powerless),
            ("its speed is not measured", silent, !moves(verdict)),
            ("it is too hot", hot_for > SECOND, !moves(verdict)),
            ("it has no link", unlinked_for > LINK_LOST_AFTER, !moves(verdict)),
            ("its loop came late", late, !moves(verdict)),
        ];
        for (what, is_so, stands) in expectations {
            self.look(Some(machine), now, Check::FaultsStop, !is_so || stands, || {
                format!("machine {machine} is {region} although {what}")
            });
        }
    }

    /// What is latched stays so until it is reset beside the machine; nobody far away lets it go on.
    fn look_at_people(&mut self, now: Time, machine: usize, seen: &Seen, body: &Hardware) {
        let watched = &mut self.machines[machine].body;
        let (region, moves) = (seen.verdict.region, moves(&seen.verdict));
        let first = watched.turn.last.is_none();
        // Of before the first turn nothing is heard.
        let pressed = |what: Pressed| !first && watched.turn.pressed.contains(&what);
        let (resumed, reset) = (pressed(Pressed::Resume), pressed(Pressed::Reset));
        let stopped = watched
            .turn
            .last
            .is_some_and(|(_, stops)| stops != seen.sample.remote.stop);
        watched.was_reset |= reset;
        let was_latched = std::mem::replace(&mut watched.latched, is_latched(region));
        let left_latch = was_latched && !watched.latched;
        let reset_in_order = !left_latch || watched.was_reset;
        if watched.latched {
            // What was pressed before, or meanwhile, does not count later.
            watched.was_reset = (watched.was_reset && was_latched) || reset;
            watched.was_resumed = false;
            watched.must_be_resumed = true;
        }
        if stopped {
            watched.was_stopped = true;
            watched.was_resumed = false;
        } else if !watched.latched {
            watched.was_resumed |= resumed;
        }
        let (stop_stands, must, was_resumed) =
            (watched.was_stopped, watched.must_be_resumed, watched.was_resumed);
        if moves {
            watched.was_stopped = false;
            watched.must_be_resumed = false;
            watched.was_resumed = false;
        }
        let in_service = watched.kept_in_service;
        self.look(Some(machine), now, Check::LatchesLast, reset_in_order, || {
            format!("machine {machine} is {region}: it was latched, and nobody reset it")
        });
        self.look(
            Some(machine),
            now,
            Check::LatchesLast,
            !(moves && must) || was_resumed,
            || {
                format!(
                    "machine {machine} is {region}: it was latched or lost its power, and nobody resumed it"
                )
            },
        );
        self.look(
            Some(machine),
            now,
            Check::NothingRemoteLoosens,
            !(moves && stop_stands) || was_resumed,
            || {
                format!(
                    "machine {machine} is {region}: it was stopped from afar, and nobody beside it resumed it"
                )
            },
        );
        self.look(
            Some(machine),
            now,
            Check::LatchesLast,
            !body.enable || in_service,
            || format!("machine {machine} has power, and its disk does not hold that it is in service"),
        );
    }
}

fn moves(verdict: &Verdict) -> bool {
    matches!(verdict.region, Region::Operational | Region::Limited)
}

fn is_latched(region: Region) -> bool {
    matches!(region, Region::EstopLatched | Region::FaultLatched)
}
