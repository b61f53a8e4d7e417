//! Whatever happens in whatever order: the judge has nothing to say, and everything comes to an end.

use proptest::prelude::*;

use super::world::{Answer, World};
use super::*;

#[derive(Clone, Debug)]
enum Event {
    Answer(usize),
    Seconds(u8),
    Assign { version: u64, back: bool },
    Withdraw,
    Stop(bool),
    Mode(bool),
    Battery(i8),
    Forget,
    Freeze,
    Cut,
    Poison(bool),
    Notes(bool),
    Fail(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0_usize..4).prop_map(Event::Answer),
        6 => (0_u8..20).prop_map(Event::Seconds),
        3 => (1_u64..4, prop::bool::weighted(0.2)).prop_map(|(version, back)| Event::Assign { version, back }),
        1 => Just(Event::Withdraw),
        1 => any::<bool>().prop_map(Event::Stop),
        2 => any::<bool>().prop_map(Event::Mode),
        2 => (30_i8..60).prop_map(Event::Battery),
        1 => Just(Event::Forget),
        1 => Just(Event::Freeze),
        2 => Just(Event::Cut),
        1 => any::<bool>().prop_map(Event::Poison),
        1 => any::<bool>().prop_map(Event::Notes),
        2 => (0_u8..6).prop_map(Event::Fail),
    ]
}

fn happen(world: &mut World, number: &mut u64, event: Event) {
    match event {
        Event::Answer(which) => world.answer_one(which),
        Event::Seconds(seconds) => {
            for _ in 0..seconds {
                world.pass_ms(1_000);
                world.step(Input::Time);
            }
        }
        Event::Assign { version, back } => {
            *number += 1;
            world.assign(*number, version, if back { Act::GoBack } else { Act::Install });
        }
        Event::Withdraw => world.withdraw(),
        Event::Stop(stop) => world.stop(stop.then_some("somebody pressed")),
        Event::Mode(parked) => {
            let mode = if parked { "parked" } else { "driving" };
            world.read("mode", Value::Word(mode.to_owned()));
        }
        Event::Battery(percent) => world.read("battery_percent", Value::Number(f64::from(percent))),
        Event::Forget => world.forget("battery_percent"),
        Event::Freeze => world.freeze("mode", 0),
        Event::Cut => world.cut_the_power(),
        Event::Poison(true) => world.poison(2),
        Event::Poison(false) => world.heal(),
        Event::Notes(fail) => world.refuse_notes(fail),
        Event::Fail(which) => world.answer(match which {
            0 => Answer::Fetch(Trouble::Later("no connection".to_owned())),
            1 => Answer::Fetch(Trouble::Never("not signed".to_owned())),
            2 => Answer::Install(Trouble::Later("the disk failed".to_owned())),
            3 => Answer::Before("exit 1".to_owned()),
            4 => Answer::After("exit 1".to_owned()),
            _ => Answer::Start("no such file".to_owned()),
        }),
    }
}

fn quiet(world: &mut World) {
    world.stop(None);
    world.refuse_notes(false);
    world.read("mode", Value::Word("parked".to_owned()));
    world.read("battery_percent", Value::Number(90.0));
    for _ in 0..120 {
        world.run(10);
        if world.phase().is_end() && world.running().1 {
            return;
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(3_000))]

    #[test]
    fn the_judge_has_nothing_to_say_and_everything_ends(events in prop::collection::vec(event(), 1..80)) {
        let (mut world, mut number) = (World::new(), 0);
        for event in events {
            happen(&mut world, &mut number, event);
        }
        world.judge();
        quiet(&mut world);
        world.judge();
        let phase = world.phase();
        prop_assert!(phase.is_end(), "{phase}: {:?}", world.why());
        prop_assert!(world.running().1, "on probation for ever");
    }
}

/// A bug that the judge must find within some thousand random lives.
fn is_found(bug: Planted) -> bool {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let lives = prop::collection::vec(event(), 20..80);
    (0..2_000).any(|_| {
        let events = lives.new_tree(&mut runner).unwrap().current();
        let (mut world, mut number) = (World::new(), 0);
        world.updates.planted = Some(bug);
        for event in events {
            happen(&mut world, &mut number, event);
            if world.is_broken() {
                return true;
            }
        }
        false
    })
}

#[test]
fn every_planted_bug_but_one_is_found_by_chance() {
    for bug in [
        Planted::ConditionsAreAskedOnce,
        Planted::StaleCounts,
        Planted::UnknownHolds,
        Planted::HoldIsIgnored,
        Planted::StopIsLate,
        Planted::EndIsForgotten,
    ] {
        assert!(is_found(bug), "{bug:?} was not found");
    }
}
