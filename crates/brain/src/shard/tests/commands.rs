//! Commands other than stop: on disk before they are said, only what the machine said it does, only so many at a time.

use muster_model::{CommandAnswer, GivenCommand};
use muster_protocol::link::{Command, CommandKind, Outcome, Response};

use super::super::command::waiting;
use super::*;

fn accepts(kinds: &'static [&'static str]) -> impl FnOnce(&mut Hello) {
    |hello| hello.commands = kinds.iter().map(|kind| (*kind).to_owned()).collect()
}

/// A machine in session that carries these out.
fn connect(bench: &mut Bench, connection: u64, kinds: &'static [&'static str]) -> SessionNumber {
    bench.say(connection, hello(FIRST, accepts(kinds)));
    bench.settle();
    let session = bench.view(FIRST).session;
    bench.effects.clear();
    session
}

fn give(bench: &mut Bench, request: u64, kind: CommandKind) {
    bench.step(Input::Command {
        request: RequestId(request),
        machine: FIRST,
        order: CommandOrder {
            command_id: format!("c{request}"),
            kind,
            arguments: None,
            issuer: "local".to_owned(),
            reason: "where is it".to_owned(),
            lifetime_ms: 30_000,
        },
    });
}

/// Answers to people: the request, and what came of it.
fn answers(bench: &Bench) -> Vec<(u64, Result<bool, CommandError>)> {
    let answers = bench.effects.iter().filter_map(|effect| match effect {
        Effect::Commanded { request, result } => {
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

fn refused(id: &str, reason: &str) -> MachineMessage {
    MachineMessage::Response(Response {
        command_id: id.to_owned(),
        outcome: Outcome::Refused,
        reason: Some(reason.to_owned()),
    })
}

#[test]
fn a_command_is_on_disk_before_anybody_hears_of_it_and_its_answer_is_kept() {
    let mut bench = Bench::new();
    let session = connect(&mut bench, 1, &["identify", "stop"]);
    give(&mut bench, 7, CommandKind::Identify);
    bench.take();
    assert_eq!(answers(&bench), []);
    assert!(commands(&bench).is_empty());
    assert!(bench.view(FIRST).commands.is_empty());
    bench.write();
    assert_eq!(answers(&bench), [(7, Ok(true))]);
    let said = commands(&bench);
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].kind, said[0].id.as_str()), (CommandKind::Identify, "c7"));
    assert_eq!(said[0].expires.millis_since(said[0].issued), 30_000);
    assert_eq!(bench.logged()[2..], ["identify c7"]);

    bench.say(1, durable(session, 2, 1, refused("c7", "no lamp")));
    bench.settle();
    let given = bench
        .view(FIRST)
        .commands
        .iter()
        .next()
        .cloned()
        .expect("a command");
    let answer = given.answer.expect("an answer");
    assert_eq!(
        (answer.outcome.as_str(), answer.reason.as_deref()),
        ("refused", Some("no lamp"))
    );
    assert_eq!(bench.view(FIRST).last_stop, None);
    assert_eq!(bench.shard.figures().commands_issued, 1);
}

#[test]
fn a_command_that_the_log_refused_is_said_to_nobody() {
    let mut bench = Bench::new();
    connect(&mut bench, 1, &["identify"]);
    give(&mut bench, 1, CommandKind::Identify);
    bench.take();
    bench.fail();
    bench.settle();
    let reason = "disk full".to_owned();
    assert_eq!(answers(&bench), [(1, Err(CommandError::NotPersisted { reason }))]);
    assert!(commands(&bench).is_empty());
    assert!(bench.view(FIRST).commands.is_empty());
}

#[test]
fn a_machine_is_not_commanded_what_it_did_not_say_it_does() {
    let mut bench = Bench::new();
    connect(&mut bench, 1, &["stop"]);
    give(&mut bench, 1, CommandKind::Identify);
    bench.settle();
    let (kind, accepts) = (CommandKind::Identify, vec!["stop".to_owned()]);
    assert_eq!(
        answers(&bench),
        [(1, Err(CommandError::NotAccepted { kind, accepts }))]
    );
    // And what nobody can give, whatever the machine says.
    connect(&mut bench, 2, &["reboot", "identify"]);
    give(&mut bench, 2, CommandKind::Reboot);
    give(&mut bench, 3, CommandKind::Stop);
    bench.settle();
    assert_eq!(
        answers(&bench),
        [
            (2, Err(CommandError::NotGiven(CommandKind::Reboot))),
            (3, Err(CommandError::NotGiven(CommandKind::Stop))),
        ]
    );
    connect(&mut bench, 3, &[]);
    give(&mut bench, 4, CommandKind::Identify);
    let error = CommandError::NotAccepted {
        kind: CommandKind::Identify,
        accepts: Vec::new(),
    };
    bench.settle();
    assert_eq!(answers(&bench), [(4, Err(error))]);
    assert!(commands(&bench).is_empty());
    assert!(bench.logged().iter().all(|entry| !entry.contains(" c")));
}

#[test]
fn what_a_machine_does_is_known_after_a_restart_and_forgotten_with_its_next_session() {
    let mut bench = Bench::new();
    connect(&mut bench, 1, &["identify"]);
    let snapshot = bench.view(FIRST).to_snapshot().expect("json");
    let view = MachineView::from_snapshot(FIRST, &snapshot).expect("a snapshot");
    assert!(view.accepts.has("identify"));
    let mut again = Bench::with(Options::default(), vec![view]);
    give(&mut again, 1, CommandKind::Identify);
    again.settle();
    assert_eq!(
        answers(&again),
        [(1, Err(CommandError::NotInSession(CommandKind::Identify)))]
    );
    connect(&mut again, 1, &[]);
    assert!(again.view(FIRST).accepts.is_empty());
}

#[test]
fn a_command_for_now_is_not_kept_for_a_machine_that_is_away() {
    let mut bench = Bench::new();
    connect(&mut bench, 1, &["identify"]);
    bench.close(1);
    give(&mut bench, 1, CommandKind::Identify);
    bench.settle();
    assert_eq!(
        answers(&bench),
        [(1, Err(CommandError::NotInSession(CommandKind::Identify)))]
    );
    // It left while the log was writing: it is not told later either.
    connect(&mut bench, 2, &["identify"]);
    give(&mut bench, 2, CommandKind::Identify);
    bench.take();
    bench.close(2);
    bench.write();
    assert_eq!(answers(&bench), [(2, Ok(false))]);
    connect(&mut bench, 3, &["identify"]);
    assert!(commands(&bench).is_empty());
    assert_eq!(bench.shard.figures().commands_said_at_welcome, 0);
}

#[test]
fn what_waits_for_its_machine_is_said_again_until_it_is_answered_or_its_time_is_over() {
    let given = |answer| GivenCommand {
        command_id: "c1".to_owned(),
        kind: "identify".to_owned(),
        arguments: None,
        issuer: "local".to_owned(),
        reason: "where is it".to_owned(),
        issued: at(0).wall,
        expires: at(30_000).wall,
        answer,
    };
    let rule = |waits| {
        let rules = rules(CommandKind::Identify).expect("rules");
        move |_| Some(Rules { waits, ..rules })
    };
    let said = waiting(at(29_999), &given(None), rule(true)).expect("said");
    assert_eq!((said.kind, said.id.as_str()), (CommandKind::Identify, "c1"));
    assert_eq!(
        waiting(at(30_000), &given(None), rule(true)),
        None,
        "its time is over"
    );
    assert_eq!(
        waiting(at(0), &given(None), rule(false)),
        None,
        "it does not wait"
    );
    let answer = CommandAnswer {
        outcome: "accepted".to_owned(),
        reason: None,
        at: at(0).wall,
    };
    assert_eq!(
        waiting(at(0), &given(Some(answer)), rule(true)),
        None,
        "it was answered"
    );
}

#[test]
fn only_so_many_wait_for_an_answer() {
    let mut bench = Bench::new();
    let session = connect(&mut bench, 1, &["identify"]);
    for request in 1..=COMMANDS_OPEN_MAX as u64 + 1 {
        give(&mut bench, request, CommandKind::Identify);
    }
    bench.settle();
    assert_eq!(
        answers(&bench)
            .iter()
            .filter(|(_, result)| result.is_err())
            .count(),
        1,
        "one beyond"
    );
    bench.effects.clear();
    give(&mut bench, 20, CommandKind::Identify);
    bench.settle();
    assert_eq!(answers(&bench), [(20, Err(CommandError::TooManyOpen))]);
    // An answer makes room, and so does time.
    bench.effects.clear();
    bench.say(1, durable(session, 2, 1, refused("c1", "no lamp")));
    bench.settle();
    give(&mut bench, 21, CommandKind::Identify);
    bench.settle();
    assert_eq!(answers(&bench), [(21, Ok(true))]);
    bench.effects.clear();
    bench.now_ms = 30_000;
    for request in 30..30 + COMMANDS_OPEN_MAX as u64 {
        give(&mut bench, request, CommandKind::Identify);
    }
    bench.settle();
    assert!(answers(&bench).iter().all(|(_, result)| *result == Ok(true)));
}

#[test]
fn nobody_commands_a_machine_that_is_not_there() {
    let mut bench = Bench::new();
    give(&mut bench, 1, CommandKind::Identify);
    bench.settle();
    assert_eq!(answers(&bench), [(1, Err(CommandError::NoSuchMachine))]);
}
