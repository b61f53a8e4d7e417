//! What the server would refuse is not made a record.

use super::*;

/// What the records of these effects say, as far as they are events: kind and text.
fn kept_events(effects: &[Effect]) -> Vec<(String, String)> {
    let kept = effects.iter().filter_map(|effect| match effect {
        Effect::Persist { stored, .. } => match &stored.message {
            MachineMessage::Event(event) => Some((event.kind.clone(), event.message.clone())),
            _ => None,
        },
        _ => None,
    });
    kept.collect()
}

#[test]
fn an_event_that_the_server_would_refuse_is_not_made_a_record_but_told_of() {
    let mut link = connected(Kept::default(), 0);
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let long = format!("\"{}\"", "x".repeat(20_000));
    let wide = format!("[{}0]", "0,".repeat(40_000));
    for (kind, data, why) in [
        ("not a kind!", None, "dotted tokens"),
        ("deep", Some(deep), "nested deeper than 32"),
        ("long", Some(long), "string of 20000 bytes"),
        ("wide", Some(wide), "at most 65536"),
    ] {
        let data = data.map(|text| {
            let raw = serde_json::value::RawValue::from_string(text).unwrap();
            muster_model::entry::JsonText(raw)
        });
        let report = EventReport {
            kind: kind.into(),
            severity: Severity::Info,
            message: "m".into(),
            data,
            correlation_id: None,
            causation_id: None,
        };
        let effects = link.step(at(100), Input::Publish(Publication::Event(Box::new(report))));
        let [(told, text)] = &kept_events(&effects)[..] else {
            panic!("one record was expected: {effects:?}");
        };
        assert_eq!(told, "record.refused");
        assert!(text.contains(kind) && text.contains(why), "{text}");
    }
    assert_eq!(link.figures().records_unfit, 4);
    // One that fits is told as it is.
    let effects = link.step(at(200), event(Severity::Info));
    assert_eq!(kept_events(&effects)[0].0, "test");
}

#[test]
fn a_state_that_the_server_would_refuse_is_said_once_and_told_as_soon_as_it_fits() {
    let mut link = connected(Kept::default(), 0);
    let named = |name: String| ReportedState {
        identity: Some(std::sync::Arc::new(muster_model::state::Identity {
            name,
            kind: "pi".into(),
            region: None,
        })),
        ..ReportedState::default()
    };
    let publish = |state| Input::Publish(Publication::State(state));
    let effects = link.step(at(100), publish(named("fits".into())));
    assert!(matches!(&effects[0], Effect::Persist { stored, .. } if stored.record == RecordNumber(1)));
    let mut told = Vec::new();
    for length in [17_000, 18_000, 19_000] {
        told.extend(kept_events(
            &link.step(at(200), publish(named("x".repeat(length)))),
        ));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].0 == "record.refused" && told[0].1.contains("state"),
        "{told:?}"
    );
    let effects = link.step(at(300), publish(named("fits again".into())));
    // It builds on what was last told: on record 1, not on what stands in its place.
    let Effect::Persist { stored, .. } = &effects[0] else {
        panic!("a record was expected: {effects:?}");
    };
    assert!(
        matches!(&stored.message, MachineMessage::State(StateReport::Patch { base, .. }) if base.0 == 1),
        "{stored:?}"
    );
}

#[test]
fn limits_of_the_session_count_where_they_are_narrower() {
    let mut link = link(Kept::default());
    link.step(at(0), Input::Start);
    link.step(at(10), Input::Opened);
    let Input::Frame(mut frame) = welcome(7, 0) else {
        panic!("a welcome is a frame");
    };
    let ServerMessage::Welcome(welcome) = &mut frame.message else {
        panic!("a welcome is a welcome");
    };
    welcome.limits.frame_max_bytes = 200;
    link.step(at(20), Input::Frame(frame));
    let effects = link.step(at(30), event(Severity::Info));
    assert_eq!(kept_events(&effects)[0].0, "record.refused");
}
