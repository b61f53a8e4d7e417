//! Acts that wait for a second person.

use muster_model::access::{Permission, PersonName};
use muster_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};

/// How far an act is that waits for a second person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// Nobody said anything yet.
    Waiting,
    /// Somebody said yes; it is being done.
    Doing,
    /// It was done.
    Done,
    /// Somebody said yes, and it could not be done.
    Failed,
    /// Somebody said no.
    Refused,
    /// Whoever proposed it took it back.
    Withdrawn,
    /// Nobody said anything in time.
    Expired,
}

impl ProposalState {
    /// All of them, in the order of their life.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Doing,
        Self::Done,
        Self::Failed,
        Self::Refused,
        Self::Withdrawn,
        Self::Expired,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Doing => "doing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }
}

document! {
    /// An act that a policy lets wait for a second person.
    Proposal {
        /// Its name.
        id: String,
        /// How far it is.
        state: ProposalState,
        /// Who proposed it.
        person: PersonName,
        /// By what: `session` or `token`.
        by: String,
        /// From which address.
        from: String,
        /// What: the word of the audit log, `machines.desire`, `people.change` …
        action: String,
        /// The request that is carried out: its method.
        method: String,
        /// The request that is carried out: its path, with the query.
        path: String,
        /// The version that it was made against, as `If-Match` says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        if_match: Option<String>,
        /// `*`: only if there is none yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        if_none_match: Option<String>,
        /// The body of the request, with dots for secrets. Only where one proposal is asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        body: Option<String>,
        /// What it needs.
        permission: Permission,
        /// The machine it is done to; absent: it is about the fleet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        machine: Option<MachineId>,
        /// What the machine was called then.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        machine_name: String,
        /// The policy that asks for a second person.
        policy: String,
        /// What that policy is for.
        policy_description: String,
        /// Why, as whoever proposed it said; empty: the act takes no reason.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        /// Since when.
        created_at: Timestamp,
        /// Until when it waits.
        expires_at: Timestamp,
        /// Who decided.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        decided_by: Option<PersonName>,
        /// When.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        decided_at: Option<Timestamp>,
        /// Why, as whoever decided said.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        decision_reason: String,
        /// The HTTP status of what was done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        status: Option<u16>,
        /// Why it could not be done, or ended, in words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
        /// What the act answered, for whoever proposed it: kept for an hour, and not over a restart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        answer: Option<String>,
        /// Whether whoever asks can approve or refuse it now.
        may_decide: bool,
        /// Why not, or by which rule.
        why: String,
    }
}

document! {
    /// Acts that wait, or waited, for a second person.
    Proposals {
        /// The newest first: at most 1,000.
        items: Vec<Proposal>,
        /// How many wait that whoever asks could decide.
        for_you: u64,
    }
}

document! {
    /// A second person says yes.
    #[serde(deny_unknown_fields)]
    ApproveProposal {
        /// Why, in at most 500 characters.
        #[serde(default)]
        #[cfg_attr(feature = "schema", schema(max_length = 500))]
        reason: String,
    }
}

document! {
    /// A second person says no.
    #[serde(deny_unknown_fields)]
    RefuseProposal {
        /// Why: 1 to 500 characters.
        #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 500))]
        reason: String,
    }
}
