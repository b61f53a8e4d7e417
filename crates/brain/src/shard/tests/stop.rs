//! Remote stop: said at once, called issued when it is on disk, said until it is answered, and never after its time.

use muster_model::state::Operation;
use muster_model::{Authority, CommandAnswer, Mission, Mode, Safety};
use muster_protocol::link::{Command, CommandKind, Outcome, Response};

use super::*;

fn stop(bench: &mut Bench, request: u64, machine: MachineId, id: &str) {
    stop_within(bench, request, machine, id, 600_000);
}

fn stop_within(bench: &mut Bench, request: u64, machine: MachineId, id: &str, lifetime_ms: u64) {
    bench.step(Input::Stop {
        request: RequestId(request),
        machine,
        order: StopOrder {
            command_id: id.to_owned(),
            issuer: "local".to_owned(),
            reason: "smoke".to_owned(),
            lifetime_ms,
        },
    });
}

/// Answers to people since this was last asked: the request, and what came of it.
fn answers(bench: &Bench) -> Vec<(u64, Result<bool, StopError>)> {
    let answers = bench.effects.iter().filter_map(|effect| match effect {
        Effect::Stopped { request, result, .. } => {
            Some((request.0, result.clone().map(|issued| issued.in_session)))
        }
        _ => None,
    });
    answers.collect()
}

fn commands(bench: &Bench) -> Vec<&Command> {
    let said = bench.said().into_iter().filter_map(|(_, message)| match message {
        ServerMessage::Command(command) => Some(&**command),
        _ => None,
    });
    said.collect()
}

fn answer(id: &str, outcome: Outcome) -> MachineMessage {
    MachineMessage::Response(Response {
        command_id: id.to_owned(),
        outcome,
        reason: (outcome == Outcome::Refused).then(|| "no actuators".to_owned()),
    })
}

fn regions(safety: Safety, at_rest: Option<bool>) -> MachineMessage {
    let state = ReportedState {
        operation: Some(Arc::new(Operation {
            mode: Mode::Driving,
            safety,
            held_by: Vec::new(),
            at_rest,
            authority: Authority::None,
            mission: Mission::Idle,
        })),
        ..ReportedState::default()
    };
    MachineMessage::State(StateReport::Full(Box::new(state)))
}

#[test]
fn a_stop_is_said_at_once_and_called_issued_once_it_is_on_disk() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    stop(&mut bench, 7, FIRST, "s1");
    bench.take();
    assert_eq!(answers(&bench), []);
    assert_eq!(bench.view(FIRST).last_stop, None);
    let said = commands(&bench);
    assert_eq!(said.len(), 1, "it waits for no disk");
    assert_eq!(said[0].kind, CommandKind::Stop);
    assert_eq!((said[0].id.as_str(), said[0].reason.as_str()), ("s1", "smoke"));
    assert_eq!(said[0].issuer, "local");
    assert_eq!(said[0].expires.millis_since(said[0].issued), 600_000);
    bench.write();
    assert_eq!(answers(&bench), [(7, Ok(true))]);
    assert_eq!(commands(&bench).len(), 1, "once");
    assert_eq!(bench.logged()[2..], ["stop s1"]);
    assert_eq!(
        bench
            .view(FIRST)
            .last_stop
            .as_ref()
            .map(|stop| stop.command_id.as_str()),
        Some("s1")
    );
}

#[test]
fn a_stop_that_the_log_refused_is_said_all_the_same_and_not_called_issued() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    stop(&mut bench, 1, FIRST, "s1");
    bench.take();
    stop(&mut bench, 2, FIRST, "s2");
    bench.fail();
    bench.settle();
    let (told, reason) = (true, "disk full".to_owned());
    let refused = Err(StopError::NotPersisted { told, reason });
    let mut answers = answers(&bench);
    answers.sort_by_key(|(request, _)| *request);
    assert_eq!(answers, [(1, refused.clone()), (2, refused)]);
    // Before the session ends that the log's refusal brings about.
    assert_eq!(
        bench.words(),
        [
            "command to 1: stop s1",
            "command to 1: stop s2",
            "bye to 1: overloaded",
            "close 1: 1013"
        ]
    );
    assert_eq!(bench.view(FIRST).last_stop, None);
    assert_eq!(bench.shard.figures().stops_without_record, 2);
    assert_eq!(bench.shard.figures().stops_issued, 0);
}

#[test]
fn a_stop_that_the_log_refused_is_not_told_to_a_machine_that_is_away() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.close(1);
    stop(&mut bench, 1, FIRST, "s1");
    bench.take();
    bench.fail();
    bench.settle();
    let (told, reason) = (false, "disk full".to_owned());
    assert_eq!(
        answers(&bench),
        [(1, Err(StopError::NotPersisted { told, reason }))]
    );
    assert!(commands(&bench).is_empty());
    bench.connect_keeping(FIRST, 2);
    assert!(commands(&bench).is_empty(), "nothing is kept of it");
    assert_eq!(bench.shard.figures().stops_without_record, 0);
}

#[test]
fn a_machine_that_came_while_the_log_refused_its_stop_is_told_then() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.close(1);
    bench.say(2, hello(FIRST, |_| {}));
    bench.take();
    stop(&mut bench, 1, FIRST, "s1");
    bench.take();
    bench.write();
    assert!(
        commands(&bench).is_empty(),
        "it was welcomed after the stop was asked for"
    );
    bench.fail();
    bench.settle();
    let (told, reason) = (true, "disk full".to_owned());
    assert_eq!(
        answers(&bench),
        [(1, Err(StopError::NotPersisted { told, reason }))]
    );
    assert_eq!(commands(&bench).len(), 1);
}

#[test]
fn an_answer_that_is_faster_than_the_log_stands_behind_its_stop() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    stop(&mut bench, 1, FIRST, "s1");
    bench.take();
    bench.say(1, durable(session, 2, 1, answer("s1", Outcome::Accepted)));
    bench.settle();
    assert_eq!(bench.logged()[2..], ["stop s1", "response 1"]);
    let stop = bench.view(FIRST).last_stop.clone().expect("a stop");
    assert!(stop.answer.as_ref().is_some_and(CommandAnswer::is_receipt));
}

#[test]
fn nobody_stops_a_machine_that_is_not_there() {
    let mut bench = Bench::new();
    stop(&mut bench, 1, FIRST, "s1");
    bench.settle();
    assert_eq!(answers(&bench), [(1, Err(StopError::NoSuchMachine))]);
    assert!(bench.logged().is_empty());
}

#[test]
fn a_machine_that_is_away_is_told_once_with_its_welcome() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.close(1);
    stop(&mut bench, 1, FIRST, "s1");
    bench.settle();
    assert_eq!(answers(&bench), [(1, Ok(false))]);
    assert!(commands(&bench).is_empty());
    bench.say(2, hello(FIRST, |_| {}));
    bench.settle();
    assert_eq!(
        bench.words(),
        ["welcome to 2: session 2, record 0", "command to 2: stop s1"]
    );
    assert_eq!(bench.shard.figures().stops_said_at_welcome, 1);
}

#[test]
fn a_machine_that_comes_anew_while_its_stop_is_written_is_told_on_the_new_connection_too() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    stop(&mut bench, 1, FIRST, "s1");
    bench.say(2, hello(FIRST, |_| {}));
    bench.settle();
    let told = bench
        .words()
        .into_iter()
        .filter(|word| word.starts_with("command"));
    assert_eq!(
        told.collect::<Vec<_>>(),
        ["command to 1: stop s1", "command to 2: stop s1"]
    );
}

#[test]
fn a_stop_is_said_again_until_it_is_answered() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    stop(&mut bench, 1, FIRST, "s1");
    bench.settle();
    for connection in 2..4 {
        let session = bench.connect_keeping(FIRST, connection);
        assert_eq!(commands(&bench).len(), 1, "connection {connection}");
        bench.effects.clear();
        if connection == 3 {
            bench.say(3, durable(session, 2, 1, answer("s1", Outcome::Duplicate)));
            bench.settle();
        }
    }
    bench.connect_keeping(FIRST, 4);
    assert!(commands(&bench).is_empty(), "it was answered");
    let stop = bench.view(FIRST).last_stop.clone().expect("a stop");
    assert!(stop.answer.as_ref().is_some_and(CommandAnswer::is_receipt));
}

#[test]
fn a_stop_is_not_said_when_its_time_is_over() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.close(1);
    stop_within(&mut bench, 1, FIRST, "s1", 10_000);
    bench.settle();
    bench.now_ms = 9_999;
    bench.connect_keeping(FIRST, 2);
    assert_eq!(commands(&bench).len(), 1, "just in time");
    bench.effects.clear();
    bench.now_ms = 10_000;
    bench.connect_keeping(FIRST, 3);
    assert!(commands(&bench).is_empty());
    // Also where the log took so long that it is over before it could be said first.
    bench.close(3);
    stop_within(&mut bench, 2, FIRST, "s2", 1_000);
    bench.take();
    bench.say(4, hello(FIRST, |_| {}));
    bench.take();
    bench.now_ms = 11_000;
    bench.settle();
    assert!(commands(&bench).is_empty());
    assert_eq!(answers(&bench), [(2, Ok(false))]);
}

#[test]
fn of_two_stops_only_the_newer_is_said_again() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    stop(&mut bench, 1, FIRST, "s1");
    stop(&mut bench, 2, FIRST, "s2");
    bench.settle();
    assert_eq!(answers(&bench), [(1, Ok(true)), (2, Ok(true))]);
    let ids: Vec<&str> = commands(&bench)
        .iter()
        .map(|command| command.id.as_str())
        .collect();
    assert_eq!(ids, ["s1", "s2"]);
    bench.effects.clear();
    let session = bench.connect_keeping(FIRST, 2);
    assert_eq!(commands(&bench)[0].id, "s2");
    assert_eq!(commands(&bench).len(), 1);
    // The answer to the older one is not taken for one to the newer.
    bench.say(2, durable(session, 2, 1, answer("s1", Outcome::Accepted)));
    bench.settle();
    assert_eq!(
        bench
            .view(FIRST)
            .last_stop
            .as_ref()
            .and_then(|stop| stop.answer.clone()),
        None
    );
}

#[test]
fn a_restarted_server_says_what_was_not_answered() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    stop(&mut bench, 1, FIRST, "s1");
    bench.settle();
    let snapshot = bench.view(FIRST).to_snapshot().expect("json");
    let view = MachineView::from_snapshot(FIRST, &snapshot).expect("a snapshot");
    let mut again = Bench::with(Options::default(), vec![view]);
    again.connect_keeping(FIRST, 1);
    assert_eq!(commands(&again)[0].id, "s1");
}

#[test]
fn what_the_machine_reports_says_how_far_it_got() {
    let mut bench = Bench::new();
    let session = bench.connect(FIRST, 1);
    bench.now_ms = 1_000;
    bench.say(
        1,
        durable(session, 2, 1, regions(Safety::Operational, Some(false))),
    );
    bench.settle();
    stop(&mut bench, 1, FIRST, "s1");
    bench.settle();
    let mut sequence = 2;
    let mut steps = Vec::new();
    let mut say = |bench: &mut Bench, ms: u64, message: MachineMessage| {
        sequence += 1;
        bench.now_ms = ms;
        let mut frame = durable(session, sequence, sequence - 1, message);
        frame.timestamp = at(ms).wall;
        bench.say(1, frame);
        bench.settle();
        let stop = bench.view(FIRST).last_stop.clone().expect("a stop");
        let since = |at: Timestamp| at.millis_since(stop.issued);
        steps.push((
            stop.answer.as_ref().map(|answer| since(answer.at)),
            stop.standing_at.map(since),
            stop.at_rest_at.map(since),
            stop.released_at.map(since),
        ));
    };
    say(&mut bench, 1_003, answer("s1", Outcome::Accepted));
    say(&mut bench, 1_010, regions(Safety::ProtectiveStop, Some(false)));
    say(&mut bench, 1_400, regions(Safety::ProtectiveStop, Some(true)));
    say(&mut bench, 9_000, regions(Safety::Operational, Some(true)));
    say(&mut bench, 9_500, regions(Safety::EstopLatched, Some(true)));
    assert_eq!(
        steps,
        [
            (Some(3), None, None, None),
            (Some(3), Some(10), None, None),
            (Some(3), Some(10), Some(400), None),
            (Some(3), Some(10), Some(400), Some(8_000)),
            (Some(3), Some(10), Some(400), Some(8_000)),
        ]
    );
}
