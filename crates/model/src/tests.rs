//! Unit and property tests of the folds, the filter, the topics and the times.

use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use crate::entry::{MachineEntry, StateChange};
use crate::ids::{LogPosition, MachineId, RecordNumber, StateVersion, StreamVersion};
use crate::release::{Act, ProductReport, UpdateReport, UpdatesReport};
use crate::state::{HealthReport, Identity, Operation, Power, ReportedState, StatePatch};
use crate::status::{Status, StatusWord};
use crate::time::Timestamp;
use crate::topic::TopicPattern;
use crate::view::MachineView;
use crate::vocabulary::{Authority, Health, Mission, Mode, Presence, Safety, UpdatePhase};
use crate::{Filter, FilterError};

fn updates(phase: UpdatePhase) -> UpdatesReport {
    let update = UpdateReport {
        number: 1,
        act: Act::Install,
        version: "1.4.0".into(),
        manifest: "0f".repeat(32).parse().unwrap(),
        phase,
        why: vec![],
        fetched_bytes: 0,
        to_fetch_bytes: 0,
        since: Timestamp::from_millis(0),
    };
    let product = ProductReport {
        product: "car-app".into(),
        running: None,
        other: None,
        update: Some(update),
    };
    UpdatesReport {
        stopped: false,
        products: vec![product],
    }
}

fn machine(name: &str, kind: &str, battery: Option<f64>) -> MachineView {
    let mut view = MachineView::new(
        MachineId::from_uuid(Uuid::from_u128(7)),
        Timestamp::from_millis(1_000),
    );
    view.presence = Presence::Online;
    view.reported.identity = Some(Arc::new(Identity {
        name: name.into(),
        kind: kind.into(),
        region: Some("munich".into()),
    }));
    view.reported.power = battery.map(|percent| {
        Arc::new(Power {
            battery_percent: Some(percent),
            charging: false,
            external_supply: false,
            volts: None,
            amperes: None,
        })
    });
    view
}

#[track_caller]
fn check_filter(text: &str, view: &MachineView, expect: bool) {
    let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(filter.matches(view), expect, "{text}");
}

#[test]
fn filters_say_which_machines_are_meant() {
    let frida = machine("frida", "lekiwi", Some(18.5));
    check_filter("", &frida, true);
    check_filter("kind=lekiwi", &frida, true);
    check_filter("kind=car|lekiwi region=munich", &frida, true);
    check_filter("kind!=lekiwi", &frida, false);
    check_filter("kind!=car|pi", &frida, true);
    check_filter("battery<20,kind=lekiwi", &frida, true);
    check_filter("battery<=18.5", &frida, true);
    check_filter("battery>=18.6", &frida, false);
    check_filter("FRI", &frida, true);
    check_filter("name~rid", &frida, true);
    check_filter("label.line=3", &frida, false);
    check_filter("battery<20", &machine("no battery", "pi", None), false);
    check_filter("battery!=20", &machine("no battery", "pi", None), true);
    check_filter(
        "name=\"no battery\" kind=pi",
        &machine("no battery", "pi", None),
        true,
    );
    check_filter("\"no batt\"", &machine("no battery", "pi", None), true);
}

#[test]
fn a_bad_filter_says_what_is_accepted() {
    let bad = |text: &str| text.parse::<Filter>().expect_err(text);
    assert!(matches!(bad("name=\"open"), FilterError::OpenQuote { .. }));
    assert!(matches!(bad("colour=red"), FilterError::UnknownField { .. }));
    assert!(matches!(bad("kind="), FilterError::NoValue { .. }));
    assert!(matches!(bad("kind<3"), FilterError::NotANumber { .. }));
    assert!(matches!(bad("battery<low"), FilterError::BadNumber { .. }));
    assert!(matches!(bad("battery<nan"), FilterError::BadNumber { .. }));
    assert!(
        bad("status=broken")
            .to_string()
            .contains("failed, lost, attention")
    );
    assert_eq!(bad(&"x".repeat(2_000)), FilterError::TooLong);
}

#[test]
fn status_prefers_what_a_person_must_see_first() {
    let operation = |mode, safety| {
        Some(Arc::new(Operation {
            mode,
            safety,
            held_by: Vec::new(),
            at_rest: None,
            authority: Authority::None,
            mission: Mission::Idle,
        }))
    };
    let mut state = ReportedState {
        operation: operation(Mode::Parked, Safety::Operational),
        ..Default::default()
    };
    let word = |presence, state: &ReportedState| Status::derive(presence, state).word;
    assert_eq!(word(Presence::Online, &state), StatusWord::Parked);
    assert_eq!(word(Presence::Lost, &state), StatusWord::Lost);
    assert_eq!(word(Presence::Degraded, &state), StatusWord::Attention);
    state.operation = operation(Mode::Driving, Safety::Operational);
    assert_eq!(word(Presence::Online, &state), StatusWord::Ok);
    state.updates = Some(Arc::new(updates(UpdatePhase::Installing)));
    assert_eq!(word(Presence::Online, &state), StatusWord::Updating);
    state.health = Some(Arc::new(HealthReport {
        level: Health::Failed,
        problems: vec![],
    }));
    assert_eq!(word(Presence::Online, &state), StatusWord::Failed);
    state.health = None;
    state.operation = operation(Mode::Driving, Safety::EstopLatched);
    assert_eq!(
        word(Presence::Lost, &state),
        StatusWord::Failed,
        "losing sight of a stop does not clear it"
    );
    assert_eq!(
        word(Presence::Online, &ReportedState::default()),
        StatusWord::Unknown
    );
}

#[test]
fn null_in_a_patch_removes_and_absence_keeps() {
    let mut state = machine("a", "pi", Some(50.0)).reported;
    let patch: StatePatch = serde_json::from_str(r#"{"power":null}"#).expect("a patch");
    assert_eq!(patch.touched(), ["power"]);
    state.apply(&patch);
    assert!(state.power.is_none());
    assert!(state.identity.is_some());
    assert_eq!(serde_json::to_string(&patch).expect("json"), r#"{"power":null}"#);
}

#[test]
fn the_last_moment_can_be_written_and_read() {
    let last = Timestamp::from_millis(i64::MAX);
    assert_eq!(last.to_string(), "9999-12-30T22:00:00.000Z");
    assert_eq!(last.to_string().parse(), Ok(last));
    assert_eq!(last.plus_millis(1), last);
}

#[test]
fn times_are_read_and_written_in_one_form() {
    let time: Timestamp = "2026-11-21T07:00:00.123Z".parse().expect("a time");
    assert_eq!(time.to_string(), "2026-11-21T07:00:00.123Z");
    assert_eq!(
        "2026-11-21T08:00:00.123+01:00"
            .parse::<Timestamp>()
            .expect("an offset"),
        time
    );
    assert_eq!(Timestamp::EPOCH.to_string(), "1970-01-01T00:00:00.000Z");
    for bad in [
        "",
        "now",
        "2026-11-21",
        "2026-11-21 07:00:00Z",
        "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
    ] {
        assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
    }
}

#[test]
fn topics_match_by_token() {
    let check = |pattern: &str, topic: &str, expect: bool| {
        let pattern: TopicPattern = pattern.parse().expect(pattern);
        assert_eq!(pattern.matches(topic), expect, "{pattern} against {topic}");
    };
    check("machine.*.heartbeat", "machine.7.heartbeat", true);
    check("robot.*.heartbeat", "machine.7.heartbeat", true);
    check(
        "machine.*.event.safety.>",
        "machine.7.event.safety.estop.latched",
        true,
    );
    check("machine.*.event.safety.>", "machine.7.event.safety", false);
    check(">", "alert", true);
    check("machine.7", "machine.7.state", false);
    check("machine.*", "machine", false);
    for bad in ["", ".", "a..b", "a.>.b", "a b", "a.b*", "ü"] {
        assert!(bad.parse::<TopicPattern>().is_err(), "{bad}");
    }
    assert!("a.*".parse::<crate::Topic>().is_err(), "a topic has no wildcards");
}

#[test]
fn the_word_on_the_wire_is_the_word_on_the_screen() {
    fn check<T: Copy + serde::Serialize + std::fmt::Display>(all: &[T]) {
        for value in all {
            assert_eq!(
                serde_json::to_string(value).expect("json"),
                format!("\"{value}\"")
            );
        }
    }
    check(StatusWord::ALL);
    check(crate::Severity::ALL);
    check(Presence::ALL);
    check(Mode::ALL);
    check(Safety::ALL);
    check(Authority::ALL);
    check(Mission::ALL);
    check(Health::ALL);
    check(UpdatePhase::ALL);
    check(crate::vocabulary::NodeStatus::ALL);
    check(crate::vocabulary::Quality::ALL);
}

fn any_state() -> impl Strategy<Value = ReportedState> {
    let identity = proptest::option::of("[a-z]{1,8}".prop_map(|name| {
        Arc::new(Identity {
            name,
            kind: "pi".into(),
            region: None,
        })
    }));
    let power = proptest::option::of((0.0..100.0f64, any::<bool>()).prop_map(|(percent, charging)| {
        Arc::new(Power {
            battery_percent: Some(percent),
            charging,
            external_supply: charging,
            volts: None,
            amperes: None,
        })
    }));
    let operation = proptest::option::of((0..Mode::ALL.len()).prop_map(|mode| {
        let mode = Mode::ALL[mode];
        let (safety, authority, mission) = (Safety::Operational, Authority::None, Mission::Idle);
        Arc::new(Operation {
            mode,
            safety,
            held_by: Vec::new(),
            at_rest: None,
            authority,
            mission,
        })
    }));
    (identity, power, operation).prop_map(|(identity, power, operation)| ReportedState {
        identity,
        power,
        operation,
        ..Default::default()
    })
}

#[test]
fn each_section_keeps_the_time_of_its_own_report() {
    let identity = |name: &str| {
        Some(Arc::new(Identity {
            name: name.into(),
            kind: "car".into(),
            region: None,
        }))
    };
    let mut view = MachineView::new(MachineId::from_uuid(Uuid::from_u128(9)), Timestamp::EPOCH);
    let mut report = |n: u64, change: StateChange| {
        let at = Timestamp::from_millis(10 * n as i64);
        let entry = MachineEntry::StateReported {
            record: RecordNumber(n),
            version: StateVersion(n),
            at,
            change,
        };
        view.apply(LogPosition(n), StreamVersion(n), at, &entry);
        let times = &view.sections_at;
        [times.identity, times.power].map(|at| at.map(|at| at.millis_since(Timestamp::EPOCH)))
    };
    let power = Some(Arc::new(Power {
        external_supply: false,
        charging: false,
        battery_percent: Some(50.0),
        volts: None,
        amperes: None,
    }));
    let full = ReportedState {
        identity: identity("a"),
        power,
        ..Default::default()
    };
    assert_eq!(report(1, StateChange::Full(Box::new(full))), [Some(10), Some(10)]);
    let patch = StatePatch {
        identity: Some(identity("b")),
        ..Default::default()
    };
    assert_eq!(
        report(2, StateChange::Patch(Box::new(patch))),
        [Some(20), Some(10)]
    );
    let patch = StatePatch {
        power: Some(None),
        ..Default::default()
    };
    assert_eq!(report(3, StateChange::Patch(Box::new(patch))), [Some(20), None]);
}

proptest! {
    #[test]
    fn a_difference_leads_from_the_old_state_to_the_new(old in any_state(), new in any_state()) {
        let patch = old.difference(&new);
        let wire = serde_json::to_string(&patch).expect("json");
        let patch: StatePatch = serde_json::from_str(&wire).expect("a patch");
        let mut state = old.clone();
        state.apply(&patch);
        prop_assert_eq!(&state, &new);
        prop_assert_eq!(patch.is_empty(), old == new);
    }

    #[test]
    fn a_snapshot_keeps_all_that_the_log_says(states in proptest::collection::vec(any_state(), 1..6)) {
        let id = MachineId::from_uuid(Uuid::from_u128(9));
        let mut view = MachineView::new(id, Timestamp::from_millis(5));
        for (index, state) in states.into_iter().enumerate() {
            let n = index as u64 + 1;
            let change = if index == 0 {
                StateChange::Full(Box::new(state))
            } else {
                StateChange::Patch(Box::new(view.reported.difference(&state)))
            };
            let at = Timestamp::from_millis(10 * n as i64);
            let entry = MachineEntry::StateReported { record: RecordNumber(n), version: StateVersion(n), at, change };
            let stored = serde_json::to_vec(&entry).expect("json");
            let read: MachineEntry = serde_json::from_slice(&stored).expect("an entry");
            prop_assert_eq!(&read, &entry);
            view.apply(LogPosition(n), StreamVersion(n), at, &read);
        }
        let restored = MachineView::from_snapshot(id, &view.to_snapshot().expect("json")).expect("a snapshot");
        prop_assert_eq!(restored, view);
    }

    #[test]
    fn any_moment_survives_the_wire(millis in 0i64..=253_402_207_200_000) {
        let time = Timestamp::from_millis(millis);
        prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
    }

    #[test]
    fn a_time_with_one_character_changed_is_read_as_before_the_short_cut(
        millis in 0i64..=253_402_207_200_000,
        at in 0usize..24,
        other in "[0-9TZ:.+-]",
    ) {
        let mut text = Timestamp::from_millis(millis).to_string();
        text.replace_range(at..=at, &other);
        let slow = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
        let slow = slow.filter(|millis| text.as_bytes()[10] == b'T' && (0..=253_402_207_200_000).contains(millis));
        prop_assert_eq!(text.parse::<Timestamp>().ok().map(Timestamp::as_millis), slow);
    }

    /// As one would write it down, token by token.
    #[test]
    fn topics_match_as_their_tokens_do(pattern in "(a|ab|b|\\*)(\\.(a|ab|b|\\*)){0,3}(\\.>)?|>", topic in "(a|ab|b)?(\\.(a|ab|b)?){0,4}") {
        let matches = {
            let (mut wanted, mut given) = (pattern.split('.'), topic.split('.'));
            loop {
                match (wanted.next(), given.next()) {
                    (Some(">"), Some(_)) | (None, None) => break true,
                    (Some("*"), Some(_)) => {}
                    (Some(token), Some(other)) if token == other => {}
                    _ => break false,
                }
            }
        };
        let read: TopicPattern = pattern.parse().expect("a pattern");
        prop_assert_eq!(read.matches(&topic), matches, "{} against {}", pattern, topic);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "\\PC{0,60}") {
        let _ = text.parse::<Filter>();
        let _ = text.parse::<TopicPattern>();
        let _ = text.parse::<Timestamp>();
    }
}
