//! A killed process loses nothing that was acknowledged.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use muster_model::LogPosition;
use muster_store::{EventLog, LogOptions};

use crate::kit::{Dice, at, check, event, open, open_with, stream};

const DIRECTORY: &str = "MUSTER_STORE_TEST_DIRECTORY";
const ROUNDS: usize = 20;

#[test]
fn kill_9_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut dice = Dice(5);
    let (mut acknowledged_in_all, mut packed) = (0_u64, 0);
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut last = None;
        let mut line = String::new();
        // Let it get to work, then kill it at any moment.
        while last.is_none() {
            line.clear();
            assert_ne!(
                output.read_line(&mut line).unwrap(),
                0,
                "the child ended by itself"
            );
            last = acknowledged(&line);
        }
        #[expect(clippy::disallowed_methods, reason = "any moment will do to kill it")]
        std::thread::sleep(Duration::from_micros(dice.below(60_000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        // The last line may be cut off in its middle, so only whole ones count.
        let whole = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let last = whole
            .lines()
            .filter_map(acknowledged)
            .next_back()
            .or(last)
            .unwrap();
        acknowledged_in_all = acknowledged_in_all.max(last);

        let report = check(directory.path());
        assert!(report.is_clean(), "round {round}: {report:?}");
        let log = open(directory.path());
        assert!(log.head().0 >= last, "round {round}: {} < {last}", log.head());
        let event = &log.read_forward(LogPosition(last), 1).unwrap()[0];
        assert_eq!(event.body, format!("event {}", event.version).as_bytes());
        log.load_snapshots(log.head()).unwrap();
        packed = log.usage().unwrap().packed_events;
    }
    println!("{acknowledged_in_all} events acknowledged over {ROUNDS} kills, {packed} packed");
    assert!(packed > 0);
}

fn acknowledged(line: &str) -> Option<u64> {
    line.trim().strip_prefix("acknowledged ")?.parse().ok()
}

/// What is killed: run by the test above, in a process of its own.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    // Old events are packed and checkpoints thinned out all the while.
    let options = LogOptions {
        block_rows: 16,
        ..LogOptions::default()
    };
    let log = open_with(directory.as_ref(), options);
    let tidied = log.clone();
    std::thread::spawn(move || {
        loop {
            let before = LogPosition(tidied.head().0.saturating_sub(50));
            if tidied.pack_next(before).unwrap().is_none() {
                let all = tidied.checkpoints().unwrap();
                let odd: Vec<_> = all
                    .iter()
                    .skip(1)
                    .step_by(2)
                    .map(|(position, _)| *position)
                    .collect();
                tidied.thin(&odd).unwrap();
            }
        }
    });
    let mut stdout = std::io::stdout();
    let mut flight = std::collections::VecDeque::new();
    let mut versions = [0_u64; 5];
    for (number, version) in versions.iter_mut().enumerate() {
        *version = log
            .stream_head(&stream(number as u128))
            .map_or(0, |head| head.version.0);
    }
    for round in 0_usize.. {
        let number = round % 5;
        let batch: Vec<_> = (0..1 + round % 4)
            .map(|_| {
                versions[number] += 1;
                event(
                    &stream(number as u128),
                    round as i64,
                    format!("event {}", versions[number]),
                )
            })
            .collect();
        flight.push_back(log.append(batch));
        if flight.len() > 20 {
            let placed = flight.pop_front().unwrap().wait().unwrap();
            let last = placed.last().unwrap().position;
            writeln!(stdout, "acknowledged {last}").unwrap();
            stdout.flush().unwrap();
            if round % 50 == 0 {
                let changed = vec![(placed_stream(&log, last), vec![1; 500])];
                log.save_checkpoint(last, at(0), changed).wait().unwrap();
            }
        }
    }
}

fn placed_stream(log: &dyn EventLog, position: LogPosition) -> muster_store::StreamName {
    log.read_forward(position, 1).unwrap().remove(0).stream
}
