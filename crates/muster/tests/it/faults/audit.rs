//! Looks at what server and machines have on disk, as somebody who trusts neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_model::MachineEntry;
use muster_model::vocabulary::Presence;
use rusqlite::{Connection, OpenFlags};

use super::kit::muster;

/// The kind of the events that [`Writer`](super::writer::Writer)s tell of.
pub(crate) const WRITTEN: &str = "fault.written";

/// What the log says about each machine, read on from where it was last looked at.
#[derive(Default)]
pub(crate) struct Audit {
    position: i64,
    names: BTreeMap<i64, String>,
    machines: BTreeMap<String, Known>,
}

/// What the log holds of one machine.
#[derive(Clone, Default)]
pub(crate) struct Known {
    version: i64,
    /// The highest record; all below it are there, once and in order.
    pub(crate) highest: u64,
    /// How often the server judged it lost.
    pub(crate) lost: u64,
    pub(crate) events: BTreeMap<String, u64>,
    /// By how many milliseconds the time of an event is from that at which it was recorded, at most, by kind.
    away_ms: BTreeMap<String, i64>,
}

impl Audit {
    /// Reads what is new and checks it: every position, every version and every record once, in order, without holes.
    pub(crate) fn read(&mut self, data: &Path) {
        let file = data.join("log.db");
        let log = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        log.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        let mut streams = log.prepare("SELECT id, name FROM streams").unwrap();
        self.names = streams
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let head: Option<i64> = log
            .query_row("SELECT max(position) FROM events", [], |row| row.get(0))
            .unwrap();
        assert!(
            head.unwrap_or(0) >= self.position,
            "the log was at {} and is at {head:?}",
            self.position
        );
        let mut events = log
            .prepare(
                "SELECT position, stream, version, body, recorded_at FROM events WHERE position > ?1 ORDER BY position",
            )
            .unwrap();
        let mut rows = events.query([self.position]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (position, stream, version): (i64, i64, i64) =
                (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
            let body: Vec<u8> = row.get(3).unwrap();
            assert_eq!(position, self.position + 1, "a hole in the log");
            self.position = position;
            // A stream that began after the names were read is for the next time.
            let Some(name) = self.names.get(&stream) else {
                self.position -= 1;
                return;
            };
            let name = name.strip_prefix("machine/").unwrap_or(name);
            let known = self.machines.entry(name.to_owned()).or_default();
            assert_eq!(version, known.version + 1, "{name} at {position}");
            known.version = version;
            let entry: MachineEntry = serde_json::from_slice(&body).unwrap();
            known.take(name, &entry, row.get(4).unwrap());
        }
    }

    pub(crate) fn machine(&self, id: &str) -> Known {
        self.machines.get(id).cloned().unwrap_or_default()
    }

    pub(crate) fn machines(&self) -> impl Iterator<Item = (&str, &Known)> {
        self.machines.iter().map(|(name, known)| (name.as_str(), known))
    }

    pub(crate) fn head(&self) -> u64 {
        self.position as u64
    }

    /// How far the time of any event whose kind begins so is from when it was recorded.
    pub(crate) fn farthest_event_ms(&self, kind: &str) -> i64 {
        let all = self.machines.values().flat_map(|known| &known.away_ms);
        let of_kind = all.filter(|(name, _)| name.starts_with(kind));
        of_kind
            .map(|(_, away)| *away)
            .max()
            .expect("there is such an event")
    }

    pub(crate) fn records(&self) -> u64 {
        self.machines.values().map(|known| known.highest).sum()
    }
}

impl Known {
    fn take(&mut self, name: &str, entry: &MachineEntry, recorded_at_ms: i64) {
        if let Some(record) = entry.record() {
            assert_eq!(
                record.0,
                self.highest + 1,
                "{name}: each record once, in order, none left out"
            );
            self.highest = record.0;
        }
        match entry {
            MachineEntry::RecordsLost { first, last } => panic!("{name} lost {first} to {last}"),
            MachineEntry::PresenceChanged { presence, .. } => {
                self.lost += u64::from(*presence == Presence::Lost);
            }
            MachineEntry::EventReported { record, event } => {
                if event.kind == WRITTEN {
                    assert_eq!(
                        event.message,
                        record.to_string(),
                        "{name}: what was written is what is there"
                    );
                }
                *self.events.entry(event.kind.clone()).or_default() += 1;
                let away = self.away_ms.entry(event.kind.clone()).or_default();
                *away = (*away).max((event.at.as_millis() - recorded_at_ms).abs());
            }
            _ => {}
        }
    }
}

/// `muster store verify`: whether it finds everything sound, and what it says.
pub(crate) fn verify(data: &Path) -> (bool, String) {
    let output = muster()
        .args(["store", "verify", "--data"])
        .arg(data)
        .output()
        .unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[track_caller]
pub(crate) fn is_sound(data: &Path) {
    let (sound, said) = verify(data);
    assert!(sound, "{said}");
}

/// What a machine that does not run has on disk.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: String,
    /// The last record that the server acknowledged.
    pub(crate) settled: u64,
    /// The last record that it keeps; those after `settled` are all there.
    pub(crate) highest: u64,
}

/// Reads the store of a machine, or of many in one process. A copy is read, so that the machine finds what it left.
pub(crate) fn held(data: &Path) -> Vec<Held> {
    let copy = tempfile::tempdir().unwrap();
    let file = |name: &str| -> PathBuf { data.join(name) };
    for name in ["machine.sqlite", "machine.sqlite-wal"] {
        if file(name).is_file() {
            std::fs::copy(file(name), copy.path().join(name)).unwrap();
        }
    }
    if !copy.path().join("machine.sqlite").is_file() {
        return Vec::new();
    }
    let store = Connection::open(copy.path().join("machine.sqlite")).unwrap();
    let check: String = store
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok", "{}", data.display());
    let tables: i64 = store
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'machine'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    if tables == 0 {
        // Killed before its tables were made.
        return Vec::new();
    }
    let mut machines = store
        .prepare(
            "SELECT hex(id), settled, count(record), coalesce(max(record), 0) FROM machine
             LEFT JOIN outbox ON outbox.slot = machine.slot AND record > settled GROUP BY machine.slot",
        )
        .unwrap();
    let rows = machines
        .query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
            ))
        })
        .unwrap();
    rows.map(|row| {
        let (id, settled, kept, last) = row.unwrap();
        let highest = last.max(settled);
        assert_eq!(
            kept,
            highest - settled,
            "{id}: records {settled} to {highest}, {kept} kept"
        );
        let id = uuid(&id);
        Held {
            id,
            settled: settled as u64,
            highest: highest as u64,
        }
    })
    .collect()
}

fn uuid(hex: &str) -> String {
    let hex = hex.to_ascii_lowercase();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
