//! What was recorded is decided again, and what was changed is found.

use muster_model::vocabulary::{Authority, Contact};
use muster_reflex::safety::config::{Actuator, Start};
use muster_reflex::safety::{Command, Condition, Config, Measured, Safety, Sample, Stamp, Told};

use super::{Counted, Difference, KEY_EVERY_US, PACK_EVERY_US, Replay, Steps, Writer};

const STEP_US: u64 = 1_000;

/// A machine with one motor, which a seed drives, stops, and lets lie.
struct World {
    random: u64,
    now_us: u64,
    sample: Sample,
    safety: Safety,
    writer: Writer,
    packs: Vec<Steps>,
    steps: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut config = Config {
            estop_circuit: true,
            start: Start::Automatic,
            after_power_cut: Start::Automatic,
            ..Config::default()
        };
        config.actuators[0] = Some(Actuator {
            max: 2.0,
            change_max_per_s: 10.0,
            measured: true,
        });
        let mut writer = Writer::default();
        writer.listen(true);
        Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now_us: 5_000_000,
            sample: Sample {
                estop: Contact::Closed,
                conditions: [Told {
                    holds: false,
                    until_us: u64::MAX,
                }; Condition::COUNT],
                ..Sample::default()
            },
            safety: Safety::new(config, None),
            writer,
            packs: Vec::new(),
            steps: 0,
        }
    }

    fn chance(&mut self, of: u64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.is_multiple_of(of)
    }

    fn step(&mut self) {
        self.now_us += STEP_US;
        let value = self.steps as f64 / 1e4;
        self.sample.motion[0] = Some(Measured {
            value: value % 0.5,
            at_us: self.now_us,
        });
        if self.chance(3_000) {
            // A broken sensor says what is no number.
            self.sample.motion[0] = Some(Measured {
                value: f64::NAN,
                at_us: self.now_us,
            });
        }
        if self.chance(700) {
            self.sample.estop = Contact::Open;
        } else if self.chance(50) {
            self.sample.estop = Contact::Closed;
            self.sample.asks.reset += 1;
        } else if self.chance(50) {
            self.sample.asks.resume += 1;
        } else if self.chance(10) {
            self.sample.claims.mission_until_us = self.now_us + 100_000;
            self.sample.commands[0] = Some(Command {
                value: if self.chance(20) { f64::INFINITY } else { value },
                stamp: Stamp {
                    authority: Authority::Mission,
                    sequence: self.steps,
                    deadline_us: self.now_us + 50_000,
                },
            });
        }
        if self.writer.wants_key(self.now_us) {
            self.writer.key(self.now_us, self.safety.clone());
        }
        let verdict = self.safety.step(self.now_us, &self.sample);
        self.writer.push(self.now_us, &self.sample, &verdict);
        self.sample.kept = verdict.keep.number;
        self.steps += 1;
        self.packs.extend(std::iter::from_fn(|| self.writer.take()));
    }

    fn run(seed: u64, steps: u64) -> Self {
        let mut world = Self::new(seed);
        (0..steps).for_each(|_| world.step());
        world
    }
}

fn replayed(packs: &[Steps]) -> (Counted, Vec<Difference>) {
    let (mut replay, mut differences) = (Replay::default(), Vec::new());
    for pack in packs {
        // As it is in a file.
        let text = serde_json::to_string(pack).unwrap();
        let pack: Steps = serde_json::from_str(&text).unwrap();
        replay.take(&pack, |difference| differences.push(difference));
    }
    (replay.counted, differences)
}

#[test]
fn what_was_recorded_is_decided_again_step_by_step() {
    let (mut steps, mut decisions) = (0, 0);
    for seed in 1..=10 {
        let world = World::run(seed, 12_000);
        let (counted, differences) = replayed(&world.packs);
        assert_eq!(differences, [], "seed {seed}");
        let left: u64 = world
            .writer
            .steps
            .iter()
            .map(|step| u64::from(step.again) + 1)
            .sum();
        assert_eq!(counted.steps + left, world.steps, "no step is lost");
        assert_eq!((counted.gaps, counted.skipped_packs), (0, 0));
        steps += counted.steps;
        decisions += counted.decisions;
    }
    assert!(decisions > 1_000, "{decisions} decisions of {steps} steps");
}

#[test]
fn a_recording_can_be_entered_where_a_pack_says_everything() {
    let world = World::run(3, 12_000);
    let keys = world.packs.iter().filter(|pack| pack.key.is_some()).count();
    assert!(
        keys >= usize::try_from(12_000 * STEP_US / KEY_EVERY_US).unwrap(),
        "{keys} keys"
    );
    let (counted, differences) = replayed(&world.packs[5..]);
    assert_eq!(differences, []);
    assert!(counted.skipped_packs > 0 && counted.steps > 5_000, "{counted:?}");
}

#[test]
fn missing_packs_are_a_gap_and_no_difference() {
    let mut world = World::run(4, 20_000);
    world.packs.remove(7);
    let (counted, differences) = replayed(&world.packs);
    assert_eq!((counted.gaps, differences.len()), (1, 0));
}

#[test]
fn packs_come_at_once_when_the_region_changes_and_else_now_and_then() {
    let mut world = World::new(5);
    let mut region = world.safety.region();
    let mut last_us = world.now_us;
    for _ in 0..10_000 {
        let before = world.packs.len();
        world.step();
        let now = world.safety.region();
        if now != region {
            region = now;
            assert_eq!(world.packs.len(), before + 1, "a new region is said in its step");
            assert_eq!(world.packs.last().unwrap().region, now);
        }
        if world.packs.len() > before {
            last_us = world.now_us;
        }
        assert!(world.now_us - last_us <= PACK_EVERY_US, "a pack every 200 ms");
    }
}

#[test]
fn a_changed_configuration_is_found() {
    let mut world = World::run(6, 12_000);
    let key = world.packs[0].key.as_mut().unwrap();
    let mut value = serde_json::to_value(&key.safety).unwrap();
    value["config"]["actuators"][0]["max"] = 0.1.into();
    key.safety = serde_json::from_value(value).unwrap();
    let (_, differences) = replayed(&world.packs);
    assert!(
        matches!(differences.first(), Some(Difference::Verdict { .. })),
        "{}",
        differences.len()
    );
}

#[test]
fn a_flipped_sample_is_found_in_its_step() {
    let mut found = 0;
    for seed in 1..=10 {
        let mut world = World::run(seed, 12_000);
        let told = world.packs.iter_mut().flat_map(|pack| &mut pack.steps);
        let mut told = told
            .filter_map(|step| step.told.as_mut())
            .filter(|told| told.estop.is_some());
        let Some(told) = told.next() else { continue };
        told.estop = Some(match told.estop {
            Some(Contact::Open) => Contact::Closed,
            _ => Contact::Open,
        });
        found += u32::from(!replayed(&world.packs).1.is_empty());
    }
    assert_eq!(found, 10);
}

#[test]
fn code_that_decides_otherwise_is_found_and_what_was_decided_is_said() {
    let mut world = World::run(8, 3_000);
    let pack = world
        .packs
        .iter_mut()
        .rev()
        .find(|pack| pack.steps.iter().any(|step| step.decided.is_some()));
    let step = pack
        .unwrap()
        .steps
        .iter_mut()
        .find(|step| step.decided.is_some())
        .unwrap();
    let super::Decided::Verdict(mut verdict) = World::run(9, 1).packs[0].steps[0]
        .decided
        .as_deref()
        .unwrap()
        .clone()
    else {
        panic!("the first decision is said in full");
    };
    verdict.outputs.enable = !verdict.outputs.enable;
    step.decided = Some(Box::new(super::Decided::Verdict(verdict)));
    let (_, differences) = replayed(&world.packs);
    let Some(Difference::Verdict { expected, .. }) = differences.first() else {
        panic!("{} differences", differences.len());
    };
    assert_eq!(**expected, verdict);
}

#[test]
fn nobody_listens_nothing_is_made() {
    let mut world = World::new(1);
    world.writer.listen(false);
    (0..2_000).for_each(|_| world.step());
    assert!(world.packs.is_empty() && world.writer.steps.is_empty());
    world.writer.listen(true);
    (0..2_000).for_each(|_| world.step());
    assert!(world.packs[0].key.is_some());
    assert_eq!(replayed(&world.packs).1, []);
}

#[test]
fn a_machine_that_rests_is_one_line() {
    let mut world = World::new(1);
    for _ in 0..2_000 {
        world.now_us += STEP_US;
        if world.writer.wants_key(world.now_us) {
            world.writer.key(world.now_us, world.safety.clone());
        }
        let verdict = world.safety.step(world.now_us, &world.sample);
        world.writer.push(world.now_us, &world.sample, &verdict);
        world.sample.kept = verdict.keep.number;
        world.packs.extend(std::iter::from_fn(|| world.writer.take()));
    }
    let last = serde_json::to_string(world.packs.last().unwrap()).unwrap();
    assert!(last.len() < 200, "{last}");
}
