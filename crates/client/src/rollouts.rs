//! Rollouts, and the stop of all updates.

use muster_model::MachineId;
use muster_protocol::api::{
    NewRollout, Rollout, RolloutDecision, RolloutHistory, RolloutMachinePage, RolloutPage, RolloutPlan,
    UpdatesStanding, UpdatesStop, UpdatesStopped,
};

use crate::client::Client;
use crate::error::ClientError;
use crate::page::Parameters;

impl Client {
    /// What a rollout would do. Nothing is kept.
    pub async fn plan_rollout(&self, body: &NewRollout) -> Result<RolloutPlan, ClientError> {
        self.post(&["rollouts", "plan"], body).await
    }

    /// Writes a rollout down, planned.
    pub async fn create_rollout(&self, body: &NewRollout) -> Result<Rollout, ClientError> {
        self.post(&["rollouts"], body).await
    }

    /// A page of rollouts, the newest first.
    pub async fn rollouts(&self, cursor: Option<&str>) -> Result<RolloutPage, ClientError> {
        self.get(
            &["rollouts"],
            Parameters::default().with("cursor", cursor.as_ref()),
        )
        .await
    }

    /// One rollout.
    pub async fn rollout(&self, id: &str) -> Result<Rollout, ClientError> {
        self.get(&["rollouts", id], Parameters::default()).await
    }

    /// A page of its machines, by id.
    pub async fn rollout_machines(
        &self,
        id: &str,
        cursor: Option<&str>,
    ) -> Result<RolloutMachinePage, ClientError> {
        let query = Parameters::default().with("cursor", cursor.as_ref());
        self.get(&["rollouts", id, "machines"], query).await
    }

    /// What the log says of a rollout, or of one machine of it.
    pub async fn rollout_history(
        &self,
        id: &str,
        machine: Option<MachineId>,
    ) -> Result<RolloutHistory, ClientError> {
        let query = Parameters::default().with("machine", machine.as_ref());
        self.get(&["rollouts", id, "history"], query).await
    }

    /// Decides about a rollout: `approve`, `start`, `pause` …
    pub async fn decide_rollout(
        &self,
        id: &str,
        act: &str,
        body: &RolloutDecision,
    ) -> Result<Rollout, ClientError> {
        self.post(&["rollouts", id, act], body).await
    }

    /// Tells machines to begin no update any more.
    pub async fn stop_updates(&self, body: &UpdatesStop) -> Result<UpdatesStopped, ClientError> {
        self.post(&["updates", "stop"], body).await
    }

    /// Lets updates go on.
    pub async fn resume_updates(&self, body: &UpdatesStop) -> Result<UpdatesStopped, ClientError> {
        self.post(&["updates", "resume"], body).await
    }

    /// Whether updates are stopped, machine by machine.
    pub async fn updates_stop(&self) -> Result<UpdatesStanding, ClientError> {
        self.get(&["updates", "stop"], Parameters::default()).await
    }
}
