//! Random histories: SQLite, across restarts, must agree with the log in memory.

use muster_model::LogPosition;
use muster_store::{Append, EventLog, LogOptions, MemoryLog};
use proptest::prelude::*;

use crate::kit::{at, check, event, expecting, open_with, stream};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u8, Option<u8>, u16, Vec<u8>)>),
    Checkpoint { back: u8 },
    Pack { back: u8 },
    Thin { every: u8 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let append = (
        0..6_u8,
        prop::option::weighted(0.3, 0..4_u8),
        any::<u16>(),
        prop::collection::vec(any::<u8>(), 0..40),
    );
    prop_oneof![
        8 => prop::collection::vec(append, 1..8).prop_map(Step::Append),
        2 => (0..10_u8).prop_map(|back| Step::Checkpoint { back }),
        3 => (0..10_u8).prop_map(|back| Step::Pack { back }),
        1 => (2..4_u8).prop_map(|every| Step::Thin { every }),
        1 => Just(Step::Reopen),
    ]
}

fn batch(appends: &[(u8, Option<u8>, u16, Vec<u8>)]) -> Vec<Append> {
    let one = |(number, version, time, body): &(u8, Option<u8>, u16, Vec<u8>)| {
        let stream = stream(u128::from(*number));
        match version {
            Some(version) => expecting(&stream, u64::from(*version), "expected"),
            None => event(&stream, i64::from(*time), body.clone()),
        }
    };
    appends.iter().map(one).collect()
}

fn small_blocks(path: &std::path::Path) -> muster_store::SqliteLog {
    let options = LogOptions {
        block_rows: 3,
        ..LogOptions::default()
    };
    open_with(path, options)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sqlite_agrees_with_memory(steps in prop::collection::vec(step(), 1..30)) {
        let directory = tempfile::tempdir().unwrap();
        let memory = MemoryLog::new();
        let mut disk = small_blocks(directory.path());
        for step in &steps {
            match step {
                Step::Append(appends) => {
                    let expected = memory.append(batch(appends)).wait().map_err(|error| error.to_string());
                    let got = disk.append(batch(appends)).wait().map_err(|error| error.to_string());
                    prop_assert_eq!(got, expected);
                }
                Step::Checkpoint { back } => {
                    let position = LogPosition(memory.head().0.saturating_sub(u64::from(*back)));
                    let known = memory.read_forward(LogPosition(1), position.0 as usize).unwrap();
                    let changed: Vec<_> = (0..6)
                        .map(stream)
                        .filter(|stream| known.iter().any(|event| event.stream == *stream))
                        .map(|stream| (stream, position.0.to_le_bytes().repeat(30)))
                        .collect();
                    let expected = memory.save_checkpoint(position, at(0), changed.clone()).wait().is_ok();
                    let got = disk.save_checkpoint(position, at(0), changed).wait().is_ok();
                    prop_assert_eq!(got, expected);
                }
                Step::Pack { back } => {
                    let before = LogPosition(memory.head().0.saturating_sub(u64::from(*back)));
                    while disk.pack_next(before).unwrap().is_some() {}
                }
                Step::Thin { every } => {
                    let all = disk.checkpoints().unwrap();
                    let remove: Vec<_> = all
                        .iter()
                        .map(|(position, _)| *position)
                        .enumerate()
                        .filter_map(|(index, position)| (index % usize::from(*every) != 0).then_some(position))
                        .collect();
                    disk.thin(&remove).unwrap();
                }
                Step::Reopen => {
                    drop(disk);
                    disk = small_blocks(directory.path());
                }
            }
        }
        prop_assert_eq!(disk.head(), memory.head());
        prop_assert_eq!(
            disk.read_forward(LogPosition(1), 10_000).unwrap(),
            memory.read_forward(LogPosition(1), 10_000).unwrap()
        );
        for number in 0..6 {
            let stream = stream(number);
            prop_assert_eq!(disk.stream_head(&stream), memory.stream_head(&stream));
            prop_assert_eq!(
                disk.read_stream_backward(&stream, None, 100).unwrap(),
                memory.read_stream_backward(&stream, None, 100).unwrap()
            );
        }
        for position in (0..memory.head().0 + 2).map(LogPosition) {
            // The one in memory has all checkpoints; where one was thinned out, the one before it serves.
            let loaded = disk.load_snapshots(position).unwrap();
            let newest = disk.checkpoints().unwrap().into_iter().rfind(|(kept, _)| *kept <= position);
            prop_assert_eq!(loaded.checkpoint, newest.map_or(LogPosition::ZERO, |(kept, _)| kept));
            prop_assert_eq!(&loaded, &memory.load_snapshots(loaded.checkpoint).unwrap());
        }
        for time in (0..70_000).step_by(7_000) {
            prop_assert_eq!(disk.position_at(at(time)).unwrap(), memory.position_at(at(time)).unwrap());
        }
        // While the log is open, and once it is closed.
        let report = check(directory.path());
        prop_assert!(report.is_clean(), "{:?}", report);
        drop(disk);
        let report = check(directory.path());
        prop_assert!(report.is_clean(), "{:?}", report);
        prop_assert_eq!(report.events, memory.head().0);
    }
}
