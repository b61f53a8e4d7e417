//! How files are opened with SQLite: settings, migrations, read connections, and what its errors mean for us.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, ffi};

use crate::error::OpenError;

/// How long to wait for a lock that another connection holds; only a foreign process can hold one for long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is cut back to this after it was copied into the file.
const WAL_KEEP_BYTES: i64 = 16 << 20;
/// What the owner alone may do with a file …
const PRIVATE: u32 = 0o600;
/// … and what others could.
const OTHERS: u32 = 0o077;
/// How many prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 32;

/// How much a commit waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Synchronous {
    /// Committed means on disk.
    Full,
    /// A power cut may take the last seconds, never the file.
    Normal,
}

/// Opens a file for writing and brings it to the newest schema. Each migration is SQL text; its number is its place.
pub(crate) fn open_writer(
    path: &Path,
    migrations: &[&str],
    synchronous: Synchronous,
) -> Result<Connection, OpenError> {
    keep_private(path);
    let mut connection = Connection::open(path).map_err(database(path, "opened"))?;
    migrate(&mut connection, path, migrations, synchronous)?;
    Ok(connection)
}

/// Makes a file readable for its owner alone before anything is in it, whatever the directory and the process allow: SQLite makes
/// its helper files like it. One that is there already, with its helper files, as well. What cannot be done is left to SQLite, which
/// says why the file cannot be opened; of another owner it stays as that one wants it.
fn keep_private(path: &Path) {
    let _ = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(path);
    for helper in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(helper);
        let is_open = std::fs::symlink_metadata(&name)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & OTHERS != 0);
        if is_open {
            let _ = std::fs::set_permissions(&name, Permissions::from_mode(PRIVATE));
        }
    }
}

/// Opens a file for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(database(path, "opened"))?;
    let set_up = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)
    };
    set_up().map_err(database(path, "set up"))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Refuses a file that a newer program wrote.
pub(crate) fn check_version(connection: &Connection, path: &Path, known: u32) -> Result<u32, OpenError> {
    let found = version(connection).map_err(database(path, "read"))?;
    if found > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(found)
}

fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
    synchronous: Synchronous,
) -> Result<(), OpenError> {
    let known = migrations.len() as u32;
    let found = check_version(connection, path, known)?;
    settings(connection, synchronous).map_err(database(path, "set up"))?;
    if found == known {
        return Ok(());
    }
    let mut run = || -> rusqlite::Result<()> {
        // One transaction for all: a killed migration leaves the old schema or the new one.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_versions (version INTEGER PRIMARY KEY) STRICT",
        )?;
        for (number, sql) in (1_u32..).zip(migrations).skip(found as usize) {
            transaction.execute_batch(sql)?;
            transaction.execute("INSERT INTO schema_versions VALUES (?1)", [number])?;
        }
        transaction.commit()
    };
    run().map_err(database(path, "migrated"))
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    if !connection.table_exists(None, "schema_versions")? {
        return Ok(0);
    }
    connection.query_row(
        "SELECT coalesce(max(version), 0) FROM schema_versions",
        [],
        |row| row.get(0),
    )
}

fn settings(connection: &Connection, synchronous: Synchronous) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    let synchronous = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // We copy the write-ahead log back ourselves: SQLite's automatism swallows errors of it.
    connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    let keep = format!("PRAGMA journal_size_limit = {WAL_KEEP_BYTES}");
    connection.query_row(&keep, [], |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

/// How thoroughly the write-ahead log is copied back into the file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backfill {
    /// What can be copied without waiting for anyone.
    Passive,
    /// All, and the log file is cut to nothing; waits for readers.
    Truncate,
}

/// Copies the write-ahead log back into the file.
pub(crate) fn backfill(connection: &Connection, how: Backfill) -> rusqlite::Result<()> {
    let sql = match how {
        Backfill::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Backfill::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    match connection.query_row(sql, [], |_| Ok(())) {
        // A reader is in the way: the next time will do.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        other => other,
    }
}

/// Leaves everything as it is when the connection closes: after a failed write SQLite must not go on by itself.
pub(crate) fn leave_untouched(connection: &Connection) {
    if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
        tracing::warn!(%error, "SQLite does not take the setting to leave the file alone on close");
    }
}

/// Whether an error says that there is no space, and that nothing was written.
///
/// `IOERR_SHMSIZE` says so too: the index beside the write-ahead log could not grow. It concerns no durable byte.
pub(crate) fn is_disk_full(error: &rusqlite::Error) -> bool {
    match error.sqlite_error() {
        Some(error) => error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE,
        None => false,
    }
}

/// Wraps an error of SQLite with the file and what was being done.
pub(crate) fn database(path: &Path, doing: &'static str) -> impl Fn(rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) => OpenError::NotWritable {
            path: path.clone(),
            source: std::io::Error::other(source),
        },
        _ => OpenError::Database {
            path: path.clone(),
            doing,
            source,
        },
    }
}

/// A few read-only connections; who finds none waits for one.
pub(crate) struct Readers {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Readers {
    pub(crate) fn open(path: &Path, count: usize) -> Result<Self, OpenError> {
        let idle: Result<Vec<_>, _> = (0..count.max(1)).map(|_| open_reader(path)).collect();
        Ok(Self {
            idle: Mutex::new(idle?),
            returned: Condvar::new(),
        })
    }

    /// Runs `read` with one of the connections. `read` must not ask for another one.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Connection) -> T) -> T {
        let mut idle = self.idle.lock();
        let connection = loop {
            match idle.pop() {
                Some(connection) => break connection,
                None => self.returned.wait(&mut idle),
            }
        };
        drop(idle);
        let lent = Lent {
            readers: self,
            connection: Some(connection),
        };
        match &lent.connection {
            Some(connection) => read(connection),
            None => unreachable!("a connection is lent until it is dropped"),
        }
    }
}

/// Gives the connection back even if the reader panics.
struct Lent<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.readers.idle.lock().push(connection);
            self.readers.returned.notify_one();
        }
    }
}

/// The file of a path that SQLite's helpers stand beside.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
