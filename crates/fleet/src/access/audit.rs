//! Who did what: an event log of its own, chained so that a missing or changed entry is found.
//!
//! How far it goes is noted among the documents now and then ([`Audit::anchor`]), so that a tail that was cut off is found, too.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_model::{LogPosition, Timestamp};
use muster_protocol::api::access::AuditOutcome;
use muster_store::{
    Append, DataDirectory, DocumentError, Documents, EventLog, Expected, LogError, LogOptions, OpenError,
    Precondition, SqliteLog, StreamName,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::secret::hex;

/// The folder of the log in the server's data directory.
const FOLDER: &str = "audit";
/// The one stream of it.
const STREAM: &str = "audit";
/// Where the anchor is kept.
const ANCHOR_KIND: &str = "audit";
const ANCHOR_KEY: &str = "head";
/// Entries that one search looks through.
pub const SEARCHED_MAX: u64 = 100_000;
/// Entries that are read at once.
const READ_AT_ONCE: usize = 512;

/// What an act was done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// What it is.
    pub kind: String,
    /// Which.
    pub id: String,
    /// What it was called then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// An entry, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Who.
    #[serde(default)]
    pub person: String,
    /// By what.
    #[serde(default)]
    pub by: String,
    /// Which session, token or proposal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by_id: String,
    /// Who said yes to it, where a policy asks for a second person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub second_person: String,
    /// What.
    pub action: String,
    /// To what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Object>,
    /// To how many, where not all are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_in_all: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// From where.
    #[serde(default)]
    pub from: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// What was answered.
    pub status: u16,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// What changed, or why it could not be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// An entry with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the log.
    pub position: LogPosition,
    /// When.
    pub at: Timestamp,
    /// The entry.
    pub record: Record,
}

/// Where the log ended when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Anchor {
    position: u64,
    sha256: String,
}

/// What checking found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Entries that there are.
    pub entries: u64,
    /// SHA-256 of the last.
    pub head_hash: String,
    /// What is wrong; empty: nothing.
    pub findings: Vec<String>,
}

/// Why the audit log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The anchor.
    #[error(transparent)]
    Anchor(#[from] DocumentError),
    /// The file cannot be checked.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// The audit log. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    log: SqliteLog,
    documents: Arc<dyn Documents>,
    folder: PathBuf,
    stream: StreamName,
}

impl Audit {
    /// Opens it in the server's data directory. Blocks.
    ///
    /// # Errors
    ///
    /// The folder or the file cannot be used.
    pub fn open(data: &Path, documents: Arc<dyn Documents>) -> Result<Self, OpenError> {
        let folder = data.join(FOLDER);
        let directory = DataDirectory::open(&folder)?;
        let options = LogOptions {
            // A person waits for each: no company is waited for.
            batch_max_wait: std::time::Duration::from_millis(1),
            queue_max_rows: 20_000,
            readers: 1,
            ..LogOptions::default()
        };
        let log = SqliteLog::open(&directory, options)?;
        let stream = STREAM
            .parse()
            .unwrap_or_else(|_| unreachable!("the name of the stream is accepted"));
        Ok(Self {
            log,
            documents,
            folder,
            stream,
        })
    }

    /// The log itself, for keeping it small.
    pub fn log(&self) -> &SqliteLog {
        &self.log
    }

    /// Writes an entry down; answered when it is on the disk.
    ///
    /// # Errors
    ///
    /// The log does not take it.
    pub async fn write(&self, at: Timestamp, record: &Record) -> Result<LogPosition, LogError> {
        // Words: they can always be written.
        let body = serde_json::to_vec(record).unwrap_or_default();
        let append = Append {
            stream: self.stream.clone(),
            expected: Expected::Any,
            recorded_at: at,
            body: body.into(),
        };
        let placed = self.log.append(vec![append]).await?;
        Ok(placed.first().map_or(LogPosition::ZERO, |placed| placed.position))
    }

    /// Whether it takes nothing any more.
    pub fn has_failed(&self) -> bool {
        self.log.failure().get().is_some()
    }

    /// The last entry.
    pub fn head(&self) -> LogPosition {
        self.log.head()
    }

    /// Looks through entries from one on, forward or back, as long as the visitor wants and at most [`SEARCHED_MAX`]; says where
    /// to go on. Blocks.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn search(
        &self,
        from: LogPosition,
        forward: bool,
        visitor: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<Option<LogPosition>, LogError> {
        let head = self.head();
        let mut next = from;
        let mut left = SEARCHED_MAX;
        while left > 0 && next > LogPosition::ZERO && next <= head {
            let count = READ_AT_ONCE.min(left as usize);
            let events = if forward {
                self.log.read_forward(next, count)?
            } else {
                self.log.read_backward(Some(next), count)?
            };
            let Some(last) = events.last().map(|event| event.position) else {
                return Ok(None);
            };
            left -= events.len() as u64;
            for event in events {
                let Ok(record) = serde_json::from_slice(&event.body) else {
                    continue;
                };
                let entry = Entry {
                    position: event.position,
                    at: event.recorded_at,
                    record,
                };
                if visitor(entry).is_break() {
                    return Ok(Some(event.position));
                }
            }
            next = if forward {
                last.next()
            } else {
                LogPosition(last.0 - 1)
            };
        }
        Ok((next > LogPosition::ZERO && next <= head).then_some(next))
    }

    /// Notes how far the log goes. Blocks.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or the documents not be written.
    pub fn anchor(&self, now: Timestamp) -> Result<(), AuditError> {
        let Some(anchor) = self.end()? else {
            return Ok(());
        };
        let before = self.anchored()?;
        if before.as_ref() == Some(&anchor) {
            return Ok(());
        }
        if let Some(before) = before
            && let Some(finding) = self.unlike(&before)?
        {
            // What was noted stays: it is what shows that something is missing.
            tracing::error!(finding, "the audit log is not whole");
            metrics::gauge!("muster_audit_sound").set(0.0);
            return Ok(());
        }
        // Words and numbers.
        let body = serde_json::to_vec(&anchor).unwrap_or_default();
        self.documents
            .put(ANCHOR_KIND, ANCHOR_KEY, Precondition::Any, now, &body)?;
        Ok(())
    }

    fn end(&self) -> Result<Option<Anchor>, LogError> {
        let events = self.log.read_backward(None, 1)?;
        Ok(events.first().map(|event| Anchor {
            position: event.position.0,
            sha256: hex(&Sha256::digest(&event.body)),
        }))
    }

    /// How the log differs from what was noted of it.
    fn unlike(&self, anchor: &Anchor) -> Result<Option<String>, LogError> {
        let there = self.log.read_forward(LogPosition(anchor.position), 1)?;
        Ok(match there.first() {
            None => Some(format!(
                "the log ends at entry {}; there were {}: the end is missing",
                self.head().0,
                anchor.position
            )),
            Some(event) if hex(&Sha256::digest(&event.body)) != anchor.sha256 => Some(format!(
                "entry {} is not the one that was there: the log was replaced, or its end was",
                anchor.position
            )),
            Some(_) => None,
        })
    }

    fn anchored(&self) -> Result<Option<Anchor>, AuditError> {
        let document = self.documents.get(ANCHOR_KIND, ANCHOR_KEY)?;
        Ok(document.and_then(|document| serde_json::from_slice(&document.body).ok()))
    }

    /// Checks every entry against the one before, and the end against what was noted. Blocks, and reads all of it.
    ///
    /// # Errors
    ///
    /// It cannot be read at all.
    pub fn check(&self) -> Result<Checked, AuditError> {
        let report = muster_store::verify(&self.folder, &mut |_| {})?;
        let mut findings = Vec::new();
        if let Some(bad) = &report.first_bad {
            findings.push(format!("entry {bad:?} does not fit to those before it"));
        }
        findings.extend(report.structure.iter().cloned());
        if let Some(anchor) = self.anchored()? {
            findings.extend(self.unlike(&anchor)?);
        }
        Ok(Checked {
            entries: report.events,
            head_hash: self.end()?.map(|end| end.sha256).unwrap_or_default(),
            findings,
        })
    }
}
