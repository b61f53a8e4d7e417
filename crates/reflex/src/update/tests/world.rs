//! What surrounds the decision: slots, a disk for notes, readings, and programs that are well or not.

use std::collections::{BTreeMap, BTreeSet};

use muster_model::Timestamp;
use muster_model::release::{Act, Assignment, DesiredReleases, ManifestDigest, ProductName, ReleaseName};
use muster_model::vocabulary::UpdatePhase;

use super::super::*;

/// An assignment begins within this time.
pub(super) const UNTIL_MS: u64 = 3_600_000;
/// Releases of the tests hold so long.
const HOLD_MS: u64 = 5_000;
const WITHIN_MS: u64 = 30_000;
const START: i64 = 1_700_000_000_000;

pub(super) fn name() -> ProductName {
    "car-app".parse().unwrap()
}

fn other() -> ProductName {
    "other".parse().unwrap()
}

fn manifest(version: u64) -> ManifestDigest {
    format!("{version:064x}").parse().unwrap()
}

fn release(version: u64) -> ReleaseName {
    ReleaseName {
        version: version.to_string(),
        counter: version,
        manifest: manifest(version),
    }
}

/// What the shell answers instead of what is usual, once.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Fetch(Trouble),
    Install(Trouble),
    Before(String),
    After(String),
    Start(String),
}

/// What survives a power cut.
#[derive(Clone, Debug, Default)]
struct Disk {
    taken: Option<Taken>,
    running: u64,
    other: Option<u64>,
    on_probation: bool,
    starts: u64,
    starts_on_probation: u32,
    taken_back: Option<(ManifestDigest, String)>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) updates: Updates,
    now: Now,
    desired: DesiredReleases,
    disks: BTreeMap<ProductName, Disk>,
    /// What was read, and since when it is not read again.
    readings: BTreeMap<String, (Value, Option<u64>)>,
    is_run: bool,
    poisoned: Option<u64>,
    answers: Vec<Answer>,
    notes_fail: bool,
    /// Effects that are not answered yet.
    pub(super) open: Vec<Effect>,
    pub(super) phases: Vec<UpdatePhase>,
    /// Since when every check was good, by the judge's own book.
    well_since: BTreeMap<ProductName, Option<u64>>,
    /// Assignments whose end is on the disk.
    over: BTreeSet<(ProductName, u64)>,
    broken: Vec<String>,
}

impl World {
    pub(super) fn new() -> Self {
        let first = Disk {
            running: 1,
            starts: 1,
            ..Disk::default()
        };
        let readings = [
            ("mode", Value::Word("parked".to_owned())),
            ("battery_percent", Value::Number(80.0)),
        ];
        let mut world = Self {
            updates: Updates::default(),
            now: Now {
                mono_ms: 1_000,
                wall: Timestamp::from_millis(START),
            },
            desired: DesiredReleases::default(),
            disks: [(name(), first.clone()), (other(), first)].into(),
            readings: readings
                .map(|(name, value)| (name.to_owned(), (value, None)))
                .into(),
            is_run: true,
            poisoned: None,
            answers: Vec::new(),
            notes_fail: false,
            open: Vec::new(),
            phases: Vec::new(),
            well_since: BTreeMap::new(),
            over: BTreeSet::new(),
            broken: Vec::new(),
        };
        world.boot();
        world
    }

    /// The runtime begins: with what the disk says, and nothing else.
    fn boot(&mut self) {
        let planted = self.updates.planted;
        let taken = self
            .disks
            .iter()
            .filter_map(|(name, disk)| Some((name.clone(), disk.taken.clone()?)));
        self.updates = Updates::new(taken.collect());
        self.updates.planted = planted;
        self.open.clear();
        self.well_since.clear();
        self.tell_readings();
        self.step(Input::Desired(self.desired.clone()));
        for product in [name(), other()] {
            self.tell_slots(&product);
        }
    }

    pub(super) fn cut_the_power(&mut self) {
        // What is on probation is started again, and counted.
        for disk in self.disks.values_mut().filter(|disk| disk.on_probation) {
            disk.starts += 1;
            disk.starts_on_probation += 1;
            if disk.starts_on_probation > 3 {
                go_back(disk, "it was started 3 times and never confirmed");
            }
        }
        self.boot();
    }

    pub(super) fn assign(&mut self, number: u64, version: u64, act: Act) {
        self.assign_to(name(), number, version, act);
    }

    pub(super) fn assign_other(&mut self, number: u64, version: u64) {
        self.assign_to(other(), number, version, Act::Install);
    }

    fn assign_to(&mut self, product: ProductName, number: u64, version: u64, act: Act) {
        let assignment = Assignment {
            number,
            act,
            version: version.to_string(),
            manifest: manifest(version),
            manifest_bytes: 100,
            until: self.now.wall.plus_millis(UNTIL_MS as i64),
            rollout: None,
        };
        self.desired.products.insert(product, assignment);
        self.step(Input::Desired(self.desired.clone()));
    }

    pub(super) fn withdraw(&mut self) {
        self.desired.products.clear();
        self.step(Input::Desired(self.desired.clone()));
    }

    pub(super) fn stop(&mut self, why: Option<&str>) {
        self.desired.stopped = why.map(str::to_owned);
        self.step(Input::Desired(self.desired.clone()));
    }

    pub(super) fn read(&mut self, reading: &str, value: Value) {
        self.readings.insert(reading.to_owned(), (value, None));
        self.tell_readings();
    }

    pub(super) fn forget(&mut self, reading: &str) {
        self.readings.remove(reading);
        self.tell_readings();
    }

    /// Nobody has read it for so long.
    pub(super) fn freeze(&mut self, reading: &str, age_ms: u64) {
        let since = self.now.mono_ms;
        if let Some((_, frozen)) = self.readings.get_mut(reading) {
            *frozen = Some(since);
        }
        self.pass_ms(age_ms);
    }

    pub(super) fn nobody_runs_it(&mut self) {
        self.is_run = false;
        self.tell_readings();
    }

    pub(super) fn poison(&mut self, version: u64) {
        self.poisoned = Some(version);
    }

    pub(super) fn heal(&mut self) {
        self.poisoned = None;
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        self.answers.push(answer);
    }

    pub(super) fn refuse_notes(&mut self, fail: bool) {
        self.notes_fail = fail;
    }

    pub(super) fn crash_loop(&mut self) {
        let disk = self.disks.get_mut(&name()).unwrap();
        disk.starts += 3;
        go_back(disk, "it was started 3 times and never confirmed");
        self.tell_slots(&name());
    }

    pub(super) fn pass_ms(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall = self.now.wall.plus_millis(ms as i64);
        self.tell_readings();
    }

    fn current_readings(&self) -> Readings {
        let all = self.readings.iter().map(|(name, (value, frozen))| {
            let reading = Reading {
                value: value.clone(),
                at_ms: frozen.unwrap_or(self.now.mono_ms),
            };
            (name.clone(), reading)
        });
        let run = if self.is_run {
            vec![name(), other()]
        } else {
            vec![]
        };
        Readings {
            all: all.collect(),
            run: run.into_iter().collect(),
        }
    }

    fn tell_readings(&mut self) {
        let readings = self.current_readings();
        self.step(Input::Readings(readings));
    }

    fn tell_slots(&mut self, product: &ProductName) {
        let disk = &self.disks[product];
        let slots = Slots {
            running: Some(release(disk.running)),
            other: disk.other.map(release),
            on_probation: disk.on_probation,
            facts: Box::new(facts()),
            starts: disk.starts,
            started_at: None,
            taken_back: disk.taken_back.clone(),
        };
        self.step(Input::Of(product.clone(), Step::Slots(slots)));
    }

    pub(super) fn step(&mut self, input: Input) {
        for effect in self.updates.step(self.now, input) {
            self.watch(&effect);
            match &effect {
                Effect::LeaveOff(product) => {
                    self.open
                        .retain(|open| !matches!(open, Effect::Fetch(other, _) if other == product));
                }
                Effect::Tell { .. } => {}
                _ => self.open.push(effect),
            }
        }
        let report = self.updates.report();
        for product in &report.products {
            self.watch_report(product);
        }
        let phase = self.phase();
        if phase != UpdatePhase::Idle && self.phases.last() != Some(&phase) {
            self.phases.push(phase);
        }
    }

    /// So many seconds, with everything answered at once.
    pub(super) fn run(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.pass_ms(1_000);
            self.step(Input::Time);
            while !self.open.is_empty() {
                self.answer_one(0);
            }
        }
    }

    pub(super) fn run_until(&mut self, phase: UpdatePhase) {
        for _ in 0..200 {
            if self.phases.contains(&phase) {
                return;
            }
            if self.open.is_empty() {
                self.pass_ms(1_000);
                self.step(Input::Time);
            } else {
                self.answer_one(0);
            }
        }
        panic!("{phase} never came: {:?}", self.phases);
    }

    pub(super) fn answer_one(&mut self, which: usize) {
        if self.open.is_empty() {
            return;
        }
        let effect = self.open.remove(which % self.open.len());
        let (product, step) = self.carry_out(effect);
        if matches!(
            step,
            Step::Activated | Step::Confirmed | Step::WentBack | Step::Installed | Step::Started
        ) {
            self.tell_slots(&product);
        }
        self.step(Input::Of(product, step));
    }

    fn instead(&mut self, fits: impl Fn(&Answer) -> bool) -> Option<Answer> {
        let at = self.answers.iter().position(fits)?;
        Some(self.answers.remove(at))
    }

    fn carry_out(&mut self, effect: Effect) -> (ProductName, Step) {
        let fetch =
            self.instead(|answer| matches!(answer, Answer::Fetch(_)) && matches!(effect, Effect::Fetch(..)));
        let install = self
            .instead(|answer| matches!(answer, Answer::Install(_)) && matches!(effect, Effect::Install(..)));
        let before = self.instead(|answer| {
            matches!(answer, Answer::Before(_)) && matches!(effect, Effect::RunHooks(_, Stage::Before))
        });
        let after = self.instead(|answer| {
            matches!(answer, Answer::After(_)) && matches!(effect, Effect::RunHooks(_, Stage::After))
        });
        let start =
            self.instead(|answer| matches!(answer, Answer::Start(_)) && matches!(effect, Effect::Start(_)));
        let product = product_of(&effect);
        let disk = self.disks.get_mut(&product).unwrap();
        let step = match (effect, fetch.or(install).or(before).or(after).or(start)) {
            (_, Some(Answer::Fetch(trouble))) => Step::NotFetched(trouble),
            (_, Some(Answer::Install(trouble))) => Step::NotInstalled(trouble),
            (_, Some(Answer::Before(why))) => Step::HookFailed(Stage::Before, why),
            (_, Some(Answer::After(why))) => Step::HookFailed(Stage::After, why),
            (_, Some(Answer::Start(why))) => Step::NotStarted(why),
            (Effect::Note(..), None) if self.notes_fail => Step::NotNoted("the disk is full".to_owned()),
            (Effect::Note(_, taken), None) => {
                if taken.ended.is_some() {
                    self.over.insert((product.clone(), taken.number));
                }
                disk.taken = Some(taken);
                Step::Noted
            }
            (Effect::Fetch(..), None) => Step::Fetched(Box::new(facts())),
            (Effect::Install(_), None) => {
                disk.other = self
                    .desired
                    .products
                    .get(&product)
                    .map(|assignment| assignment.version.parse().unwrap());
                Step::Installed
            }
            (Effect::RunHooks(_, stage), None) => Step::HooksRan(stage),
            (Effect::Activate(_), None) => match disk.other.take() {
                Some(new) => {
                    disk.other = Some(std::mem::replace(&mut disk.running, new));
                    disk.on_probation = true;
                    disk.starts_on_probation = 0;
                    Step::Activated
                }
                None => Step::NotActivated("nothing is installed".to_owned()),
            },
            (Effect::Start(_), None) => {
                disk.starts += 1;
                disk.starts_on_probation += 1;
                Step::Started
            }
            (Effect::Check(_), None) => {
                let is_poisoned = self.poisoned == Some(disk.running);
                let problems = if is_poisoned {
                    vec!["port 80 does not answer".to_owned()]
                } else {
                    Vec::new()
                };
                self.note_check(&product, problems.is_empty());
                Step::Checked(problems)
            }
            (Effect::Confirm(_), None) => {
                disk.on_probation = false;
                Step::Confirmed
            }
            (Effect::GoBack(_, why), None) => {
                if disk.other.is_some() {
                    go_back(disk, &why);
                    Step::WentBack
                } else {
                    Step::NotWentBack {
                        why: "there is nothing".to_owned(),
                        for_good: true,
                    }
                }
            }
            (effect, _) => panic!("{effect:?} has no answer"),
        };
        (product, step)
    }

    fn note_check(&mut self, product: &ProductName, is_well: bool) {
        let now = self.now.mono_ms;
        let since = self.well_since.entry(product.clone()).or_default();
        *since = if is_well { since.or(Some(now)) } else { None };
    }

    /// What must hold of each effect when it goes out.
    fn watch(&mut self, effect: &Effect) {
        let mut say = |what: &str| self.broken.push(format!("{what}: {effect:?}"));
        let readings: Vec<String> = facts()
            .conditions
            .iter()
            .filter(|condition| !holds(&self.readings, self.now.mono_ms, condition))
            .map(|condition| condition.reading.clone())
            .collect();
        match effect {
            Effect::Install(_) | Effect::Activate(_) if !readings.is_empty() => {
                say("a condition does not hold");
            }
            Effect::Fetch(..) | Effect::Install(_) | Effect::Activate(_)
                if self.desired.stopped.is_some() =>
            {
                say("all updates are stopped");
            }
            Effect::Confirm(product) => {
                let since = self.well_since.get(product).copied().flatten();
                if since.is_none_or(|since| self.now.mono_ms < since + HOLD_MS) {
                    say("it did not hold");
                }
            }
            Effect::Fetch(product, assignment) => {
                let taken = self.disks[product].taken.as_ref();
                match taken {
                    None => say("it was not noted"),
                    Some(taken) if taken.number != assignment.number => say("something else was noted"),
                    Some(taken) if taken.ended.is_some() => say("it was over"),
                    Some(_) => {}
                }
            }
            Effect::Note(product, taken) if self.over.contains(&(product.clone(), taken.number)) => {
                say("it was over");
            }
            Effect::Start(product) => {
                self.well_since.insert(product.clone(), None);
            }
            _ => {}
        }
    }

    fn watch_report(&mut self, product: &muster_model::release::ProductReport) {
        let Some(update) = &product.update else { return };
        let name: ProductName = product.product.parse().unwrap();
        let Some(disk) = self.disks.get(&name) else { return };
        if update.phase.is_end() {
            let ended = disk.taken.as_ref().and_then(|taken| taken.ended.as_ref());
            if ended.map(|ended| ended.phase) != Some(update.phase) {
                self.broken
                    .push(format!("told before the disk holds it: {update:?}"));
            }
        }
        if update.phase == UpdatePhase::Confirmed
            && update.act == Act::Install
            && self
                .desired
                .products
                .get(&name)
                .map(|assignment| assignment.number)
                == Some(update.number)
            && (manifest(disk.running) != update.manifest || disk.on_probation)
        {
            self.broken.push(format!("confirmed and not so: {update:?}"));
        }
    }

    pub(super) fn phase(&self) -> UpdatePhase {
        self.update().map_or(UpdatePhase::Idle, |update| update.phase)
    }

    pub(super) fn why(&self) -> Vec<String> {
        self.update().map(|update| update.why).unwrap_or_default()
    }

    fn update(&self) -> Option<muster_model::release::UpdateReport> {
        self.updates.report().product(name().as_str())?.update.clone()
    }

    /// Which version runs, and whether it is confirmed.
    pub(super) fn running(&self) -> (u64, bool) {
        let disk = &self.disks[&name()];
        (disk.running, !disk.on_probation)
    }

    #[track_caller]
    pub(super) fn judge(&self) {
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
    }

    pub(super) fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }
}

fn go_back(disk: &mut Disk, why: &str) {
    if let Some(before) = disk.other {
        disk.taken_back = Some((manifest(disk.running), why.to_owned()));
        disk.other = Some(std::mem::replace(&mut disk.running, before));
        disk.on_probation = false;
        disk.starts += 1;
    }
}

/// The judge's own reading of conditions.
fn holds(readings: &BTreeMap<String, (Value, Option<u64>)>, now_ms: u64, condition: &Condition) -> bool {
    let Some((value, frozen)) = readings.get(&condition.reading) else {
        return false;
    };
    if frozen.is_some_and(|since| now_ms - since > READING_MAX_AGE_MS) {
        return false;
    }
    match (value, &condition.test) {
        (Value::Number(number), Test::AtLeast(least)) => *number >= f64::from(*least),
        (Value::Number(number), Test::AtMost(most)) => *number <= f64::from(*most),
        (Value::Word(word), Test::In(words)) => words.contains(word),
        _ => false,
    }
}

fn facts() -> Facts {
    Facts {
        conditions: vec![
            Condition {
                reading: "mode".to_owned(),
                test: Test::In(vec!["parked".to_owned(), "docked".to_owned()]),
            },
            Condition {
                reading: "battery_percent".to_owned(),
                test: Test::AtLeast(40),
            },
        ],
        health: Some(HealthWanted {
            hold_ms: HOLD_MS,
            within_ms: WITHIN_MS,
        }),
        has_before: true,
        has_after: true,
        is_started: true,
    }
}

fn product_of(effect: &Effect) -> ProductName {
    match effect {
        Effect::Note(product, _)
        | Effect::Fetch(product, _)
        | Effect::LeaveOff(product)
        | Effect::Install(product)
        | Effect::RunHooks(product, _)
        | Effect::Activate(product)
        | Effect::Start(product)
        | Effect::Check(product)
        | Effect::Confirm(product)
        | Effect::GoBack(product, _)
        | Effect::Tell { product, .. } => product.clone(),
    }
}
