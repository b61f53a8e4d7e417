//! Acts that wait for a second person.

use muster_protocol::api::{ApproveProposal, Proposal, ProposalState, Proposals, RefuseProposal};
use reqwest::Method;

use crate::client::Client;
use crate::error::ClientError;
use crate::page::Parameters;

impl Client {
    /// Acts that wait, or waited, for a second person: as many as whoever asks may see.
    pub async fn proposals(&self, state: Option<ProposalState>) -> Result<Proposals, ClientError> {
        let state = state.map(ProposalState::as_str);
        self.get(
            &["proposals"],
            Parameters::default().with("state", state.as_ref()),
        )
        .await
    }

    /// One of them, with the whole request.
    pub async fn proposal(&self, id: &str) -> Result<Proposal, ClientError> {
        self.get(&["proposals", id], Parameters::default()).await
    }

    /// Says yes as the second person. The answer tells what came of it.
    pub async fn approve_proposal(&self, id: &str, body: &ApproveProposal) -> Result<Proposal, ClientError> {
        self.post(&["proposals", id, "approve"], body).await
    }

    /// Says no as the second person.
    pub async fn refuse_proposal(&self, id: &str, body: &RefuseProposal) -> Result<Proposal, ClientError> {
        self.post(&["proposals", id, "refuse"], body).await
    }

    /// Takes back what one proposed.
    pub async fn withdraw_proposal(&self, id: &str) -> Result<(), ClientError> {
        self.change(Method::DELETE, &["proposals", id], None, None::<&()>)
            .await
            .map(drop)
    }
}
