//! The store under kill -9, and on a full disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use muster_machine::Store;
use muster_machine::store::{StoreOptions, Trouble};
use muster_model::{MachineId, RecordNumber, Severity, Timestamp};
use muster_protocol::link::{EventReport, MachineMessage};
use muster_reflex::link::StoredRecord;

const CHILD_DIRECTORY: &str = "MUSTER_TEST_STORE_CHILD";

fn id(number: u128) -> MachineId {
    MachineId::from_uuid(uuid::Uuid::from_u128(number))
}

fn event(record: u64, message: String) -> StoredRecord {
    StoredRecord {
        record: RecordNumber(record),
        at: Timestamp::from_millis(1_000),
        message: MachineMessage::Event(Box::new(EventReport {
            kind: "test.happened".into(),
            severity: Severity::Info,
            message,
            data: None,
            correlation_id: None,
            causation_id: None,
        })),
    }
}

/// Run by the test below in a process of its own: writes for two machines, says what is on disk, until it is killed.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD_DIRECTORY) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store::open(Path::new(&directory), StoreOptions::default()).unwrap();
        let mut machines = Vec::new();
        for number in [1, 2] {
            let (machine, progress, opened) = store.machine(id(number)).await.unwrap();
            machines.push((number, machine, progress, opened.kept.highest_record.0));
        }
        loop {
            for (number, machine, progress, highest) in &mut machines {
                for _ in 0..7 {
                    *highest += 1;
                    let change = machine
                        .persist(&event(*highest, format!("{number}/{highest}")), None)
                        .unwrap();
                    machine.try_send(change).unwrap();
                }
                if highest.is_multiple_of(5) {
                    machine
                        .try_send(machine.trim(RecordNumber(highest.saturating_sub(50))))
                        .unwrap();
                }
                let reached = progress
                    .wait_for(|progress| progress.persisted.0 >= *highest)
                    .await
                    .unwrap();
                println!("\npersisted {number} {}", reached.persisted);
            }
        }
    });
}

#[test]
fn every_acknowledged_record_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = [0u64; 3];
    for round in 0..20u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::child_that_writes_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD_DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A different number of commits each time, so that the kill falls on different moments.
        for _ in 0..3 + round * 7 % 40 {
            let line = lines.next().unwrap().unwrap();
            note(&line, &mut acknowledged);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died counts as well.
        lines
            .map_while(Result::ok)
            .for_each(|line| note(&line, &mut acknowledged));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
            for number in [1u64, 2] {
                let (machine, _progress, opened) = store.machine(id(number.into())).await.unwrap();
                let (highest, settled) = (opened.kept.highest_record.0, opened.kept.settled.0);
                assert!(highest >= acknowledged[number as usize], "round {round}");
                let (change, answer) = machine.load(RecordNumber(settled + 1), usize::MAX);
                machine.try_send(change).unwrap();
                let records = answer.await.unwrap();
                assert_eq!(records.len() as u64, highest - settled, "no holes");
                for (record, expected) in records.into_iter().zip(settled + 1..) {
                    assert_eq!(record, event(expected, format!("{number}/{expected}")));
                }
            }
            store.close().await;
        });
    }
    assert!(acknowledged[1] > 100, "{acknowledged:?}");
}

fn note(line: &str, acknowledged: &mut [u64; 3]) {
    let mut words = line.split(' ');
    if words.next() == Some("persisted") {
        let number: usize = words.next().unwrap().parse().unwrap();
        acknowledged[number] = words.next().unwrap().parse().unwrap();
    }
}

/// A small file system in memory; none where this user may not mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=768k", "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        mount
            .is_ok_and(|status| status.success())
            .then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_out_and_nothing_is_acknowledged_meanwhile() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: this user may not mount a small disk");
        return;
    };
    let options = StoreOptions {
        full_retry_ms: 20,
        ..StoreOptions::default()
    };
    let filler = disk.0.path().join("filler");
    let data = disk.0.path().join("data");
    let store = Store::open(&data, options).unwrap();
    let (machine, mut progress, _) = store.machine(id(1)).await.unwrap();
    std::fs::write(&filler, vec![0u8; 400 * 1024]).unwrap();
    let (mut record, mut full) = (0, false);
    while !full {
        record += 1;
        let change = machine.persist(&event(record, "x".repeat(900)), None).unwrap();
        machine.try_send(change).unwrap();
        let moved = progress
            .wait_for(|progress| progress.persisted.0 >= record || progress.trouble.is_some())
            .await
            .unwrap();
        full = matches!(moved.trouble, Some(Trouble::Full(_)));
        assert!(record < 2_000, "the disk never filled");
    }
    assert!(progress.borrow().persisted.0 < record);
    std::fs::remove_file(&filler).unwrap();
    let freed = progress.wait_for(|progress| progress.persisted.0 >= record && progress.trouble.is_none());
    tokio::time::timeout(Duration::from_secs(5), freed)
        .await
        .unwrap()
        .unwrap();
    drop(machine);
    store.close().await;
    let store = Store::open(&data, options).unwrap();
    let (machine, _progress, opened) = store.machine(id(1)).await.unwrap();
    assert_eq!(opened.kept.highest_record.0, record);
    drop(machine);
    store.close().await;
}
