//! What people want a machine to become, and how far it says it is.

use muster_model::MachineId;
use muster_protocol::api::{Desired, DesiredChange, DesiredHistory};
use reqwest::Method;
use reqwest::header::IF_MATCH;

use crate::client::{Client, Request};
use crate::error::ClientError;
use crate::page::Parameters;
use crate::profile::{Etag, Precondition, Versioned, etag};

const DESIRED: &str = "desired";

impl Client {
    /// What is desired of a machine, and how far it says it is.
    pub async fn desired(&self, id: MachineId) -> Result<Versioned<Desired>, ClientError> {
        let id = id.to_string();
        let path = ["machines", &id, DESIRED];
        let request = self.prepare(Request::get(&path, Parameters::default()));
        let answer = self.send(request).await?;
        Ok(Versioned {
            value: answer.document()?,
            etag: etag(&answer),
        })
    }

    /// Desires a section. The answer says that it is stored, and the machine told if it is in session.
    pub async fn put_desired(
        &self,
        id: MachineId,
        section: &str,
        change: &DesiredChange,
        condition: Precondition<'_>,
    ) -> Result<Versioned<Desired>, ClientError> {
        self.change_desired(
            id,
            section,
            Method::PUT,
            Parameters::default(),
            Some(change),
            condition,
        )
        .await
    }

    /// Desires a section no more.
    pub async fn delete_desired(
        &self,
        id: MachineId,
        section: &str,
        reason: &str,
        condition: Precondition<'_>,
    ) -> Result<Versioned<Desired>, ClientError> {
        let query = Parameters::default().with("reason", Some(&reason));
        self.change_desired(id, section, Method::DELETE, query, None, condition)
            .await
    }

    /// The last changes of a section, newest first.
    pub async fn desired_history(&self, id: MachineId, section: &str) -> Result<DesiredHistory, ClientError> {
        let id = id.to_string();
        let path = ["machines", &id, DESIRED, section, "history"];
        self.get(&path, Parameters::default()).await
    }

    async fn change_desired(
        &self,
        id: MachineId,
        section: &str,
        method: Method,
        query: Parameters,
        body: Option<&DesiredChange>,
        condition: Precondition<'_>,
    ) -> Result<Versioned<Desired>, ClientError> {
        let id = id.to_string();
        let path = ["machines", &id, DESIRED, section];
        let mut request = self.prepare(Request {
            method,
            path: &path,
            query,
        });
        if let Precondition::Unchanged(Etag(version)) = condition {
            request = request.header(IF_MATCH, version.clone());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self.send(request).await?;
        Ok(Versioned {
            value: answer.document()?,
            etag: etag(&answer),
        })
    }
}
