//! The judge judged: each fault that is planted here must be found, by the check that is there for it.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use muster_model::{
    BootId, MachineEntry, MachineEvent, MachineId, RecordNumber, SessionNumber, Severity, Timestamp,
};
use muster_store::{Append, EventLog, Expected, StreamName};

use super::judge::{Check, Violation, open_log};
use super::ledger::{self, MARK};
use super::observer::Question;
use super::world::{Dead, Plan, World};

fn up(seed: u64) -> World {
    let mut world = World::up(Plan {
        hosts: 2,
        machines_on_each: 1,
        ..Plan::of_seed(seed)
    });
    world.run(Duration::from_secs(20));
    world
}

/// A world that came together and was stopped: what is left are its disks.
fn stopped(seed: u64) -> World {
    let mut world = up(seed);
    world.calm(Duration::from_secs(60)).unwrap();
    world.stop();
    world
}

fn caught(found: &[Violation], check: Check) {
    assert!(
        found.iter().any(|violation| violation.check == check),
        "{check:?} did not notice; found {found:?}"
    );
}

/// Puts an entry into a log that nobody has open, as sound as any.
fn forge(data: &Path, machine: MachineId, entry: &MachineEntry) {
    let log = open_log(data);
    append(&log, machine, entry);
    log.close();
}

fn append(log: &dyn EventLog, machine: MachineId, entry: &MachineEntry) {
    let forged = Append {
        stream: StreamName::machine(machine),
        expected: Expected::Any,
        // Moved to the time of the entry before.
        recorded_at: Timestamp::from_millis(0),
        body: Bytes::from(serde_json::to_vec(entry).unwrap()),
    };
    log.append(vec![forged]).wait().unwrap();
}

fn mark(record: u64, number: u64) -> MachineEntry {
    MachineEntry::EventReported {
        record: RecordNumber(record),
        event: MachineEvent {
            kind: MARK.to_owned(),
            severity: Severity::Info,
            message: ledger::text(number),
            at: Timestamp::from_millis(0),
            data: None,
            correlation_id: None,
            causation_id: None,
        },
    }
}

fn sql(data: &Path, statement: &str) {
    let connection = rusqlite::Connection::open(data.join("log.db")).unwrap();
    assert!(
        connection.execute(statement, []).unwrap() > 0,
        "nothing was planted"
    );
}

#[test]
fn without_a_fault_nothing_is_found() {
    let mut world = up(1);
    world.calm(Duration::from_secs(60)).unwrap();
    let looked = world.look();
    assert_eq!(looked, []);
    world.stop();
    let found = world.verdict();
    assert_eq!(found, []);
}

/// The newest rows go missing as if they had never been written: hashes cannot show that, what machines keep does.
#[test]
fn rows_removed_from_the_end_of_the_log_are_found() {
    let world = stopped(2);
    sql(
        &world.server.data,
        "DELETE FROM events WHERE position > (SELECT max(position) FROM events) - 30",
    );
    let found = world.verdict();
    caught(&found, Check::AcknowledgedIsDurable);
    caught(&found, Check::NothingIsLost);
}

#[test]
fn a_row_removed_from_the_middle_of_the_log_is_found() {
    let world = stopped(3);
    sql(
        &world.server.data,
        "DELETE FROM events WHERE position = (SELECT max(position) FROM events) - 10",
    );
    caught(&world.verdict(), Check::LogIsSound);
}

#[test]
fn a_record_that_takes_effect_twice_is_found() {
    let world = stopped(4);
    let machine = world.machine_ids()[0];
    let reading = world.log_on_disk();
    let (record, number) = {
        let read = &reading.machines[&machine];
        (read.records.len() as u64, *read.marks.last().unwrap())
    };
    forge(&world.server.data, machine, &mark(record, number));
    caught(&world.verdict(), Check::OnceAndInOrder);
}

#[test]
fn a_gap_between_records_is_found() {
    let world = stopped(5);
    let machine = world.machine_ids()[0];
    let records = world.log_on_disk().machines[&machine].records.len() as u64;
    forge(&world.server.data, machine, &mark(records + 2, 1_000_000));
    caught(&world.verdict(), Check::OnceAndInOrder);
}

#[test]
fn marks_out_of_order_are_found() {
    let world = stopped(6);
    let machine = world.machine_ids()[0];
    let records = world.log_on_disk().machines[&machine].records.len() as u64;
    forge(&world.server.data, machine, &mark(records + 1, 1));
    caught(&world.verdict(), Check::OnceAndInOrder);
}

#[test]
fn a_session_that_is_over_and_comes_back_is_found() {
    let world = stopped(7);
    let machine = world.machine_ids()[0];
    let entry = MachineEntry::SessionOpened {
        session: SessionNumber(1),
        boot_id: BootId::from_uuid(uuid::Uuid::nil()),
        agent_version: "0".to_owned(),
        commands: Vec::new(),
    };
    forge(&world.server.data, machine, &entry);
    caught(&world.verdict(), Check::SessionsGrow);
}

#[test]
fn records_that_are_written_off_are_found() {
    let world = stopped(8);
    let machine = world.machine_ids()[0];
    let entry = MachineEntry::RecordsLost {
        first: RecordNumber(1),
        last: RecordNumber(2),
    };
    forge(&world.server.data, machine, &entry);
    caught(&world.verdict(), Check::NothingIsWrittenOff);
}

/// What a machine kept while it was cut off is replaced by what it had kept before.
#[test]
fn a_machines_store_put_back_to_an_older_copy_is_found() {
    let mut world = up(9);
    let (data, copy) = (world.places[0].data.clone(), world.folder().join("copy"));
    world.crash_host(0);
    copy_files(&data, &copy);
    world.start_host(0);
    world.until_consistent(Duration::from_secs(60)).unwrap();
    world.cut(0, Dead::Lost);
    world.run(Duration::from_secs(30));
    world.crash_host(0);
    std::fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    world.start_host(0);
    world.mend(0);
    let (found, _) = world.judge(Duration::from_secs(90));
    caught(&found, Check::NothingIsLost);
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_server_that_acknowledges_and_keeps_nothing_is_found() {
    let mut world = up(10);
    world.crash_server();
    world.server.lies.store(true, Ordering::Relaxed);
    world.start_server();
    world.run(Duration::from_secs(60));
    // Its machines go down while it runs: what they settled is compared with what the log has.
    world.crash_host(0);
    world.crash_server();
    world.server.lies.store(false, Ordering::Relaxed);
    world.start_server();
    world.start_host(0);
    let (found, _) = world.judge(Duration::from_secs(90));
    caught(&found, Check::AcknowledgedIsDurable);
    caught(&found, Check::NothingIsLost);
}

#[test]
fn a_link_that_nobody_mends_is_found() {
    let mut world = up(11);
    world.cut(1, Dead::Lost);
    let (found, _) = world.judge(Duration::from_secs(90));
    caught(&found, Check::Converges);
}

#[test]
fn a_connection_that_nobody_closes_is_found_and_so_is_its_task() {
    let mut world = up(12);
    world.calm(Duration::from_secs(60)).unwrap();
    // The server would let go of a connection without a request after ten seconds: it must be looked for before.
    world.ask(Question::HoldOne).unwrap();
    let found = world.look();
    caught(&found, Check::NothingLeaks);
    for part in ["server holds", "tasks run on server"] {
        assert!(
            found.iter().any(|violation| violation.what.contains(part)),
            "{part}: {found:?}"
        );
    }
}

/// Something is in the log that the server was not told of.
#[test]
fn what_the_server_shows_and_does_not_know_is_found() {
    let mut world = up(13);
    world.calm(Duration::from_secs(60)).unwrap();
    let machine = world.machine_ids()[0];
    let log = world.server.log().unwrap();
    let renamed = MachineEntry::Renamed {
        display_name: Some("behind its back".to_owned()),
    };
    append(log.as_ref(), machine, &renamed);
    append(log.as_ref(), machine, &mark(1_000_000, 1_000_000));
    drop(log);
    let found = world.look();
    caught(&found, Check::ViewIsFold);
    caught(&found, Check::LiveAgrees);
}
