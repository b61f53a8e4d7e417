//! Every course that a small fleet can take, by the model checker: each order of reports, silences, stops, ticks and lost effects.
//!
//! The server is ended and begun anew before every step: it has nothing but the rollout as the log has it.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use muster_model::MachineId;
use muster_model::release::Act;
use muster_model::rollout::{MachineStage, OnFailure, RolloutAct, RolloutEntry, RolloutSpec, RolloutState};
use muster_model::vocabulary::UpdatePhase;
use muster_model::{Presence, Timestamp};
use stateright::{Checker, Model, Property};

use super::world::{Car, NOON, Temper, World, digest, id, phase, product, spec};
use crate::Now;
use crate::rollout::{Effect, Executor, Input, Planted, Rollout};

/// Half a lease: after two of them a place is over.
const TICK_MS: i64 = 150_000;
/// From here on everybody is there and nobody is stopped.
const CALM_TICK: u8 = 2;
const LAST_TICK: u8 = 14;

#[derive(Clone, Debug, PartialEq)]
struct State {
    rollout: Rollout,
    cars: Vec<(MachineId, Car)>,
    tick: u8,
    silences: u8,
    stops: u8,
    broken: Option<&'static str>,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        format!("{self:?}").hash(hasher);
    }
}

impl PartialEq for Car {
    fn eq(&self, other: &Self) -> bool {
        self.seen == other.seen && self.installs == other.installs
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    /// A machine does its next thing, and it goes well or not.
    Works(usize, Course),
    /// A machine falls silent, or is heard of again.
    Presence(usize),
    /// Somebody stops all updates of a machine, or lets them go on.
    Stop(usize),
    /// Time goes by.
    Tick,
    /// Time goes by, and what was to be said to machines is lost.
    TickUnsaid,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Course {
    Well,
    Fails,
    Lies,
}

struct Small {
    spec: RolloutSpec,
    phases: Vec<usize>,
    planted: Option<Planted>,
}

impl Small {
    fn now(tick: u8) -> Now {
        Now {
            mono_ms: u64::from(tick) * TICK_MS as u64,
            wall: NOON.plus_millis(i64::from(tick) * TICK_MS),
        }
    }

    /// The server begins, sees everybody, decides until it has nothing more to decide, and ends.
    fn decide(&self, state: &mut State, is_said: bool) {
        let now = Self::now(state.tick);
        let mut executor = Executor::new(id(), state.rollout.clone()).with_planted(self.planted);
        for (machine, car) in &state.cars {
            let (machine, observation) = (*machine, Box::new(car.seen.clone()));
            executor.step(now, Input::Seen { machine, observation });
        }
        executor.step(now, Input::Tick);
        let mut broken = state.broken;
        for _ in 0..40 {
            let effects = executor.take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                match effect {
                    Effect::Append { ticket, records } => {
                        let mut before = executor.rollout().clone();
                        for record in &records {
                            broken = broken.or(wrong(&before, &record.entry, record.at, &state.cars));
                            before.apply(record);
                        }
                        executor.step(now, Input::Persisted(ticket));
                    }
                    Effect::Assign {
                        machine, releases, ..
                    } if is_said => {
                        if let Some((_, car)) = state.cars.iter_mut().find(|(id, _)| *id == machine) {
                            car.seen.desired_version = car.seen.desired_version.next();
                            car.seen.desired = Ok(Arc::new(releases));
                        }
                    }
                    Effect::Assign { .. } | Effect::Answer { .. } => {}
                }
            }
        }
        state.rollout = executor.rollout().clone();
        if state.rollout.places() > self.spec.pace.parallel_max as usize {
            broken = broken.or(Some("more places are held than may be"));
        }
        state.broken = broken;
    }

    fn courses(car: &Car, now: Timestamp) -> Vec<Course> {
        let assignment = car.desired().products.get(&product());
        let update = car.seen.report.as_ref().and_then(|report| report.update.as_ref());
        let number = update.map_or(0, |update| update.number);
        if car.seen.presence == Presence::Lost {
            return Vec::new();
        }
        match update.map(|update| update.phase) {
            Some(UpdatePhase::Installing) => vec![Course::Well],
            Some(UpdatePhase::Probation) => vec![Course::Well, Course::Fails],
            _ if car.seen.stopped => Vec::new(),
            Some(UpdatePhase::Fetching) => vec![Course::Well, Course::Lies],
            _ => match assignment {
                Some(assignment) if assignment.number > number && now < assignment.until => {
                    vec![Course::Well]
                }
                _ => Vec::new(),
            },
        }
    }
}

/// What must not be in an entry.
fn wrong(
    before: &Rollout,
    entry: &RolloutEntry,
    at: Timestamp,
    cars: &[(MachineId, Car)],
) -> Option<&'static str> {
    let cars: BTreeMap<_, _> = cars.iter().map(|(id, car)| (*id, car)).collect();
    match entry {
        RolloutEntry::Offered(offers) => {
            let mut at_risk = BTreeMap::<u32, u32>::new();
            for progress in before.machines.values().filter(|progress| progress.has_place) {
                *at_risk.entry(progress.phase).or_default() += 1;
            }
            for offer in offers.iter().filter(|offer| offer.act == Act::Install) {
                let progress = &before.machines[&offer.machine];
                let car = cars[&offer.machine];
                let risk = at_risk.entry(progress.phase).or_default();
                *risk += 1;
                let did_not = before.phases[progress.phase as usize].counts.did_not();
                if did_not + *risk > before.budget(progress.phase) + 1 {
                    return Some("more machines are at risk than may fail, and one");
                }
                if car.seen.stopped || !car.seen.is_reachable() {
                    return Some("who cannot begin was offered a place");
                }
                if progress.offer.is_some_and(|last| last.number >= offer.number) || offer.until < at {
                    return Some("an offer is not a new one");
                }
            }
            None
        }
        RolloutEntry::Changed(changes) => {
            let lies = changes.iter().any(|change| {
                change.stage == MachineStage::Succeeded && !cars[&change.machine].really_runs()
            });
            lies.then_some("a machine succeeded that does not run it")
        }
        _ => None,
    }
}

impl Model for Small {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let phases: Vec<_> = self
            .phases
            .iter()
            .map(|machines| {
                (
                    phase(&machines.to_string(), &self.spec),
                    vec![Temper::Good; *machines],
                )
            })
            .collect();
        let mut world = World::drafted(self.spec.clone(), &phases, None);
        world.act(RolloutAct::Approve).unwrap();
        world.act(RolloutAct::Start { at: None }).unwrap();
        let cars = world.cars.iter().map(|(id, car)| (*id, car.clone()));
        vec![State {
            rollout: world.rollout().clone(),
            cars: cars.collect(),
            tick: 0,
            silences: 0,
            stops: 0,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_calm = state.tick >= CALM_TICK;
        let now = Self::now(state.tick).wall;
        let mut is_busy = false;
        for (index, (_, car)) in state.cars.iter().enumerate() {
            let courses = Self::courses(car, now);
            is_busy |= !courses.is_empty();
            actions.extend(courses.into_iter().map(|course| Action::Works(index, course)));
            let is_lost = car.seen.presence == Presence::Lost;
            if is_lost || (!is_calm && state.silences == 0) {
                actions.push(Action::Presence(index));
            }
            if car.seen.stopped || (!is_calm && state.stops == 0) {
                actions.push(Action::Stop(index));
            }
            is_busy |= is_calm && (is_lost || car.seen.stopped);
        }
        // In calm times nobody is slower than the clock.
        if state.tick < LAST_TICK && !(is_calm && is_busy) {
            actions.push(Action::Tick);
            if !is_calm {
                actions.push(Action::TickUnsaid);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        if last.rollout.state != RolloutState::Running && last.rollout.state != RolloutState::RollingBack {
            return None;
        }
        let mut state = last.clone();
        let mut is_said = true;
        match action {
            Action::Works(index, course) => works(&mut state.cars[index].1, course),
            Action::Presence(index) => {
                let seen = &mut state.cars[index].1.seen;
                if seen.presence == Presence::Lost {
                    seen.presence = Presence::Online;
                } else {
                    seen.presence = Presence::Lost;
                    state.silences += 1;
                }
            }
            Action::Stop(index) => {
                let seen = &mut state.cars[index].1.seen;
                state.stops += u8::from(!seen.stopped);
                seen.stopped = !seen.stopped;
            }
            Action::Tick => state.tick += 1,
            Action::TickUnsaid => {
                state.tick += 1;
                is_said = false;
            }
        }
        self.decide(&mut state, is_said);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what must hold of each entry holds", |_, state: &State| {
                state.broken.is_none()
            }),
            Property::always("success is of all machines", |_, state: &State| {
                let counts = state.rollout.counts();
                state.rollout.state != RolloutState::Succeeded || (counts.open() == 0 && counts.succeeded > 0)
            }),
            Property::always("going back leaves nobody behind", |_, state: &State| {
                state.rollout.state != RolloutState::RolledBack
                    || state.cars.iter().all(|(machine, car)| {
                        let progress = &state.rollout.machines[machine];
                        !progress.goes_back
                            || progress.stage != MachineStage::RolledBack
                            || !car.really_runs()
                    })
            }),
            Property::eventually("it ends, or waits for a person", |_, state: &State| {
                state.rollout.state.is_end() || state.rollout.state == RolloutState::Paused
            }),
            Property::sometimes("it can succeed", |_, state: &State| {
                state.rollout.state == RolloutState::Succeeded
            }),
            Property::sometimes("a machine can fail", |_, state: &State| {
                state.rollout.counts().did_not() > 0
            }),
        ]
    }
}

fn works(car: &mut Car, course: Course) {
    let assignment = car.desired().products.get(&product()).cloned();
    let report = car.seen.report.as_mut().unwrap();
    let now = report.update.as_ref().map(|update| update.phase);
    match (now, course) {
        (Some(UpdatePhase::Fetching), Course::Well) if is_going_back(report.update.as_ref()) => {
            let running = report.running.as_mut().unwrap();
            running.release.manifest = digest('a');
            running.start += 1;
            running.confirmed = true;
            say(report, UpdatePhase::RolledBack);
        }
        (Some(UpdatePhase::Fetching), Course::Lies) => say(report, UpdatePhase::Confirmed),
        (Some(UpdatePhase::Fetching), _) => say(report, UpdatePhase::Installing),
        (Some(UpdatePhase::Installing), _) => {
            let running = report.running.as_mut().unwrap();
            running.release.manifest = digest('b');
            running.release.counter = 2;
            running.start += 1;
            running.confirmed = false;
            say(report, UpdatePhase::Probation);
        }
        (Some(UpdatePhase::Probation), Course::Fails) => {
            let running = report.running.as_mut().unwrap();
            running.release.manifest = digest('a');
            running.release.counter = 1;
            running.start += 1;
            running.confirmed = true;
            say(report, UpdatePhase::RolledBack);
        }
        (Some(UpdatePhase::Probation), _) => {
            report.running.as_mut().unwrap().confirmed = true;
            say(report, UpdatePhase::Confirmed);
        }
        _ => {
            let Some(assignment) = assignment else { return };
            report.update = Some(muster_model::release::UpdateReport {
                number: assignment.number,
                act: assignment.act,
                version: assignment.version,
                manifest: assignment.manifest,
                phase: UpdatePhase::Fetching,
                why: Vec::new(),
                fetched_bytes: 0,
                to_fetch_bytes: 0,
                since: NOON,
            });
        }
    }
}

fn is_going_back(update: Option<&muster_model::release::UpdateReport>) -> bool {
    update.is_some_and(|update| update.act == Act::GoBack)
}

fn say(report: &mut muster_model::release::ProductReport, phase: UpdatePhase) {
    report.update.as_mut().unwrap().phase = phase;
}

fn small(phases: &[usize], then: OnFailure, percent: u8) -> Small {
    let mut spec = spec();
    spec.failure.percent = percent;
    spec.failure.then = then;
    spec.gates.success_percent = 0;
    spec.pace.offers_max = 2;
    Small {
        spec,
        phases: phases.to_vec(),
        planted: None,
    }
}

fn check(model: Small) -> usize {
    let checker = model.checker().spawn_dfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

#[test]
fn two_machines_in_one_phase() {
    let states = check(small(&[2], OnFailure::Pause, 50));
    assert!(states > 1_000, "{states} states");
}

#[test]
fn a_canary_and_one_more_that_go_back_when_it_fails() {
    let states = check(small(&[1, 1], OnFailure::RollBack, 0));
    assert!(states > 1_000, "{states} states");
}

#[test]
fn planted_bugs_are_found() {
    for (bug, property) in [
        (Planted::WordIsProof, "what must hold of each entry holds"),
        (Planted::NoBudget, "what must hold of each entry holds"),
        (Planted::NoParallelLimit, "what must hold of each entry holds"),
        (Planted::BlockedIsOffered, "what must hold of each entry holds"),
        (Planted::LeaseNeverEnds, "it ends, or waits for a person"),
    ] {
        let mut model = small(&[2], OnFailure::Pause, 0);
        if bug == Planted::NoParallelLimit {
            model.spec.failure.percent = 100;
            model.spec.pace.parallel_max = 1;
        }
        model.planted = Some(bug);
        let checker = model.checker().spawn_dfs().join();
        assert!(checker.discovery(property).is_some(), "{bug:?}");
    }
}
