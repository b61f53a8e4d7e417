//! Topics, patterns, bounds and threads.

use muster_machine::Bus;
use muster_machine::bus::Inbox;
use muster_machine::message::{Finding, Message, Payload, Source, event};
use muster_model::{Severity, TopicPattern};
use muster_runtime::Clock;

fn bus() -> Bus {
    Bus::new(Clock::start())
}

fn subscribe(bus: &Bus, patterns: &[&str], max: usize) -> Inbox {
    let patterns: Vec<TopicPattern> = patterns.iter().map(|text| text.parse().unwrap()).collect();
    bus.subscribe(patterns, max)
}

fn happened(kind: &str) -> Payload {
    event(kind, Severity::Info, kind)
}

fn kinds(inbox: &mut Inbox) -> Vec<String> {
    std::iter::from_fn(|| inbox.try_next())
        .map(|delivery| delivery.message.topic.to_string())
        .collect()
}

#[test]
fn a_subscriber_gets_what_its_patterns_match_and_nothing_else() {
    let bus = bus();
    let mut all = subscribe(&bus, &[">"], 100);
    let mut events = subscribe(&bus, &["event.>"], 100);
    let mut one_token = subscribe(&bus, &["event.*"], 100);
    let mut two = subscribe(&bus, &["event.a.*", "event.b"], 100);
    for kind in ["a.x", "a.y", "b", "a.x.deep"] {
        bus.publish(happened(kind));
    }
    bus.publish(Payload::Wanted(Vec::new()));
    assert_eq!(kinds(&mut all).len(), 5);
    assert_eq!(
        kinds(&mut events),
        ["event.a.x", "event.a.y", "event.b", "event.a.x.deep"]
    );
    assert_eq!(kinds(&mut one_token), ["event.b"]);
    assert_eq!(kinds(&mut two), ["event.a.x", "event.a.y", "event.b"]);
    assert_eq!(bus.subscribers(), 4);
    drop(all);
    assert_eq!(bus.subscribers(), 3);
}

#[test]
fn a_slow_subscriber_loses_the_oldest_and_sees_how_many() {
    let bus = bus();
    let mut slow = subscribe(&bus, &["event.>"], 3);
    let mut fast = subscribe(&bus, &["event.>"], 100);
    for number in 0..10 {
        bus.publish(happened(&format!("n{number}")));
    }
    let first = slow.try_next().unwrap();
    assert_eq!((first.message.topic.as_str(), first.lost), ("event.n7", 7));
    assert_eq!(slow.try_next().unwrap().lost, 0, "said once");
    assert_eq!(kinds(&mut fast).len(), 10, "the others lose nothing");
}

#[test]
fn who_comes_late_gets_what_is_but_not_what_happened() {
    let bus = bus();
    let finding = |message: &str| {
        let finding = Finding {
            kind: "test".into(),
            subject: String::new(),
            severity: Severity::Warning,
            message: message.into(),
        };
        Payload::Findings(Source::Hardware, vec![finding])
    };
    bus.publish(finding("old"));
    bus.publish(finding("new"));
    bus.publish(happened("gone"));
    let mut late = subscribe(&bus, &[">"], 10);
    let delivery = late.try_next().unwrap();
    assert_eq!(delivery.message.payload, finding("new"));
    assert!(late.try_next().is_none());
}

#[test]
fn threads_with_runtimes_of_their_own_speak_over_it() {
    const EACH: usize = 5_000;
    let bus = bus();
    let mut inbox = subscribe(&bus, &["event.>"], 4 * EACH);
    let publishers: Vec<_> = (0..4)
        .map(|thread| {
            let bus = bus.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    bus.publish(happened(&format!("t{thread}.n{number}")));
                }
            })
        })
        .collect();
    let reader = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut next = [0; 4];
            for _ in 0..4 * EACH {
                let delivery = inbox.next().await;
                assert_eq!(delivery.lost, 0);
                let mut tokens = delivery.message.topic.as_str().split('.').skip(1);
                let thread: usize = tokens.next().unwrap()[1..].parse().unwrap();
                let number: usize = tokens.next().unwrap()[1..].parse().unwrap();
                assert_eq!(next[thread], number, "in order");
                next[thread] += 1;
            }
        });
    });
    for publisher in publishers {
        publisher.join().unwrap();
    }
    reader.join().unwrap();
}

#[test]
fn traffic_can_be_written_down_and_read_again() {
    let bus = bus();
    let mut inbox = subscribe(&bus, &[">"], 100);
    bus.publish(happened("a.b"));
    bus.publish(Payload::Link(muster_machine::message::LinkReport {
        state: muster_reflex::link::LinkState::Reconnecting,
        reason: "test".into(),
    }));
    let wanted = muster_reflex::state::SectionKind::ALL.iter().copied();
    bus.publish(Payload::Wanted(
        wanted.map(muster_machine::message::Wanted).collect(),
    ));
    let patch = muster_model::StatePatch {
        power: Some(None),
        ..Default::default()
    };
    bus.publish(Payload::Sections(Source::Measured, Box::new(patch)));
    for _ in 0..4 {
        let message = inbox.try_next().unwrap().message;
        let text = serde_json::to_string(&*message).unwrap();
        let again: Message = serde_json::from_str(&text).unwrap();
        assert_eq!(again, *message, "{text}");
    }
}
