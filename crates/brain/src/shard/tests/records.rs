//! Each record once and in order.

use muster_protocol::link::{RefusedRecord, Telemetry};

use super::*;

#[test]
fn records_are_acknowledged_after_they_are_on_disk_once_per_batch() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    for record in 1..=5 {
        bench.say(1, durable(session, record + 1, record, event()));
    }
    bench.take();
    assert!(bench.words().is_empty(), "nothing is on disk yet");
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber::ZERO);
    bench.write();
    assert_eq!(bench.words(), ["ack to 1: record 5"]);
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber(5));
}

#[test]
fn a_heartbeat_is_answered_with_what_is_on_disk() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.say(1, durable(session, 2, 1, event()));
    bench.say(1, in_session(session, 3, heartbeat()));
    bench.take();
    let [(1, ServerMessage::Ack(ack))] = bench.said()[..] else {
        panic!("an answer was expected: {:?}", bench.effects);
    };
    assert_eq!(
        (ack.record, ack.heartbeat),
        (RecordNumber::ZERO, Some(SequenceNumber(3)))
    );
}

#[test]
fn what_was_said_before_is_not_taken_again() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.say(1, durable(session, 2, 1, event()));
    bench.say(1, durable(session, 2, 1, event()));
    bench.say(1, durable(session, 3, 1, event()));
    bench.settle();
    assert_eq!(bench.logged(), ["registered", "session 1", "event 1"]);
    assert_eq!(
        bench.shard.figures().duplicates,
        2,
        "one by sequence, one by record"
    );
    assert_eq!(bench.words(), ["ack to 1: record 1"]);
}

/// A record of this number is refused for what it holds, and the connection ends, as the gateway does it.
fn refuse(bench: &mut Bench, connection: u64, session: SessionNumber, record: u64) {
    bench.step(Input::Refused {
        connection: ConnectionId(connection),
        refused: RefusedRecord {
            machine_id: FIRST,
            session,
            record: RecordNumber(record),
            kind: "event",
        },
        reason: "payload.kind: dotted tokens are accepted".to_owned(),
    });
    bench.close(connection);
    bench.settle();
}

#[test]
fn a_record_that_is_refused_each_time_is_passed_over_and_noted() {
    let mut bench = Bench::new();
    for connection in 1..=3 {
        let session = bench.connect(FIRST, connection);
        assert_eq!(bench.view(FIRST).highest_record, RecordNumber::ZERO);
        refuse(&mut bench, connection, session, 1);
    }
    assert_eq!(bench.logged().last().unwrap(), "refused event 1");
    assert_eq!(bench.shard.figures().records_refused, 1);
    // The machine learns with its next session that it may forget the record, and goes on behind it.
    bench.effects.clear();
    bench.say(4, hello(FIRST, holds(1, 2)));
    bench.settle();
    assert_eq!(bench.words(), ["welcome to 4: session 4, record 1"]);
    bench.say(4, durable(SessionNumber(4), 2, 2, event()));
    bench.settle();
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber(2));
}

#[test]
fn only_the_record_that_holds_the_others_up_is_counted() {
    let mut bench = Bench::new();
    // Not the next one, of another session, on no connection: nobody waits for them.
    for connection in 1..=9 {
        let session = bench.connect(FIRST, connection);
        refuse(&mut bench, connection, session, 2);
        refuse(&mut bench, connection, session, 1);
        let session = bench.connect(FIRST, connection + 100);
        refuse(&mut bench, connection + 100, SessionNumber(session.0 - 1), 1);
    }
    assert_eq!(bench.shard.figures().records_refused, 0);
    // One that comes in order after all begins anew with the next.
    for connection in 20..22 {
        let session = bench.connect(FIRST, connection);
        refuse(&mut bench, connection, session, 1);
    }
    let session = bench.connect(FIRST, 30);
    bench.say(30, durable(session, 2, 1, event()));
    refuse(&mut bench, 30, session, 2);
    assert_eq!(bench.shard.figures().records_refused, 0);
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber(1));
}

#[test]
fn a_refused_record_that_the_log_did_not_take_stays_where_it_was() {
    let mut bench = Bench::new();
    for connection in 1..=2 {
        let session = bench.connect(FIRST, connection);
        refuse(&mut bench, connection, session, 1);
    }
    let session = bench.connect(FIRST, 3);
    bench.step(Input::Refused {
        connection: ConnectionId(3),
        refused: RefusedRecord {
            machine_id: FIRST,
            session,
            record: RecordNumber(1),
            kind: "event",
        },
        reason: "too deep".to_owned(),
    });
    bench.take();
    bench.fail();
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber::ZERO);
    for connection in 4..=6 {
        let session = bench.connect(FIRST, connection);
        refuse(&mut bench, connection, session, 1);
    }
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber(1));
}

#[test]
fn a_missing_message_leads_to_a_resync() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.say(1, durable(session, 2, 1, event()));
    bench.say(1, in_session(session, 4, heartbeat()));
    bench.take();
    assert_eq!(bench.words(), ["resync to 1: from 2", "ack to 1: record 0"]);
}

#[test]
fn a_missing_record_is_asked_for_once() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    for (sequence, record) in [(2, 3), (3, 4), (4, 5)] {
        bench.say(1, durable(session, sequence, record, event()));
    }
    bench.settle();
    assert_eq!(bench.words(), ["resync to 1: from 1"]);
    assert_eq!(bench.view(FIRST).highest_record, RecordNumber::ZERO);
    bench.effects.clear();
    for (sequence, record) in [(5, 1), (6, 2), (7, 4)] {
        bench.say(1, durable(session, sequence, record, event()));
    }
    bench.settle();
    assert_eq!(bench.words(), ["resync to 1: from 3", "ack to 1: record 2"]);
}

#[test]
fn an_answer_to_a_resync_that_goes_missing_is_asked_for_again() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.say(1, durable(session, 3, 2, event()));
    bench.say(1, durable(session, 5, 2, event()));
    bench.settle();
    assert_eq!(
        bench.words(),
        ["resync to 1: from 1", "resync to 1: from 1"],
        "each gap is a reason to ask"
    );
}

#[test]
fn a_patch_is_applied_to_the_state_it_was_made_for() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.say(1, durable(session, 2, 1, full(50.0)));
    bench.say(1, durable(session, 3, 2, patch(1, 40.0)));
    bench.settle();
    assert_eq!(bench.view(FIRST).battery_percent(), Some(40.0));
    assert_eq!(bench.view(FIRST).state_version, StateVersion(2));
}

#[test]
fn patches_to_an_unknown_state_are_written_off_and_the_whole_is_asked_for_once() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.say(1, durable(session, 2, 1, patch(7, 40.0)));
    bench.say(1, durable(session, 3, 2, patch(1, 30.0)));
    bench.say(1, durable(session, 4, 3, patch(2, 20.0)));
    bench.settle();
    let expected = [
        "registered",
        "session 1",
        "lost 1 to 1",
        "lost 2 to 2",
        "lost 3 to 3",
    ];
    assert_eq!(bench.logged(), expected);
    assert_eq!(resyncs(&bench).len(), 1);
    assert_eq!(resyncs(&bench)[0].next_record, RecordNumber(2));
    assert_eq!(bench.view(FIRST).battery_percent(), None, "nothing is guessed");
    bench.effects.clear();

    bench.say(1, durable(session, 5, 4, full(10.0)));
    bench.say(1, durable(session, 6, 5, patch(2, 5.0)));
    bench.settle();
    assert_eq!(bench.view(FIRST).battery_percent(), Some(10.0));
    assert_eq!(
        resyncs(&bench).len(),
        1,
        "the whole came, so it can be asked for again"
    );
}

#[test]
fn telemetry_is_passed_on_and_shown_but_not_logged() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    let sample = muster_protocol::link::WireSample {
        metric: muster_model::telemetry::CPU_PERCENT.into(),
        value: 12.5,
        unit: None,
        quality: muster_model::vocabulary::Quality::Good,
        offset_ms: 9_000_000,
    };
    let telemetry = Telemetry {
        samples: vec![sample],
    };
    bench.say(1, in_session(session, 2, MachineMessage::Telemetry(telemetry)));
    bench.take();
    assert!(bench.waiting.is_empty());
    assert!(matches!(
        &bench.effects[..],
        [Effect::Telemetry { machine: FIRST, .. }]
    ));
    assert_eq!(bench.view(FIRST).cpu_percent(), Some(12.5));
    assert_eq!(
        bench.view(FIRST).vitals.at,
        Some(at(0).wall),
        "nothing was measured later than now"
    );
}
