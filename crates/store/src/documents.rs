//! Documents: small things that are replaced as a whole, by whoever knows the version that is there.
//!
//! Configuration and the like. There is no history: what must be traced is an event of the log. Everything here
//! blocks; a write returns once it is durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_model::Timestamp;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::directory::DataDirectory;
use crate::error::OpenError;
use crate::sqlite::{Backfill, Readers, Synchronous, backfill, is_disk_full, leave_untouched, open_writer};

const FILE: &str = "documents.db";
const MIGRATIONS: &[&str] = &["CREATE TABLE documents (
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    body       BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;"];
/// Longest kind or key.
const NAME_MAX_BYTES: usize = 200;
/// Largest body.
const BODY_MAX_BYTES: usize = 16 << 20;
/// Most documents that one call returns.
const PAGE_MAX: usize = 10_000;

/// How often a document was written: the first time is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentVersion(pub u64);

/// What must be there for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Anything.
    Any,
    /// Nothing.
    Absent,
    /// This version.
    Version(DocumentVersion),
}

/// A document as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Which of its kind.
    pub key: String,
    /// How often it was written.
    pub version: DocumentVersion,
    /// When it was written last.
    pub updated_at: Timestamp,
    /// What it says.
    pub body: Vec<u8>,
}

/// Why a document cannot be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Somebody else wrote it in between.
    #[error("the document {kind}/{key} is {}, not what was expected", there(*actual))]
    Conflict {
        /// Its kind.
        kind: String,
        /// Which of its kind.
        key: String,
        /// The version that is there.
        actual: Option<DocumentVersion>,
    },
    /// A kind, key or body is too large, or a kind or key empty.
    #[error(
        "a document needs a kind and a key of 1 to {NAME_MAX_BYTES} bytes and a body of at most {BODY_MAX_BYTES}"
    )]
    Unacceptable,
    /// The disk is full. Nothing was written.
    #[error("the disk is full: documents cannot be written until there is space")]
    DiskFull,
    /// A write failed in a way that leaves in doubt what is on disk. No document is written any more.
    #[error("documents cannot be written any more, because a write failed: see to the disk, then restart")]
    Poisoned {
        /// What failed first.
        source: Arc<rusqlite::Error>,
    },
    /// SQLite could not read.
    #[error("documents cannot be read")]
    Read {
        /// What it said.
        source: Arc<rusqlite::Error>,
    },
}

impl DocumentError {
    /// The stable code that the help pages use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "MST-S040",
            Self::Unacceptable => "MST-S041",
            Self::DiskFull => "MST-S042",
            Self::Poisoned { .. } => "MST-S043",
            Self::Read { .. } => "MST-S044",
        }
    }
}

/// Keeps documents. All of it blocks: call it where that is allowed.
pub trait Documents: Send + Sync {
    /// One document, if it is there.
    fn get(&self, kind: &str, key: &str) -> Result<Option<Document>, DocumentError>;

    /// The documents of a kind by key, those after `after`, at most `limit` (and 10,000).
    fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Document>, DocumentError>;

    /// Writes a document if the precondition holds; returns its new version once that is durable.
    fn put(
        &self,
        kind: &str,
        key: &str,
        precondition: Precondition,
        updated_at: Timestamp,
        body: &[u8],
    ) -> Result<DocumentVersion, DocumentError>;

    /// Removes a document if the precondition holds; says whether there was one. If it is written again later, its
    /// versions begin anew.
    fn delete(&self, kind: &str, key: &str, precondition: Precondition) -> Result<bool, DocumentError>;
}

/// Documents in `documents.db` of a data directory. Cheap to clone.
#[derive(Clone)]
pub struct SqliteDocuments(Arc<Inner>);

struct Inner {
    path: PathBuf,
    writer: Mutex<Writer>,
    readers: Readers,
    _directory: DataDirectory,
}

struct Writer {
    connection: Connection,
    poison: Option<Arc<rusqlite::Error>>,
}

impl Writer {
    fn poison(&mut self, error: rusqlite::Error) -> Arc<rusqlite::Error> {
        tracing::error!(%error, "documents cannot be written any more, because a write failed");
        leave_untouched(&self.connection);
        Arc::clone(self.poison.insert(Arc::new(error)))
    }
}

impl SqliteDocuments {
    /// Opens the file, creating it if there is none. Blocks.
    pub fn open(directory: &DataDirectory) -> Result<Self, OpenError> {
        let path = directory.file(FILE);
        let writer = Writer {
            connection: open_writer(&path, MIGRATIONS, Synchronous::Full)?,
            poison: None,
        };
        let readers = Readers::open(&path, 1)?;
        Ok(Self(Arc::new(Inner {
            path,
            writer: Mutex::new(writer),
            readers,
            _directory: directory.clone(),
        })))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Writes documents whatever is there, in one transaction: all of them are durable when this returns, or none is there.
    pub fn put_all(
        &self,
        documents: impl IntoIterator<Item = (String, Document)>,
    ) -> Result<(), DocumentError> {
        let documents: Vec<_> = documents.into_iter().collect();
        if !documents
            .iter()
            .all(|(kind, document)| acceptable(kind, &document.key, &document.body))
        {
            return Err(DocumentError::Unacceptable);
        }
        let written: Result<(), std::convert::Infallible> = self.transact(|connection| {
            for (kind, document) in documents {
                let Document {
                    key,
                    updated_at,
                    body,
                    ..
                } = document;
                let actual = version(connection, &kind, &key)?;
                replace(connection, &kind, &key, actual, updated_at, &body)?;
            }
            Ok(Ok(()))
        })?;
        let Ok(()) = written;
        Ok(())
    }

    /// Runs one write in a transaction of its own. `change` gets the version that is there.
    fn write<T>(
        &self,
        kind: &str,
        key: &str,
        precondition: Precondition,
        change: impl FnOnce(&Connection, Option<DocumentVersion>) -> rusqlite::Result<T>,
    ) -> Result<T, DocumentError> {
        let written = self.transact(|connection| {
            let actual = version(connection, kind, key)?;
            let holds = match precondition {
                Precondition::Any => true,
                Precondition::Absent => actual.is_none(),
                Precondition::Version(version) => actual == Some(version),
            };
            if !holds {
                return Ok(Err(actual));
            }
            change(connection, actual).map(Ok)
        })?;
        written.map_err(|actual| DocumentError::Conflict {
            kind: kind.to_owned(),
            key: key.to_owned(),
            actual,
        })
    }

    /// Runs writes in a transaction; nothing comes of it where `change` says no.
    fn transact<T, N>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, N>>,
    ) -> Result<Result<T, N>, DocumentError> {
        let mut writer = self.0.writer.lock();
        if let Some(source) = writer.poison.clone() {
            return Err(DocumentError::Poisoned { source });
        }
        let attempt = || {
            let transaction =
                rusqlite::Transaction::new_unchecked(&writer.connection, TransactionBehavior::Immediate)?;
            let changed = change(&transaction)?;
            if changed.is_ok() {
                transaction.commit()?;
            }
            Ok(changed)
        };
        match attempt() {
            Ok(Ok(done)) => {
                // Writes are few, so the write-ahead log is copied back after each. The document is durable already.
                if let Err(error) = backfill(&writer.connection, Backfill::Passive)
                    && !is_disk_full(&error)
                {
                    writer.poison(error);
                }
                Ok(Ok(done))
            }
            Ok(Err(no)) => Ok(Err(no)),
            Err(error) if is_disk_full(&error) => Err(DocumentError::DiskFull),
            Err(error) => {
                let source = writer.poison(error);
                Err(DocumentError::Poisoned { source })
            }
        }
    }
}

impl Documents for SqliteDocuments {
    fn get(&self, kind: &str, key: &str) -> Result<Option<Document>, DocumentError> {
        let read = |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT key, version, updated_at, body FROM documents WHERE kind = ?1 AND key = ?2",
                )?
                .query_row([kind, key], document)
                .optional()
        };
        self.0.readers.with(read).map_err(unreadable)
    }

    fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Document>, DocumentError> {
        let limit = limit.min(PAGE_MAX) as i64;
        let read = |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT key, version, updated_at, body FROM documents \
                     WHERE kind = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
                )?
                // No key is empty, so all come after the empty text.
                .query_map(params![kind, after.unwrap_or(""), limit], document)?
                .collect::<rusqlite::Result<_>>()
        };
        self.0.readers.with(read).map_err(unreadable)
    }

    fn put(
        &self,
        kind: &str,
        key: &str,
        precondition: Precondition,
        updated_at: Timestamp,
        body: &[u8],
    ) -> Result<DocumentVersion, DocumentError> {
        if !acceptable(kind, key, body) {
            return Err(DocumentError::Unacceptable);
        }
        self.write(kind, key, precondition, |connection, actual| {
            replace(connection, kind, key, actual, updated_at, body)
        })
    }

    fn delete(&self, kind: &str, key: &str, precondition: Precondition) -> Result<bool, DocumentError> {
        self.write(kind, key, precondition, |connection, _| {
            let count = connection
                .prepare_cached("DELETE FROM documents WHERE kind = ?1 AND key = ?2")?
                .execute([kind, key])?;
            Ok(count > 0)
        })
    }
}

fn acceptable(kind: &str, key: &str, body: &[u8]) -> bool {
    let names = 1..=NAME_MAX_BYTES;
    names.contains(&kind.len()) && names.contains(&key.len()) && body.len() <= BODY_MAX_BYTES
}

fn version(connection: &Connection, kind: &str, key: &str) -> rusqlite::Result<Option<DocumentVersion>> {
    connection
        .prepare_cached("SELECT version FROM documents WHERE kind = ?1 AND key = ?2")?
        .query_row([kind, key], |row| {
            Ok(DocumentVersion(row.get::<_, i64>(0)? as u64))
        })
        .optional()
}

/// Writes a document over the version that is there.
fn replace(
    connection: &Connection,
    kind: &str,
    key: &str,
    actual: Option<DocumentVersion>,
    updated_at: Timestamp,
    body: &[u8],
) -> rusqlite::Result<DocumentVersion> {
    let version = DocumentVersion(actual.map_or(1, |version| version.0 + 1));
    connection
        .prepare_cached("INSERT OR REPLACE INTO documents VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![kind, key, version.0 as i64, updated_at.as_millis(), body])?;
    Ok(version)
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        key: row.get(0)?,
        version: DocumentVersion(row.get::<_, i64>(1)? as u64),
        updated_at: Timestamp::from_millis(row.get(2)?),
        body: row.get(3)?,
    })
}

fn unreadable(source: rusqlite::Error) -> DocumentError {
    let source = Arc::new(source);
    DocumentError::Read { source }
}

fn there(actual: Option<DocumentVersion>) -> String {
    match actual {
        Some(version) => format!("at version {}", version.0),
        None => "not there".to_owned(),
    }
}
