//! A world of machines for one rollout. Everything that must hold is checked in [`World::turn`], with every step of every test.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::release::{
    Act, DesiredReleases, ManifestDigest, ProductName, ProductReport, ReleaseName, RunningRelease,
    UpdateReport,
};
use muster_model::rollout::{
    Amount, Failure, Gates, LateJoiners, MachineStage, OnFailure, Pace, PhaseFacts, ReleaseFacts, Rolling,
    RolloutAct, RolloutEntry, RolloutId, RolloutRecord, RolloutSpec, RolloutState, Strategy,
};
use muster_model::vocabulary::UpdatePhase;
use muster_model::{DesiredVersion, MachineId, Presence, Timestamp};

use crate::Now;
use crate::rollout::{Effect, Executor, Input, Observation, Planted, Rollout};
use crate::shard::RequestId;

/// How long a step of the world is.
pub(super) const STEP_MS: i64 = 10_000;
/// Noon of some day.
pub(super) const NOON: Timestamp = Timestamp::from_millis(20_000 * 86_400_000 + 12 * 3_600_000);

pub(super) fn id() -> RolloutId {
    "r1".parse().unwrap()
}

pub(super) fn product() -> ProductName {
    "car-app".parse().unwrap()
}

pub(super) fn machine(number: u128) -> MachineId {
    MachineId::from_uuid(uuid::Uuid::from_u128(number))
}

pub(super) fn digest(letter: char) -> ManifestDigest {
    letter.to_string().repeat(64).parse().unwrap()
}

pub(super) fn release() -> ReleaseFacts {
    ReleaseFacts {
        product: product(),
        version: "2.0.0".to_owned(),
        counter: 2,
        manifest: digest('b'),
        manifest_bytes: 900,
        architectures: Vec::new(),
        kinds: Vec::new(),
        is_started: true,
        preconditions: Vec::new(),
    }
}

/// Everybody in one batch, nobody may fail but by the budget, no soak.
pub(super) fn spec() -> RolloutSpec {
    RolloutSpec {
        name: String::new(),
        product: product(),
        version: "2.0.0".to_owned(),
        selection: String::new(),
        strategy: Strategy::Rolling(Rolling {
            batch: Amount::Machines(1_000),
            growth: 1,
        }),
        pace: Pace {
            parallel_max: 2,
            starts_per_min: None,
            lease_s: 300,
            offers_max: 2,
        },
        gates: Gates {
            soak_s: 0,
            ..Gates::default()
        },
        window: None,
        failure: Failure {
            percent: 50,
            then: OnFailure::Pause,
        },
        late_joiners: LateJoiners::Skip,
    }
}

/// How a machine behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temper {
    Good,
    /// The release does not hold: it goes back by itself.
    Poisoned,
    Refuses,
    /// It says `confirmed` and changes nothing.
    Liar,
    /// It says that its old release is confirmed, started anew.
    Restarts,
    /// It runs the release, and never says that it was started.
    NotStarted,
    /// It waits for its preconditions until this step.
    WaitsUntil(u32),
    /// It is not heard of in these steps.
    Silent(u32, u32),
    /// It never ends to fetch.
    Hangs,
    /// It refuses, because the time to begin is over, whenever it is told.
    AlwaysLate,
    /// It goes back when it had proved it, at this step.
    Relapses(u32),
}

/// One machine.
#[derive(Clone, Debug)]
pub(super) struct Car {
    pub(super) temper: Temper,
    pub(super) seen: Observation,
    before: Option<RunningRelease>,
    /// How often it really put the release in place.
    pub(super) installs: u32,
}

impl Car {
    pub(super) fn new(temper: Temper) -> Self {
        let running = RunningRelease {
            release: ReleaseName {
                version: "1.0.0".to_owned(),
                counter: 1,
                manifest: digest('a'),
            },
            confirmed: true,
            start: 7,
            started_at: None,
        };
        Self {
            temper,
            before: None,
            installs: 0,
            seen: Observation {
                presence: Presence::Online,
                presence_since: NOON,
                desired_version: DesiredVersion::ZERO,
                desired: Ok(Arc::default()),
                stopped: false,
                report: Some(ProductReport {
                    product: product().to_string(),
                    running: Some(running),
                    other: None,
                    update: None,
                }),
                unhealthy: Vec::new(),
            },
        }
    }

    pub(super) fn desired(&self) -> &DesiredReleases {
        self.seen.desired.as_ref().unwrap()
    }

    fn report(&mut self) -> &mut ProductReport {
        self.seen.report.as_mut().unwrap()
    }

    pub(super) fn really_runs(&self) -> bool {
        self.seen.runs(&release().manifest)
    }

    /// Lets it do its next thing.
    fn work(&mut self, step: u32, now: Timestamp) {
        if let Temper::Silent(from, to) = self.temper {
            let presence = if (from..to).contains(&step) {
                Presence::Lost
            } else {
                Presence::Online
            };
            if self.seen.presence != presence {
                self.seen.presence = presence;
                self.seen.presence_since = now;
            }
            if presence == Presence::Lost {
                return;
            }
        }
        if let Temper::Relapses(at) = self.temper
            && step >= at
            && self.really_runs()
        {
            self.go_back();
        }
        let assignment = self.desired().products.get(&product()).cloned();
        let update = self.report().update.clone();
        let Some(assignment) = assignment else {
            if let Some(update) = &mut self.report().update
                && matches!(
                    update.phase,
                    UpdatePhase::Offered | UpdatePhase::Fetching | UpdatePhase::Waiting
                )
            {
                update.phase = UpdatePhase::Idle;
                update.why.clear();
            }
            return;
        };
        if update
            .as_ref()
            .is_none_or(|update| update.number < assignment.number)
        {
            let busy = update.is_some_and(|update| {
                matches!(update.phase, UpdatePhase::Installing | UpdatePhase::Probation)
            });
            if !busy && now < assignment.until {
                self.report().update = Some(UpdateReport {
                    number: assignment.number,
                    act: assignment.act,
                    version: assignment.version.clone(),
                    manifest: assignment.manifest.clone(),
                    phase: UpdatePhase::Fetching,
                    why: Vec::new(),
                    fetched_bytes: 0,
                    to_fetch_bytes: 0,
                    since: now,
                });
            } else if busy {
                self.go_on(step, now, assignment.until);
            }
            return;
        }
        self.go_on(step, now, assignment.until);
    }

    fn go_on(&mut self, step: u32, now: Timestamp, until: Timestamp) {
        let temper = self.temper;
        let Some(update) = self.report().update.clone() else {
            return;
        };
        if update.act == Act::GoBack {
            if update.phase == UpdatePhase::Fetching {
                self.go_back();
                self.say(UpdatePhase::RolledBack, "was told to");
            }
            return;
        }
        match (update.phase, temper) {
            (UpdatePhase::Fetching, Temper::Hangs) => {}
            (UpdatePhase::Fetching, Temper::Refuses) => self.say(UpdatePhase::Refused, "no room"),
            (UpdatePhase::Fetching, Temper::AlwaysLate) => {
                self.report().update.as_mut().unwrap().since = until.plus_millis(1);
                self.say(UpdatePhase::Refused, "its time was over before it began");
            }
            (UpdatePhase::Fetching, Temper::Liar) => self.say(UpdatePhase::Confirmed, ""),
            (UpdatePhase::Fetching, Temper::Restarts) => {
                self.report().running.as_mut().unwrap().start += 1;
                self.say(UpdatePhase::Confirmed, "");
            }
            (UpdatePhase::Fetching | UpdatePhase::Waiting, Temper::WaitsUntil(until_step))
                if step < until_step =>
            {
                self.say(UpdatePhase::Waiting, "driving");
            }
            (UpdatePhase::Fetching | UpdatePhase::Waiting, _) if now >= until => {
                self.say(UpdatePhase::Idle, "too late to begin");
            }
            (UpdatePhase::Fetching | UpdatePhase::Waiting, _) => self.say(UpdatePhase::Installing, ""),
            (UpdatePhase::Installing, _) => {
                self.installs += 1;
                let before = self.report().running.clone();
                self.before.clone_from(&before);
                let start = before.map_or(0, |running| running.start);
                let started = u64::from(temper != Temper::NotStarted);
                self.report().running = Some(RunningRelease {
                    release: ReleaseName {
                        version: update.version.clone(),
                        counter: 2,
                        manifest: update.manifest.clone(),
                    },
                    confirmed: temper == Temper::NotStarted,
                    start: start + started,
                    started_at: None,
                });
                self.say(UpdatePhase::Probation, "");
            }
            (UpdatePhase::Probation, Temper::Poisoned) => {
                self.go_back();
                self.say(UpdatePhase::RolledBack, "its process ended");
            }
            (UpdatePhase::Probation, Temper::NotStarted) => {}
            (UpdatePhase::Probation, _) => {
                self.report().running.as_mut().unwrap().confirmed = true;
                self.say(UpdatePhase::Confirmed, "");
            }
            _ => {}
        }
    }

    fn say(&mut self, phase: UpdatePhase, why: &str) {
        let update = self.report().update.as_mut().unwrap();
        update.phase = phase;
        update.why = if why.is_empty() {
            Vec::new()
        } else {
            vec![why.to_owned()]
        };
    }

    fn go_back(&mut self) {
        if let Some(mut before) = self.before.take() {
            before.start = self.seen.start() + 1;
            self.report().running = Some(before);
        }
    }
}

/// A rollout among machines.
pub(super) struct World {
    pub(super) executor: Executor,
    pub(super) log: Vec<RolloutRecord>,
    pub(super) cars: BTreeMap<MachineId, Car>,
    pub(super) step: u32,
    pub(super) planted: Option<Planted>,
    /// Batches that the log refuses: of the steps so far.
    pub(super) refuse_every: u32,
    /// The server is started anew every so many steps.
    pub(super) restart_every: u32,
    /// What was found that must not be.
    pub(super) broken: Option<String>,
    requests: u64,
    persisted: usize,
}

impl World {
    /// A world with a rollout of these phases that was approved and started.
    pub(super) fn of(spec: RolloutSpec, phases: &[(PhaseFacts, Vec<Temper>)]) -> Self {
        let mut world = Self::drafted(spec, phases, None);
        world.begin();
        world
    }

    pub(super) fn with(spec: RolloutSpec, tempers: &[Temper], planted: Option<Planted>) -> Self {
        let phases = [(phase("all", &spec), tempers.to_vec())];
        let mut world = Self::drafted(spec, &phases, planted);
        world.begin();
        world
    }

    pub(super) fn drafted(
        spec: RolloutSpec,
        phases: &[(PhaseFacts, Vec<Temper>)],
        planted: Option<Planted>,
    ) -> Self {
        spec.check().unwrap();
        let mut cars = BTreeMap::new();
        let mut entries = vec![
            RolloutEntry::Created {
                spec: Box::new(spec),
                release: Box::new(release()),
                by: "ada".to_owned(),
                reason: "new brakes".to_owned(),
            },
            RolloutEntry::Planned {
                phases: phases.iter().map(|(facts, _)| facts.clone()).collect(),
                by: "ada".to_owned(),
            },
        ];
        for (index, (_, tempers)) in (0..).zip(phases) {
            let mut machines = Vec::new();
            for temper in tempers {
                let id = machine(cars.len() as u128 + 1);
                cars.insert(id, Car::new(*temper));
                machines.push(id);
            }
            entries.push(RolloutEntry::Placed {
                phase: index,
                machines,
            });
        }
        let log: Vec<RolloutRecord> = entries
            .into_iter()
            .map(|entry| RolloutRecord { at: NOON, entry })
            .collect();
        let rollout = Rollout::fold(&log).unwrap();
        Self {
            executor: Executor::new(id(), rollout).with_planted(planted),
            persisted: log.len(),
            log,
            cars,
            step: 0,
            planted,
            refuse_every: 0,
            restart_every: 0,
            broken: None,
            requests: 0,
        }
    }

    pub(super) fn begin(&mut self) {
        self.act(RolloutAct::Approve).unwrap();
        self.act(RolloutAct::Start { at: None }).unwrap();
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono_ms: u64::from(self.step) * STEP_MS as u64,
            wall: NOON.plus_millis(i64::from(self.step) * STEP_MS),
        }
    }

    pub(super) fn rollout(&self) -> &Rollout {
        self.executor.rollout()
    }

    pub(super) fn stage(&self, number: u128) -> MachineStage {
        self.rollout().machines[&machine(number)].stage
    }

    /// Somebody decides something.
    pub(super) fn act(&mut self, act: RolloutAct) -> Result<(), crate::rollout::ActError> {
        self.requests += 1;
        let request = RequestId(self.requests);
        let input = Input::Act {
            request,
            act,
            by: "ada".to_owned(),
            reason: "it is time".to_owned(),
        };
        let now = self.now();
        self.executor.step(now, input);
        let mut answers = self.drain();
        answers.remove(&request).expect("an answer")
    }

    /// Carries out what is left, until nothing is.
    fn drain(&mut self) -> BTreeMap<RequestId, Result<(), crate::rollout::ActError>> {
        let mut answers = BTreeMap::new();
        for _ in 0..200 {
            let effects = self.executor.take_effects();
            if effects.is_empty() {
                return answers;
            }
            // The log takes its time: what is not bound to wait for it is done before.
            let (appends, others): (Vec<_>, Vec<_>) = effects
                .into_iter()
                .partition(|effect| matches!(effect, Effect::Append { .. }));
            for effect in others.into_iter().chain(appends) {
                self.carry_out(effect, &mut answers);
            }
        }
        self.breaks("it never comes to rest");
        answers
    }

    fn carry_out(
        &mut self,
        effect: Effect,
        answers: &mut BTreeMap<RequestId, Result<(), crate::rollout::ActError>>,
    ) {
        let now = self.now();
        match effect {
            Effect::Answer { request, result } => drop(answers.insert(request, result)),
            Effect::Append { ticket, records } => {
                if self.refuse_every > 0 && self.step % self.refuse_every == 1 {
                    let reason = "the disk is full".to_owned();
                    self.executor.step(now, Input::NotPersisted { ticket, reason });
                    return;
                }
                for record in &records {
                    self.check_record(record);
                    self.log.push(record.clone());
                    self.persisted += 1;
                }
                self.executor.step(now, Input::Persisted(ticket));
                self.check_fold();
            }
            Effect::Assign {
                machine,
                expected,
                releases,
                ..
            } => {
                self.check_assignment(machine, &releases);
                let car = self.cars.get_mut(&machine).unwrap();
                if car.seen.desired_version == expected {
                    car.seen.desired_version = expected.next();
                    car.seen.desired = Ok(Arc::new(releases));
                    releases_are_fine(car);
                }
            }
        }
    }

    /// One step of time: machines work, are seen, and the rollout decides.
    pub(super) fn turn(&mut self) {
        self.step += 1;
        let now = self.now();
        for car in self.cars.values_mut() {
            car.work(self.step, now.wall);
        }
        if self.restart_every > 0 && self.step.is_multiple_of(self.restart_every) {
            self.restart();
        }
        self.look();
        self.executor.step(now, Input::Tick);
        self.drain();
    }

    /// The server ends and begins anew, with what the log has.
    pub(super) fn restart(&mut self) {
        let rollout = Rollout::fold(&self.log).unwrap();
        self.executor = Executor::new(id(), rollout).with_planted(self.planted);
        self.look();
    }

    pub(super) fn look(&mut self) {
        let now = self.now();
        for (machine, car) in &self.cars {
            let observation = Box::new(car.seen.clone());
            let machine = *machine;
            self.executor.step(now, Input::Seen { machine, observation });
        }
    }

    /// Goes on until the rollout is where it is wanted.
    pub(super) fn until(&mut self, state: RolloutState) -> &mut Self {
        for _ in 0..3_000 {
            if self.rollout().state == state {
                return self;
            }
            self.turn();
        }
        panic!(
            "it never became {state}: it is {} ({}), phase {:?}, {:?}",
            self.rollout().state,
            self.rollout().why,
            self.rollout().phases.get(self.rollout().phase as usize),
            self.rollout().counts()
        );
    }

    pub(super) fn turns(&mut self, turns: u32) -> &mut Self {
        for _ in 0..turns {
            self.turn();
        }
        self
    }

    fn breaks(&mut self, what: impl Into<String>) {
        self.broken.get_or_insert(what.into());
    }

    /// Nothing that must not be was found.
    pub(super) fn assert_sound(&self) {
        assert_eq!(self.broken, None);
    }

    fn check_fold(&mut self) {
        if Rollout::fold(&self.log).as_ref() != Some(self.rollout()) {
            self.breaks("the fold of the log is another rollout than the one that is carried out");
        }
        let parallel = self.rollout().spec.pace.parallel_max as usize;
        if self.rollout().places() > parallel {
            self.breaks("more places are held than may be");
        }
        let mut counts = [self.rollout().counts(), muster_model::rollout::Counts::default()];
        for phase in &self.rollout().phases {
            counts[1] = sum(counts[1], phase.counts);
        }
        if counts[0] != counts[1] || counts[0].all() as usize != self.rollout().machines.len() {
            self.breaks("the counts are not exact");
        }
    }

    /// What must hold of each record before it comes into the log.
    fn check_record(&mut self, record: &RolloutRecord) {
        let before = Rollout::fold(&self.log).unwrap();
        match &record.entry {
            RolloutEntry::Offered(offers) => {
                let mut at_risk: BTreeMap<u32, u32> = BTreeMap::new();
                for progress in before.machines.values().filter(|progress| progress.has_place) {
                    *at_risk.entry(progress.phase).or_default() += 1;
                }
                for offer in offers {
                    let progress = &before.machines[&offer.machine];
                    let car = &self.cars[&offer.machine];
                    let last = progress.offer.map_or(0, |offer| offer.number);
                    let held = car.desired().products.get(&product()).map_or(0, |a| a.number);
                    if offer.number <= last.max(held) {
                        self.breaks("a number was given twice");
                    }
                    if offer.act == Act::GoBack {
                        continue;
                    }
                    let car = &self.cars[&offer.machine];
                    if car.seen.stopped || car.desired().stopped.is_some() {
                        self.breaks("a stopped machine was offered a place");
                    }
                    if let Some(window) = before.spec.window
                        && window.open_until(record.at).is_none_or(|end| offer.until > end)
                    {
                        self.breaks("a place was given outside of the window");
                    }
                    let risk = at_risk.entry(progress.phase).or_default();
                    *risk += 1;
                    let did_not = before.phases[progress.phase as usize].counts.did_not();
                    if did_not + *risk > before.budget(progress.phase) + 1 {
                        self.breaks("more machines are at risk than may fail, and one");
                    }
                }
            }
            RolloutEntry::Changed(changes) => {
                for change in changes {
                    let car = &self.cars[&change.machine];
                    let started = car.seen.start() > 7;
                    if change.stage == MachineStage::Succeeded && !(car.really_runs() && started) {
                        self.breaks("a machine succeeded that does not run it");
                    }
                }
            }
            RolloutEntry::StateChanged { state, .. } if *state == RolloutState::Succeeded => {
                let counts = before.counts();
                if counts.open() > 0 {
                    self.breaks("it succeeded while machines were under way");
                }
                let silent = before
                    .phases
                    .iter()
                    .any(|phase| phase.counts.all() > phase.counts.skipped && phase.counts.answered() == 0);
                if silent {
                    self.breaks("a phase of which nobody answered counts as success");
                }
            }
            _ => {}
        }
    }

    /// An assignment goes out only when the log has its offer.
    fn check_assignment(&mut self, machine: MachineId, releases: &DesiredReleases) {
        let Some(assignment) = releases.products.get(&product()) else {
            return;
        };
        if assignment.rollout.as_deref() != Some(id().as_str()) {
            return;
        }
        let is_in_log = self.log.iter().any(|record| {
            matches!(&record.entry, RolloutEntry::Offered(offers)
                if offers.iter().any(|o| o.machine == machine && o.number == assignment.number && o.act == assignment.act))
        });
        if !is_in_log {
            self.breaks("a machine was told of an offer that the log does not have");
        }
    }
}

fn releases_are_fine(car: &Car) {
    car.desired().check().unwrap();
}

fn sum(a: muster_model::rollout::Counts, b: muster_model::rollout::Counts) -> muster_model::rollout::Counts {
    let (mut all, mut b) = (a, b);
    for stage in MachineStage::ALL {
        *all.of(*stage) += *b.of(*stage);
    }
    all
}

/// A phase as the gates of the specification have it.
pub(super) fn phase(name: &str, spec: &RolloutSpec) -> PhaseFacts {
    PhaseFacts {
        name: name.to_owned(),
        soak_s: spec.gates.soak_s,
        approval: false,
    }
}
