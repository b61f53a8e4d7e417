//! Desired state: on disk before it is said, said to whoever holds less, and nobody's change lost unseen.

use muster_model::desired::{CONTENT_MAX_BYTES, check_content};
use muster_protocol::link::Desired;
use serde_json::json;

use super::*;

fn content(number: u64) -> muster_model::entry::JsonText {
    check_content(&json!({ "number": number })).unwrap()
}

fn change(bench: &mut Bench, request: u64, section: &str, number: Option<u64>, expected: Option<u64>) {
    let content = number.map(content);
    bench.step(Input::ChangeDesired {
        request: RequestId(request),
        machine: FIRST,
        change: DesiredChange {
            section: section.to_owned(),
            content,
            issuer: "local".to_owned(),
            reason: "because".to_owned(),
        },
        expected: expected.map(DesiredVersion),
    });
}

/// Answers to people: the request, and the version that came of it.
fn answers(bench: &Bench) -> Vec<(u64, Result<u64, DesiredError>)> {
    let version = |desired: Option<Arc<DesiredState>>| desired.map_or(0, |desired| desired.version.0);
    let answers = bench.effects.iter().filter_map(|effect| match effect {
        Effect::DesiredChanged { request, result } => Some((request.0, result.clone().map(version))),
        _ => None,
    });
    answers.collect()
}

fn told(bench: &Bench) -> Vec<&Desired> {
    let said = bench.said().into_iter().filter_map(|(_, message)| match message {
        ServerMessage::Desired(desired) => Some(desired),
        _ => None,
    });
    said.collect()
}

/// The machine connects, and says which version it holds. What is said to it is kept.
fn connect_with(bench: &mut Bench, connection: u64, held: u64) {
    bench.effects.clear();
    bench.say(connection, hello(FIRST, |hello| hello.desired_version = held));
    bench.settle();
}

#[test]
fn a_change_is_on_disk_before_anybody_hears_of_it() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    change(&mut bench, 7, "calibration", Some(1), Some(0));
    bench.take();
    assert_eq!(answers(&bench), []);
    assert!(told(&bench).is_empty());
    assert_eq!(bench.view(FIRST).desired, None);
    bench.write();
    assert_eq!(answers(&bench), [(7, Ok(1))]);
    let told = told(&bench);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].version, told[0].base), (1, None));
    assert_eq!(
        told[0].document.0.get(),
        r#"{"calibration":{"version":1,"content":{"number":1}}}"#
    );
    let desired = bench.view(FIRST).desired.clone().unwrap();
    let section = &desired.sections["calibration"];
    assert_eq!(
        (section.issuer.as_str(), section.reason.as_str()),
        ("local", "because")
    );
    assert_eq!(bench.logged()[2..], ["desired calibration 1"]);
}

#[test]
fn of_two_changes_at_once_one_fails() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    change(&mut bench, 1, "calibration", Some(1), Some(0));
    change(&mut bench, 2, "workloads", Some(2), Some(0));
    bench.settle();
    let answers = answers(&bench);
    let [
        (
            2,
            Err(DesiredError::Conflict {
                current: Some(current),
            }),
        ),
        (1, Ok(1)),
    ] = &answers[..]
    else {
        panic!("{answers:?}");
    };
    assert_eq!(current.version, DesiredVersion(1));
    assert_eq!(told(&bench).len(), 1);
}

#[test]
fn changes_of_one_batch_are_said_once_and_as_a_whole() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    change(&mut bench, 1, "calibration", Some(1), None);
    change(&mut bench, 2, "workloads", Some(2), None);
    change(&mut bench, 3, "calibration", None, None);
    bench.settle();
    assert_eq!(answers(&bench), [(1, Ok(3)), (2, Ok(3)), (3, Ok(3))]);
    let told = told(&bench);
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].document.0.get(),
        r#"{"workloads":{"version":2,"content":{"number":2}}}"#
    );
}

#[test]
fn what_is_so_already_makes_no_entry() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    change(&mut bench, 1, "calibration", None, Some(0));
    bench.settle();
    assert_eq!(answers(&bench), [(1, Ok(0))]);
    change(&mut bench, 2, "calibration", Some(1), None);
    change(&mut bench, 3, "calibration", Some(1), None);
    bench.settle();
    let entries = bench.log.len();
    bench.effects.clear();
    change(&mut bench, 4, "calibration", Some(1), None);
    bench.settle();
    assert_eq!(bench.log.len(), entries);
    assert_eq!(answers(&bench).len(), 1);
    assert!(answers(&bench)[0].1.is_ok());
    assert!(told(&bench).is_empty());
}

#[test]
fn who_comes_back_with_less_is_told_with_the_welcome() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.close(1);
    change(&mut bench, 1, "calibration", Some(1), None);
    bench.settle();
    assert!(told(&bench).is_empty());
    connect_with(&mut bench, 2, 0);
    assert_eq!(told(&bench).len(), 1);
    let welcomed = bench.said().into_iter().find_map(|(_, message)| match message {
        ServerMessage::Welcome(welcome) => Some(welcome.desired_version),
        _ => None,
    });
    assert_eq!(welcomed, Some(1));
    connect_with(&mut bench, 3, 1);
    assert!(told(&bench).is_empty());
    assert_eq!(bench.shard.figures().desired_said_at_welcome, 1);
}

#[test]
fn a_change_between_hello_and_welcome_is_said_once() {
    let mut bench = Bench::new();
    bench.say(1, hello(FIRST, |_| {}));
    bench.take();
    change(&mut bench, 1, "calibration", Some(1), None);
    bench.settle();
    assert_eq!(told(&bench).len(), 1);
    // And in the other order, in one batch.
    bench.close(1);
    bench.effects.clear();
    change(&mut bench, 2, "calibration", Some(2), None);
    bench.say(2, hello(FIRST, |hello| hello.desired_version = 1));
    bench.settle();
    assert_eq!(told(&bench).len(), 1);
    assert_eq!(told(&bench)[0].version, 2);
}

#[test]
fn a_machine_that_holds_a_higher_version_is_told_one_beyond_it() {
    let mut bench = Bench::new();
    connect_with(&mut bench, 1, 41);
    assert!(told(&bench).is_empty());
    change(&mut bench, 1, "calibration", Some(1), Some(0));
    bench.settle();
    assert_eq!(told(&bench)[0].version, 42);
    // From nowhere: not believed.
    connect_with(&mut bench, 2, u64::MAX);
    change(&mut bench, 2, "calibration", Some(2), None);
    bench.settle();
    assert_eq!(told(&bench)[0].version, 43);
}

#[test]
fn what_the_log_does_not_take_was_never_said() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    change(&mut bench, 1, "calibration", Some(1), None);
    bench.take();
    bench.fail();
    let reason = "disk full".to_owned();
    assert_eq!(answers(&bench), [(1, Err(DesiredError::NotPersisted { reason }))]);
    assert!(told(&bench).is_empty());
    connect_with(&mut bench, 2, 0);
    change(&mut bench, 2, "calibration", Some(1), Some(0));
    bench.settle();
    assert_eq!(answers(&bench), [(2, Ok(1))]);
}

#[test]
fn more_than_a_machine_is_told_is_refused() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    for number in 0..SECTIONS {
        change(&mut bench, number, &format!("s{number}"), Some(1), None);
    }
    bench.settle();
    bench.effects.clear();
    change(&mut bench, 100, "one_more", Some(1), None);
    change(&mut bench, 101, "s0", Some(2), None);
    bench.settle();
    let answers = answers(&bench);
    assert!(
        matches!(answers[0], (100, Err(DesiredError::TooMuch(_)))),
        "{answers:?}"
    );
    assert!(matches!(answers[1], (101, Ok(_))), "{answers:?}");
}

const SECTIONS: u64 = muster_model::desired::SECTIONS_MAX as u64;

#[test]
fn contents_are_bounded_together() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    for (request, section) in [(1, "a"), (2, "b")] {
        let texts: Vec<String> = vec!["x".repeat(CONTENT_MAX_BYTES / 2 - 100); 2];
        bench.step(Input::ChangeDesired {
            request: RequestId(request),
            machine: FIRST,
            change: DesiredChange {
                section: section.to_owned(),
                content: Some(check_content(&json!({ "texts": texts })).unwrap()),
                issuer: "local".to_owned(),
                reason: "because".to_owned(),
            },
            expected: None,
        });
    }
    bench.settle();
    let answers = answers(&bench);
    assert!(
        matches!(answers[0], (2, Err(DesiredError::TooMuch(_)))),
        "{answers:?}"
    );
    assert_eq!(answers[1], (1, Ok(1)));
}

#[test]
fn nobody_changes_a_machine_that_is_not_there() {
    let mut bench = Bench::new();
    change(&mut bench, 1, "calibration", Some(1), None);
    assert!(bench.shard.is_settled());
    bench.take();
    assert_eq!(answers(&bench), [(1, Err(DesiredError::NoSuchMachine))]);
}

#[test]
fn a_desired_state_survives_a_snapshot() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    change(&mut bench, 1, "calibration", Some(1), None);
    bench.settle();
    let view = bench.view(FIRST).clone();
    let restored = MachineView::from_snapshot(FIRST, &view.to_snapshot().unwrap()).unwrap();
    assert_eq!(restored.desired, view.desired);
    assert!(restored.desired.is_some());
}
