//! When the log does not take a batch.

use super::*;

#[test]
fn a_machine_whose_batch_failed_starts_over_from_what_is_on_disk() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.say(1, durable(session, 2, 1, event()));
    bench.take();
    bench.say(1, durable(session, 3, 2, event()));
    bench.fail();
    assert_eq!(bench.words(), ["bye to 1: overloaded", "close 1: 1013"]);
    assert!(
        bench.waiting.is_empty(),
        "what was gathered builds on what was lost"
    );
    bench.effects.clear();

    bench.say(2, hello(FIRST, holds(1, 2)));
    bench.settle();
    assert_eq!(bench.words(), ["welcome to 2: session 2, record 0"]);
    bench.say(2, durable(SessionNumber(2), 2, 1, event()));
    bench.say(2, durable(SessionNumber(2), 3, 2, event()));
    bench.settle();
    assert_eq!(
        bench.logged(),
        ["registered", "session 1", "session 2", "event 1", "event 2"]
    );
}

#[test]
fn other_machines_of_a_failed_batch_start_over_and_the_rest_goes_on() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.connect(SECOND, 2);
    bench.say(1, durable(session, 2, 1, event()));
    bench.take();
    bench.fail();
    assert_eq!(
        bench.words(),
        ["bye to 1: overloaded", "close 1: 1013"],
        "the second machine had nothing in it"
    );
    assert_eq!(bench.shard.connections(), 1);
}

#[test]
fn a_machine_that_never_reached_the_log_was_never_there() {
    let mut bench = Bench::new();
    bench.say(1, hello(FIRST, |_| {}));
    bench.take();
    bench.fail();
    assert!(bench.shard.view(FIRST).is_none() && bench.shard.next_tick_ms().is_none());
    bench.connect(FIRST, 2);
    assert_eq!(bench.logged(), ["registered", "session 1"]);
}

#[test]
fn a_batch_that_fails_because_of_another_does_not_undo_a_new_start() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.say(1, durable(session, 2, 1, event()));
    bench.take();
    bench.say(1, durable(session, 3, 2, event()));
    bench.take();
    bench.fail();
    bench.effects.clear();
    // It is back before the second batch, which builds on the first, is refused, too.
    bench.say(2, hello(FIRST, holds(1, 2)));
    bench.take();
    bench.fail();
    assert!(
        bench.effects.is_empty(),
        "it has started over already: {:?}",
        bench.effects
    );
    bench.write();
    assert_eq!(bench.words(), ["welcome to 2: session 2, record 0"]);
    bench.say(2, durable(SessionNumber(2), 2, 1, event()));
    bench.settle();
    bench.say(3, hello(FIRST, holds(2, 2)));
    bench.settle();
    assert_eq!(
        bench.logged(),
        ["registered", "session 1", "session 2", "event 1", "session 3"]
    );
}

#[test]
fn a_machine_that_comes_back_while_its_registration_fails_is_known_afterwards() {
    let mut bench = Bench::new();
    bench.say(1, hello(FIRST, |_| {}));
    bench.take();
    bench.say(2, hello(FIRST, |_| {}));
    bench.take();
    bench.fail();
    bench.say(3, hello(FIRST, |_| {}));
    bench.take();
    bench.fail();
    bench.write();
    assert_eq!(bench.logged(), ["registered", "session 1"]);
    assert_eq!(bench.presence(), Presence::Online);
}
