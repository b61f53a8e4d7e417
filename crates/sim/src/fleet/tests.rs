//! A fleet of which one machine records, without a server: it is a working fleet all the same.

use std::path::Path;
use std::time::Duration;

use muster_machine::recording::folder;
use muster_machine::replay::{Asked, Node, replay};
use muster_runtime::{Clock, Shutdown};

use super::{FleetError, FleetOptions, LINK_LOST_AFTER, RECORDED_MAX, RECORDINGS, check_record, run};

/// How long a fleet may take to write the first of a recording.
const RECORDS_WITHIN: Duration = Duration::from_secs(30);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn who_records_is_in_the_fleet_and_they_are_few() {
    assert!(check_record(1, 24, &names(&["ada", "B-MU 1002"])).is_ok());
    assert!(matches!(
        check_record(1, 24, &names(&["ada", "nobody"])),
        Err(FleetError::NotThere(name)) if name == "nobody"
    ));
    assert!(matches!(
        check_record(1, 0, &names(&["ada"])),
        Err(FleetError::NotThere(_))
    ));
    let many = vec!["ada".to_owned(); RECORDED_MAX + 1];
    assert!(matches!(
        check_record(1, 24, &many),
        Err(FleetError::TooManyRecord(_))
    ));
}

/// What lies in a directory; nothing where it is not there.
fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The first megabytes of a recording come after a second: until then its file is empty.
async fn written(directory: &Path) {
    let waiting = async {
        loop {
            let sizes = files(directory).into_iter().filter_map(|file| {
                let file = std::fs::metadata(directory.join(file)).ok()?;
                Some(file.len())
            });
            if sizes.max().is_some_and(|bytes| bytes > 8_000) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(RECORDS_WITHIN, waiting)
        .await
        .expect("it records");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_that_is_named_records_and_its_recording_runs_again() {
    let data = tempfile::tempdir().unwrap();
    let options = FleetOptions {
        machines: 3,
        seed: 1,
        // Nobody is there.
        server: "ws://127.0.0.1:1".parse().unwrap(),
        data: data.path().to_owned(),
        start_within: Duration::ZERO,
        record: names(&["ada"]),
        link_lost_after: LINK_LOST_AFTER,
    };
    let shutdown = Shutdown::new();
    let recordings = data.path().join(RECORDINGS);
    let looking = async {
        written(&recordings.join("ada")).await;
        shutdown.request("the test has seen enough");
    };
    let (ended, ()) = tokio::join!(run(options, Clock::start(), shutdown.clone()), looking);
    ended.unwrap();

    assert_eq!(files(&recordings), ["ada"], "nobody else records");
    let all = folder::list(&recordings.join("ada")).unwrap();
    let [entry] = &all[..] else { panic!("{all:?}") };
    let report = replay(&Asked {
        file: recordings.join("ada").join(&entry.file),
        from: None,
        to: None,
        nodes: vec![Node::Safety],
    })
    .unwrap();
    assert_eq!(report.differences, 0, "{report:?}");
    assert!(report.steps > 0, "{report:?}");
    assert_eq!(report.machine.get("name").map(String::as_str), Some("ada"));
}
