//! What people decide about a machine: labels and display name, changed without overwriting what others changed.

use std::collections::BTreeMap;

use muster_model::MachineId;
use muster_protocol::api::{DisplayName, Labels};
use reqwest::Method;
use reqwest::header::{ETAG, HeaderValue, IF_MATCH};
use serde::de::DeserializeOwned;

use crate::client::{Answer, Client, Request};
use crate::error::ClientError;
use crate::page::Parameters;

const LABELS: &str = "labels";
const DISPLAY_NAME: &str = "display-name";

/// The version of a document, as the server names it. Nothing is to be read out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag(pub(crate) HeaderValue);

/// A document, and the version it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    /// The document.
    pub value: T,
    /// Its version, where the server gave one.
    pub etag: Option<Etag>,
}

/// Under which condition a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition<'a> {
    /// Only if the document is still this version; otherwise the server answers 412
    /// ([`ClientError::is_conflict`]).
    Unchanged(&'a Etag),
    /// Whatever it is by now.
    None,
}

impl Client {
    /// A machine's labels.
    pub async fn labels(&self, id: MachineId) -> Result<Versioned<Labels>, ClientError> {
        self.read_profile(id, LABELS).await
    }

    /// Replaces all labels of a machine.
    pub async fn put_labels(
        &self,
        id: MachineId,
        labels: BTreeMap<String, String>,
        condition: Precondition<'_>,
    ) -> Result<Versioned<Labels>, ClientError> {
        let body = Labels { labels };
        self.write_profile(id, LABELS, Method::PUT, Some(body), condition)
            .await
    }

    /// Takes all labels off a machine.
    pub async fn delete_labels(
        &self,
        id: MachineId,
        condition: Precondition<'_>,
    ) -> Result<Versioned<Labels>, ClientError> {
        self.write_profile(id, LABELS, Method::DELETE, None, condition)
            .await
    }

    /// The name people gave a machine.
    pub async fn display_name(&self, id: MachineId) -> Result<Versioned<DisplayName>, ClientError> {
        self.read_profile(id, DISPLAY_NAME).await
    }

    /// Gives a machine another name to be shown.
    pub async fn put_display_name(
        &self,
        id: MachineId,
        name: &str,
        condition: Precondition<'_>,
    ) -> Result<Versioned<DisplayName>, ClientError> {
        let body = DisplayName {
            display_name: Some(name.to_owned()),
        };
        self.write_profile(id, DISPLAY_NAME, Method::PUT, Some(body), condition)
            .await
    }

    /// Shows a machine under its own name again.
    pub async fn delete_display_name(
        &self,
        id: MachineId,
        condition: Precondition<'_>,
    ) -> Result<Versioned<DisplayName>, ClientError> {
        self.write_profile(id, DISPLAY_NAME, Method::DELETE, None, condition)
            .await
    }

    async fn read_profile<T: DeserializeOwned>(
        &self,
        id: MachineId,
        part: &str,
    ) -> Result<Versioned<T>, ClientError> {
        let id = id.to_string();
        let path = ["machines", &id, part];
        let answer = self
            .send(self.prepare(Request::get(&path, Parameters::default())))
            .await?;
        Ok(Versioned {
            value: answer.document()?,
            etag: etag(&answer),
        })
    }

    /// Changes a part of the profile. Without a body in the answer, what was sent is what stands now.
    async fn write_profile<T: ProfilePart>(
        &self,
        id: MachineId,
        part: &str,
        method: Method,
        body: Option<T>,
        condition: Precondition<'_>,
    ) -> Result<Versioned<T>, ClientError> {
        let id = id.to_string();
        let path = ["machines", &id, part];
        let mut request = self.prepare(Request {
            method,
            path: &path,
            query: Parameters::default(),
        });
        if let Precondition::Unchanged(Etag(version)) = condition {
            request = request.header(IF_MATCH, version.clone());
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = self.send(request).await?;
        let value = if answer.is_empty() {
            body.unwrap_or_else(T::none)
        } else {
            answer.document()?
        };
        Ok(Versioned {
            value,
            etag: etag(&answer),
        })
    }
}

/// A part of the profile that can be taken away.
trait ProfilePart: serde::Serialize + DeserializeOwned {
    fn none() -> Self;
}

impl ProfilePart for Labels {
    fn none() -> Self {
        let labels = BTreeMap::new();
        Self { labels }
    }
}

impl ProfilePart for DisplayName {
    fn none() -> Self {
        Self { display_name: None }
    }
}

pub(crate) fn etag(answer: &Answer) -> Option<Etag> {
    answer.headers.get(ETAG).cloned().map(Etag)
}
