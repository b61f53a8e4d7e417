//! Who may be a machine of the fleet: enrolments, identities, authorities.

use muster_model::MachineId;
use muster_protocol::api::{
    CertificateAuthorities, EnrolmentMade, EnrolmentPage, MachineIdentity, MachineIdentityPage, NewEnrolment,
    RevokeIdentity,
};
use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::client::{Client, Request};
use crate::error::ClientError;
use crate::page::Parameters;

impl Client {
    /// Makes an enrolment. Its token is said in this answer, and never again.
    pub async fn make_enrolment(&self, body: &NewEnrolment) -> Result<EnrolmentMade, ClientError> {
        self.post(&["enrolments"], body).await
    }

    /// Makes an enrolment for a machine that is known.
    pub async fn enrol_again(&self, id: MachineId) -> Result<EnrolmentMade, ClientError> {
        self.order(&["identities", &id.to_string(), "enrolment"]).await
    }

    /// Enrolments, the newest first.
    pub async fn enrolments(&self) -> Result<EnrolmentPage, ClientError> {
        self.get(&["enrolments"], Parameters::default()).await
    }

    /// Withdraws an enrolment.
    pub async fn withdraw_enrolment(&self, id: &str) -> Result<(), ClientError> {
        let request = self.prepare(Request {
            method: Method::DELETE,
            path: &["enrolments", id],
            query: Parameters::default(),
        });
        self.send(request).await?;
        Ok(())
    }

    /// One page of identities, by machine.
    pub async fn identities(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<MachineIdentityPage, ClientError> {
        let parameters = Parameters::default()
            .with("cursor", cursor.as_ref())
            .with("limit", Some(&limit));
        self.get(&["identities"], parameters).await
    }

    /// The identity of one machine.
    pub async fn identity(&self, id: MachineId) -> Result<MachineIdentity, ClientError> {
        self.get(&["identities", &id.to_string()], Parameters::default())
            .await
    }

    /// Lets a machine in that waits for it.
    pub async fn accept_identity(&self, id: MachineId) -> Result<MachineIdentity, ClientError> {
        self.order(&["identities", &id.to_string(), "accept"]).await
    }

    /// Shuts a machine out.
    pub async fn revoke_identity(&self, id: MachineId, reason: &str) -> Result<MachineIdentity, ClientError> {
        let body = RevokeIdentity {
            reason: reason.to_owned(),
        };
        self.post(&["identities", &id.to_string(), "revoke"], &body).await
    }

    /// Has a machine renew its certificate the next time it asks.
    pub async fn renew_identity(&self, id: MachineId) -> Result<MachineIdentity, ClientError> {
        self.order(&["identities", &id.to_string(), "renew"]).await
    }

    /// The authorities that are trusted.
    pub async fn certificate_authorities(&self) -> Result<CertificateAuthorities, ClientError> {
        self.get(&["certificate-authorities"], Parameters::default())
            .await
    }

    /// Makes a further authority, which issues from then on.
    pub async fn rotate_certificate_authority(&self) -> Result<CertificateAuthorities, ClientError> {
        self.order(&["certificate-authorities"]).await
    }

    /// A change that needs no words.
    async fn order<A: DeserializeOwned>(&self, path: &[&str]) -> Result<A, ClientError> {
        let request = self.prepare(Request {
            method: Method::POST,
            path,
            query: Parameters::default(),
        });
        self.send(request).await?.document()
    }
}
