//! What every error answer looks like: RFC 9457, `application/problem+json`.

use serde::{Deserialize, Serialize};

/// Why a request was not carried out.
///
/// Source: RFC 9457. `code` is Muster's own, stable, and has a page under `docs/errors/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct Problem {
    /// A name for this kind of problem: `urn:muster:problem:MST-A001`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this very request, where, and what is accepted.
    pub detail: String,
    /// Muster's stable code: `MST-A001`.
    pub code: String,
    /// Which parts of the request are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// The trace this request belongs to, where the caller gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub trace_id: Option<String>,
    /// The proposal under which the request waits for a second person, with `MST-A080`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub proposal: Option<String>,
}

/// One part of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct ProblemField {
    /// Where: `query.filter`, `body.labels.line` …
    pub at: String,
    /// What is wrong with it, and what is accepted.
    pub detail: String,
}
