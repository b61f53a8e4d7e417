//! From `hello` to `welcome`, and who may speak.

use super::*;

#[test]
fn welcome_is_said_only_when_the_session_is_on_disk() {
    let mut bench = Bench::new();
    bench.say(1, hello(FIRST, |_| {}));
    bench.take();
    assert!(
        bench.effects.is_empty(),
        "nothing is said yet: {:?}",
        bench.effects
    );
    bench.write();
    assert_eq!(bench.words(), ["welcome to 1: session 1, record 0"]);
    assert_eq!(bench.logged(), ["registered", "session 1"]);
    assert_eq!(bench.presence(), Presence::Online);
}

#[test]
fn a_machine_that_speaks_no_known_version_is_told_which_there_are() {
    let mut bench = Bench::new();
    bench.say(1, hello(FIRST, |hello| hello.versions = vec![VERSION + 7]));
    bench.take();
    let [(1, ServerMessage::Bye(bye))] = bench.said()[..] else {
        panic!("a refusal was expected: {:?}", bench.effects);
    };
    assert_eq!(bye.reason, ByeReason::UnsupportedVersion);
    assert_eq!(bye.supported_versions, [VERSION]);
    assert_eq!(bye.retry_after_ms, None, "trying again would not help");
    assert_eq!(bench.words()[1], "close 1: 1008");
    assert!(bench.waiting.is_empty() && bench.shard.view(FIRST).is_none());
}

#[test]
fn the_server_chooses_the_best_dictionary_that_both_have() {
    for (mine, theirs, chosen) in [
        (vec![9, 5], vec![5, 7, 9], Some(9)),
        (vec![9, 5], vec![5], Some(5)),
        (vec![9, 5], vec![], None),
        (vec![], vec![5, 9], None),
        (vec![4], vec![5, 9], None),
    ] {
        let options = Options {
            dictionaries: mine,
            ..Options::default()
        };
        let mut bench = Bench::with(options, Vec::new());
        bench.say(1, hello(FIRST, |hello| hello.dictionaries = theirs));
        bench.settle();
        let [(1, ServerMessage::Welcome(welcome))] = bench.said()[..] else {
            panic!("a welcome was expected: {:?}", bench.effects);
        };
        assert_eq!(welcome.dictionary, chosen);
    }
}

#[test]
fn a_full_fleet_lets_nobody_in_whom_it_does_not_know() {
    let mut bench = Bench::new();
    let places = Places::new(2, 0);
    bench.shard = Shard::new(Options::default(), at(0), Vec::new()).with_places(places.clone());
    // Another shard of the same fleet has a machine already.
    assert!(places.take());
    bench.connect(FIRST, 1);
    bench.say(2, hello(SECOND, |_| {}));
    bench.settle();
    let [(2, ServerMessage::Bye(bye))] = bench.said()[..] else {
        panic!("a refusal was expected: {:?}", bench.effects);
    };
    assert_eq!(
        (bye.reason, bye.retry_after_ms),
        (ByeReason::Overloaded, Some(300_000))
    );
    assert!(bye.message.contains("2 machines"), "{}", bye.message);
    assert_eq!(bench.words()[1], "close 2: 1013");
    assert_eq!(bench.shard.figures().machines_refused, 1);
    assert!(bench.shard.view(SECOND).is_none());
    // Who has joined comes back as before.
    bench.effects.clear();
    bench.say(3, hello(FIRST, |_| {}));
    bench.settle();
    assert_eq!(bench.words().last().unwrap(), "welcome to 3: session 2, record 0");
    assert_eq!(bench.shard.figures().machines_refused, 1);
}

#[test]
fn a_place_that_was_taken_in_vain_is_free_again() {
    let mut bench = Bench::new();
    bench.shard = Shard::new(Options::default(), at(0), Vec::new()).with_places(Places::new(1, 0));
    bench.say(1, hello(FIRST, |_| {}));
    bench.take();
    bench.fail();
    assert!(bench.shard.view(FIRST).is_none());
    bench.effects.clear();
    bench.say(2, hello(SECOND, |_| {}));
    bench.settle();
    assert_eq!(bench.words(), ["welcome to 2: session 1, record 0"]);
}

#[test]
fn a_newer_connection_fences_the_older_one() {
    let mut bench = Bench::new();
    let old = bench.connect(FIRST, 1);
    bench.say(2, hello(FIRST, |hello| hello.last_session = old));
    bench.settle();
    assert_eq!(
        bench.words(),
        [
            "bye to 1: fenced",
            "close 1: 1008",
            "welcome to 2: session 2, record 0"
        ]
    );
    bench.effects.clear();

    bench.say(1, durable(old, 2, 1, event()));
    bench.settle();
    assert_eq!(bench.words(), ["bye to 1: violation", "close 1: 1008"]);
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber::ZERO);
    assert_eq!(bench.shard.figures().stale, 1);
    bench.close(1);
    bench.settle();
    bench.tick(60_000);
    assert_eq!(
        bench.presence(),
        Presence::Degraded,
        "the end of the old one means nothing"
    );
}

#[test]
fn a_message_of_another_session_ends_the_connection() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.say(1, durable(SessionNumber(session.0 - 1), 2, 1, event()));
    bench.settle();
    assert_eq!(bench.words(), ["bye to 1: violation", "close 1: 1008"]);
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber::ZERO);
}

#[test]
fn what_is_not_allowed_ends_the_connection() {
    let session = SessionNumber(1);
    let before_hello = durable(session, 1, 1, event());
    let not_first = Envelope {
        sequence: SequenceNumber(2),
        ..hello(FIRST, |_| {})
    };
    for first in [before_hello, not_first] {
        let mut bench = Bench::new();
        bench.say(1, first);
        bench.settle();
        assert_eq!(bench.words(), ["bye to 1: violation", "close 1: 1008"]);
    }
    let of_another = Envelope {
        machine_id: SECOND,
        ..in_session(session, 2, heartbeat())
    };
    for second in [hello(FIRST, |_| {}), of_another] {
        let mut bench = Bench::new();
        bench.connect(FIRST, 1);
        bench.say(1, second);
        bench.settle();
        assert_eq!(bench.words(), ["bye to 1: violation", "close 1: 1008"]);
    }
    let mut bench = Bench::new();
    bench.say(1, hello(FIRST, |_| {}));
    bench.say(1, in_session(session, 2, heartbeat()));
    bench.take();
    assert_eq!(
        bench.words(),
        ["bye to 1: violation", "close 1: 1008"],
        "welcome was not said yet"
    );
}

#[test]
fn session_numbers_grow_beyond_what_the_machine_remembers() {
    let mut bench = Bench::new();
    bench.say(1, hello(FIRST, |hello| hello.last_session = SessionNumber(41)));
    bench.settle();
    assert_eq!(bench.view(FIRST).session, SessionNumber(42));
    bench.say(
        2,
        hello(FIRST, |hello| hello.last_session = SessionNumber(u64::MAX)),
    );
    bench.settle();
    assert_eq!(
        bench.view(FIRST).session,
        SessionNumber(43),
        "a number from nowhere is not believed"
    );
}

#[test]
fn records_that_the_machine_lost_are_noted_and_passed_over() {
    let mut bench = Bench::new();
    bench.say(1, hello(FIRST, holds(4, 6)));
    bench.settle();
    assert_eq!(bench.logged(), ["registered", "session 1", "lost 1 to 3"]);
    assert_eq!(bench.words()[0], "welcome to 1: session 1, record 3");
    bench.say(1, durable(SessionNumber(1), 2, 4, event()));
    bench.settle();
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber(4));
}

#[test]
fn a_machine_that_flooded_waits_until_its_bucket_is_full_again() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.step(Input::Flooded(ConnectionId(1)));
    bench.close(1);
    // 1,000 messages at 200 a second.
    for (ms, connection, wait_ms) in [(0, 2, 5_000), (4_999, 3, 1)] {
        bench.now_ms = ms;
        bench.say(connection, hello(FIRST, |_| {}));
        bench.settle();
        let words = [
            format!("bye to {connection}: overloaded"),
            format!("close {connection}: 1013"),
        ];
        assert_eq!(bench.words(), words);
        assert!(
            matches!(bench.said()[0].1, ServerMessage::Bye(bye) if bye.retry_after_ms == Some(wait_ms)),
            "{:?}",
            bench.said()
        );
        bench.effects.clear();
        bench.close(connection);
    }
    assert_eq!(
        bench.logged().len(),
        2,
        "a refused session takes no room in the log"
    );
    assert_eq!(bench.shard.figures().floods_refused, 2);
    bench.connect(SECOND, 4);
    bench.now_ms = 5_000;
    assert_eq!(
        bench.connect(FIRST, 5),
        SessionNumber(2),
        "and others are let in all the time"
    );
}

#[test]
fn what_was_fenced_floods_at_nobodys_cost() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.connect(FIRST, 2);
    bench.step(Input::Flooded(ConnectionId(1)));
    bench.close(2);
    assert_eq!(bench.connect(FIRST, 3), SessionNumber(3));
}

#[test]
fn a_drained_server_says_when_to_come_back() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.step(Input::Drain { retry_after_ms: 700 });
    bench.say(2, hello(SECOND, |_| {}));
    bench.take();
    assert_eq!(
        bench.words(),
        [
            "bye to 1: drain",
            "close 1: 1001",
            "bye to 2: drain",
            "close 2: 1001"
        ]
    );
    assert!(matches!(bench.said()[0].1, ServerMessage::Bye(bye) if bye.retry_after_ms == Some(700)));
    assert!(bench.shard.is_settled() && bench.shard.connections() == 0);
}
