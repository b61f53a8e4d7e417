//! Each bug that is planted is found by the checks of the world.

use muster_model::rollout::{OnFailure, RolloutAct, RolloutSpec, Window};

use super::world::{Temper, World, spec};
use crate::rollout::Planted;

use Temper::{Good, Hangs, Liar, NotStarted, Poisoned, Restarts, Silent, WaitsUntil};

/// Goes through it with the bug and without; says what was found with it.
fn found(bug: Planted, spec: &RolloutSpec, tempers: &[Temper]) -> String {
    let mut sound = World::with(spec.clone(), tempers, None);
    sound.turns(200).assert_sound();
    let mut world = World::with(spec.clone(), tempers, Some(bug));
    world.turns(200);
    world.broken.expect("the bug is found")
}

#[test]
fn the_word_confirmed_is_no_proof() {
    let said = found(Planted::WordIsProof, &spec(), &[Liar, Good]);
    assert_eq!(said, "a machine succeeded that does not run it");
}

#[test]
fn another_release_is_no_proof() {
    let said = found(Planted::AnyReleaseIsProof, &spec(), &[Restarts, Good]);
    assert_eq!(said, "a machine succeeded that does not run it");
}

#[test]
fn without_a_start_there_is_no_proof() {
    let said = found(Planted::StartIsNotAsked, &spec(), &[NotStarted, Good]);
    assert_eq!(said, "a machine succeeded that does not run it");
}

#[test]
fn places_end() {
    let tempers = [Hangs, Silent(2, 5_000), Good, Good];
    let mut world = World::with(spec(), &tempers, Some(Planted::LeaseNeverEnds));
    world.turns(400);
    assert_eq!(
        world.rollout().counts().succeeded,
        0,
        "two places are held for ever"
    );
    let mut sound = World::with(spec(), &tempers, None);
    sound.turns(400);
    assert_eq!(sound.rollout().counts().succeeded, 2);
}

#[test]
fn places_are_counted() {
    let mut spec = spec();
    spec.failure.percent = 100;
    let said = found(Planted::NoParallelLimit, &spec, &[Good; 5]);
    assert_eq!(said, "more places are held than may be");
}

#[test]
fn failures_are_counted_against_places() {
    let mut spec = spec();
    spec.failure.percent = 0;
    let said = found(Planted::NoBudget, &spec, &[Poisoned; 4]);
    assert_eq!(said, "more machines are at risk than may fail, and one");
}

#[test]
fn the_hour_is_looked_at() {
    let mut spec = spec();
    spec.window = Some(Window {
        from_min: 13 * 60,
        to_min: 14 * 60,
    });
    let said = found(Planted::WindowIsForgotten, &spec, &[Good; 2]);
    assert_eq!(said, "a place was given outside of the window");
}

#[test]
fn machines_are_told_what_the_log_has() {
    let said = found(Planted::EffectBeforeEntry, &spec(), &[Good; 2]);
    assert_eq!(said, "a machine was told of an offer that the log does not have");
}

#[test]
fn numbers_grow() {
    let said = found(Planted::NumberIsReused, &spec(), &[WaitsUntil(60), Good]);
    assert_eq!(said, "a number was given twice");
}

#[test]
fn silence_is_no_success() {
    let said = found(Planted::SilenceIsSuccess, &spec(), &[Silent(0, 9_000); 3]);
    assert_eq!(said, "a phase of which nobody answered counts as success");
}

#[test]
fn who_is_stopped_gets_no_place() {
    let mut spec = spec();
    spec.failure.then = OnFailure::Pause;
    let go = |bug| {
        let phases = [(super::world::phase("all", &spec), vec![Good])];
        let mut world = World::drafted(spec.clone(), &phases, bug);
        for car in world.cars.values_mut() {
            car.seen.stopped = true;
        }
        world.look();
        world.act(RolloutAct::Approve).unwrap();
        world.act(RolloutAct::Start { at: None }).unwrap();
        world.turns(20);
        world.broken
    };
    assert_eq!(go(None), None);
    let said = go(Some(Planted::BlockedIsOffered));
    assert_eq!(said.as_deref(), Some("a stopped machine was offered a place"));
}
