//! The contract of the event log: every implementation passes the same suite.

use std::ops::ControlFlow;
use std::sync::mpsc;

use muster_model::{LogPosition, StreamVersion};
use muster_store::{EventLog, LogError, MemoryLog, Reply, StreamHead, StreamName};

use crate::kit::{at, event, expecting, open, stream};

/// A clause: gets an empty log and panics where it does not keep the contract.
type Clause = fn(&dyn EventLog);
/// Makes an empty log and hands it to what is given.
type WithLog<'a> = &'a dyn Fn(&mut dyn FnMut(&dyn EventLog));

const CLAUSES: &[(&str, Clause)] = &[
    ("an empty log", an_empty_log),
    ("places and reads", places_and_reads),
    ("batches are all or nothing", batches_are_all_or_nothing),
    (
        "expectations see earlier events of the batch",
        expectations_within_a_batch,
    ),
    ("answers come in order", answers_come_in_order),
    ("time never goes back", time_never_goes_back),
    ("streams are walked backwards", streams_are_walked_backwards),
    ("limits", limits),
    ("checkpoints", checkpoints),
];

fn keeps_the_contract(make: WithLog<'_>) {
    for (name, clause) in CLAUSES {
        println!("{name}");
        make(&mut |log| clause(log));
    }
}

#[test]
fn memory() {
    keeps_the_contract(&|clause| clause(&MemoryLog::new()));
}

#[test]
fn sqlite() {
    keeps_the_contract(&|clause| {
        let directory = tempfile::tempdir().unwrap();
        clause(&open(directory.path()));
    });
}

fn an_empty_log(log: &dyn EventLog) {
    assert_eq!(log.head(), LogPosition::ZERO);
    assert_eq!(log.read_forward(LogPosition::ZERO, 10).unwrap(), []);
    assert_eq!(log.read_backward(None, 10).unwrap(), []);
    assert_eq!(log.read_stream_backward(&stream(1), None, 10).unwrap(), []);
    assert_eq!(log.position_at(at(5)).unwrap(), LogPosition::ZERO);
    assert_eq!(log.oldest_time().unwrap(), None);
    assert_eq!(log.append(Vec::new()).wait().unwrap(), []);
    assert!(log.failure().get().is_none());
    assert_eq!(
        log.load_snapshots(LogPosition(9)).unwrap().checkpoint,
        LogPosition::ZERO
    );
}

fn places_and_reads(log: &dyn EventLog) {
    let fleet: StreamName = "fleet".parse().unwrap();
    let placed = log
        .append(vec![
            event(&stream(1), 10, "a"),
            event(&fleet, 20, "b"),
            event(&stream(1), 30, ""),
        ])
        .wait()
        .unwrap();
    let positions: Vec<_> = placed
        .iter()
        .map(|placed| (placed.position.0, placed.version.0))
        .collect();
    assert_eq!(positions, [(1, 1), (2, 1), (3, 2)]);
    assert_eq!(log.head(), LogPosition(3));
    let head = StreamHead {
        version: StreamVersion(2),
        position: LogPosition(3),
    };
    assert_eq!(log.stream_head(&stream(1)), Some(head));
    assert_eq!(log.stream_head(&stream(2)), None);

    let forward = log.read_forward(LogPosition(1), 10).unwrap();
    let seen: Vec<_> = forward
        .iter()
        .map(|event| (event.stream.clone(), event.previous.0, event.body.as_ref()))
        .collect();
    assert_eq!(
        seen,
        [
            (stream(1), 0, b"a".as_slice()),
            (fleet, 0, b"b"),
            (stream(1), 1, b"")
        ]
    );
    assert_eq!(log.read_forward(LogPosition(2), 1).unwrap(), forward[1..2]);
    assert_eq!(log.read_forward(LogPosition(4), 10).unwrap(), []);
    assert_eq!(log.read_forward(LogPosition(1), 0).unwrap(), []);
    let mut backward = forward.clone();
    backward.reverse();
    assert_eq!(log.read_backward(None, 10).unwrap(), backward);
    assert_eq!(log.read_backward(Some(LogPosition(2)), 1).unwrap(), forward[1..2]);
    assert_eq!(log.read_backward(Some(LogPosition::ZERO), 1).unwrap(), []);

    let mut visited = Vec::new();
    log.scan(LogPosition(2), LogPosition(3), &mut |event| {
        visited.push(event.position.0);
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(visited, [2]);
}

fn batches_are_all_or_nothing(log: &dyn EventLog) {
    log.append(vec![event(&stream(1), 0, "a")]).wait().unwrap();
    let refused = log.append(vec![
        event(&stream(1), 0, "b"),
        event(&stream(7), 0, "new"),
        expecting(&stream(1), 1, "c"),
    ]);
    let accepted = log.append(vec![expecting(&stream(1), 1, "d"), event(&stream(8), 0, "e")]);
    match refused.wait() {
        Err(LogError::Conflict {
            stream: which,
            expected,
            actual,
        }) => assert_eq!((which, expected.0, actual.0), (stream(1), 1, 2)),
        other => panic!("{other:?}"),
    }
    assert_eq!(accepted.wait().unwrap()[0].position, LogPosition(2));
    assert_eq!(log.stream_head(&stream(7)), None);
    assert_eq!(log.head(), LogPosition(3));
    assert_eq!(log.stats().conflicts, 1);
    assert_eq!(log.read_stream_backward(&stream(8), None, 10).unwrap().len(), 1);
}

fn expectations_within_a_batch(log: &dyn EventLog) {
    let batch = (0..5)
        .map(|version| expecting(&stream(1), version, "x"))
        .collect();
    assert_eq!(log.append(batch).wait().unwrap().len(), 5);
}

fn answers_come_in_order(log: &dyn EventLog) {
    let (sender, receiver) = mpsc::sync_channel(200);
    for number in 0..200_u64 {
        let sender = sender.clone();
        let append = match number % 10 {
            9 => expecting(&stream(1), 10_000, "refused"),
            _ => event(&stream(1), 0, number.to_string()),
        };
        let reply = Reply::then(move |answer| sender.send((number, answer.is_ok())).unwrap());
        log.submit(vec![append], reply);
    }
    let answers: Vec<_> = receiver.iter().take(200).collect();
    let expected: Vec<_> = (0..200).map(|number| (number, number % 10 != 9)).collect();
    assert_eq!(answers, expected);
}

fn time_never_goes_back(log: &dyn EventLog) {
    let times = [100, 50, 200, 200, 150, 300];
    let batch = times.iter().map(|&time| event(&stream(1), time, "")).collect();
    let placed = log.append(batch).wait().unwrap();
    let given: Vec<_> = placed
        .iter()
        .map(|placed| placed.recorded_at.as_millis())
        .collect();
    assert_eq!(given, [100, 100, 200, 200, 200, 300]);
    for (time, position) in [
        (0, 0),
        (99, 0),
        (100, 2),
        (199, 2),
        (200, 5),
        (299, 5),
        (300, 6),
        (9_999, 6),
    ] {
        assert_eq!(
            log.position_at(at(time)).unwrap(),
            LogPosition(position),
            "at {time}"
        );
    }
    assert_eq!(log.oldest_time().unwrap(), Some(at(100)));
}

fn streams_are_walked_backwards(log: &dyn EventLog) {
    for round in 0..20 {
        let batch = (1..=5)
            .map(|number| event(&stream(number), round, round.to_string()))
            .collect();
        log.append(batch).wait().unwrap();
    }
    let page = log.read_stream_backward(&stream(3), None, 7).unwrap();
    let versions: Vec<_> = page.iter().map(|event| event.version.0).collect();
    assert_eq!(versions, [20, 19, 18, 17, 16, 15, 14]);
    let next = log
        .read_stream_backward(&stream(3), Some(page[6].previous), 100)
        .unwrap();
    assert_eq!(next.len(), 13);
    assert_eq!(next[12].previous, LogPosition::ZERO);
    assert!(next.iter().all(|event| event.stream == stream(3)));
    let foreign = log.read_stream_backward(&stream(3), Some(LogPosition(1)), 1);
    assert!(
        matches!(foreign, Err(LogError::NotInStream { .. })),
        "{foreign:?}"
    );
}

fn limits(log: &dyn EventLog) {
    let huge = log.append(vec![event(&stream(1), 0, vec![0; (1 << 20) + 1])]);
    assert!(matches!(huge.wait(), Err(LogError::BodyTooLarge { .. })));
    log.append(vec![event(&stream(1), 0, vec![7; 1 << 20])])
        .wait()
        .unwrap();
    assert_eq!(log.head(), LogPosition(1));
}

fn checkpoints(log: &dyn EventLog) {
    let state = |text: &str| format!("{text}{}", "x".repeat(500)).into_bytes();
    log.append((1..=3).map(|number| event(&stream(number), 10, "a")).collect())
        .wait()
        .unwrap();
    let all = (1..=3)
        .map(|number| (stream(number), state(&format!("{number}@3"))))
        .collect();
    log.save_checkpoint(LogPosition(3), at(10), all).wait().unwrap();
    log.append(vec![event(&stream(2), 20, "b"), event(&stream(4), 20, "c")])
        .wait()
        .unwrap();

    let ahead = log.save_checkpoint(LogPosition(6), at(30), Vec::new()).wait();
    assert!(
        matches!(ahead, Err(LogError::CheckpointOutOfRange { .. })),
        "{ahead:?}"
    );
    let behind = log.save_checkpoint(LogPosition(2), at(30), Vec::new()).wait();
    assert!(
        matches!(behind, Err(LogError::CheckpointOutOfRange { .. })),
        "{behind:?}"
    );
    let unknown = log
        .save_checkpoint(LogPosition(4), at(30), vec![(stream(4), state(""))])
        .wait();
    assert!(
        matches!(unknown, Err(LogError::UnknownStream { .. })),
        "{unknown:?}"
    );

    log.save_checkpoint(LogPosition(4), at(20), vec![(stream(2), state("2@4"))])
        .wait()
        .unwrap();
    let bodies = |at: u64| {
        let loaded = log.load_snapshots(LogPosition(at)).unwrap();
        let rows: Vec<_> = loaded
            .snapshots
            .iter()
            .map(|row| {
                (
                    row.stream.clone(),
                    String::from_utf8(row.body[..3].to_vec()).unwrap(),
                )
            })
            .collect();
        (loaded.checkpoint.0, rows)
    };
    let row = |number, text: &str| (stream(number), text.to_owned());
    assert_eq!(bodies(2), (0, vec![]));
    assert_eq!(bodies(3), (3, vec![row(1, "1@3"), row(2, "2@3"), row(3, "3@3")]));
    assert_eq!(bodies(4), (4, vec![row(1, "1@3"), row(2, "2@4"), row(3, "3@3")]));
    assert_eq!(bodies(99), bodies(4));
}
