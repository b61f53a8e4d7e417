//! Random sequences against a world of processes, judged by an onlooker who knows only the promises.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// What happens next in the world.
#[derive(Clone, Debug)]
enum Happens {
    Want(Vec<(u8, u8)>),
    Ask(u8, u8),
    /// Time passes.
    Passes(u64),
    /// Something that was begun comes about: a start, an end, a check.
    ComesAbout(u8, bool),
    /// What runs ends by itself.
    Ends(u8, i32),
    /// The runtime is killed and begins anew.
    Killed,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        2 => prop::collection::vec((0..3_u8, 0..3_u8), 0..4).prop_map(Happens::Want),
        1 => (0..3_u8, 0..3_u8).prop_map(|(which, ask)| Happens::Ask(which, ask)),
        3 => (1..4_000_u64).prop_map(Happens::Passes),
        8 => (0..8_u8, prop::bool::weighted(0.8)).prop_map(|(which, well)| Happens::ComesAbout(which, well)),
        3 => (0..3_u8, 0..2_i32).prop_map(|(which, code)| Happens::Ends(which, code)),
        1 => Just(Happens::Killed),
    ]
}

/// A bug that the onlooker must find.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Planted {
    Nothing,
    /// The next instance is started while the one before is only asked to end.
    StartsBeforeTheEnd,
    /// What is not wanted is not ended.
    LeavesTheUnwanted,
    /// The limit is not kept.
    CountsNothing,
    /// A restarted runtime does not look what runs.
    ForgetsWhatRuns,
    /// A stubborn one is never killed.
    NeverKills,
    /// A restarted runtime does not know what was given up.
    ForgetsWhatFailed,
}

const LIMIT: u32 = 2;
const WINDOW_S: u64 = 20;

fn definition(which: u8) -> Workload {
    let mut workload = native();
    workload.arguments = vec![which.to_string()];
    workload.restart.limit = LIMIT;
    workload.restart.window_s = WINDOW_S;
    workload.restart.backoff_ms = 100;
    workload.stop.timeout_s = 1;
    if which == 2 {
        workload.health = Some(HealthCheck {
            interval_s: 1,
            retries: 1,
            ..HealthCheck::default()
        });
    }
    workload
}

/// What exists outside of the decision.
struct World {
    planted: Planted,
    now_ms: u64,
    workloads: Workloads,
    wanted: BTreeMap<WorkloadName, Wanted>,
    /// Instances that exist, and of which definition.
    exist: BTreeMap<(WorkloadName, Instance), Wanted>,
    /// What was begun and has not come about.
    open: Vec<Effect>,
    held: BTreeSet<WorkloadName>,
    rests: BTreeMap<WorkloadName, Rest>,
    /// Given up, and nobody meddled since.
    given_up: BTreeSet<WorkloadName>,
    newest: BTreeMap<WorkloadName, (Instance, Wanted, Option<Exit>)>,
    /// When each was started, since somebody last meddled with it.
    starts: BTreeMap<WorkloadName, Vec<u64>>,
}

impl World {
    fn new(planted: Planted) -> Self {
        let mut world = Self {
            planted,
            now_ms: 0,
            workloads: Workloads::default(),
            wanted: BTreeMap::new(),
            exist: BTreeMap::new(),
            open: Vec::new(),
            held: BTreeSet::new(),
            rests: BTreeMap::new(),
            given_up: BTreeSet::new(),
            newest: BTreeMap::new(),
            starts: BTreeMap::new(),
        };
        world.step(Input::Wanted(BTreeMap::new())).unwrap();
        world
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        for effect in self.workloads.step(self.now_ms, input) {
            self.carry_out(effect)?;
        }
        match self.planted {
            Planted::StartsBeforeTheEnd => {
                for entry in self.workloads.entries.values_mut() {
                    let ends = matches!(entry.phase, Phase::Stopping { .. });
                    if ends && entry.wanted.is_some() && !entry.held {
                        entry.phase = Phase::Pending { waits_for: None };
                    }
                }
                for effect in self.workloads.step(self.now_ms, Input::Time) {
                    self.carry_out(effect)?;
                }
            }
            Planted::CountsNothing => {
                for entry in self.workloads.entries.values_mut() {
                    entry.starts_again_ms.clear();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Start {
                ref name,
                instance,
                ref wanted,
            } => {
                if let Some((other, _)) = self.exist.keys().find(|(other, _)| other == name) {
                    return Err(format!("two instances of {other} at {}", self.now_ms));
                }
                if self
                    .newest
                    .get(name)
                    .is_some_and(|(before, ..)| *before >= instance)
                {
                    return Err(format!("{name} counts back to {instance}"));
                }
                if self.given_up.contains(name) {
                    return Err(format!("{name} was given up, and is started"));
                }
                self.exist.insert((name.clone(), instance), wanted.clone());
                self.newest.insert(name.clone(), (instance, wanted.clone(), None));
                let starts = self.starts.entry(name.clone()).or_default();
                // A start may come up to a pass of time after it was decided.
                starts.retain(|at| at + (WINDOW_S - 5) * 1_000 >= self.now_ms);
                starts.push(self.now_ms);
                if starts.len() > LIMIT as usize + 1 {
                    return Err(format!(
                        "{name} was started {} times within its window",
                        starts.len()
                    ));
                }
                self.open.push(effect);
            }
            Effect::Signal { .. } | Effect::Kill { .. } if self.planted == Planted::LeavesTheUnwanted => {}
            Effect::Kill { .. } if self.planted == Planted::NeverKills => {}
            Effect::Signal { .. } | Effect::Kill { .. } | Effect::Check { .. } => self.open.push(effect),
            Effect::Hold { name, held: true } => {
                self.held.insert(name);
            }
            Effect::Hold { name, held: false } => {
                self.held.remove(&name);
            }
            Effect::Forget(name) => {
                if self.exist.keys().any(|(other, _)| *other == name) {
                    return Err(format!("{name} is forgotten while it exists"));
                }
                self.held.remove(&name);
                self.newest.remove(&name);
                self.rests.remove(&name);
                self.given_up.remove(&name);
            }
            Effect::Rest { name, rest: None } => {
                self.rests.remove(&name);
            }
            Effect::Rest {
                name,
                rest: Some(rest),
            } => {
                if rest.failed.is_some() {
                    self.given_up.insert(name.clone());
                }
                self.rests.insert(name, rest);
            }
            Effect::Tell { .. } => {}
        }
        Ok(())
    }

    fn gone(&mut self, name: &WorkloadName, instance: Instance, exit: Exit) -> Result<(), String> {
        if self.exist.remove(&(name.clone(), instance)).is_none() {
            return Ok(());
        }
        if let Some((newest, _, ended)) = self.newest.get_mut(name)
            && *newest == instance
        {
            *ended = Some(exit.clone());
        }
        self.step(Input::Exited {
            name: name.clone(),
            instance,
            exit,
        })
    }

    fn comes_about(&mut self, which: usize, well: bool) -> Result<(), String> {
        if self.open.is_empty() {
            return Ok(());
        }
        let code = |code| Exit {
            code: Some(code),
            ..Exit::UNKNOWN
        };
        match self.open.remove(which % self.open.len()) {
            Effect::Start { name, instance, .. } => {
                if !self.exist.contains_key(&(name.clone(), instance)) {
                    return Ok(());
                }
                if well {
                    return self.step(Input::Started {
                        name,
                        instance,
                        runner: "own".into(),
                        granted: Vec::new(),
                    });
                }
                self.exist.remove(&(name.clone(), instance));
                if let Some(newest) = self.newest.get_mut(&name) {
                    newest.2 = Some(Exit::UNKNOWN);
                }
                self.step(Input::NotStarted {
                    name,
                    instance,
                    why: "no such program".to_owned(),
                    for_good: false,
                    granted: Vec::new(),
                })
            }
            // A stubborn one does not hear a signal.
            Effect::Signal { name, instance, .. } if well => self.gone(&name, instance, code(0)),
            Effect::Kill { name, instance } => self.gone(&name, instance, code(137)),
            Effect::Check { name, instance, .. } => {
                let problem = (!well).then(|| "no answer".to_owned());
                self.step(Input::Checked {
                    name,
                    instance,
                    problem,
                })
            }
            _ => Ok(()),
        }
    }

    fn happens(&mut self, happens: &Happens) -> Result<(), String> {
        match happens {
            Happens::Want(all) => {
                let all = all
                    .iter()
                    .map(|(n, d)| (name(&format!("w{n}")), wanted(definition(*d))));
                let all: BTreeMap<_, _> = all.collect();
                for name in all.keys().chain(self.wanted.keys()) {
                    let version =
                        |of: &BTreeMap<WorkloadName, Wanted>| of.get(name).map(|w| w.version.clone());
                    if version(&all) != version(&self.wanted) {
                        self.starts.remove(name);
                        self.given_up.remove(name);
                    }
                }
                self.wanted.clone_from(&all);
                self.step(Input::Wanted(all))
            }
            Happens::Ask(which, ask) => {
                let name = name(&format!("w{which}"));
                let ask = [Ask::Start, Ask::Stop, Ask::Restart][usize::from(*ask)];
                self.starts.remove(&name);
                if ask != Ask::Stop {
                    self.given_up.remove(&name);
                }
                self.step(Input::Asked { name, ask })
            }
            Happens::Passes(ms) => {
                self.now_ms += ms;
                self.step(Input::Time)
            }
            Happens::ComesAbout(which, well) => self.comes_about(usize::from(*which), *well),
            Happens::Ends(which, code) => {
                let ends = name(&format!("w{which}"));
                let starts = |open: &Effect| matches!(open, Effect::Start { name, .. } if *name == ends);
                let key = self.exist.keys().find(|(name, _)| *name == ends).cloned();
                match key {
                    Some((name, instance)) if !self.open.iter().any(starts) => {
                        let exit = Exit {
                            code: Some(*code),
                            ..Exit::UNKNOWN
                        };
                        self.gone(&name, instance, exit)
                    }
                    _ => Ok(()),
                }
            }
            Happens::Killed => self.killed(),
        }
    }

    fn killed(&mut self) -> Result<(), String> {
        self.workloads = Workloads::default();
        self.open.clear();
        self.starts.clear();
        if self.planted != Planted::ForgetsWhatRuns {
            for (name, (instance, wanted, exit)) in self.newest.clone() {
                let exists = self.exist.contains_key(&(name.clone(), instance));
                let found = Found {
                    instance,
                    version: wanted.version,
                    workload: wanted.workload,
                    exit: if exists {
                        None
                    } else {
                        exit.or(Some(Exit::UNKNOWN))
                    },
                    runner: "own".into(),
                    granted: Vec::new(),
                    held: self.held.contains(&name),
                    rest: self
                        .rests
                        .get(&name)
                        .filter(|rest| {
                            rest.instance == instance && self.planted != Planted::ForgetsWhatFailed
                        })
                        .cloned(),
                    rebooted: false,
                    name,
                };
                self.step(Input::Found(found))?;
            }
        }
        let given_up = self.given_up.clone();
        self.step(Input::Wanted(self.wanted.clone()))?;
        for name in given_up {
            let (phase, _) = phase(&self.workloads, name.as_str());
            if phase != WorkloadPhase::Failed {
                return Err(format!("{name} was given up, and is said to be {phase}"));
            }
        }
        Ok(())
    }

    /// Whatever runs ends badly, again and again.
    fn crash_loop(&mut self) -> Result<(), String> {
        for _ in 0..8 {
            while let Some(starts) = self
                .open
                .iter()
                .position(|open| matches!(open, Effect::Start { .. }))
            {
                self.comes_about(starts, true)?;
            }
            for which in 0..3 {
                self.happens(&Happens::Ends(which, 1))?;
            }
            self.happens(&Happens::Passes(900))?;
        }
        Ok(())
    }

    /// Lets everything come about that was begun, for long enough: only what is wanted may exist, as it is wanted, and
    /// what is wanted exists, rests or was given up.
    fn quiet(&mut self) -> Result<(), String> {
        for _ in 0..80 {
            self.now_ms += 1_000;
            self.step(Input::Time)?;
            while !self.open.is_empty() {
                if matches!(self.open[0], Effect::Signal { .. }) {
                    // Nobody hears a signal any more: it takes a kill.
                    self.open.remove(0);
                } else {
                    self.comes_about(0, true)?;
                }
            }
        }
        for ((name, _), wanted) in &self.exist {
            let now = self.wanted.get(name).map(|now| &now.version);
            if now != Some(&wanted.version) || self.held.contains(name) {
                return Err(format!("{name} exists and is not wanted so"));
            }
        }
        for name in self.wanted.keys() {
            let exists = self.exist.keys().any(|(other, _)| other == name);
            let (phase, _) = phase(&self.workloads, name.as_str());
            let rests = matches!(phase, WorkloadPhase::Failed | WorkloadPhase::Stopped);
            if exists == rests {
                return Err(format!("{name} is said to be {phase}, and exists: {exists}"));
            }
        }
        Ok(())
    }
}

fn live(planted: Planted, all: &[Happens]) -> Result<(), String> {
    let mut world = World::new(planted);
    for happens in all {
        world.happens(happens)?;
    }
    world.quiet()?;
    world.crash_loop()?;
    world.happens(&Happens::Killed)?;
    world.quiet()
}

#[test]
fn whatever_happens_the_promises_hold() {
    let mut runner = TestRunner::new(Config {
        cases: 2_000,
        failure_persistence: None,
        ..Config::default()
    });
    let sequences = prop::collection::vec(happens(), 1..80);
    runner
        .run(&sequences, |all| {
            live(Planted::Nothing, &all).map_err(TestCaseError::fail)
        })
        .unwrap();
}

/// Sequences in which a promise was once broken.
#[test]
fn what_was_broken_once_holds() {
    use Happens::{Ask, ComesAbout, Passes, Want};
    // A start that failed after another definition was wanted counted against that one, which was given up before its first start.
    let given_up_for_another = [
        Want(vec![(0, 2), (1, 0), (2, 0)]),
        ComesAbout(2, false),
        Passes(1),
        Passes(99),
        ComesAbout(4, false),
        Want(vec![]),
        Want(vec![(0, 0), (2, 2)]),
        ComesAbout(2, false),
        ComesAbout(6, false),
        Want(vec![(2, 0)]),
        ComesAbout(1, false),
        Ask(0, 0),
    ];
    assert_eq!(live(Planted::Nothing, &given_up_for_another), Ok(()));
}

#[test]
fn the_onlooker_finds_what_is_planted() {
    for planted in [
        Planted::StartsBeforeTheEnd,
        Planted::LeavesTheUnwanted,
        Planted::CountsNothing,
        Planted::ForgetsWhatRuns,
        Planted::NeverKills,
        Planted::ForgetsWhatFailed,
    ] {
        let mut runner = TestRunner::deterministic();
        let sequences = prop::collection::vec(happens(), 1..80);
        let found = (0..400)
            .filter(|_| {
                let all = sequences.new_tree(&mut runner).unwrap().current();
                live(planted, &all).is_err()
            })
            .count();
        assert!(found >= 20, "{planted:?} was found in {found} of 400 sequences");
    }
}
