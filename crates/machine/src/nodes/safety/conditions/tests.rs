//! What is told of each condition, with thresholds, with time, and with nothing known.

use std::sync::Arc;
use std::time::Duration;

use muster_model::state::{Location, NodeReport, Power, StatePatch, Thermal};
use muster_model::vocabulary::NodeStatus;
use muster_reflex::fence::Fence;
use muster_reflex::safety::Condition;
use muster_reflex::safety::config::{Action, Clears, Rule};

use super::{Conditions, Heard, are_asked};
use crate::message::{Payload, Source};
use crate::options::SafetyOptions;

const READ_EVERY: Duration = Duration::from_secs(1);

fn options(asked: &[Condition]) -> SafetyOptions {
    let rule = |when: &Condition| Rule {
        when: *when,
        after_us: 0,
        action: Action::Warn,
        clears: Clears::WithCondition,
    };
    SafetyOptions {
        rules: asked.iter().map(rule).collect(),
        battery_low_percent: Some(20.0),
        too_hot_celsius: Some(80.0),
        fence: Some(Fence {
            areas: vec![vec![[48.0, 11.0], [48.0, 11.01], [48.01, 11.01], [48.01, 11.0]]],
            keep_out: Vec::new(),
            decelerates_m_per_s2: 1.0,
            reaction_ms: 0,
            margin_m: 1.0,
            fresh_ms: 2_000,
        }),
        ..SafetyOptions::default()
    }
}

fn measured(change: impl FnOnce(&mut StatePatch)) -> Payload {
    let mut patch = StatePatch::default();
    change(&mut patch);
    Payload::Sections(Source::Measured, Box::new(patch))
}

fn power(battery_percent: Option<f64>) -> Payload {
    measured(|patch| {
        patch.power = Some(Some(Arc::new(Power {
            battery_percent,
            charging: false,
            external_supply: false,
            volts: None,
            amperes: None,
        })));
    })
}

fn heat(highest_celsius: f64) -> Payload {
    measured(|patch| {
        patch.thermal = Some(Some(Arc::new(Thermal {
            highest_celsius,
            zones: Vec::new(),
        })));
    })
}

fn place(north: f64, east: f64, speed: f64) -> Payload {
    measured(|patch| {
        patch.location = Some(Some(Arc::new(Location {
            latitude_degrees: north,
            longitude_degrees: east,
            heading_degrees: 90.0,
            speed_m_per_s: speed,
        })));
    })
}

fn node(name: &str, status: NodeStatus) -> Payload {
    Payload::Node(NodeReport {
        name: name.to_owned(),
        status,
        restarts: 0,
        last_failure: None,
    })
}

#[track_caller]
fn only(heard: Vec<Heard>) -> (bool, Option<Duration>) {
    assert_eq!(heard.len(), 1, "{heard:?}");
    (heard[0].holds, heard[0].believed_for)
}

const THREE: Option<Duration> = Some(Duration::from_secs(3));

#[test]
fn a_battery_is_low_until_it_has_a_little_more() {
    let mut conditions = Conditions::new(&options(&[Condition::BatteryLow]), READ_EVERY);
    assert_eq!(only(conditions.at_first()), (false, THREE));
    for (percent, holds) in [
        (21.0, false),
        (19.9, true),
        (22.9, true),
        (23.1, false),
        (20.1, false),
    ] {
        assert_eq!(
            only(conditions.hear(&power(Some(percent)))),
            (holds, THREE),
            "{percent}"
        );
    }
    for unknown in [
        power(None),
        power(Some(f64::NAN)),
        measured(|patch| patch.power = Some(None)),
    ] {
        assert_eq!(only(conditions.hear(&unknown)), (true, THREE));
    }
    assert_eq!(conditions.hear(&heat(99.0)), [], "nobody asked for heat");
}

#[test]
fn heat_goes_the_other_way() {
    let mut conditions = Conditions::new(&options(&[Condition::TooHot]), READ_EVERY);
    for (celsius, holds) in [(79.0, false), (80.5, true), (77.5, true), (76.9, false)] {
        assert_eq!(only(conditions.hear(&heat(celsius))), (holds, THREE), "{celsius}");
    }
    assert_eq!(
        only(conditions.hear(&measured(|patch| patch.thermal = Some(None)))),
        (true, THREE)
    );
    assert_eq!(conditions.hear(&power(Some(1.0))), []);
}

#[test]
fn a_node_is_lost_until_every_one_is_back() {
    let mut conditions = Conditions::new(&options(&[Condition::NodeLost]), READ_EVERY);
    assert_eq!(only(conditions.at_first()), (false, None));
    for (name, status, holds) in [
        ("health", NodeStatus::Running, false),
        ("health", NodeStatus::Failed, true),
        ("logs", NodeStatus::Restarting, true),
        ("health", NodeStatus::Running, true),
        ("logs", NodeStatus::Starting, false),
    ] {
        assert_eq!(
            only(conditions.hear(&node(name, status))),
            (holds, None),
            "{name}"
        );
    }
}

#[test]
fn a_place_is_believed_for_as_long_as_the_machine_could_still_stop() {
    let asked = [Condition::PositionLost, Condition::OutsideFence];
    let mut conditions = Conditions::new(&options(&asked), READ_EVERY);
    let mut told = |payload: &Payload| {
        let heard = conditions.hear(payload);
        let of = |condition| {
            let heard = heard.iter().find(|heard| heard.condition == condition).unwrap();
            (heard.holds, heard.believed_for)
        };
        (of(Condition::PositionLost), of(Condition::OutsideFence))
    };
    let two = Some(Duration::from_secs(2));
    // It stands in the middle.
    assert_eq!(told(&place(48.005, 11.005, 0.0)), ((false, two), (false, two)));
    // About 745 m are left; 200 m of them to brake from 20 m/s.
    assert_eq!(
        told(&place(48.005, 11.0, 0.0)),
        ((false, two), (true, None)),
        "on the border"
    );
    let (_, (holds, sure)) = told(&place(48.005, 11.0070, 20.0));
    assert!(
        !holds && sure < two && sure > Some(Duration::from_millis(500)),
        "{sure:?}"
    );
    assert_eq!(told(&place(48.005, 11.0095, 20.0)).1, (true, None));
    assert_eq!(told(&place(48.02, 11.005, 0.0)), ((false, two), (true, None)));
    for unknown in [
        place(f64::NAN, 11.0, 0.0),
        measured(|patch| patch.location = Some(None)),
    ] {
        assert_eq!(told(&unknown), ((true, two), (true, None)));
    }
    // What was not read this time says nothing.
    assert_eq!(conditions.hear(&measured(|_| {})), []);
    assert!(
        conditions.at_first().iter().all(|heard| heard.holds),
        "it must be known before it moves"
    );
}

#[test]
fn nobody_listens_where_no_row_asks() {
    assert!(!are_asked(&options(&[])));
    assert!(!are_asked(&options(&[
        Condition::LinkLost,
        Condition::TeleopLost
    ])));
    assert!(are_asked(&options(&[Condition::LinkLost, Condition::TooHot])));
    let conditions = Conditions::new(&options(&[Condition::LinkLost]), READ_EVERY);
    assert_eq!(conditions.at_first(), []);
}
