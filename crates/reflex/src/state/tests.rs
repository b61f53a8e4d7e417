//! What is told, and when.

use std::sync::Arc;

use muster_model::Timestamp;
use muster_model::gate::{DECISIONS_MAX, GateDecision, GateReport};
use muster_model::state::{HealthReport, Power, Thermal};
use muster_model::vocabulary::{Authority, Health};
use proptest::prelude::*;

use super::{Aggregator, Options, Section, SectionKind};

fn thermal(celsius: f64) -> Section {
    Section::Thermal(Some(Arc::new(Thermal {
        highest_celsius: celsius,
        zones: vec![],
    })))
}

fn power(percent: f64, charging: bool) -> Section {
    let battery_percent = Some(percent);
    Section::Power(Some(Arc::new(Power {
        battery_percent,
        charging,
        external_supply: charging,
        volts: None,
        amperes: None,
    })))
}

fn connected() -> Aggregator {
    let mut aggregator = Aggregator::new(Options::default());
    aggregator.set_connected(true);
    aggregator
}

#[test]
fn the_first_reading_is_told_after_the_debounce() {
    let mut aggregator = connected();
    aggregator.observe(1_000, thermal(40.0));
    assert_eq!(aggregator.step(1_000), None);
    assert_eq!(aggregator.next_step_at(), Some(1_500));
    assert!(
        aggregator
            .step(1_500)
            .is_some_and(|state| state.thermal.is_some())
    );
    assert_eq!(aggregator.step(1_501), None, "told once");
}

#[test]
fn small_movements_are_no_news_and_large_ones_wait_for_their_turn() {
    let mut aggregator = connected();
    aggregator.observe(0, thermal(40.0));
    assert!(aggregator.step(500).is_some());
    aggregator.observe(5_000, thermal(42.0));
    assert_eq!(aggregator.next_step_at(), None);
    aggregator.observe(10_000, thermal(44.0));
    assert_eq!(
        aggregator.next_step_at(),
        Some(30_500),
        "thirty seconds after it was last told"
    );
    aggregator.observe(20_000, thermal(41.0));
    assert_eq!(
        aggregator.next_step_at(),
        None,
        "back to what was told: nothing to tell"
    );
}

fn gate(decisions: &[(&str, u64)]) -> Section {
    let decisions = decisions.iter().map(|(reason, times)| GateDecision {
        actuator: "wheel".to_owned(),
        authority: Authority::LocalManual,
        reason: (*reason).to_owned(),
        asked: Some(1.0),
        passed: None,
        times: *times,
        first_at: Timestamp::from_millis(0),
        last_at: Timestamp::from_millis(*times as i64),
    });
    Section::Gate(Some(Arc::new(GateReport {
        decisions: decisions.collect(),
    })))
}

#[test]
fn a_flood_of_refused_commands_is_told_with_the_figures_and_a_new_reason_at_once() {
    let mut aggregator = connected();
    aggregator.observe(0, gate(&[("standing", 1)]));
    assert!(aggregator.step(500).is_some());
    let told = (1_000..31_000)
        .filter(|now_ms| {
            aggregator.observe(*now_ms, gate(&[("standing", *now_ms)]));
            aggregator.step(*now_ms).is_some()
        })
        .count();
    assert_eq!(told, 1, "of thirty thousand");
    aggregator.observe(32_000, gate(&[("expired", 1), ("standing", 31_000)]));
    assert!(aggregator.step(32_500).is_some(), "long before its turn");
}

#[test]
fn reasons_that_take_turns_are_no_news_once_the_table_is_full() {
    let reasons: Vec<String> = (0..20).map(|number| format!("reason_{number}")).collect();
    let some = |from: usize| {
        let rows: Vec<_> = (from..from + DECISIONS_MAX)
            .map(|number| (reasons[number].as_str(), 1))
            .collect();
        gate(&rows)
    };
    let mut aggregator = connected();
    aggregator.observe(0, some(0));
    assert!(aggregator.step(500).is_some());
    aggregator.observe(1_000, some(8));
    assert_eq!(aggregator.next_step_at(), Some(30_500), "with the figures");
}

#[test]
fn a_plug_pulled_is_told_at_once() {
    let mut aggregator = connected();
    aggregator.observe(0, power(80.0, true));
    assert!(aggregator.step(500).is_some());
    aggregator.observe(2_000, power(80.0, false));
    assert_eq!(aggregator.next_step_at(), Some(2_500));
}

#[test]
fn health_does_not_wait_and_takes_news_along() {
    let mut aggregator = connected();
    aggregator.observe(0, thermal(40.0));
    let report = HealthReport {
        level: Health::Failed,
        problems: vec![],
    };
    aggregator.observe(100, Section::Health(Some(Arc::new(report))));
    let told = aggregator.step(120).expect("news");
    assert!(told.health.is_some());
    assert!(told.thermal.is_some(), "one report rather than two");
}

#[test]
fn figures_share_a_turn() {
    let mut aggregator = connected();
    aggregator.observe(0, thermal(40.0));
    assert!(aggregator.step(500).is_some());
    aggregator.observe(5_000, power(80.0, false));
    let told = aggregator.step(5_500).expect("the first reading does not wait");
    assert!(told.power.is_some());
    aggregator.observe(10_000, thermal(50.0));
    aggregator.observe(20_000, power(70.0, false));
    assert_eq!(
        aggregator.next_step_at(),
        Some(35_500),
        "thirty seconds after figures were last told"
    );
    let told = aggregator.step(35_500).expect("its turn");
    let told = (told.thermal, told.power);
    assert!(
        matches!(&told, (Some(thermal), Some(power)) if thermal.highest_celsius == 50.0 && power.battery_percent == Some(70.0)),
        "{told:?}"
    );
    // A plug that is pulled again and again takes the others along, and so does not hold them up.
    for round in 0..5 {
        let now = 40_000 + round * 1_000;
        aggregator.observe(now, power(70.0, round % 2 == 0));
        aggregator.observe(now, thermal(55.0 + 5.0 * round as f64));
        let told = aggregator
            .step(now + 500)
            .and_then(|told| told.thermal)
            .expect("thermal");
        assert_eq!(told.highest_celsius, 55.0 + 5.0 * round as f64);
    }
}

#[test]
fn what_is_not_read_any_more_becomes_unknown() {
    let mut aggregator = connected();
    aggregator.observe(0, thermal(40.0));
    assert!(aggregator.step(500).is_some());
    assert_eq!(aggregator.step(89_999), None);
    let told = aggregator.step(90_000).expect("news");
    assert!(told.thermal.is_none());
}

#[test]
fn sections_are_due_by_their_lifetime() {
    let mut aggregator = connected();
    let due = aggregator.due_to_be_read(0);
    assert!(due.contains(&SectionKind::Hardware) && due.contains(&SectionKind::Thermal));
    assert!(
        !due.contains(&SectionKind::Health),
        "its node tells of every change"
    );
    aggregator.observe(0, Section::Hardware(None));
    aggregator.observe(0, Section::Network(None));
    assert!(
        !aggregator
            .due_to_be_read(3_599_999)
            .contains(&SectionKind::Network)
    );
    assert!(
        aggregator
            .due_to_be_read(3_600_000)
            .contains(&SectionKind::Network)
    );
    aggregator.invalidate(SectionKind::Network);
    assert!(aggregator.due_to_be_read(1).contains(&SectionKind::Network));
    assert!(
        !aggregator
            .due_to_be_read(u64::MAX / 2)
            .contains(&SectionKind::Hardware)
    );
}

proptest! {
    /// However readings come, what was told last is never off by more than the deadband once there was time to tell it.
    #[test]
    fn what_was_told_stays_near_the_truth(readings in proptest::collection::vec((100u64..20_000, 20.0..90.0f64), 1..40)) {
        let mut aggregator = connected();
        let (mut now, mut told, mut last) = (0, None, 0.0);
        for (wait, celsius) in readings {
            now += wait;
            last = celsius;
            aggregator.observe(now, thermal(celsius));
            if let Some(state) = aggregator.step(now) { told = state.thermal; }
        }
        while let Some(at) = aggregator.next_step_at() {
            now = now.max(at);
            if let Some(state) = aggregator.step(now) { told = state.thermal; }
        }
        let told = told.expect("told").highest_celsius;
        prop_assert!((told - last).abs() < 3.0, "told {told}, is {last}");
    }
}
