//! Keeps restarts short: now and then the changed views go into the store as snapshots.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_model::{LogPosition, MachineId, MachineView};
use muster_runtime::Shutdown;
use muster_store::StreamName;
use tokio::sync::oneshot;

use super::{Fleet, ShardMessage, Stopping};

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A checkpoint after so many entries …
const ENTRIES: u64 = 20_000;
/// … or after so long, if there were any. Each checkpoint keeps a snapshot of every machine that changed, for good: more
/// of them would save a few milliseconds of a restart and cost megabytes a month.
const AT_LEAST_EVERY_MS: u64 = 600_000;

/// Why no checkpoint was made.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The server ends.
    #[error(transparent)]
    Stopping(#[from] Stopping),
    /// A view cannot be written.
    #[error("a view cannot be written")]
    View(#[from] serde_json::Error),
    /// The store did not take it.
    #[error("the store did not take the checkpoint")]
    Store(#[from] muster_store::LogError),
}

/// Makes checkpoints, one after the other.
pub struct Checkpoints {
    fleet: Fleet,
    last: LogPosition,
    /// Views that no checkpoint took yet: shards give each change once, so a failure must not lose it.
    unsaved: BTreeMap<MachineId, MachineView>,
}

impl Checkpoints {
    /// The checkpoint that was last made stands at `last`. `views` is the fleet as it was rebuilt: what changed after that
    /// checkpoint is in no snapshot, and the next checkpoint must have it also if it does not change again until then.
    pub fn new(fleet: Fleet, last: LogPosition, views: impl IntoIterator<Item = MachineView>) -> Self {
        let changed = views.into_iter().filter(|view| view.position > last);
        Self {
            fleet,
            last,
            unsaved: changed.map(|view| (view.id, view)).collect(),
        }
    }

    /// Makes checkpoints until the server ends, and gives itself back for a last one.
    pub async fn run(mut self, shutdown: Shutdown) -> Self {
        let mut last_ms = self.fleet.now().mono_ms;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shutdown.requested() => return self,
            }
            let new = self.fleet.position().0.saturating_sub(self.last.0);
            let now_ms = self.fleet.now().mono_ms;
            if new >= ENTRIES || (new > 0 && now_ms >= last_ms + AT_LEAST_EVERY_MS) {
                last_ms = now_ms;
                if let Err(error) = self.make().await {
                    // The log is whole without it: the next restart takes longer.
                    tracing::warn!(error = %muster_runtime::errors::chain(&error), "no checkpoint");
                }
            }
        }
    }

    /// Makes one checkpoint of all that changed since the one before.
    pub async fn make(&mut self) -> Result<(), CheckpointError> {
        if self.fleet.position() == self.last {
            return Ok(());
        }
        // The log goes on while shards are asked one after the other. So all of them stop folding for a moment, and only
        // then the position is taken: nothing that any of them folded in lies behind it.
        let mut asked = Vec::new();
        for shard in self.fleet.shards() {
            let (held, holds) = oneshot::channel();
            let (release, position) = oneshot::channel();
            let (reply, answer) = oneshot::channel();
            let message = ShardMessage::Checkpoint {
                held,
                position,
                reply,
            };
            shard.inbox.send(message).await.map_err(|_| Stopping)?;
            asked.push((holds, release, answer));
        }
        let mut answers = Vec::with_capacity(asked.len());
        for (holds, release, answer) in asked {
            holds.await.map_err(|_| Stopping)?;
            answers.push((release, answer));
        }
        let position = self.fleet.position();
        let mut awaited = Vec::with_capacity(answers.len());
        for (release, answer) in answers {
            release.send(position).map_err(|_| Stopping)?;
            awaited.push(answer);
        }
        for answer in awaited {
            let views = answer.await.map_err(|_| Stopping)?;
            self.unsaved.extend(views.into_iter().map(|view| (view.id, view)));
        }
        let mut rows = Vec::with_capacity(self.unsaved.len());
        for view in self.unsaved.values() {
            rows.push((StreamName::machine(view.id), view.to_snapshot()?));
        }
        let (recorded_at, log) = (self.fleet.now().wall, self.fleet.log().clone());
        // Packing ten thousand views takes a while.
        let saved =
            tokio::task::spawn_blocking(move || log.save_checkpoint(position, recorded_at, rows).wait());
        saved.await.map_err(|_| Stopping)??;
        tracing::debug!(%position, machines = self.unsaved.len(), "checkpoint");
        self.last = position;
        self.unsaved.clear();
        Ok(())
    }
}
