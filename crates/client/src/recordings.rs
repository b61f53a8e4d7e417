//! Recordings of machines: which there are, and those that are on the server.

use muster_model::MachineId;
use muster_protocol::api::MachineRecordings;
use reqwest::Method;

use crate::client::{Client, Request};
use crate::error::ClientError;
use crate::page::Parameters;

impl Client {
    /// The recordings of a machine, on its disk and on the server, and how those fare that are on their way.
    pub async fn recordings(&self, id: MachineId) -> Result<MachineRecordings, ClientError> {
        self.get(
            &["machines", &id.to_string(), "recordings"],
            Parameters::default(),
        )
        .await
    }

    /// Downloads a recording that is on the server, piece by piece; `take` may refuse to go on. There is no limit for the whole: each piece
    /// must come within the time for a request.
    pub async fn download_recording<E: From<ClientError>>(
        &self,
        id: MachineId,
        file: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let id = id.to_string();
        let path = ["machines", &id, "recordings", file];
        let limit = self.options().request_timeout;
        let failed = |source| ClientError::from_http(source, self.address(), limit);
        let late = |_| ClientError::TimedOut {
            address: self.address().to_owned(),
            after: limit,
        };
        let asked = self.prepare(Request::get(&path, Parameters::default())).send();
        let mut response = tokio::time::timeout(limit, asked)
            .await
            .map_err(late)?
            .map_err(failed)?;
        if !response.status().is_success() {
            return match self.read(response).await?.accepted() {
                Err(error) => Err(error.into()),
                Ok(answer) => Err(answer.odd("it is no recording".to_owned()).into()),
            };
        }
        let mut bytes = 0;
        loop {
            let piece = tokio::time::timeout(limit, response.chunk());
            match piece.await.map_err(late)?.map_err(failed)? {
                None => return Ok(bytes),
                Some(piece) => {
                    bytes += piece.len() as u64;
                    take(&piece)?;
                }
            }
        }
    }

    /// Removes a recording from the server. What the machine has stays there.
    pub async fn remove_recording(&self, id: MachineId, file: &str) -> Result<(), ClientError> {
        let id = id.to_string();
        let path = ["machines", &id, "recordings", file];
        let request = self.prepare(Request {
            method: Method::DELETE,
            path: &path,
            query: Parameters::default(),
        });
        self.send(request).await.map(drop)
    }
}
