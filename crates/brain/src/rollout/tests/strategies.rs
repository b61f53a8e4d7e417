//! How rollouts go: phases, gates, failures, silence.

use muster_model::release::{Act, Assignment};
use muster_model::rollout::{
    FailureCause, MachineStage as Stage, OnFailure, PhaseStage, RolloutAct, RolloutState as State, Window,
};
use std::sync::Arc;

use super::world::{NOON, STEP_MS, Temper, World, digest, machine, phase, product, spec};
use crate::rollout::Rollout;

use Temper::{Good, Hangs, Liar, Poisoned, Refuses, Relapses, Silent, WaitsUntil};

#[test]
fn everybody_gets_it_and_proves_it() {
    let mut world = World::with(spec(), &[Good; 5], None);
    world.until(State::Succeeded).assert_sound();
    assert!(
        world
            .cars
            .values()
            .all(|car| car.really_runs() && car.installs == 1)
    );
    assert_eq!(world.rollout().why, "5 machines proved that they run it");
    assert!(world.executor.is_over());
}

#[test]
fn nobody_begins_before_it_is_approved_and_started() {
    let spec = spec();
    let phases = [(phase("all", &spec), vec![Good; 2])];
    let mut world = World::drafted(spec, &phases, None);
    world.turns(5);
    assert_eq!(world.rollout().state, State::Planned);
    world.act(RolloutAct::Approve).unwrap();
    world.turns(5);
    assert!(world.cars.values().all(|car| car.desired().products.is_empty()));
    let later = world.now().wall.plus_millis(10 * STEP_MS);
    world.act(RolloutAct::Start { at: Some(later) }).unwrap();
    world.turns(8);
    assert_eq!(world.rollout().places(), 0);
    world.until(State::Succeeded).assert_sound();
}

#[test]
fn phases_come_one_after_the_other_with_a_soak_between() {
    let spec = spec();
    let mut munich = phase("munich", &spec);
    munich.soak_s = 300;
    let mut world = World::of(
        spec.clone(),
        &[(munich, vec![Good; 2]), (phase("berlin", &spec), vec![Good; 2])],
    );
    while world.rollout().phase == 0 {
        world.turn();
        if world.rollout().phases[0].stage == PhaseStage::Soaking {
            assert_eq!(world.stage(3), Stage::Pending);
        }
    }
    let last = world.rollout().machines[&machine(2)]
        .since
        .max(world.rollout().machines[&machine(1)].since);
    assert!(world.now().wall.millis_since(last) >= 300_000);
    world.until(State::Succeeded).assert_sound();
}

#[test]
fn a_phase_waits_for_its_approval() {
    let spec = spec();
    let mut berlin = phase("berlin", &spec);
    berlin.approval = true;
    let mut world = World::of(
        spec.clone(),
        &[(phase("munich", &spec), vec![Good]), (berlin, vec![Good])],
    );
    world.turns(60);
    assert_eq!(world.rollout().phases[1].stage, PhaseStage::Approval);
    assert_eq!(
        world.rollout().phases[1].why,
        "somebody must approve phase berlin"
    );
    assert_eq!(world.stage(2), Stage::Pending);
    world.act(RolloutAct::ApprovePhase { phase: 1 }).unwrap();
    world.until(State::Succeeded).assert_sound();
}

#[test]
fn a_failed_machine_goes_back_alone() {
    let mut world = World::with(spec(), &[Good, Poisoned, Good, Good], None);
    world.until(State::Paused);
    // 3 of 4 succeeded, 80 % must.
    assert_eq!(
        world.rollout().why,
        "phase all: 3 of 4 machines that answered succeeded, 80 % must"
    );
    assert_eq!(world.stage(2), Stage::RolledBack);
    assert_eq!(world.rollout().machines[&machine(2)].why, ["its process ended"]);
    assert_eq!(world.rollout().counts().succeeded, 3);
    world.assert_sound();
}

#[test]
fn beyond_the_budget_the_phase_goes_back() {
    let mut spec = spec();
    spec.failure.percent = 20;
    spec.failure.then = OnFailure::RollBack;
    let first = vec![Good, Good, Poisoned, Refuses, Good];
    let mut world = World::of(
        spec.clone(),
        &[
            (phase("munich", &spec), first),
            (phase("berlin", &spec), vec![Good]),
        ],
    );
    world.until(State::RolledBack).assert_sound();
    assert!(world.cars.values().all(|car| !car.really_runs()));
    assert_eq!(world.stage(1), Stage::RolledBack);
    assert_eq!(world.stage(6), Stage::Skipped);
    assert_eq!(world.cars[&machine(6)].installs, 0);
    assert!(world.executor.is_over());
}

#[test]
fn a_poisoned_release_harms_the_canary_only() {
    let mut spec = spec();
    spec.failure.percent = 20;
    let mut world = World::of(
        spec.clone(),
        &[
            (phase("canary", &spec), vec![Poisoned]),
            (phase("rest", &spec), vec![Poisoned; 9]),
        ],
    );
    world.until(State::Paused).assert_sound();
    let installs: u32 = world.cars.values().map(|car| car.installs).sum();
    assert_eq!(installs, 1);
}

#[test]
fn a_machine_that_lies_is_waited_for_and_has_failed_then() {
    for liar in [Liar, Temper::Restarts, Temper::NotStarted] {
        let mut world = World::with(spec(), &[liar], None);
        world.turns(20);
        assert_eq!(world.stage(1), Stage::Probation, "{liar:?}");
        assert_eq!(world.rollout().state, State::Running);
        world.until(State::Paused).assert_sound();
        let progress = &world.rollout().machines[&machine(1)];
        assert_eq!(
            (progress.stage, progress.cause),
            (Stage::Failed, Some(FailureCause::TooLate))
        );
    }
}

#[test]
fn a_cut_network_is_no_success() {
    let mut tempers = vec![Silent(0, 400); 6];
    tempers.extend([Good; 4]);
    let mut world = World::with(spec(), &tempers, None);
    world.turns(200);
    let counts = world.rollout().counts();
    assert_eq!((counts.succeeded, counts.unreachable), (4, 6));
    assert_eq!(world.rollout().state, State::Running);
    assert_eq!(
        world.rollout().phases[0].why,
        "4 of 10 machines of phase all answered, 50 % must: it waits for the others"
    );
    world.until(State::Succeeded).assert_sound();
    assert!(world.rollout().counts().succeeded >= 5);
}

#[test]
fn who_falls_silent_holds_no_place() {
    let mut world = World::with(spec(), &[Silent(2, 200), Silent(2, 200), Good, Good, Good], None);
    world.until(State::Succeeded).assert_sound();
    assert!(world.step < 200);
    let counts = world.rollout().counts();
    assert_eq!((counts.succeeded, counts.unreachable), (3, 2));
    assert!(world.rollout().why.contains("2 were not heard of"));
}

#[test]
fn who_waits_is_blocked_in_its_own_words_and_gets_a_place_again() {
    let mut world = World::with(spec(), &[WaitsUntil(50), Good, Good], None);
    world.turns(5);
    assert_eq!(world.stage(1), Stage::Blocked);
    assert_eq!(world.rollout().machines[&machine(1)].why, ["driving"]);
    world.until(State::Succeeded).assert_sound();
    assert_eq!(world.rollout().counts().succeeded, 3);
    assert_eq!(world.rollout().machines[&machine(1)].offers, 2);
}

#[test]
fn who_never_can_is_skipped_with_the_reason() {
    let mut world = World::with(spec(), &[WaitsUntil(u32::MAX), Good], None);
    world.until(State::Succeeded).assert_sound();
    assert_eq!(world.stage(1), Stage::Skipped);
    assert_eq!(
        world.rollout().machines[&machine(1)].why,
        ["offered 2 times, and never begun: driving"]
    );
    assert!(
        world.cars[&machine(1)].desired().products.is_empty(),
        "its assignment is taken back"
    );
}

#[test]
fn who_came_too_late_to_begin_has_not_failed() {
    let mut world = World::with(spec(), &[Temper::AlwaysLate, Good], None);
    world.until(State::Succeeded).assert_sound();
    assert_eq!(world.stage(1), Stage::Skipped);
    assert_eq!(world.rollout().counts().failed, 0);
}

#[test]
fn who_hangs_has_failed_when_its_place_ends() {
    let mut world = World::with(spec(), &[Hangs, Good], None);
    world.until(State::Paused).assert_sound();
    assert_eq!(
        world.rollout().machines[&machine(1)].cause,
        Some(FailureCause::TooLate)
    );
}

#[test]
fn a_relapse_in_the_soak_counts() {
    let mut spec = spec();
    spec.gates.soak_s = 600;
    let mut world = World::with(spec, &[Good, Relapses(15), Good], None);
    world.until(State::Paused).assert_sound();
    assert_eq!(world.stage(2), Stage::RolledBack);
    assert_eq!(
        world.rollout().machines[&machine(2)].why,
        ["it had proved it, and runs 1.0.0 again"]
    );
}

#[test]
fn the_filter_after_the_soak_is_asked_of_each_machine() {
    let mut spec = spec();
    spec.gates.soak_s = 60;
    spec.gates.healthy = "cpu<90".to_owned();
    let mut world = World::with(spec, &[Good, Good], None);
    world.turns(3);
    world.cars.get_mut(&machine(1)).unwrap().seen.unhealthy = vec!["cpu<90".to_owned()];
    world.until(State::Paused).assert_sound();
    let progress = &world.rollout().machines[&machine(1)];
    assert_eq!(
        (progress.stage, progress.cause),
        (Stage::Failed, Some(FailureCause::Unhealthy))
    );
    assert_eq!(progress.why, ["after the soak: not cpu<90"]);
}

#[test]
fn places_are_given_in_the_window_only() {
    let mut spec = spec();
    // From 12:10 to 12:14: a place given then ends with the window.
    spec.window = Some(Window {
        from_min: 12 * 60 + 10,
        to_min: 12 * 60 + 14,
    });
    let mut world = World::with(spec, &[Good; 30], None);
    world.turns(59);
    assert_eq!(world.rollout().counts().pending, 30);
    world.turns(2);
    assert_eq!(world.rollout().places(), 2);
    world.turns(60);
    assert_eq!(world.rollout().places(), 0);
    let begun = world.rollout().counts().succeeded;
    assert!(begun > 0 && begun < 30);
    world.turns(1_000);
    assert_eq!(world.rollout().counts().succeeded, begun);
    world.assert_sound();
}

#[test]
fn no_more_begin_in_a_minute_than_may() {
    let mut spec = spec();
    spec.pace.parallel_max = 100;
    spec.pace.starts_per_min = Some(3);
    spec.failure.percent = 100;
    let mut world = World::with(spec, &[Good; 12], None);
    world.turns(5);
    assert_eq!(
        world
            .cars
            .values()
            .filter(|car| !car.desired().products.is_empty())
            .count(),
        3
    );
    world.until(State::Succeeded).assert_sound();
    let begun: Vec<i64> = world
        .log
        .iter()
        .filter(|record| matches!(record.entry, muster_model::rollout::RolloutEntry::Offered(_)))
        .map(|record| record.at.millis_since(NOON) / 60_000)
        .collect();
    assert!(begun.len() >= 4);
}

#[test]
fn a_stopped_machine_is_blocked_in_words() {
    let mut world = World::with(spec(), &[Good, Good], None);
    {
        let car = world.cars.get_mut(&machine(1)).unwrap();
        let mut releases = car.desired().clone();
        releases.stopped = Some("smoke".to_owned());
        car.seen.desired = Ok(Arc::new(releases));
        car.seen.stopped = true;
    }
    // What is under way from before the stop is the machine's own to hold.
    world.restart();
    world.turns(30);
    assert_eq!(world.stage(2), Stage::Succeeded);
    assert_eq!(world.stage(1), Stage::Blocked);
    assert_eq!(
        world.rollout().machines[&machine(1)].why,
        ["all updates are stopped: smoke"]
    );
    world.assert_sound();
}

#[test]
fn a_machine_that_somebody_else_takes_is_let_go() {
    let other = Assignment {
        number: 9,
        act: Act::Install,
        version: "3.0.0".to_owned(),
        manifest: digest('c'),
        manifest_bytes: 1,
        until: NOON.plus_millis(3_600_000),
        rollout: Some("r2".to_owned()),
    };
    let mut world = World::with(spec(), &[Hangs, Good], None);
    world.turns(3);
    let car = world.cars.get_mut(&machine(1)).unwrap();
    let mut releases = car.desired().clone();
    releases.products.insert(product(), other.clone());
    car.seen.desired = Ok(Arc::new(releases));
    world.until(State::Succeeded).assert_sound();
    assert_eq!(world.stage(1), Stage::Skipped);
    assert_eq!(
        world.rollout().machines[&machine(1)].why,
        ["r2 took it: it is to run 3.0.0 (assignment 9)"]
    );
    assert_eq!(world.cars[&machine(1)].desired().products[&product()], other);
}

#[test]
fn a_restart_at_every_entry_changes_nothing() {
    let tempers = [Good, Poisoned, WaitsUntil(30), Silent(5, 60), Liar, Good, Good];
    let mut plain = World::with(spec(), &tempers, None);
    plain.turns(150).assert_sound();
    let mut restarted = World::with(spec(), &tempers, None);
    restarted.restart_every = 1;
    restarted.turns(150).assert_sound();
    assert_eq!(restarted.log, plain.log);
    for car in restarted.cars.values() {
        assert!(car.installs <= 2);
    }
    // Every beginning of the log is a rollout that goes on.
    for length in 2..plain.log.len() {
        let before = Rollout::fold(&plain.log[..length]).unwrap();
        assert_eq!(before.entries as usize, length);
    }
}

#[test]
fn what_the_log_refuses_was_never_decided() {
    let mut world = World::with(spec(), &[Good; 6], None);
    world.refuse_every = 3;
    world.until(State::Succeeded).assert_sound();
    assert!(world.cars.values().all(|car| car.installs == 1));
}
