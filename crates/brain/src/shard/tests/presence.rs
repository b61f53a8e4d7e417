//! How present a machine is.

use super::*;

#[test]
fn a_silent_machine_is_degraded_then_lost_and_online_as_soon_as_it_is_heard() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    let expected = [
        (44_999, Presence::Online),
        (45_000, Presence::Degraded),
        (89_999, Presence::Degraded),
        (90_000, Presence::Lost),
        (500_000, Presence::Lost),
    ];
    for (ms, presence) in expected {
        bench.tick(ms);
        assert_eq!(bench.presence(), presence, "after {ms} ms");
    }
    bench.say(1, in_session(session, 2, heartbeat()));
    bench.settle();
    assert_eq!(bench.presence(), Presence::Online);
    bench.tick(545_000);
    assert_eq!(bench.presence(), Presence::Degraded, "it is watched again");
    assert_eq!(
        bench.logged()[2..],
        ["degraded", "lost", "online", "degraded"],
        "each change once"
    );
}

#[test]
fn the_answer_to_a_ping_is_a_sign_of_life() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.now_ms = 44_000;
    bench.step(Input::Heard(ConnectionId(1)));
    bench.tick(60_000);
    assert_eq!(bench.presence(), Presence::Online);
}

#[test]
fn a_machine_whose_connection_ends_has_a_moment_to_come_back() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.close(1);
    bench.tick(4_999);
    assert_eq!(bench.presence(), Presence::Online);
    bench.tick(5_000);
    assert_eq!(bench.presence(), Presence::Lost);
    assert_eq!(&*bench.view(FIRST).presence_reason, "connection closed: reset");

    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.close(1);
    bench.now_ms = 4_000;
    bench.connect(FIRST, 2);
    bench.tick(20_000);
    assert_eq!(bench.presence(), Presence::Online);
}

#[test]
fn after_a_restart_machines_have_a_while_to_come_back() {
    let mut before = Bench::new();
    before.connect(FIRST, 1);
    let view = before.view(FIRST).clone();

    let mut bench = Bench::with(Options::default(), vec![view.clone()]);
    bench.tick(44_999);
    assert_eq!(bench.presence(), Presence::Online, "as the log says");
    bench.tick(45_000);
    assert_eq!(bench.presence(), Presence::Lost);

    let mut bench = Bench::with(Options::default(), vec![view]);
    bench.now_ms = 30_000;
    let session = bench.connect(FIRST, 7);
    assert_eq!(session, SessionNumber(2), "larger than the one in the log");
    bench.tick(60_000);
    assert_eq!(bench.presence(), Presence::Online);
}

#[test]
fn a_presence_that_the_log_did_not_take_is_judged_again() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.close(1);
    bench.now_ms = 5_000;
    bench.step(Input::Tick);
    bench.take();
    bench.fail();
    assert_eq!(bench.presence(), Presence::Online);
    let next = bench.shard.next_tick_ms().expect("it is looked at again");
    bench.tick(next);
    assert_eq!(bench.presence(), Presence::Lost);
}

#[test]
fn hearing_much_costs_no_more_looks() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    let mut looks = 0;
    for second in 1..=1_000 {
        bench.now_ms = second * 1_000;
        bench.say(1, in_session(session, second + 1, heartbeat()));
        if bench.shard.next_tick_ms().expect("it is watched") <= bench.now_ms {
            looks += 1;
            bench.step(Input::Tick);
        }
        bench.settle();
    }
    assert!(
        (1..=1_000 / 44).contains(&looks),
        "{looks} looks for a thousand messages in a thousand seconds"
    );
    assert_eq!(bench.logged().len(), 2, "and nothing to write");
}
