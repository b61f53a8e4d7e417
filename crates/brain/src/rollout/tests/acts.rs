//! What people decide.

use muster_model::rollout::{LateJoiners, MachineStage as Stage, RolloutAct, RolloutState as State};

use super::world::{Car, Temper, World, machine, phase, spec};
use crate::rollout::{ActError, Input, line};

use Temper::{Good, Hangs, Poisoned, Silent, WaitsUntil};

#[test]
fn a_pause_gives_out_no_places_and_takes_none_back() {
    let mut world = World::with(spec(), &[Good; 6], None);
    world.turns(1);
    world.act(RolloutAct::Pause).unwrap();
    world.turns(30);
    assert_eq!(world.rollout().counts().succeeded, 2);
    assert_eq!(world.rollout().counts().pending, 4);
    world.act(RolloutAct::Resume).unwrap();
    world.until(State::Succeeded).assert_sound();
}

#[test]
fn what_failed_can_be_tried_again() {
    let mut world = World::with(spec(), &[Good, Poisoned, Good], None);
    world.until(State::Paused);
    world.cars.get_mut(&machine(2)).unwrap().temper = Good;
    world
        .act(RolloutAct::Retry {
            machines: vec![machine(2)],
        })
        .unwrap();
    world.act(RolloutAct::Resume).unwrap();
    world.until(State::Succeeded).assert_sound();
    assert_eq!(world.rollout().counts().succeeded, 3);
}

#[test]
fn beyond_the_budget_nobody_just_resumes() {
    let mut spec = spec();
    spec.failure.percent = 0;
    let mut world = World::with(spec, &[Poisoned, Good, Good], None);
    world.until(State::Paused);
    assert!(matches!(
        world.act(RolloutAct::Resume),
        Err(ActError::BeyondBudget(_))
    ));
    world
        .act(RolloutAct::Skip {
            machines: vec![machine(1)],
        })
        .unwrap();
    world.act(RolloutAct::Resume).unwrap();
    world.until(State::Succeeded).assert_sound();
}

#[test]
fn an_abort_takes_back_what_was_not_begun() {
    let mut spec = spec();
    spec.pace.parallel_max = 3;
    spec.failure.percent = 100;
    let mut world = World::with(spec, &[WaitsUntil(500), Hangs, Good, Good], None);
    world.turns(4);
    world.act(RolloutAct::Abort).unwrap();
    world.turns(60);
    assert_eq!(world.rollout().state, State::Aborted);
    assert_eq!(world.stage(1), Stage::Skipped);
    assert!(world.cars[&machine(1)].desired().products.is_empty());
    assert_eq!(world.stage(2), Stage::Failed);
    assert_eq!(world.rollout().places(), 0);
    assert_eq!(world.cars[&machine(4)].installs, 0);
    world.assert_sound();
}

#[test]
fn all_go_back_also_after_the_end_and_who_is_silent_when_it_comes() {
    let mut world = World::with(spec(), &[Good, Good, Silent(60, 200), Good], None);
    world.until(State::Succeeded);
    while world.step < 70 {
        world.turn();
    }
    world.act(RolloutAct::RollBack { phase: None }).unwrap();
    world.until(State::RolledBack).assert_sound();
    assert!(world.step < 200);
    assert_eq!(world.stage(3), Stage::Unreachable);
    assert!(
        world
            .rollout()
            .why
            .contains("1 were not heard of and go back when they come")
    );
    while world.step < 210 {
        world.turn();
    }
    assert!(world.cars.values().all(|car| !car.really_runs()));
    world.assert_sound();
}

#[test]
fn one_phase_goes_back_and_the_other_stays() {
    let spec = spec();
    let mut world = World::of(
        spec.clone(),
        &[
            (phase("munich", &spec), vec![Good; 2]),
            (phase("berlin", &spec), vec![Good; 2]),
        ],
    );
    world.until(State::Succeeded);
    world.act(RolloutAct::RollBack { phase: Some(1) }).unwrap();
    world.until(State::RolledBack).assert_sound();
    assert!(world.cars[&machine(1)].really_runs() && world.cars[&machine(2)].really_runs());
    assert!(!world.cars[&machine(3)].really_runs() && !world.cars[&machine(4)].really_runs());
}

#[test]
fn each_act_is_for_its_states() {
    let spec = spec();
    let phases = [(phase("all", &spec), vec![Good])];
    let mut world = World::drafted(spec, &phases, None);
    let not_now = |result: Result<(), ActError>| matches!(result, Err(ActError::NotNow { .. }));
    for act in [
        RolloutAct::Start { at: None },
        RolloutAct::Pause,
        RolloutAct::Resume,
        RolloutAct::Retry { machines: Vec::new() },
        RolloutAct::ApprovePhase { phase: 0 },
        RolloutAct::RollBack { phase: None },
    ] {
        assert!(not_now(world.act(act.clone())), "{act:?}");
    }
    world.act(RolloutAct::Approve).unwrap();
    assert!(not_now(world.act(RolloutAct::Approve)));
    world.act(RolloutAct::Start { at: None }).unwrap();
    assert!(matches!(
        world.act(RolloutAct::ApprovePhase { phase: 7 }),
        Err(ActError::NoPhase { .. })
    ));
    assert!(matches!(
        world.act(RolloutAct::ApprovePhase { phase: 0 }),
        Err(ActError::NotWaiting { .. })
    ));
    assert!(matches!(
        world.act(RolloutAct::Skip {
            machines: vec![machine(9)]
        }),
        Err(ActError::NoMachine(_))
    ));
    world.act(RolloutAct::Abort).unwrap();
    assert!(not_now(world.act(RolloutAct::Abort)));
}

#[test]
fn late_joiners_have_a_phase_that_is_not_over() {
    for (policy, phases) in [
        (LateJoiners::Skip, 2),
        (LateJoiners::NextPhase, 2),
        (LateJoiners::OwnPhaseAtEnd, 3),
    ] {
        let mut spec = spec();
        spec.late_joiners = policy;
        let mut world = World::of(
            spec.clone(),
            &[
                (phase("one", &spec), vec![Good]),
                (phase("two", &spec), vec![Good]),
            ],
        );
        world.turns(1);
        let late = machine(77);
        world.cars.insert(late, Car::new(Good));
        let now = world.now();
        world.executor.step(now, Input::Late(vec![(late, None)]));
        world.until(State::Succeeded).assert_sound();
        assert_eq!(world.rollout().phases.len(), phases);
        assert_eq!(world.cars[&late].really_runs(), policy != LateJoiners::Skip);
    }
}

#[test]
fn the_log_says_why() {
    let mut world = World::with(spec(), &[Good, Poisoned, Good], None);
    world.until(State::Paused);
    let about = |number| -> Vec<String> {
        world
            .log
            .iter()
            .filter_map(|record| line(record, number))
            .collect()
    };
    let all = about(None).join("\n");
    for said in [
        "ada wrote down car-app 2.0.0: new brakes",
        "ada approved the plan: it is time",
        "the rollout is paused: phase all: 2 of 3 machines that answered succeeded, 80 % must",
    ] {
        assert!(all.contains(said), "{said} in\n{all}");
    }
    let second = about(Some(machine(2))).join("\n");
    assert!(second.contains("belongs to phase 1"));
    assert!(second.contains("rolled_back: its process ended"), "{second}");
    assert!(!second.contains("machines got a place"));
}
