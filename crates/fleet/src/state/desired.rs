//! Changes of what a machine should become: to the shard that owns it, and the answer back.

use std::collections::BTreeMap;

use muster_brain::shard::{DesiredChange, DesiredResult, RequestId};
use muster_model::{DesiredVersion, MachineId};
use tokio::sync::oneshot;

use super::{Fleet, ShardMessage, Stopping};

/// A shard's requests that are not answered yet.
pub(super) type Replies = BTreeMap<RequestId, oneshot::Sender<DesiredResult>>;

impl Fleet {
    /// Changes one section of what a machine should become. Answered when the log has it; what the machine makes of it shows in
    /// its reported state.
    pub async fn change_desired(
        &self,
        machine: MachineId,
        change: DesiredChange,
        expected: Option<DesiredVersion>,
    ) -> Result<DesiredResult, Stopping> {
        let (reply, answer) = oneshot::channel();
        let message = ShardMessage::ChangeDesired {
            machine,
            change,
            expected,
            reply,
        };
        let inbox = &self.shard_of(machine).inbox;
        inbox.send(message).await.map_err(|_| Stopping)?;
        answer.await.map_err(|_| Stopping)
    }
}
