//! A simulated machine that is saved goes on where it stood.

use std::time::Duration;

use muster_metal::{Metal, Profile, SimulatedMachine, SimulatedSnapshot, Site};

use crate::physics::{machine, said};

#[test]
fn a_restored_machine_goes_on_as_if_nothing_had_happened() {
    for profile in Profile::ALL {
        let mut original = machine(*profile, Site::Munich, 9, Some(60));
        original.advance(Duration::from_millis(1_234_567));
        let text = serde_json::to_string(&original.snapshot()).unwrap();
        assert!(text.len() < 4_096, "{} bytes", text.len());
        let snapshot: SimulatedSnapshot = serde_json::from_str(&text).unwrap();
        let mut restored = SimulatedMachine::restore(snapshot).unwrap();
        for _ in 0..1_000 {
            original.advance(Duration::from_millis(333));
            restored.advance(Duration::from_millis(333));
            assert_eq!(said(&mut original), said(&mut restored));
        }
        assert_eq!(original.snapshot(), restored.snapshot());
    }
}

#[test]
fn the_caller_s_clock_may_begin_anywhere_and_never_goes_back() {
    let mut a = machine(Profile::Car, Site::Oslo, 3, None);
    let mut b = machine(Profile::Car, Site::Oslo, 3, None);
    for second in [5_000, 5_060, 5_030, 5_120] {
        a.advance_to(Duration::from_secs(second));
    }
    b.advance(Duration::from_secs(120));
    assert_eq!(a.snapshot(), b.snapshot());
}

#[test]
fn a_long_pause_has_a_limit_but_the_clock_goes_on() {
    let mut machine = machine(Profile::Pi, Site::Oslo, 3, None);
    let metal: &mut dyn Metal = &mut machine;
    let before = metal.uptime().unwrap();
    machine.advance(Duration::MAX);
    machine.advance(Duration::from_secs(1_000_000));
    let metal: &mut dyn Metal = &mut machine;
    assert!(metal.uptime().unwrap() > before + Duration::from_secs(1_000_000));
}

#[test]
fn snapshots_of_other_versions_and_impossible_ones_are_refused() {
    let mut machine = machine(Profile::Lekiwi, Site::Berlin, 3, None);
    machine.advance(Duration::from_secs(10));
    let good = serde_json::to_value(machine.snapshot()).unwrap();
    let code = |pointer: &str, value: serde_json::Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        let snapshot: SimulatedSnapshot = serde_json::from_value(changed).unwrap();
        SimulatedMachine::restore(snapshot)
            .map(|_| ())
            .map_err(|error| error.code())
    };
    assert_eq!(code("/version", 1.into()), Ok(()));
    assert_eq!(code("/version", 2.into()), Err("MST-H005"));
    assert_eq!(code("/options/profile", "car".into()), Err("MST-H006"));
    assert_eq!(
        code("/state/body/lekiwi/battery/charge", 1.5.into()),
        Err("MST-H006")
    );
    assert_eq!(
        code("/state/body/lekiwi/speed_m_per_s", 99.0.into()),
        Err("MST-H006")
    );
    assert_eq!(code("/state/left_over_us", 1_000_000_000.into()), Err("MST-H006"));
}
