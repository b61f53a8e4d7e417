//! What subscribers are told.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use muster_protocol::live::{LiveFilters, Throttle};

fn raw(text: &str) -> Arc<RawValue> {
    RawValue::from_string(text.to_owned()).expect("json").into()
}

fn about(machine: u128, kind: &str) -> Option<About> {
    let labels = BTreeMap::from([("line".to_owned(), machine.to_string())]);
    let profile = Arc::new(Profile {
        labels,
        ..Profile::default()
    });
    Some(About {
        machine: MachineId::from_uuid(Uuid::from_u128(machine)),
        kind: kind.into(),
        profile,
    })
}

fn state(machine: u128, text: &str) -> Published {
    let topic = format!("machine.{machine}.state").into();
    Published {
        topic,
        about: about(machine, "car"),
        content: Content::Latest(raw(text)),
    }
}

fn event(position: u64, severity: Severity) -> Published {
    let topic = "machine.1.event.thermal.high".into();
    let kind = "thermal.high".into();
    let content = Content::Event {
        position: LogPosition(position),
        kind,
        severity,
        data: raw(&position.to_string()),
    };
    Published {
        topic,
        about: about(1, "car"),
        content,
    }
}

fn sample(value: f64) -> Published {
    let sample = LiveSample {
        metric: "cpu.percent".into(),
        value,
        unit: "%".into(),
        quality: Quality::Good,
        at: Timestamp::from_millis(value as i64),
        min: None,
        max: None,
        count: None,
    };
    let content = Content::Samples([sample].into());
    Published {
        topic: "machine.1.telemetry".into(),
        about: about(1, "car"),
        content,
    }
}

fn subscription(topics: &[&str], strategy: Strategy, filters: LiveFilters) -> Subscription {
    let subscribe = Subscribe {
        id: "s".into(),
        topics: topics
            .iter()
            .map(|topic| topic.parse().expect("a topic"))
            .collect(),
        filters,
        throttle: Throttle {
            rate_per_s: 10.0,
            strategy,
        },
        resume_after: None,
    };
    Subscription::new(subscribe, LogPosition(10)).expect("a subscription")
}

fn data(due: &Due) -> Vec<&str> {
    due.items.iter().map(|item| item.data.get()).collect()
}

#[test]
fn the_latest_replaces_and_waits_for_its_turn() {
    let mut subscription = subscription(&["machine.*.state"], Strategy::Latest, LiveFilters::default());
    subscription.offer(&state(1, "1"));
    subscription.offer(&state(1, "2"));
    subscription.offer(&state(2, "3"));
    subscription.offer(&event(11, Severity::Info));
    assert_eq!(
        data(
            &subscription
                .take_due(0, LogPosition::ZERO, &mut |_, _| None)
                .expect("due")
        ),
        ["2", "3"]
    );
    subscription.offer(&state(1, "4"));
    assert!(
        subscription
            .take_due(99, LogPosition::ZERO, &mut |_, _| None)
            .is_none()
    );
    assert_eq!(
        data(
            &subscription
                .take_due(100, LogPosition::ZERO, &mut |_, _| None)
                .expect("due")
        ),
        ["4"]
    );
    assert_eq!(subscription.due_at_ms(), None);
}

#[test]
fn a_sample_keeps_the_first() {
    let mut subscription = subscription(&["machine.>"], Strategy::Sample, LiveFilters::default());
    subscription.offer(&state(1, "1"));
    subscription.offer(&state(1, "2"));
    subscription.offer(&sample(3.0));
    subscription.offer(&sample(4.0));
    let due = subscription
        .take_due(0, LogPosition::ZERO, &mut |_, _| None)
        .expect("due");
    assert_eq!(data(&due)[0], "1");
    assert!(data(&due)[1].contains("\"value\":3.0"));
}

#[test]
fn aggregation_keeps_least_mean_greatest_and_count() {
    let mut subscription = subscription(
        &["machine.1.telemetry"],
        Strategy::Aggregate,
        LiveFilters::default(),
    );
    for value in [4.0, 1.0, 7.0] {
        subscription.offer(&sample(value));
    }
    let due = subscription
        .take_due(0, LogPosition::ZERO, &mut |_, _| None)
        .expect("due");
    let text = data(&due)[0];
    for part in ["\"value\":4.0", "\"min\":1.0", "\"max\":7.0", "\"count\":3"] {
        assert!(text.contains(part), "{text} should contain {part}");
    }
}

#[test]
fn events_are_never_coalesced_and_known_ones_not_repeated() {
    let mut subscription = subscription(&["machine.*.event.>"], Strategy::Sample, LiveFilters::default());
    for position in [9, 10, 11, 12] {
        subscription.offer(&event(position, Severity::Info));
    }
    assert_eq!(
        data(
            &subscription
                .take_due(0, LogPosition::ZERO, &mut |_, _| None)
                .expect("due")
        ),
        ["11", "12"]
    );
}

#[test]
fn a_slow_reader_is_told_what_it_missed_and_where_to_resume() {
    let mut subscription = subscription(&["machine.*.event.>"], Strategy::Latest, LiveFilters::default());
    for position in 11..(11 + EVENTS_WAITING_MAX as u64 + 5) {
        subscription.offer(&event(position, Severity::Info));
    }
    let pieces = all_due(&mut subscription);
    let told: usize = pieces.iter().map(|due| due.items.len()).sum();
    assert_eq!(
        (told, pieces[0].dropped, pieces[0].resume_after),
        (EVENTS_WAITING_MAX, 5, LogPosition(10))
    );
}

#[test]
fn filters_hold_together() {
    let check = |filters: LiveFilters, published: &Published, expect: bool| {
        let subscription = subscription(&[">"], Strategy::Latest, filters.clone());
        assert_eq!(subscription.wants(published), expect, "{filters:?}");
    };
    let labels = |value: &str| BTreeMap::from([("line".to_owned(), value.to_owned())]);
    let machines = vec![MachineId::from_uuid(Uuid::from_u128(1))];
    check(
        LiveFilters {
            machines: machines.clone(),
            ..Default::default()
        },
        &state(1, "0"),
        true,
    );
    check(
        LiveFilters {
            machines,
            ..Default::default()
        },
        &state(2, "0"),
        false,
    );
    check(
        LiveFilters {
            kinds: vec!["pi".into()],
            ..Default::default()
        },
        &state(1, "0"),
        false,
    );
    check(
        LiveFilters {
            labels: labels("1"),
            ..Default::default()
        },
        &state(1, "0"),
        true,
    );
    check(
        LiveFilters {
            labels: labels("2"),
            ..Default::default()
        },
        &state(1, "0"),
        false,
    );
    check(
        LiveFilters {
            severity: Some(Severity::Warning),
            ..Default::default()
        },
        &event(11, Severity::Info),
        false,
    );
    check(
        LiveFilters {
            severity: Some(Severity::Warning),
            ..Default::default()
        },
        &event(11, Severity::Error),
        true,
    );
    check(
        LiveFilters {
            event_types: vec!["thermal".into()],
            ..Default::default()
        },
        &event(11, Severity::Info),
        true,
    );
    check(
        LiveFilters {
            event_types: vec!["therm".into()],
            ..Default::default()
        },
        &event(11, Severity::Info),
        false,
    );
}

#[test]
fn what_cannot_be_granted_is_refused_with_what_is_accepted() {
    let ask = |id: &str, topics: usize, rate_per_s: f64| {
        let topics = vec!["a".parse().expect("a topic"); topics];
        let throttle = Throttle {
            rate_per_s,
            strategy: Strategy::Latest,
        };
        let filters = LiveFilters::default();
        Subscription::new(
            Subscribe {
                id: id.into(),
                topics,
                filters,
                throttle,
                resume_after: None,
            },
            LogPosition(0),
        )
        .err()
    };
    assert_eq!(ask("", 1, 1.0), Some(SubscribeError::Id));
    assert_eq!(ask("a", 0, 1.0), Some(SubscribeError::Topics));
    assert_eq!(ask("a", 65, 1.0), Some(SubscribeError::Topics));
    for rate in [0.0, -1.0, 51.0, f64::NAN] {
        assert!(
            matches!(ask("a", 1, rate), Some(SubscribeError::Rate { .. })),
            "{rate}"
        );
    }
    assert_eq!(ask("a", 1, 0.01), None);
}

#[test]
fn what_changed_is_looked_up_when_it_is_told() {
    let mut subscription = subscription(&["machine.*.state"], Strategy::Latest, LiveFilters::default());
    for machine in [1, 1, 2] {
        subscription.offer(&Published {
            content: Content::Changed,
            ..state(machine, "0")
        });
    }
    let due = subscription
        .take_due(0, LogPosition::ZERO, &mut |topic, _| {
            (topic == "machine.1.state").then(|| raw("7"))
        })
        .expect("due");
    assert_eq!(data(&due), ["7"], "the other is gone");
}

/// Everything that waits, piece by piece.
fn all_due(subscription: &mut Subscription) -> Vec<Due> {
    let mut pieces = Vec::new();
    while let Some(due) = subscription.take_due(0, LogPosition::ZERO, &mut |topic, _| {
        Some(raw(&format!("{topic:?}")))
    }) {
        let bytes: usize = due.items.iter().map(|item| item.data.get().len()).sum();
        assert!(
            due.items.len() <= 1 || bytes <= PIECE_MAX_BYTES,
            "{bytes} bytes in one piece"
        );
        let more = due.more;
        pieces.push(due);
        if !more {
            break;
        }
    }
    pieces
}

/// Offers, and lets go as a reader's session does.
fn offer(subscription: &mut Subscription, published: &Published) {
    subscription.offer(published);
    while subscription.waiting_bytes() > WAITING_MAX_BYTES && subscription.sheddable_bytes() > 0 {
        subscription.shed();
    }
}

fn large(position: u64) -> Published {
    let content = Content::Event {
        position: LogPosition(position),
        kind: "thermal.high".into(),
        severity: Severity::Info,
        data: raw(&format!("\"{}\"", "x".repeat(60_000))),
    };
    Published {
        content,
        ..event(position, Severity::Info)
    }
}

#[test]
fn large_events_are_bounded_by_their_size_and_come_in_pieces() {
    let mut subscription = subscription(&["machine.*.event.>"], Strategy::Latest, LiveFilters::default());
    for position in 11..31 {
        offer(&mut subscription, &large(position));
    }
    let pieces = all_due(&mut subscription);
    let told: usize = pieces.iter().map(|due| due.items.len()).sum();
    let fitting = WAITING_MAX_BYTES / 70_000;
    assert!(told * 60_000 <= WAITING_MAX_BYTES && told >= fitting, "{told}");
    assert_eq!(told as u64 + pieces[0].dropped, 20);
    assert_eq!(pieces.len(), told, "each of them fills a piece");
    let (last, before) = pieces.split_last().expect("pieces");
    assert!(before.iter().all(|due| due.resume_after == LogPosition(10)));
    assert_eq!(last.reached, LogPosition(30));
    assert_eq!(subscription.waiting_bytes(), 0);
}

#[test]
fn what_comes_during_a_turn_waits_for_the_next_and_is_bounded_with_it() {
    let mut subscription = subscription(&["machine.*.event.>"], Strategy::Latest, LiveFilters::default());
    for position in 11..14 {
        offer(&mut subscription, &large(position));
    }
    let first = subscription
        .take_due(0, LogPosition(20), &mut |_, _| None)
        .expect("due");
    assert!(first.more && first.items.len() == 1);
    for position in 21..61 {
        offer(&mut subscription, &large(position));
        assert!(subscription.waiting_bytes() <= WAITING_MAX_BYTES);
    }
    let rest = all_due(&mut subscription);
    assert_eq!(rest.iter().map(|due| due.items.len()).sum::<usize>(), 2);
    assert_eq!(rest.last().map(|due| due.reached), Some(LogPosition(20)));
    let next = subscription
        .take_due(100, LogPosition(60), &mut |_, _| None)
        .expect("due");
    assert!(next.dropped > 20, "{}", next.dropped);
    assert_eq!(
        next.resume_after,
        LogPosition(20),
        "where everything before is known"
    );
}

#[test]
fn so_many_changes_that_they_are_forgotten_are_told_as_everything_anew() {
    let mut subscription = subscription(&["machine.*.state"], Strategy::Latest, LiveFilters::default());
    for machine in 0..50_000 {
        let topic = format!("machine.{machine}.state").into();
        let published = Published {
            topic,
            about: None,
            content: Content::Changed,
        };
        offer(&mut subscription, &published);
        assert!(subscription.waiting_bytes() <= WAITING_MAX_BYTES);
    }
    let due = subscription
        .take_due(0, LogPosition::ZERO, &mut |_, _| None)
        .expect("due");
    assert!(due.renew && due.dropped == 0 && due.items.is_empty());
    subscription.offer(&Published {
        content: Content::Changed,
        ..state(1, "0")
    });
    assert_eq!(
        subscription.due_at_ms(),
        Some(100),
        "what changes from here on is noted again"
    );
}

#[test]
fn metrics_without_end_are_bounded() {
    let mut subscription = subscription(&["machine.*.telemetry"], Strategy::Latest, LiveFilters::default());
    // Whenever too much waits, all of the machine goes: the last rounds are still there.
    for round in 0..102 {
        let samples: Vec<LiveSample> = (0..500)
            .map(|number| LiveSample {
                metric: format!("m{round}.{number}").into(),
                value: 1.0,
                unit: "".into(),
                quality: Quality::Good,
                at: Timestamp::EPOCH,
                min: None,
                max: None,
                count: None,
            })
            .collect();
        let published = Published {
            topic: format!("machine.{}.telemetry", MachineId::from_uuid(Uuid::nil())).into(),
            about: None,
            content: Content::Samples(samples.into()),
        };
        offer(&mut subscription, &published);
        assert!(subscription.waiting_bytes() <= WAITING_MAX_BYTES);
    }
    let pieces = all_due(&mut subscription);
    let told: usize = pieces
        .iter()
        .flat_map(|due| &due.items)
        .map(|item| item.data.get().matches("\"metric\"").count())
        .sum();
    assert!(told > 0);
    assert_eq!(told as u64 + pieces[0].dropped, 51_000);
}

#[test]
fn fuzz_what_is_granted_is_within_the_limits() {
    muster_mutate::Target::new("live_client").json().check(|data| {
        let Ok(muster_protocol::live::ClientMessage::Subscribe(asked)) = serde_json::from_slice(data) else {
            return false;
        };
        match Subscription::new(asked.clone(), LogPosition(7)) {
            Ok(granted) => {
                let subscribe = granted.asked();
                assert!((1..=SUBSCRIPTION_ID_MAX_BYTES).contains(&subscribe.id.len()));
                assert!((1..=TOPICS_MAX).contains(&subscribe.topics.len()));
                assert!(subscribe.filters.machines.len() <= FILTER_MACHINES_MAX);
                assert!(subscribe.filters.labels.len() <= FILTER_WORDS_MAX);
                // Never more often than is allowed, and not never.
                assert!(
                    (20..=86_400_000).contains(&granted.interval_ms),
                    "{}",
                    granted.interval_ms
                );
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }
    });
}
