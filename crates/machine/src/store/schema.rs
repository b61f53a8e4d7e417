//! The tables of the store, and how the file is opened.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, StoreOptions};

/// Says that a file is ours: "MstM".
const APPLICATION_ID: i32 = 0x4d73_744d;
/// The version of the tables; a newer file is refused.
const VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE machine (
        slot INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        settled INTEGER NOT NULL DEFAULT 0,
        session INTEGER NOT NULL DEFAULT 0,
        boot_id BLOB,
        ended_in_order INTEGER NOT NULL DEFAULT 0,
        state TEXT,
        state_at_ms INTEGER
    ) STRICT;
    CREATE TABLE outbox (
        slot INTEGER NOT NULL,
        record INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (slot, record)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE command (
        slot INTEGER NOT NULL,
        id TEXT NOT NULL,
        expires_ms INTEGER NOT NULL,
        PRIMARY KEY (slot, id)
    ) STRICT, WITHOUT ROWID;
";

/// Opens the file, and makes the tables in a new one.
pub(super) fn open(file: &Path, options: &StoreOptions) -> Result<Connection, StoreError> {
    let unusable = |what: String| StoreError::Unusable {
        path: file.to_owned(),
        what,
    };
    let sql = |error: rusqlite::Error| unusable(error.to_string());
    // Made here, because SQLite would let everyone read it; what it makes beside it takes after this one.
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file);
    made.map_err(|error| unusable(error.to_string()))?;
    let mut connection = Connection::open(file).map_err(sql)?;
    // One process, so no shared memory is needed: the lock of the directory says the same.
    connection
        .pragma_update(None, "locking_mode", "EXCLUSIVE")
        .map_err(sql)?;
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .map_err(sql)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(sql)?;
    connection
        .pragma_update(None, "cache_size", -i64::from(options.cache_kib))
        .map_err(sql)?;
    connection
        .pragma_update_and_check(None, "wal_autocheckpoint", 256, |_| Ok(()))
        .map_err(sql)?;
    connection
        .pragma_update_and_check(None, "journal_size_limit", 1 << 20, |_| Ok(()))
        .map_err(sql)?;
    let version: i32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(sql)?;
    let application: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(sql)?;
    match (application, version) {
        (APPLICATION_ID, VERSION) => {}
        (0, 0) => {
            let transaction = connection.transaction().map_err(sql)?;
            transaction.execute_batch(TABLES).map_err(sql)?;
            transaction
                .pragma_update(None, "application_id", APPLICATION_ID)
                .map_err(sql)?;
            transaction
                .pragma_update(None, "user_version", VERSION)
                .map_err(sql)?;
            transaction.commit().map_err(sql)?;
        }
        (APPLICATION_ID, newer) => {
            return Err(unusable(format!(
                "it has version {newer}, this runtime reads version {VERSION}"
            )));
        }
        (_, _) => return Err(unusable("it belongs to another program".to_owned())),
    }
    Ok(connection)
}
