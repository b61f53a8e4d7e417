//! Rollouts on the disk: streams `rollout/ID` of the log, which are the truth, and a document for each, which says where to look and how
//! it stood when it was over. A document that is behind its stream is not believed.

use muster_brain::rollout::Rollout;
use muster_model::rollout::{Counts, MachineStage, RolloutId, RolloutRecord, RolloutState};
use muster_model::{LogPosition, StreamVersion, Timestamp};
use muster_store::{
    Append, DocumentError, Documents, EventLog, Expected, LogError, Precondition, StreamName, StreamNameError,
};
use serde::{Deserialize, Serialize};

/// The kind of the documents.
const KIND: &str = "rollout";
/// Documents that are read at once.
const PAGE: usize = 1_000;
/// Entries of a stream that are read at once.
const ENTRIES: usize = 1_000;

/// A rollout in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// What people call it.
    pub name: String,
    /// Of what.
    pub product: String,
    /// Which version.
    pub version: String,
    /// Who wrote it down.
    pub by: String,
    /// When.
    pub created_at: Timestamp,
    /// How far it is.
    pub state: RolloutState,
    /// Why, for a person.
    pub why: String,
    /// When it changed last.
    pub changed_at: Timestamp,
    /// The phase that is under way, from zero.
    pub phase: u32,
    /// How many there are.
    pub phases: u32,
    /// How its machines stand.
    pub counts: Counts,
    /// How long one of its machines took, in the middle, in milliseconds.
    #[serde(default)]
    pub typical_ms: Option<u64>,
    /// Whether nothing comes of it any more without a person.
    pub is_over: bool,
    /// How many entries its stream had then.
    pub entries: u64,
}

impl Summary {
    /// How a rollout stands.
    pub fn of(rollout: &Rollout, is_over: bool) -> Self {
        let lease_ms = i64::from(rollout.spec.pace.lease_s) * 1_000;
        let succeeded = rollout.machines.values();
        let succeeded = succeeded.filter(|progress| progress.stage == MachineStage::Succeeded);
        let mut took: Vec<i64> = succeeded
            .filter_map(|progress| {
                let began = progress.offer?.lease_until.plus_millis(-lease_ms);
                Some(progress.since.millis_since(began))
            })
            .collect();
        took.sort_unstable();
        Self {
            name: rollout.spec.shown_name(),
            product: rollout.spec.product.to_string(),
            version: rollout.spec.version.clone(),
            by: rollout.by.clone(),
            created_at: rollout.created_at,
            state: rollout.state,
            why: rollout.why.clone(),
            changed_at: rollout.changed_at,
            phase: rollout.phase,
            phases: rollout.phases.len() as u32,
            counts: rollout.counts(),
            typical_ms: took.get(took.len() / 2).and_then(|ms| u64::try_from(*ms).ok()),
            is_over,
            entries: rollout.entries,
        }
    }
}

/// A rollout that was found.
pub struct Found {
    /// Its name.
    pub id: RolloutId,
    /// In short.
    pub summary: Summary,
    /// Whole, where it is not over.
    pub rollout: Option<Rollout>,
}

/// Why a rollout cannot be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// Documents cannot be read or written.
    #[error("the list of rollouts cannot be read or written")]
    Documents(#[from] DocumentError),
    /// An entry is none that this version knows.
    #[error("entry {position} of the log, of rollout {id}, cannot be understood by this version")]
    Entry {
        /// Which rollout.
        id: RolloutId,
        /// Which entry.
        position: LogPosition,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A name cannot be that of a stream.
    #[error(transparent)]
    Name(#[from] StreamNameError),
}

/// The stream of a rollout.
pub fn stream(id: &RolloutId) -> Result<StreamName, StreamNameError> {
    format!("rollout/{id}").parse()
}

/// All that the log has of a rollout, the first first. Blocks.
///
/// # Errors
///
/// The log cannot be read, or an entry cannot be understood.
pub fn records(log: &dyn EventLog, id: &RolloutId) -> Result<Vec<RolloutRecord>, KeepError> {
    let stream = stream(id)?;
    let mut records = Vec::new();
    let mut from = None;
    loop {
        let events = log.read_stream_backward(&stream, from, ENTRIES)?;
        let Some(last) = events.last() else { break };
        from = Some(last.previous);
        let is_first = last.previous == LogPosition::ZERO;
        for event in events {
            let record = serde_json::from_slice(&event.body).map_err(|source| KeepError::Entry {
                id: id.clone(),
                position: event.position,
                source,
            })?;
            records.push(record);
        }
        if is_first {
            break;
        }
    }
    records.reverse();
    Ok(records)
}

/// Every rollout, as it stands. Blocks.
///
/// # Errors
///
/// Log or documents cannot be read.
pub fn find(documents: &dyn Documents, log: &dyn EventLog) -> Result<Vec<Found>, KeepError> {
    let mut all = Vec::new();
    let mut after = None::<String>;
    loop {
        let page = documents.list(KIND, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = Some(last.key.clone());
        for document in page {
            let Ok(id) = document.key.parse::<RolloutId>() else {
                continue;
            };
            let Some(head) = log.stream_head(&stream(&id)?) else {
                // It was listed and never came into the log: nobody was told of it.
                continue;
            };
            let summary = serde_json::from_slice::<Option<Summary>>(&document.body)
                .ok()
                .flatten();
            let is_true = |summary: &Summary| summary.is_over && summary.entries == head.version.0;
            if let Some(summary) = summary.filter(is_true) {
                let rollout = None;
                all.push(Found { id, summary, rollout });
                continue;
            }
            if let Some(rollout) = Rollout::fold(&records(log, &id)?) {
                let summary = Summary::of(&rollout, false);
                let rollout = Some(rollout);
                all.push(Found { id, summary, rollout });
            }
        }
    }
}

/// Notes a rollout in the list: before its first entry without a summary. Blocks.
///
/// # Errors
///
/// The store.
pub fn note(
    documents: &dyn Documents,
    id: &RolloutId,
    summary: Option<&Summary>,
    now: Timestamp,
) -> Result<(), KeepError> {
    let precondition = match summary {
        Some(_) => Precondition::Any,
        None => Precondition::Absent,
    };
    // Words and numbers can always be written.
    let body = serde_json::to_vec(&summary).unwrap_or_default();
    documents.put(KIND, id.as_str(), precondition, now, &body)?;
    Ok(())
}

/// Records as the log takes them, behind so many that it has.
///
/// # Errors
///
/// The name cannot be that of a stream.
pub fn batch(id: &RolloutId, entries: u64, records: &[RolloutRecord]) -> Result<Vec<Append>, KeepError> {
    let stream = stream(id)?;
    let append = |(version, record): (u64, &RolloutRecord)| Append {
        stream: stream.clone(),
        expected: Expected::Version(StreamVersion(version)),
        recorded_at: record.at,
        body: serde_json::to_vec(record).unwrap_or_default().into(),
    };
    Ok((entries..).zip(records).map(append).collect())
}
