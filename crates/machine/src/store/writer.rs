//! The thread that writes: takes what waits, puts it into one transaction, and answers after the commit.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use muster_model::{BootId, MachineId, RecordNumber, SessionNumber, Timestamp};
use muster_reflex::link::{Kept, Remembered, StoredRecord};
use muster_reflex::safety;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::nodes::desired::held_in;

use super::record::{self, Row, read};
use super::{DESIRED, Opened, Progress, StoreError, StoreOptions, Tenant, Trouble, directory, schema};

/// The store's file in the data directory.
const FILE: &str = "machine.sqlite";
/// Changes in one commit.
const BATCH_MAX: usize = 1_000;
/// Prepared statements that are kept.
const STATEMENTS_MAX: usize = 32;

/// Something to be done.
#[derive(Debug)]
pub(super) enum Job {
    Identity {
        candidate: MachineId,
        reply: oneshot::Sender<MachineId>,
    },
    Open {
        id: MachineId,
        progress: watch::Sender<Progress>,
        reply: oneshot::Sender<(Tenant, Opened)>,
    },
    Safety {
        id: MachineId,
        reply: oneshot::Sender<Option<safety::Kept>>,
    },
    KeepSafety {
        id: MachineId,
        kept: safety::Kept,
        reply: oneshot::Sender<()>,
    },
    Document {
        id: MachineId,
        name: &'static str,
        reply: oneshot::Sender<Option<String>>,
    },
    KeepDocument {
        id: MachineId,
        name: &'static str,
        text: String,
        reply: oneshot::Sender<()>,
    },
    Persist {
        tenant: Tenant,
        row: Row,
        remember: Option<Remembered>,
    },
    Trim {
        tenant: Tenant,
        record: RecordNumber,
    },
    Session {
        tenant: Tenant,
        session: SessionNumber,
    },
    Began {
        tenant: Tenant,
        boot_id: BootId,
    },
    State {
        tenant: Tenant,
        state: String,
        at: Timestamp,
    },
    Ended {
        tenant: Tenant,
        reply: oneshot::Sender<()>,
    },
    Load {
        tenant: Tenant,
        from: RecordNumber,
        limit: usize,
        reply: oneshot::Sender<Vec<StoredRecord>>,
    },
}

impl Job {
    /// Whether nobody waits for it: it may wait for company, and be done again after a power cut.
    pub(super) const fn is_lazy(&self) -> bool {
        match self {
            Self::Trim { .. } | Self::Session { .. } | Self::State { .. } => true,
            Self::Identity { .. }
            | Self::Open { .. }
            | Self::Safety { .. }
            | Self::KeepSafety { .. }
            | Self::Document { .. }
            | Self::KeepDocument { .. }
            | Self::Persist { .. }
            | Self::Began { .. }
            | Self::Ended { .. }
            | Self::Load { .. } => false,
        }
    }

    const fn tenant(&self) -> Option<Tenant> {
        match self {
            Self::Identity { .. }
            | Self::Open { .. }
            | Self::Safety { .. }
            | Self::KeepSafety { .. }
            | Self::Document { .. }
            | Self::KeepDocument { .. } => None,
            Self::Persist { tenant, .. }
            | Self::Trim { tenant, .. }
            | Self::Session { tenant, .. }
            | Self::Began { tenant, .. }
            | Self::State { tenant, .. }
            | Self::Ended { tenant, .. }
            | Self::Load { tenant, .. } => Some(*tenant),
        }
    }
}

/// What a job brought, to be told after the commit.
enum Outcome {
    Done,
    Identity(MachineId),
    Opened(i64, Opened),
    Loaded(Vec<StoredRecord>),
    Safety(Option<safety::Kept>),
    Document(Option<String>),
}

struct Handle {
    epoch: u64,
    progress: watch::Sender<Progress>,
}

pub(super) struct Writer {
    connection: Connection,
    options: StoreOptions,
    handles: HashMap<i64, Handle>,
    slots: HashMap<MachineId, i64>,
    epochs: u64,
    /// Changes that somebody waits for, handed in and not carried out yet.
    waiting: Arc<AtomicUsize>,
    /// Held for its lock.
    _lock: File,
    /// Dropped last: then the store is closed.
    health: watch::Sender<Option<Arc<StoreError>>>,
}

impl Writer {
    /// Opens the file and starts the thread.
    pub(super) fn start(
        path: &Path,
        options: StoreOptions,
        jobs: mpsc::Receiver<Job>,
        waiting: Arc<AtomicUsize>,
    ) -> Result<watch::Receiver<Option<Arc<StoreError>>>, StoreError> {
        let lock = directory::take(path)?;
        let connection = schema::open(&path.join(FILE), &options)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        let (health, healthy) = watch::channel(None);
        let writer = Self {
            connection,
            options,
            handles: HashMap::new(),
            slots: HashMap::new(),
            epochs: 0,
            waiting,
            _lock: lock,
            health,
        };
        let thread_failed = |source| StoreError::Directory {
            path: path.to_owned(),
            doing: "given a thread that writes it",
            source,
        };
        // Waiting with a time limit needs a runtime; blocking in it is right, because it has nothing else to do.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(thread_failed)?;
        std::thread::Builder::new()
            .name("machine-store".into())
            .stack_size(512 * 1024)
            .spawn(move || runtime.block_on(writer.run(jobs)))
            .map_err(thread_failed)?;
        Ok(healthy)
    }

    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch: Vec<Job> = Vec::new();
        loop {
            let open = self.gather(&mut jobs, &mut batch).await;
            let awaited = batch.iter().filter(|job| !job.is_lazy()).count();
            if let Err(error) = self.write_out(&mut batch).await {
                self.fail(error);
                return; // and whoever waits for an answer sees the channel closed
            }
            self.waiting.fetch_sub(awaited, Ordering::Release);
            if !open {
                return;
            }
        }
    }

    /// Waits for work and takes all that is there. False once nobody can send any more.
    async fn gather(&self, jobs: &mut mpsc::Receiver<Job>, batch: &mut Vec<Job>) -> bool {
        let Some(first) = jobs.recv().await else {
            return false;
        };
        let until = Instant::now() + Duration::from_millis(self.options.lazy_ms);
        let mut lazy = first.is_lazy();
        batch.push(first);
        while batch.len() < BATCH_MAX {
            let next = match jobs.try_recv() {
                Ok(job) => Some(job),
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
                Err(mpsc::error::TryRecvError::Empty) if !lazy => return true,
                Err(mpsc::error::TryRecvError::Empty) => match timeout_at(until, jobs.recv()).await {
                    Ok(Some(job)) => Some(job),
                    Ok(None) => return false,
                    Err(_) => return true,
                },
            };
            if let Some(job) = next {
                lazy &= job.is_lazy();
                batch.push(job);
            }
        }
        true
    }

    /// Commits a batch, waiting out a full disk.
    async fn write_out(&mut self, batch: &mut Vec<Job>) -> Result<(), StoreError> {
        // What a replaced handle sends late must not overwrite what its successor sent.
        let mut reopened = Vec::new();
        batch.retain(|job| match job {
            Job::Open { id, .. } => {
                reopened.extend(self.slots.get(id).copied());
                true
            }
            _ => job
                .tenant()
                .is_none_or(|tenant| self.is_current(tenant) && !reopened.contains(&tenant.slot)),
        });
        if batch.is_empty() {
            return Ok(());
        }
        loop {
            match self.commit(batch) {
                Ok(outcomes) => {
                    for (job, outcome) in batch.drain(..).zip(outcomes) {
                        self.answer(job, outcome);
                    }
                    batch.shrink_to(64);
                    return Ok(());
                }
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                    if !self.connection.is_autocommit() {
                        // After a full disk SQLite may have rolled back itself; then there is nothing to roll back.
                        let _ = self.connection.execute_batch("ROLLBACK");
                    }
                    tracing::error!(%error, "the disk is full: nothing can be kept until there is room");
                    self.trouble(batch, &Trouble::Full(error.to_string()));
                    tokio::time::sleep(Duration::from_millis(self.options.full_retry_ms)).await;
                }
                Err(error) => return Err(StoreError::Write(error)),
            }
        }
    }

    fn commit(&mut self, batch: &[Job]) -> Result<Vec<Outcome>, rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        let outcomes = batch
            .iter()
            .map(|job| apply(&transaction, job))
            .collect::<Result<Vec<_>, _>>()?;
        transaction.commit()?;
        Ok(outcomes)
    }

    fn answer(&mut self, job: Job, outcome: Outcome) {
        // Whoever asked may be gone; then nobody needs the answer.
        match (job, outcome) {
            (Job::Identity { reply, .. }, Outcome::Identity(id)) => drop(reply.send(id)),
            (Job::Open { id, progress, reply }, Outcome::Opened(slot, opened)) => {
                self.slots.insert(id, slot);
                self.epochs += 1;
                let epoch = self.epochs;
                let persisted = opened.kept.highest_record;
                progress.send_modify(|progress| progress.persisted = persisted);
                self.handles.insert(slot, Handle { epoch, progress });
                let _ = reply.send((Tenant { slot, epoch }, opened));
            }
            (Job::Persist { tenant, row, .. }, _) => {
                if let Some(handle) = self.handles.get(&tenant.slot) {
                    handle.progress.send_modify(|progress| {
                        progress.persisted = RecordNumber(row.record as u64);
                        progress.trouble = None;
                    });
                }
            }
            (
                Job::Ended { reply, .. } | Job::KeepSafety { reply, .. } | Job::KeepDocument { reply, .. },
                _,
            ) => drop(reply.send(())),
            (Job::Document { reply, .. }, Outcome::Document(text)) => drop(reply.send(text)),
            (Job::Safety { reply, .. }, Outcome::Safety(kept)) => drop(reply.send(kept)),
            (Job::Load { reply, .. }, Outcome::Loaded(records)) => drop(reply.send(records)),
            (_, _) => {}
        }
    }

    fn is_current(&self, tenant: Tenant) -> bool {
        self.handles
            .get(&tenant.slot)
            .is_some_and(|handle| handle.epoch == tenant.epoch)
    }

    fn trouble(&self, batch: &[Job], trouble: &Trouble) {
        for tenant in batch.iter().filter_map(Job::tenant) {
            if let Some(handle) = self.handles.get(&tenant.slot) {
                handle
                    .progress
                    .send_modify(|progress| progress.trouble = Some(trouble.clone()));
            }
        }
    }

    fn fail(&mut self, error: StoreError) {
        tracing::error!(error = %muster_runtime::errors::chain(&error), "the store stops: nothing is acknowledged any more");
        let error = Arc::new(error);
        for handle in self.handles.values() {
            let trouble = Trouble::Failed(error.clone());
            handle
                .progress
                .send_modify(|progress| progress.trouble = Some(trouble));
        }
        self.health.send_replace(Some(error));
    }
}

fn apply(connection: &Connection, job: &Job) -> Result<Outcome, rusqlite::Error> {
    let run = |sql, parameters: &[&dyn rusqlite::ToSql]| {
        connection
            .prepare_cached(sql)?
            .execute(parameters)
            .map(|_| Outcome::Done)
    };
    match job {
        Job::Identity { candidate, .. } => {
            run(
                "INSERT INTO meta (key, value) VALUES ('machine_id', ?1) ON CONFLICT DO NOTHING",
                &[candidate.as_bytes()],
            )?;
            let sql = "SELECT value FROM meta WHERE key = 'machine_id'";
            let bytes: [u8; 16] = connection.query_row(sql, [], |row| row.get(0))?;
            Ok(Outcome::Identity(MachineId::from_uuid(uuid::Uuid::from_bytes(
                bytes,
            ))))
        }
        Job::Open { id, .. } => open(connection, *id),
        Job::Safety { id, .. } => {
            let mut select = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
            let bytes: Option<Vec<u8>> = select.query_row([safety_key(*id)], |row| row.get(0)).optional()?;
            Ok(Outcome::Safety(bytes.as_deref().map(record::safety_of)))
        }
        Job::KeepSafety { id, kept, .. } => run(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
            &[&safety_key(*id), &record::safety_bytes(*kept).as_slice()],
        ),
        Job::Document { id, name, .. } => document(connection, *id, name).map(Outcome::Document),
        Job::KeepDocument { id, name, text, .. } => run(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
            &[&document_key(*id, name), &text.as_bytes()],
        ),
        Job::Persist {
            tenant,
            row,
            remember,
        } => {
            if let Some(command) = remember {
                run(
                    "INSERT INTO command (slot, id, expires_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    &[&tenant.slot, &command.id, &command.expires.as_millis()],
                )?;
                // What is refused for its age anyway need not be remembered; an hour covers a clock that is off.
                run(
                    "DELETE FROM command WHERE slot = ?1 AND expires_ms < ?2",
                    &[&tenant.slot, &(row.at_ms - 3_600_000)],
                )?;
            }
            run(
                "INSERT INTO outbox (slot, record, at_ms, kind, body) VALUES (?1, ?2, ?3, ?4, ?5)",
                &[&tenant.slot, &row.record, &row.at_ms, &row.kind, &row.body],
            )
        }
        Job::Trim { tenant, record } => {
            let record = record.0 as i64;
            run(
                "DELETE FROM outbox WHERE slot = ?1 AND record <= ?2",
                &[&tenant.slot, &record],
            )?;
            run(
                "UPDATE machine SET settled = max(settled, ?2) WHERE slot = ?1",
                &[&tenant.slot, &record],
            )
        }
        Job::Session { tenant, session } => run(
            "UPDATE machine SET session = ?2 WHERE slot = ?1",
            &[&tenant.slot, &(session.0 as i64)],
        ),
        Job::Began { tenant, boot_id } => run(
            "UPDATE machine SET boot_id = ?2, ended_in_order = 0 WHERE slot = ?1",
            &[&tenant.slot, boot_id.as_bytes()],
        ),
        Job::State { tenant, state, at } => run(
            "UPDATE machine SET state = ?2, state_at_ms = ?3 WHERE slot = ?1",
            &[&tenant.slot, state, &at.as_millis()],
        ),
        Job::Ended { tenant, .. } => run(
            "UPDATE machine SET ended_in_order = 1 WHERE slot = ?1",
            &[&tenant.slot],
        ),
        Job::Load {
            tenant, from, limit, ..
        } => load(connection, *tenant, *from, *limit).map(Outcome::Loaded),
    }
}

fn safety_key(id: MachineId) -> String {
    format!("safety/{id}")
}

fn document_key(id: MachineId, name: &str) -> String {
    format!("{name}/{id}")
}

fn document(connection: &Connection, id: MachineId, name: &str) -> Result<Option<String>, rusqlite::Error> {
    let mut select = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let bytes: Option<Vec<u8>> = select
        .query_row([document_key(id, name)], |row| row.get(0))
        .optional()?;
    // What is no text was not written here; then it is as good as nothing.
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

fn open(connection: &Connection, id: MachineId) -> Result<Outcome, rusqlite::Error> {
    let mut insert =
        connection.prepare_cached("INSERT INTO machine (id) VALUES (?1) ON CONFLICT DO NOTHING")?;
    insert.execute([id.as_bytes()])?;
    let mut select = connection.prepare_cached(
        "SELECT slot, settled, session, boot_id, ended_in_order, state FROM machine WHERE id = ?1",
    )?;
    let (slot, settled, session, boot_id, ended_in_order, state) =
        select.query_row([id.as_bytes()], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, Option<[u8; 16]>>(3)?,
                row.get::<_, bool>(4)?,
                row.get::<_, Option<String>>(5)?,
            ))
        })?;
    let mut highest = connection.prepare_cached("SELECT max(record) FROM outbox WHERE slot = ?1")?;
    let highest: Option<i64> = highest.query_row([slot], |row| row.get(0)).optional()?.flatten();
    let mut commands = connection.prepare_cached("SELECT id, expires_ms FROM command WHERE slot = ?1")?;
    let commands = commands.query_map([slot], |row| {
        Ok(Remembered {
            id: row.get(0)?,
            expires: Timestamp::from_millis(row.get(1)?),
        })
    })?;
    let kept = Kept {
        highest_record: RecordNumber(highest.unwrap_or(0).max(settled) as u64),
        settled: RecordNumber(settled as u64),
        last_session: SessionNumber(session as u64),
        commands: commands.collect::<Result<_, _>>()?,
        desired_version: held_in(document(connection, id, DESIRED)?.as_deref()).version,
    };
    let opened = Opened {
        kept,
        last_boot: boot_id.map(|bytes| BootId::from_uuid(uuid::Uuid::from_bytes(bytes))),
        ended_in_order,
        // A state of another version is no reason to stop: it is only what was.
        last_state: state.and_then(|text| serde_json::from_str(&text).ok()),
    };
    Ok(Outcome::Opened(slot, opened))
}

fn load(
    connection: &Connection,
    tenant: Tenant,
    from: RecordNumber,
    limit: usize,
) -> Result<Vec<StoredRecord>, rusqlite::Error> {
    let mut select = connection.prepare_cached(
        "SELECT record, at_ms, kind, body FROM outbox WHERE slot = ?1 AND record >= ?2 ORDER BY record LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = select.query_map(params![tenant.slot, from.0 as i64, limit], |row| {
        let (kind, body) = (row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_str()?);
        Ok(read(row.get(0)?, row.get(1)?, kind, body))
    })?;
    let records: Result<Vec<_>, _> = rows.collect();
    Ok(records?.into_iter().flatten().collect())
}
