//! Labels and display name of a machine: what people decide about it.
//!
//! Each answer has an `ETag`; a change says by `If-Match` what it is based on, so that two people who edit at once never
//! lose each other's work unseen.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use muster_brain::shard::{ProfileChange, ProfileError};
use muster_model::access::Permission;
use muster_model::view::Profile;
use muster_model::{MachineId, StreamVersion};
use muster_protocol::api::{
    DISPLAY_NAME_MAX_CHARS, DisplayName, LABEL_KEY_MAX_CHARS, LABEL_VALUE_MAX_CHARS, LABELS_MAX, Labels,
    Problem,
};

use super::error::ApiError;
use super::params::{Body, MachinePath};
use crate::access::caller::Caller;
use crate::gateway::GatewayState;

/// Show labels
#[utoipa::path(get, path = "/api/v1/machines/{id}/labels", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 200, description = "The labels, with their ETag", body = Labels),
    (status = 400, description = "The id is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
))]
pub async fn labels(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
) -> Result<Response, ApiError> {
    let profile = profile_of(&state, id)?;
    Ok(with_tag(
        &profile,
        Json(Labels {
            labels: profile.labels.clone(),
        }),
    ))
}

/// Replace all labels
#[utoipa::path(put, path = "/api/v1/machines/{id}/labels", tag = "machines", request_body = Labels,
    params(("id" = String, Path, description = "The machine", format = Uuid),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *")), responses(
    (status = 200, description = "The labels as they are now", body = Labels),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed them", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A label is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn put_labels(
    State(state): State<GatewayState>,
    caller: Caller,
    MachinePath(id): MachinePath,
    headers: HeaderMap,
    Body(body): Body<Labels>,
) -> Result<Response, ApiError> {
    check_labels(&body.labels)?;
    must_stay_in_reach(&state, &caller, id, &body.labels)?;
    caller.note_detail(in_words(&body.labels));
    let profile = change(&state, id, &headers, ProfileChange::Labels(body.labels)).await?;
    Ok(with_tag(
        &profile,
        Json(Labels {
            labels: profile.labels.clone(),
        }),
    ))
}

/// Remove all labels
#[utoipa::path(delete, path = "/api/v1/machines/{id}/labels", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *")), responses(
    (status = 200, description = "No labels", body = Labels),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed them", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn delete_labels(
    State(state): State<GatewayState>,
    caller: Caller,
    MachinePath(id): MachinePath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    must_stay_in_reach(&state, &caller, id, &BTreeMap::new())?;
    let profile = change(&state, id, &headers, ProfileChange::Labels(BTreeMap::new())).await?;
    Ok(with_tag(
        &profile,
        Json(Labels {
            labels: profile.labels.clone(),
        }),
    ))
}

/// Show the name people gave
#[utoipa::path(get, path = "/api/v1/machines/{id}/display-name", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 200, description = "The name, with its ETag", body = DisplayName),
    (status = 400, description = "The id is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
))]
pub async fn display_name(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
) -> Result<Response, ApiError> {
    let profile = profile_of(&state, id)?;
    Ok(with_tag(
        &profile,
        Json(DisplayName {
            display_name: profile.display_name.clone(),
        }),
    ))
}

/// Give a name
#[utoipa::path(put, path = "/api/v1/machines/{id}/display-name", tag = "machines", request_body = DisplayName,
    params(("id" = String, Path, description = "The machine", format = Uuid),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *")), responses(
    (status = 200, description = "The name as it is now", body = DisplayName),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The name is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn put_display_name(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
    headers: HeaderMap,
    Body(body): Body<DisplayName>,
) -> Result<Response, ApiError> {
    let name = body.display_name.as_deref().map(str::trim);
    if let Some(name) = name {
        let length = name.chars().count();
        if !(1..=DISPLAY_NAME_MAX_CHARS).contains(&length) || name.chars().any(char::is_control) {
            let detail =
                format!("1 to {DISPLAY_NAME_MAX_CHARS} characters without control characters are accepted");
            return Err(ApiError::bad_body("display_name", detail));
        }
    }
    let profile = change(
        &state,
        id,
        &headers,
        ProfileChange::DisplayName(name.map(str::to_owned)),
    )
    .await?;
    Ok(with_tag(
        &profile,
        Json(DisplayName {
            display_name: profile.display_name.clone(),
        }),
    ))
}

/// Take the given name away
#[utoipa::path(delete, path = "/api/v1/machines/{id}/display-name", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *")), responses(
    (status = 200, description = "No name", body = DisplayName),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn delete_display_name(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let profile = change(&state, id, &headers, ProfileChange::DisplayName(None)).await?;
    Ok(with_tag(
        &profile,
        Json(DisplayName {
            display_name: profile.display_name.clone(),
        }),
    ))
}

/// Scopes are made of labels: who changes labels of a machine must be allowed to do it with the new ones as well. So nobody moves a
/// machine out of their own reach, into that of others.
fn must_stay_in_reach(
    state: &GatewayState,
    caller: &Caller,
    id: MachineId,
    labels: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    let view = state
        .fleet
        .view(id)
        .ok_or_else(|| ApiError::no_such_machine(id))?;
    let mut then = (*view).clone();
    let mut profile = (*then.profile).clone();
    profile.labels.clone_from(labels);
    then.profile = Arc::new(profile);
    let now = state.access.now();
    let decision = caller.decide(Permission::Configure, Some(&then), now);
    if decision.could() {
        return caller.may(Permission::Configure, &then, now);
    }
    let detail = format!(
        "with these labels it would be out of your reach: {}",
        decision.rule
    );
    Err(ApiError::not_allowed(detail))
}

fn in_words(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(" ")
}

fn profile_of(state: &GatewayState, id: MachineId) -> Result<Arc<Profile>, ApiError> {
    state
        .fleet
        .view(id)
        .map(|view| view.profile.clone())
        .ok_or_else(|| ApiError::no_such_machine(id))
}

async fn change(
    state: &GatewayState,
    id: MachineId,
    headers: &HeaderMap,
    change: ProfileChange,
) -> Result<Arc<Profile>, ApiError> {
    let expected = expected(headers)?;
    state
        .fleet
        .change_profile(id, change, expected)
        .await?
        .map_err(|error| match error {
            ProfileError::NoSuchMachine => ApiError::no_such_machine(id),
            ProfileError::Conflict { current } => {
                // A profile is words: it can always be written.
                ApiError::conflict(&serde_json::to_string(&*current).unwrap_or_default())
            }
            ProfileError::NotPersisted { reason } => ApiError::not_persisted(&reason),
        })
}

/// The version that a change is based on; none for whatever is there.
fn expected(headers: &HeaderMap) -> Result<Option<StreamVersion>, ApiError> {
    Ok(expected_number(headers)?.map(StreamVersion))
}

/// The same, for whatever has versions.
pub(super) fn expected_number(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let value = headers
        .get(header::IF_MATCH)
        .ok_or_else(ApiError::precondition_required)?;
    let text = value.to_str().unwrap_or("").trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|text| text.parse().ok());
    match version {
        // Digits that mean the same are another tag.
        Some(version) if text == tag(StreamVersion(version)) => Ok(Some(version)),
        _ => {
            let detail = format!("If-Match: {text:?} is no ETag of ours: send the one that you read, or *");
            Err(ApiError::bad_request("MST-A001", detail))
        }
    }
}

fn with_tag(profile: &Profile, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    if let Ok(tag) = HeaderValue::from_str(&tag(profile.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The `ETag` of a version: digits between quotes.
fn tag(version: StreamVersion) -> String {
    format!("\"{version}\"")
}

pub(super) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if labels.len() > LABELS_MAX {
        return Err(ApiError::bad_body(
            "labels",
            format!("{}: at most {LABELS_MAX} are accepted", labels.len()),
        ));
    }
    for (key, value) in labels {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        if !(1..=LABEL_KEY_MAX_CHARS).contains(&key.chars().count()) || !key.chars().all(fits) {
            let detail = format!(
                "{key:?}: keys have 1 to {LABEL_KEY_MAX_CHARS} letters, digits, '.', '_', '-' or '/'"
            );
            return Err(ApiError::bad_body("labels", detail));
        }
        if value.chars().count() > LABEL_VALUE_MAX_CHARS || value.chars().any(char::is_control) {
            let detail =
                format!("values have at most {LABEL_VALUE_MAX_CHARS} characters and no control characters");
            return Err(ApiError::bad_body(&format!("labels.{key}"), detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
