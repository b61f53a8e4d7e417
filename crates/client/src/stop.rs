//! Remote stop of one machine, of several, or of all. What came of it shows in `last_stop` of each machine.

use muster_model::MachineId;
use muster_protocol::api::{StopMachine, StopRequest, StopsIssued};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, Request};
use crate::error::ClientError;
use crate::page::Parameters;

impl Client {
    /// Asks one machine to stop. The answer says that the stop is stored, and whether the machine was told at once.
    pub async fn stop_machine(&self, id: MachineId, body: &StopMachine) -> Result<StopsIssued, ClientError> {
        self.post(&["machines", &id.to_string(), "stop"], body).await
    }

    /// Asks several machines to stop, or all of them.
    pub async fn stop(&self, body: &StopRequest) -> Result<StopsIssued, ClientError> {
        self.post(&["stop"], body).await
    }

    pub(crate) async fn post<T: Serialize, A: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &T,
    ) -> Result<A, ClientError> {
        let request = self.prepare(Request {
            method: Method::POST,
            path,
            query: Parameters::default(),
        });
        self.send(request.json(body)).await?.document()
    }
}
