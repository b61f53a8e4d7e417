//! A machine without hardware: a disk that may fail, a power that may be cut, and a judge that watches every effect.

mod laws;
mod world;

use muster_model::release::Act;
use muster_model::vocabulary::UpdatePhase;

use super::*;
use world::{Answer, World, name};

#[test]
fn an_update_goes_from_its_assignment_to_its_proof() {
    let mut world = World::new();
    world.assign(1, 2, Act::Install);
    world.run(60);
    assert_eq!(
        world.phases,
        [
            UpdatePhase::Offered,
            UpdatePhase::Fetching,
            UpdatePhase::Installing,
            UpdatePhase::Probation,
            UpdatePhase::Confirmed,
        ]
    );
    assert_eq!(world.running(), (2, true));
    world.judge();
}

#[test]
fn it_waits_in_words_until_the_machine_allows_it() {
    let mut world = World::new();
    world.read("mode", Value::Word("driving".to_owned()));
    world.read("battery_percent", Value::Number(31.0));
    world.assign(1, 2, Act::Install);
    world.run(10);
    assert_eq!(world.phase(), UpdatePhase::Waiting);
    assert_eq!(
        world.why(),
        [
            "mode is driving, and must be parked or docked",
            "battery 31 % < 40 %"
        ]
    );
    world.read("mode", Value::Word("docked".to_owned()));
    world.read("battery_percent", Value::Number(40.0));
    world.run(60);
    assert_eq!(world.phase(), UpdatePhase::Confirmed);
    world.judge();
}

#[test]
fn what_is_unknown_or_old_allows_nothing() {
    let mut world = World::new();
    world.forget("battery_percent");
    world.assign(1, 2, Act::Install);
    world.run(10);
    assert_eq!(world.why(), ["battery is unknown, and must be 40 % or more"]);
    world.judge();
    let mut world = World::new();
    world.freeze("battery_percent", READING_MAX_AGE_MS + 5_000);
    world.assign(1, 2, Act::Install);
    world.run(1);
    assert_eq!(
        world.why(),
        ["battery was last read 36 s ago, and must be 40 % or more"]
    );
    world.judge();
}

#[test]
fn a_version_that_is_not_well_is_taken_back_and_says_why() {
    let mut world = World::new();
    world.poison(2);
    world.assign(1, 2, Act::Install);
    world.run(120);
    assert_eq!(world.phase(), UpdatePhase::RolledBack);
    assert_eq!(world.running(), (1, true));
    assert!(
        world.why()[0].contains("port 80 does not answer"),
        "{:?}",
        world.why()
    );
    // The same assignment stays as it ended; another number tries again.
    world.run(30);
    assert_eq!(world.phase(), UpdatePhase::RolledBack);
    world.heal();
    world.assign(2, 2, Act::Install);
    world.run(60);
    assert_eq!(world.running(), (2, true));
    world.judge();
}

#[test]
fn a_crash_loop_is_ended_by_whoever_counts_the_starts() {
    let mut world = World::new();
    world.assign(1, 2, Act::Install);
    world.run_until(UpdatePhase::Probation);
    world.crash_loop();
    world.run(5);
    assert_eq!(world.phase(), UpdatePhase::RolledBack);
    assert_eq!(world.running(), (1, true));
    world.judge();
}

#[test]
fn a_stop_of_all_updates_holds_what_has_not_changed_and_lets_a_probation_end() {
    for stop_at in [
        UpdatePhase::Offered,
        UpdatePhase::Fetching,
        UpdatePhase::Installing,
    ] {
        let mut world = World::new();
        world.assign(1, 2, Act::Install);
        world.run_until(stop_at);
        world.stop(Some("a bad release is out"));
        world.run(60);
        assert_eq!(world.running(), (1, true), "{stop_at}");
        assert!(world.updates.report().stopped);
        assert_eq!(
            world.why(),
            ["all updates are stopped: a bad release is out"],
            "{stop_at}"
        );
        world.stop(None);
        world.run(60);
        assert_eq!(world.running(), (2, true), "{stop_at}");
        world.judge();
    }
    let mut world = World::new();
    world.assign(1, 2, Act::Install);
    world.run_until(UpdatePhase::Probation);
    world.stop(Some("a bad release is out"));
    world.run(60);
    assert_eq!(world.running(), (2, true));
    world.judge();
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    for (answer, said) in [
        (
            Answer::Fetch(Trouble::Never("its signature is not good".to_owned())),
            "its signature is not good",
        ),
        (Answer::Install(Trouble::Never("no room".to_owned())), "no room"),
        (Answer::Before("exit 1".to_owned()), "exit 1"),
    ] {
        let mut world = World::new();
        world.answer(answer);
        world.assign(1, 2, Act::Install);
        world.run(60);
        assert_eq!(world.phase(), UpdatePhase::Refused);
        assert_eq!(world.why(), [said]);
        assert_eq!(world.running(), (1, true));
        world.judge();
    }
}

#[test]
fn what_fails_after_the_change_takes_it_back() {
    for (answer, said) in [
        (Answer::After("exit 1".to_owned()), "exit 1"),
        (Answer::Start("no such file".to_owned()), "no such file"),
    ] {
        let mut world = World::new();
        world.answer(answer);
        world.assign(1, 2, Act::Install);
        world.run(60);
        assert_eq!(world.phase(), UpdatePhase::RolledBack);
        assert_eq!(world.why(), [said]);
        assert_eq!(world.running(), (1, true));
        world.judge();
    }
}

#[test]
fn an_assignment_ends_with_its_time() {
    let mut world = World::new();
    world.read("mode", Value::Word("driving".to_owned()));
    world.assign(1, 2, Act::Install);
    world.run(10);
    world.pass_ms(world::UNTIL_MS);
    world.run(3);
    assert_eq!(world.phase(), UpdatePhase::Refused);
    assert_eq!(world.why()[0], "its time was over while it waited");
    world.judge();
}

#[test]
fn it_goes_back_when_it_is_asked_to_and_only_from_what_was_named() {
    let mut world = World::new();
    world.assign(1, 2, Act::Install);
    world.run(60);
    world.assign(2, 3, Act::GoBack);
    world.run(10);
    assert_eq!(
        (world.phase(), world.running()),
        (UpdatePhase::Refused, (2, true))
    );
    world.read("mode", Value::Word("driving".to_owned()));
    world.assign(3, 2, Act::GoBack);
    world.run(10);
    assert_eq!(
        (world.phase(), world.running()),
        (UpdatePhase::Waiting, (2, true))
    );
    world.read("mode", Value::Word("parked".to_owned()));
    world.run(10);
    assert_eq!(
        (world.phase(), world.running()),
        (UpdatePhase::RolledBack, (1, true))
    );
    world.judge();
}

#[test]
fn without_a_workload_that_runs_it_a_program_waits() {
    let mut world = World::new();
    world.nobody_runs_it();
    world.assign(1, 2, Act::Install);
    world.run(30);
    assert_eq!(world.why(), ["no workload of this machine runs it"]);
    world.judge();
}

#[test]
fn one_product_changes_at_a_time() {
    let mut world = World::new();
    world.assign(1, 2, Act::Install);
    world.assign_other(1, 2);
    world.step(Input::Time);
    let report = world.updates.report();
    assert_eq!(
        report
            .product(name().as_str())
            .unwrap()
            .update
            .as_ref()
            .unwrap()
            .why,
        Vec::<String>::new()
    );
    let other = report.product("other").unwrap().update.as_ref().unwrap();
    assert_eq!(other.why, ["another product is being changed"]);
    world.run(120);
    let report = world.updates.report();
    assert!(
        report
            .products
            .iter()
            .all(|product| product.update.as_ref().unwrap().phase == UpdatePhase::Confirmed)
    );
    world.judge();
}

#[test]
fn nothing_is_told_as_ended_before_the_disk_holds_it() {
    let mut world = World::new();
    world.assign(1, 2, Act::Install);
    world.run_until(UpdatePhase::Probation);
    world.refuse_notes(true);
    world.run(40);
    assert_eq!(world.phase(), UpdatePhase::Probation);
    world.refuse_notes(false);
    world.run(20);
    assert_eq!(world.phase(), UpdatePhase::Confirmed);
    world.judge();
}

/// Well, not well for a moment, and well again: whether the judge has something to say.
fn breaks_in_probation(planted: Option<Planted>) -> World {
    let mut world = World::new();
    world.updates.planted = planted;
    world.assign(1, 2, Act::Install);
    world.run_until(UpdatePhase::Probation);
    world.run(3);
    world.poison(2);
    world.run(1);
    world.heal();
    world.run(4);
    world
}

#[test]
fn a_break_begins_the_hold_anew() {
    let mut world = breaks_in_probation(None);
    assert_eq!(world.phase(), UpdatePhase::Probation);
    world.run(3);
    assert_eq!(world.phase(), UpdatePhase::Confirmed);
    world.judge();
    assert!(breaks_in_probation(Some(Planted::BreakIsIgnored)).is_broken());
}
