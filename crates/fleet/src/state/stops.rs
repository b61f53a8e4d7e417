//! Stops that people ask for, many machines at a time: spread over the shards, and gathered again.
//!
//! A shard answers for each machine by itself; [`Replies`] keeps a request together until all of its machines are
//! answered for.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use muster_brain::shard::{CommandIssued, RequestId, StopError, StopOrder};
use muster_model::MachineId;
use tokio::sync::oneshot;

use super::{Fleet, ShardMessage, Stopping};

/// Machines that a shard is asked to stop in one message: a turn of it stays short, and the log takes them in one go. A
/// larger selection is asked piece by piece.
pub const STOP_PIECE_MAX: usize = 1_000;

/// What became of the stop of each machine.
pub type StopResults = Vec<(MachineId, Result<CommandIssued, StopError>)>;

/// A shard's requests whose machines are not all answered for.
#[derive(Default)]
pub(super) struct Replies {
    open: BTreeMap<RequestId, Gathering>,
}

struct Gathering {
    missing: usize,
    results: StopResults,
    reply: oneshot::Sender<StopResults>,
}

impl Replies {
    /// So many machines are asked in this request.
    pub(super) fn expect(
        &mut self,
        request: RequestId,
        machines: usize,
        reply: oneshot::Sender<StopResults>,
    ) {
        let gathering = Gathering {
            missing: machines,
            results: Vec::with_capacity(machines),
            reply,
        };
        self.open.insert(request, gathering);
    }

    /// One machine is answered for.
    pub(super) fn add(
        &mut self,
        request: RequestId,
        machine: MachineId,
        result: Result<CommandIssued, StopError>,
    ) {
        let Some(gathering) = self.open.get_mut(&request) else {
            return;
        };
        gathering.results.push((machine, result));
        if gathering.results.len() >= gathering.missing
            && let Some(done) = self.open.remove(&request)
        {
            // Who asked may be gone.
            let _ = done.reply.send(done.results);
        }
    }
}

impl Fleet {
    /// Asks machines to stop, in this order where one shard has several of them. Answered when the log has it; what the
    /// machines make of it shows in their views.
    pub async fn stop(&self, orders: Vec<(MachineId, StopOrder)>) -> StopResults {
        let mut by_shard: Vec<Vec<(MachineId, StopOrder)>> =
            self.shards().iter().map(|_| Vec::new()).collect();
        for (machine, order) in orders {
            by_shard[self.index_of(machine)].push((machine, order));
        }
        let asked = by_shard
            .into_iter()
            .enumerate()
            .filter(|(_, orders)| !orders.is_empty());
        let results = join_all(asked.map(|(shard, orders)| self.stop_in(shard, orders))).await;
        results.into_iter().flatten().collect()
    }

    /// The same for the machines of one shard, piece by piece.
    async fn stop_in(&self, shard: usize, mut orders: Vec<(MachineId, StopOrder)>) -> StopResults {
        let mut all = Vec::with_capacity(orders.len());
        while !orders.is_empty() {
            let rest = orders.split_off(orders.len().min(STOP_PIECE_MAX));
            let piece = std::mem::replace(&mut orders, rest);
            let machines: Vec<MachineId> = piece.iter().map(|(machine, _)| *machine).collect();
            match self.stop_piece(shard, piece).await {
                Ok(results) => all.extend(results),
                // What was stopped before is said all the same.
                Err(Stopping) => {
                    let left = machines
                        .into_iter()
                        .chain(orders.drain(..).map(|(machine, _)| machine));
                    all.extend(left.map(|machine| (machine, Err(StopError::Stopping))));
                }
            }
        }
        all
    }

    async fn stop_piece(
        &self,
        shard: usize,
        orders: Vec<(MachineId, StopOrder)>,
    ) -> Result<StopResults, Stopping> {
        let (reply, answer) = oneshot::channel();
        let message = ShardMessage::Stop { orders, reply };
        let inbox = &self.shards()[shard].inbox;
        inbox.send(message).await.map_err(|_| Stopping)?;
        answer.await.map_err(|_| Stopping)
    }
}
