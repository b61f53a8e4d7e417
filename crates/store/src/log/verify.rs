//! Checks a log on disk from its first event to its last, also while a server works on it.

use std::path::Path;
use std::time::{Duration, Instant};

use muster_model::LogPosition;
use rusqlite::{Connection, OpenFlags};

use super::restore::{Walk, head, stream_names};
use super::{FILE, MIGRATIONS, chain};
use crate::error::OpenError;
use crate::sqlite::{beside, check_version, database, open_reader};

/// The first version of the schema that knows packed events.
const BLOCKS_SINCE: u32 = 2;
/// How many complaints of SQLite about its own structure are listed.
const STRUCTURE_MAX: usize = 10;

/// What is wrong with the log, and from where on it cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The first position that is bad.
    pub position: LogPosition,
    /// What is wrong with it, for a person.
    pub what: String,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Events that were checked.
    pub checked: u64,
    /// Events there are.
    pub total: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events that are sound.
    pub events: u64,
    /// Those of them that are packed.
    pub packed: u64,
    /// Streams that have events.
    pub streams: u64,
    /// Snapshots that were checked.
    pub snapshots: u64,
    /// The last position of the log.
    pub head: LogPosition,
    /// The first bad event; nothing after it was checked.
    pub first_bad: Option<Finding>,
    /// Snapshots that are damaged or ahead of the log. They cost time, not truth.
    pub bad_snapshots: Vec<Finding>,
    /// What SQLite complains of about the structure of the file.
    pub structure: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.first_bad.is_none() && self.bad_snapshots.is_empty() && self.structure.is_empty()
    }
}

/// Checks the log in a data directory: hashes, positions, versions, links, times, snapshots, and the structure of the
/// file. Blocks for about 1 s per million events. It takes no lock, and does not hold up a server that works there.
///
/// A loss of the newest events cannot be seen, unless a checkpoint knows of later ones.
pub fn verify(directory: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Report, OpenError> {
    let started = Instant::now();
    let path = directory.join(FILE);
    if !path.is_file() {
        return Err(OpenError::Missing {
            path: directory.to_owned(),
        });
    }
    let connection = open(&path)?;
    let mut report = Report::default();
    match check_version(&connection, &path, MIGRATIONS.len() as u32) {
        Ok(found) if found < BLOCKS_SINCE => {
            // Read as if there were none; the file itself is opened for reading only.
            connection
                .execute_batch(concat!(
                    "PRAGMA query_only = OFF; PRAGMA temp_store = MEMORY; CREATE TEMP TABLE blocks ",
                    "(last INTEGER PRIMARY KEY, first, recorded_at, hash, packed, seal); PRAGMA query_only = ON"
                ))
                .map_err(database(&path, "set up"))?;
        }
        Ok(_) => {}
        Err(OpenError::Database { source, .. }) => {
            report.structure.push(source.to_string());
            report.duration = started.elapsed();
            return Ok(report);
        }
        Err(other) => return Err(other),
    }
    if let Err(error) = check(&connection, progress, &mut report) {
        report.structure.push(error.to_string());
    }
    report.duration = started.elapsed();
    Ok(report)
}

fn open(path: &Path) -> Result<Connection, OpenError> {
    let probe = |connection: Connection| {
        connection
            .table_exists(None, "events")
            .map_err(database(path, "read"))?;
        Ok(connection)
    };
    match open_reader(path).and_then(probe) {
        // On a read-only medium SQLite cannot make its helper files. Without a write-ahead log none is needed.
        Err(_) if is_settled(path) => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_URI
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let uri = format!("file:{}?immutable=1", escape(path));
            Connection::open_with_flags(uri, flags).map_err(database(path, "opened"))
        }
        other => other,
    }
}

fn is_settled(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).map_or(true, |wal| wal.len() == 0)
}

fn escape(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

fn check(
    connection: &Connection,
    progress: &mut dyn FnMut(Progress),
    report: &mut Report,
) -> rusqlite::Result<()> {
    let head_then = head(connection)?;
    report.head = head_then;
    // Read after the head, so that every stream of these events is there.
    let names = stream_names(connection)?;
    let mut walk = Walk::new(names.clone(), None);
    let walked = walk.run(connection, head_then, &mut |position| {
        progress(Progress {
            checked: position.0,
            total: head_then.0,
        });
    });
    report.events = walk.position.0;
    report.packed = connection.query_row(
        "SELECT coalesce(sum(last - first + 1), 0) FROM blocks WHERE last <= ?1",
        [walk.position.0 as i64],
        |row| row.get::<_, i64>(0),
    )? as u64;
    report.streams = walk.streams_with_events();
    report.first_bad = walked.err();
    check_snapshots(connection, &names, report)?;
    let mut statement = connection.prepare(&format!("PRAGMA quick_check({STRUCTURE_MAX})"))?;
    let complaints = statement.query_map([], |row| row.get::<_, String>(0))?;
    for complaint in complaints {
        let complaint = complaint?;
        if complaint != "ok" {
            report.structure.push(complaint);
        }
    }
    Ok(())
}

fn check_snapshots(
    connection: &Connection,
    names: &[std::sync::Arc<str>],
    report: &mut Report,
) -> rusqlite::Result<()> {
    let mut bad = |position, what: &str| {
        let what = what.to_owned();
        report.bad_snapshots.push(Finding { position, what });
    };
    let mut statement = connection.prepare("SELECT stream, position, body, hash FROM snapshots")?;
    let mut rows = statement.query([])?;
    // A server may have gone on since the walk began.
    let head_now = head(connection)?;
    while let Some(row) = rows.next()? {
        let stream: i64 = row.get(0)?;
        let position = LogPosition(row.get::<_, i64>(1)? as u64);
        let stored = row.get_ref(2)?.as_blob()?;
        let hash = row.get_ref(3)?.as_blob()?;
        report.snapshots += 1;
        let name = usize::try_from(stream - 1)
            .ok()
            .and_then(|index| names.get(index));
        match name {
            _ if position > head_now => bad(position, "a snapshot is ahead of the log"),
            Some(name) if chain::snapshot(name, position, stored) != hash => {
                bad(position, &format!("the snapshot of {name} is damaged"));
            }
            // Streams that a server added since are not known here.
            Some(_) | None => {}
        }
    }
    let ahead: i64 = connection.query_row(
        "SELECT count(*) FROM checkpoints WHERE position > ?1",
        [head_now.0 as i64],
        |row| row.get(0),
    )?;
    if ahead > 0 {
        bad(head_now.next(), "a checkpoint is ahead of the log");
    }
    Ok(())
}
