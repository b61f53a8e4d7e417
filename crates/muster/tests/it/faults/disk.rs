//! Rows 9, 10 and 11: syncs that fail, writes that are torn, disks that are full, bits that flip.

use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use super::audit::{Audit, held, is_sound, verify};
use super::kit::{Agent, Dice, Process, Server, dice, rounds, until};
use super::shim::{DiskFault, Shim};
use super::writer::Writer;

/// How a process ends that cannot put on disk what must be there. Source: sysexits, EX_IOERR.
const EXIT_IO: i32 = 74;
/// How the shim ends a process in the middle of a write.
const TORN: i32 = 137;

const WITHIN: Duration = Duration::from_secs(30);
/// A machine that meets the fault at all meets it within this: after that it writes only now and then.
const SOON: Duration = Duration::from_secs(10);

fn fault(round: u64, dice: &mut Dice) -> (DiskFault, i32) {
    if round.is_multiple_of(2) {
        (DiskFault::SyncFails(1 + dice.below(12)), EXIT_IO)
    } else {
        (DiskFault::TornWrite(1 + dice.below(60)), TORN)
    }
}

#[test]
fn row_9_a_server_whose_sync_fails_or_write_is_torn_ends_and_loses_nothing_acknowledged() {
    let top = tempfile::tempdir().unwrap();
    let (data, shim, rounds, mut dice) = (
        top.path().join("data"),
        Shim::new(),
        rounds(6, 100),
        dice("row 9, server"),
    );
    let mut writers: Vec<Writer> = (0..3).map(Writer::new).collect();
    let mut audit = Audit::default();
    for round in 0..rounds {
        let (fault, code) = fault(round, &mut dice);
        let mut command = Server::command(&data, 0);
        command.envs(shim.environment());
        command.args(["--messages-per-second", "10000", "--messages-burst", "10000"]);
        let mut server = Server::ready(Process::start(command));
        let before: Vec<u64> = writers.iter().map(Writer::acknowledged).collect();
        let url = server.url();
        writers.iter_mut().for_each(|writer| writer.go_on(&url));
        until("acknowledgements", WITHIN, || {
            writers
                .iter()
                .zip(&before)
                .all(|(writer, before)| writer.acknowledged() > *before)
                .then_some(())
        });
        shim.disk(fault);
        let ended = server.process.end(WITHIN);
        shim.disk_is_good();
        writers.iter_mut().for_each(Writer::wait);
        assert_eq!(
            ended.code(),
            Some(code),
            "{fault:?}: {ended:?} {:?}",
            ended.signal()
        );
        if code == EXIT_IO {
            let said = server.process.said();
            assert!(said.contains("error[MST-S024]"), "{said}");
        }
        audit.read(&data);
        is_sound(&data);
        for writer in &writers {
            let there = audit.machine(&writer.id).highest;
            assert!(
                there >= writer.acknowledged(),
                "{fault:?}: {there} of {}",
                writer.acknowledged()
            );
        }
    }
    println!(
        "\nfigure row_9_server rounds={rounds} lost=0 records={}",
        audit.records()
    );
}

#[test]
fn row_9_a_machine_whose_sync_fails_or_write_is_torn_ends_and_sends_nothing_it_does_not_keep() {
    let top = tempfile::tempdir().unwrap();
    let (data, shim, rounds, mut dice) = (
        top.path().join("data"),
        Shim::new(),
        rounds(6, 100),
        dice("row 9, machine"),
    );
    let server = Server::start(&data, 0);
    let mut agent = Agent::new(&top.path().join("machine"), &server.url(), "probe");
    let mut audit = Audit::default();
    for round in 0..rounds {
        let (mut fault, code) = match fault(round, &mut dice) {
            // It writes little: the fault should fall on what it writes when it starts.
            (DiskFault::SyncFails(calls), code) => (DiskFault::SyncFails(1 + calls % 4), code),
            (DiskFault::TornWrite(calls), code) => (DiskFault::TornWrite(1 + calls % 8), code),
        };
        agent.environment.clear();
        if round > 0 {
            agent.environment = shim.environment();
            shim.disk(fault);
        }
        let mut process = agent.start();
        if round == 0 {
            // Its first life is a good one, so that there is something to lose.
            process.hear("a session", WITHIN, |said| {
                said.contains("in session").then_some(())
            });
            process.kill();
        } else {
            if !process.ends(SOON) {
                // The call that was to fail lies behind all that it wrote: then its first one fails.
                process.kill();
                fault = match fault {
                    DiskFault::SyncFails(_) => DiskFault::SyncFails(1),
                    DiskFault::TornWrite(_) => DiskFault::TornWrite(1),
                };
                shim.disk(fault);
                process = agent.start();
            }
            let ended = process.end(WITHIN);
            let said = process.said();
            let opening = code == EXIT_IO && ended.code() == Some(73) && said.contains("[MST-M002]");
            assert!(
                ended.code() == Some(code) || opening,
                "{fault:?}: {ended:?}: {said}"
            );
            assert!(code == TORN || said.contains("[MST-M0"), "{said}");
        }
        shim.disk_is_good();
        println!("round {round} {fault:?}: {:?}", held(&agent.data));
        audit.read(&data);
        for machine in held(&agent.data) {
            let there = audit.machine(&machine.id).highest;
            assert!(
                there >= machine.settled && there <= machine.highest,
                "{fault:?}: {there} there, {machine:?}"
            );
        }
    }
    agent.environment.clear();
    let mut process = agent.start();
    process.hear("a session", WITHIN, |said| {
        said.contains("in session").then_some(())
    });
    println!(
        "\nfigure row_9_machine rounds={rounds} sent_but_not_kept=0 records={}",
        audit.records()
    );
}

/// A small file system in memory. Mounting needs root; who is not says so.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(directory));
        }
        println!("\nskipped: a small disk cannot be mounted here; that needs root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let file = std::fs::File::create(self.path().join("ballast")).unwrap();
        let (mut at, mut piece) = (0, 64 * 1024);
        while piece > 0 {
            match file.write_at(&vec![1; piece], at) {
                Ok(written) => at += written as u64,
                Err(_) => piece /= 2,
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn row_10_a_server_on_a_full_disk_reads_refuses_and_recovers() {
    let Some(disk) = SmallDisk::mount("24m") else {
        return;
    };
    let data = disk.path().join("data");
    let mut server = Server::start(&data, 0);
    let url = server.url();
    let mut writers: Vec<Writer> = (0..3).map(Writer::new).collect();
    let rounds = rounds(2, 20);
    for round in 0..rounds {
        let sum = |writers: &[Writer]| writers.iter().map(Writer::acknowledged).sum::<u64>();
        let before = sum(&writers);
        until("acknowledgements", WITHIN, || {
            writers.iter_mut().for_each(|writer| writer.go_on(&url));
            (sum(&writers) > before + 100).then_some(())
        });
        disk.fill();
        let refused = server.metric("muster_log_refused_disk_full_total");
        until("a refusal", WITHIN, || {
            writers.iter_mut().for_each(|writer| writer.go_on(&url));
            (server.metric("muster_log_refused_disk_full_total") > refused).then_some(())
        });
        let known = server.get("/api/v1/machines?limit=10");
        assert_eq!(
            known["items"].as_array().unwrap().len(),
            writers.len(),
            "round {round}: {known}"
        );
        let events = server.get(&format!("/api/v1/machines/{}/events?limit=5", writers[0].id));
        assert_eq!(
            events["items"].as_array().unwrap().len(),
            5,
            "round {round}: {events}"
        );
        assert!(
            server.process.ended().is_none(),
            "a full disk is no reason to end"
        );
        disk.free();
    }
    server.process.kill();
    writers.iter_mut().for_each(Writer::wait);
    let mut audit = Audit::default();
    audit.read(&data);
    is_sound(&data);
    for writer in &writers {
        assert!(audit.machine(&writer.id).highest >= writer.acknowledged());
    }
    println!(
        "\nfigure row_10_server rounds={rounds} lost=0 corrupt=0 records={}",
        audit.records()
    );
}

#[test]
fn row_10_a_machine_on_a_full_disk_goes_on_and_tells_later() {
    let Some(disk) = SmallDisk::mount("2m") else {
        return;
    };
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("data");
    let server = Server::start(&data, 0);
    let hardware = super::hardware::Hardware::new();
    let mut agent = Agent::new(&disk.path().join("machine"), &server.url(), "probe");
    agent.hardware = Some(hardware.path().to_owned());
    agent
        .environment
        .push(("MUSTER__TELEMETRY__INTERVAL_S".into(), "1".into()));
    let mut process = agent.start();
    process.hear("a session", WITHIN, |said| {
        said.contains("in session").then_some(())
    });
    let mut audit = Audit::default();
    let hot = |audit: &mut Audit| -> u64 {
        audit.read(&data);
        audit
            .machines()
            .map(|(_, known)| known.events.get("thermal.high").copied().unwrap_or(0))
            .sum()
    };
    disk.fill();
    hardware.celsius(95.0);
    process.hear("that the disk is full", WITHIN, |said| {
        said.contains("full").then_some(())
    });
    assert_eq!(hot(&mut audit), 0, "what is not on disk is not sent");
    disk.free();
    until("the event, once there is room", WITHIN, || {
        (hot(&mut audit) == 1).then_some(())
    });
    assert!(process.ended().is_none());
    println!("\nfigure row_10_machine sent_but_not_kept=0 lost=0");
}

#[test]
fn row_11_every_flipped_bit_of_an_event_is_found() {
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("data");
    let mut server = Server::start(&data, 0);
    let url = server.url();
    let mut writer = Writer::new(0);
    until("some thousand records", WITHIN, || {
        writer.go_on(&url);
        (writer.acknowledged() > 800).then_some(())
    });
    server.process.signal(rustix::process::Signal::TERM);
    assert!(server.process.end(WITHIN).success());
    writer.wait();
    let cells = cells(&data.join("log.db"));
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(data.join("log.db"))
        .unwrap();
    let (flips, mut dice) = (rounds(60, 2_000), dice("row 11"));
    let sound_rows = rows(&data);
    let mut without_meaning = 0;
    for _ in 0..flips {
        let (start, end) = cells[dice.below(cells.len() as u64) as usize];
        let at = start + dice.below(end - start);
        let bit = 1_u8 << dice.below(8);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ bit], at).unwrap();
        let (sound, said) = verify(&data);
        if sound {
            // SQLite's own notes have bits without meaning, such as the kind of a column that is kept elsewhere.
            assert!(
                rows(&data) == sound_rows,
                "bit {bit:#x} of byte {at} went unseen:\n{said}"
            );
            without_meaning += 1;
        }
        file.write_all_at(&byte, at).unwrap();
    }
    is_sound(&data);
    assert!(
        without_meaning * 10 < flips,
        "{without_meaning} of {flips} flips changed nothing"
    );
    println!(
        "\nfigure row_11 flips={flips} found={} changed_no_event={without_meaning} unseen=0 events={}",
        flips - without_meaning,
        cells.len()
    );
}

/// Every event as SQLite reads it.
fn rows(data: &Path) -> Vec<[rusqlite::types::Value; 7]> {
    let log = Connection::open(data.join("log.db")).unwrap();
    let mut events = log
        .prepare("SELECT position, stream, version, previous, recorded_at, body, hash FROM events ORDER BY position")
        .unwrap();
    let rows = events.query_map([], |row| {
        Ok([
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
            row.get(6)?,
        ])
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Where the rows of the events lie in the file, as SQLite itself says: its pages by `dbstat`'s poorer brother, a walk.
fn cells(path: &Path) -> Vec<(u64, u64)> {
    let log = Connection::open(path).unwrap();
    let page_size: u64 = log
        .query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))
        .unwrap() as u64;
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'events'";
    let root: i64 = log.query_row(root, [], |row| row.get(0)).unwrap();
    drop(log);
    let file = std::fs::read(path).unwrap();
    let (mut cells, mut pages) = (Vec::new(), vec![root as u64]);
    while let Some(number) = pages.pop() {
        let start = (number - 1) * page_size;
        let page = &file[start as usize..(start + page_size) as usize];
        let short = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
        let long = |at: usize| u64::from(u32::from_be_bytes(page[at..at + 4].try_into().unwrap()));
        // Source: SQLite's file format, "B-tree Pages": 5 is an inner page of a table, 13 a leaf.
        match page[0] {
            5 => {
                pages.extend((0..short(3)).map(|cell| long(short(12 + 2 * cell))));
                pages.push(long(8));
            }
            13 => cells.extend((0..short(3)).map(|cell| {
                let at = short(8 + 2 * cell);
                let (payload, first) = number_at(&page[at..]);
                let (_, second) = number_at(&page[at + first..]);
                let at = start + at as u64;
                (at, at + first as u64 + second as u64 + payload)
            })),
            other => panic!("page {number} is of kind {other}"),
        }
    }
    cells
}

/// SQLite's numbers of variable length; those of nine bytes do not come up here.
fn number_at(bytes: &[u8]) -> (u64, usize) {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(8) {
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return (value, index + 1);
        }
    }
    panic!("no number of at most eight bytes");
}

#[test]
fn the_audit_finds_what_is_lost_doubled_or_changed() {
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("data");
    let mut server = Server::start(&data, 0);
    let url = server.url();
    let mut writer = Writer::new(0);
    until("some records", WITHIN, || {
        writer.go_on(&url);
        (writer.acknowledged() > 50).then_some(())
    });
    server.process.kill();
    writer.wait();
    Audit::default().read(&data);
    is_sound(&data);
    let whole = Connection::open(data.join("log.db")).unwrap();
    whole
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(whole);
    for damage in [
        "DELETE FROM events WHERE position = 20",
        "UPDATE events SET body = (SELECT body FROM events WHERE position = 19) WHERE position = 20",
        "UPDATE events SET version = version + 1 WHERE position = 20",
    ] {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(data.join("log.db"), copy.path().join("log.db")).unwrap();
        let log = Connection::open(copy.path().join("log.db")).unwrap();
        assert!(log.execute(damage, []).unwrap() > 0);
        drop(log);
        let found = std::panic::catch_unwind(|| Audit::default().read(copy.path())).is_err();
        assert!(found, "{damage} went unseen");
    }
}
