//! What the fleet knows: shards that own their machines, and views of them for readers.
//!
//! Begin with [`Fleet`], the handle that the gateway, the API and the live API share. Behind it, [`shard`] runs one
//! `muster_brain::shard::Shard` per task; [`stops`] asks many machines at a time to stop; [`desired`] changes what one should become; [`table`] holds the views that readers see; [`recovery`] brings everything
//! back after a restart; [`checkpoint`] keeps restarts short; [`keeping`] keeps the log
//! small; [`past`] answers for any moment that is gone.

pub mod checkpoint;
pub mod desired;
pub mod keeping;
pub mod past;
pub mod recovery;
pub mod searches;
pub mod shard;
pub mod shown;
pub mod stops;
pub mod table;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use muster_brain::Now;
use muster_brain::live::Published;
use muster_brain::shard::{
    CommandError, CommandIssued, CommandOrder, ConnectionId, ProfileChange, ProfileError,
};
use muster_model::view::Profile;
use muster_model::{LogPosition, MachineId, MachineView, StreamVersion, Timestamp};
use muster_runtime::Clock;
use muster_store::{EventLog, LocalBus};
use tokio::sync::{mpsc, oneshot};

pub use shard::ShardMessage;
use table::Table;

use crate::series::Series;

/// Things that were published together.
pub type Publications = Arc<Vec<Published>>;

/// How many publications a live connection may be behind before it misses some.
pub const BUS_BEHIND_MAX: usize = 256;
/// Messages that may wait for one shard before those who send them wait.
pub const SHARD_INBOX_MAX: usize = 4_096;

/// What the fleet knows, and the way to it. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    log: Arc<dyn EventLog>,
    series: Series,
    shards: Vec<ShardHandle>,
    bus: LocalBus<Publications>,
    past: past::Past,
    searches: searches::Searches,
    series_searches: searches::Searches,
    next_connection: AtomicU64,
    history_from: OnceLock<Timestamp>,
    shown: shown::Shown,
}

/// The way to one shard.
#[derive(Clone)]
pub struct ShardHandle {
    /// Where it takes its messages.
    pub inbox: mpsc::Sender<ShardMessage>,
    /// Its views, for readers.
    pub table: Arc<Table>,
}

/// The shard has ended: the server is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is being stopped")]
pub struct Stopping;

impl Fleet {
    /// Puts the parts together.
    pub fn new(
        clock: Clock,
        log: Arc<dyn EventLog>,
        series: Series,
        shards: Vec<ShardHandle>,
        bus: LocalBus<Publications>,
        shown: shown::Shown,
    ) -> Self {
        let past = past::Past::new(log.clone());
        Self {
            inner: Arc::new(Inner {
                clock,
                log,
                series,
                shards,
                bus,
                past,
                searches: searches::Searches::default(),
                series_searches: searches::Searches::default(),
                next_connection: AtomicU64::new(1),
                history_from: OnceLock::new(),
                shown,
            }),
        }
    }

    /// What time it is.
    pub fn now(&self) -> Now {
        now(&self.inner.clock)
    }

    /// Monotonic time in milliseconds: cheaper than [`now`](Self::now), for what is done with every message.
    pub fn mono_ms(&self) -> u64 {
        self.inner.clock.mono_ms()
    }

    /// The fleet's log.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.inner.log
    }

    /// Measurements and log lines.
    pub fn series(&self) -> &Series {
        &self.inner.series
    }

    /// What happens now, for whoever listens.
    pub fn bus(&self) -> &LocalBus<Publications> {
        &self.inner.bus
    }

    /// The fleet as it was.
    pub fn past(&self) -> &past::Past {
        &self.inner.past
    }

    /// The way to look through the log.
    pub fn searches(&self) -> &searches::Searches {
        &self.inner.searches
    }

    /// The way to look through measurements and log lines.
    pub fn series_searches(&self) -> &searches::Searches {
        &self.inner.series_searches
    }

    /// Names a connection.
    pub fn new_connection(&self) -> ConnectionId {
        ConnectionId(self.inner.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// The shard that owns a machine.
    pub fn shard_of(&self, machine: MachineId) -> &ShardHandle {
        &self.inner.shards[self.index_of(machine)]
    }

    fn index_of(&self, machine: MachineId) -> usize {
        let bytes = machine.as_bytes();
        let tail = u64::from_be_bytes([
            bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15],
        ]);
        shard_index(tail, self.inner.shards.len())
    }

    /// A new id, for whatever needs one: ordered by the time at which it was made.
    ///
    /// # Errors
    ///
    /// The operating system gave no randomness.
    pub fn new_id(&self) -> Result<uuid::Uuid, muster_runtime::clock::NoEntropy> {
        muster_runtime::clock::new_uuid(&self.inner.clock)
    }

    /// Every shard.
    pub fn shards(&self) -> &[ShardHandle] {
        &self.inner.shards
    }

    /// One machine as it is now.
    pub fn view(&self, machine: MachineId) -> Option<Arc<MachineView>> {
        self.shard_of(machine)
            .table
            .get(machine)
            .map(|row| row.view.clone())
    }

    /// Every machine as it is now, in no order.
    pub fn views(&self) -> Vec<Arc<MachineView>> {
        let mut views = Vec::new();
        for shard in &self.inner.shards {
            shard.table.collect(&mut views);
        }
        views
    }

    /// The last entry of the log. Views may be a little behind it.
    pub fn position(&self) -> LogPosition {
        self.inner.log.head()
    }

    /// The entry of the log up to which views are true that are read after this.
    pub fn shown(&self) -> LogPosition {
        self.inner.shown.position()
    }

    /// When the log begins, once that is known.
    pub fn history_from(&self) -> Option<Timestamp> {
        self.inner.history_from.get().copied()
    }

    /// The log begins at this moment. The first who says so is believed.
    pub fn set_history_from(&self, oldest: Timestamp) {
        let _ = self.inner.history_from.set(oldest);
    }

    /// Changes what people decided about a machine.
    pub async fn change_profile(
        &self,
        machine: MachineId,
        change: ProfileChange,
        expected: Option<StreamVersion>,
    ) -> Result<Result<Arc<Profile>, ProfileError>, Stopping> {
        let (reply, answer) = oneshot::channel();
        let message = ShardMessage::ChangeProfile {
            machine,
            change,
            expected,
            reply,
        };
        self.shard_of(machine)
            .inbox
            .send(message)
            .await
            .map_err(|_| Stopping)?;
        answer.await.map_err(|_| Stopping)
    }

    /// Gives a machine a command other than stop. Answered when the log has it; what the machine makes of it shows in its
    /// view.
    pub async fn command(
        &self,
        machine: MachineId,
        order: CommandOrder,
    ) -> Result<Result<CommandIssued, CommandError>, Stopping> {
        let (reply, answer) = oneshot::channel();
        let message = ShardMessage::Command {
            machine,
            order,
            reply,
        };
        let inbox = &self.shard_of(machine).inbox;
        inbox.send(message).await.map_err(|_| Stopping)?;
        answer.await.map_err(|_| Stopping)
    }
}

/// Which of so many shards. Random bits of an id are spread evenly by their remainder.
pub fn shard_index(bits: u64, shards: usize) -> usize {
    (bits % shards.max(1) as u64) as usize
}

/// What time it is, for the brain.
pub fn now(clock: &Clock) -> Now {
    Now {
        mono_ms: clock.mono_ms(),
        wall: Timestamp::from_millis(clock.wall_ms()),
    }
}
