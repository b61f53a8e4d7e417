//! Random fleets, faults and people.

use muster_model::rollout::{OnFailure, RolloutAct, RolloutState, Window};
use proptest::prelude::*;

use super::world::{Temper, World, machine, phase, spec};

fn temper() -> impl Strategy<Value = Temper> {
    prop_oneof![
        6 => Just(Temper::Good),
        1 => Just(Temper::Poisoned),
        1 => Just(Temper::Refuses),
        1 => Just(Temper::Liar),
        1 => Just(Temper::Restarts),
        1 => Just(Temper::NotStarted),
        1 => Just(Temper::Hangs),
        2 => (1u32..200).prop_map(Temper::WaitsUntil),
        2 => (0u32..60, 1u32..200).prop_map(|(from, length)| Temper::Silent(from, from + length)),
        1 => (5u32..100).prop_map(Temper::Relapses),
    ]
}

fn act() -> impl Strategy<Value = RolloutAct> {
    prop_oneof![
        3 => Just(RolloutAct::Pause),
        4 => Just(RolloutAct::Resume),
        3 => Just(RolloutAct::Retry { machines: Vec::new() }),
        2 => (1u128..12).prop_map(|number| RolloutAct::Skip { machines: vec![machine(number)] }),
        1 => (0u32..3).prop_map(|phase| RolloutAct::RollBack { phase: Some(phase) }),
        1 => Just(RolloutAct::RollBack { phase: None }),
        1 => Just(RolloutAct::Abort),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_holds_and_ends(
        phases in proptest::collection::vec(proptest::collection::vec(temper(), 1..6), 1..4),
        acts in proptest::collection::vec((1u32..150, act()), 0..6),
        parallel_max in 1u32..5,
        percent in prop_oneof![Just(0u8), Just(20), Just(50), Just(100)],
        roll_back in any::<bool>(),
        has_window in any::<bool>(),
        rate in proptest::option::of(1u32..4),
        (soak_s, refuse_every, restart_every) in (0u32..200, 0u32..5, 0u32..7),
    ) {
        let mut spec = spec();
        spec.pace.parallel_max = parallel_max;
        spec.pace.starts_per_min = rate;
        spec.failure.percent = percent;
        spec.failure.then = if roll_back { OnFailure::RollBack } else { OnFailure::Pause };
        spec.gates.soak_s = soak_s;
        spec.window = has_window.then_some(Window { from_min: 12 * 60 + 5, to_min: 12 * 60 + 25 });
        let phases: Vec<_> =
            phases.into_iter().map(|tempers| (phase("some", &spec), tempers)).collect();
        let mut world = World::of(spec, &phases);
        world.refuse_every = if refuse_every == 1 { 0 } else { refuse_every };
        world.restart_every = restart_every;
        for step in 1..=150u32 {
            world.turn();
            for (_, act) in acts.iter().filter(|(at, _)| *at == step) {
                // Refused acts are part of it.
                if world.refuse_every == 0 {
                    let _ = world.act(act.clone());
                }
            }
            prop_assert_eq!(&world.broken, &None);
        }
        // From now on everybody answers, and nobody stands in the way: it ends.
        world.refuse_every = 0;
        for car in world.cars.values_mut() {
            car.temper = Temper::Good;
            car.seen.presence = muster_model::Presence::Online;
        }
        for _ in 0..40 {
            // A day has 8,640 steps: the window opens again in the next one.
            let before = world.step;
            while !world.rollout().state.is_end()
                && world.rollout().state != RolloutState::Paused
                && world.step < before + 300
            {
                world.turn();
            }
            prop_assert_eq!(&world.broken, &None);
            match world.rollout().state {
                RolloutState::Paused => {
                    let _ = world.act(RolloutAct::Retry { machines: Vec::new() });
                    let _ = world.act(RolloutAct::Resume);
                }
                state if state.is_end() => break,
                _ => {}
            }
        }
        let state = world.rollout().state;
        prop_assert!(state.is_end(), "{} {} {:?}", state, world.rollout().why, world.rollout().counts());
        prop_assert_eq!(world.rollout().places() == 0 || state == RolloutState::Aborted, true);
    }
}
