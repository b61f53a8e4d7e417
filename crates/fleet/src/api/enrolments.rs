//! Enrolments: tokens by which machines get their certificates. The machine's part is [`crate::gateway::enrol`].

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use muster_model::Timestamp;
use muster_model::access::Permission;
use muster_protocol::api::{
    DISPLAY_NAME_MAX_CHARS, ENROLMENT_LIFETIME_MAX_S, Enrolment, EnrolmentMade, EnrolmentPage,
    IDENTITIES_PAGE_MAX, KIND_MAX_CHARS, NewEnrolment, Problem,
};
use uuid::Uuid;

use super::error::ApiError;
use super::params::Body;
use super::profile::check_labels;
use crate::access::caller::Caller;
use crate::gateway::{Gateway, GatewayState};
use crate::identity::register::{self, Profile};
use crate::identity::{Identity, Refused, Wanted, reach};
use crate::state::Stopping;

/// Shortest life of a token.
const LIFETIME_MIN_S: u32 = 60;

/// The server's identities, where there are any.
pub(super) fn identities(state: &Gateway) -> Result<Identity, ApiError> {
    state.identity.clone().ok_or_else(ApiError::no_identities)
}

/// Does what blocks where that is allowed.
pub(super) async fn changed<T: Send + 'static>(
    identity: Identity,
    change: impl FnOnce(&Identity) -> Result<T, Refused> + Send + 'static,
) -> Result<T, ApiError> {
    let changed = tokio::task::spawn_blocking(move || change(&identity)).await;
    Ok(changed.map_err(|_| Stopping)??)
}

/// An enrolment as a document.
pub(super) fn shown(enrolment: &register::Enrolment, now: Timestamp) -> Enrolment {
    let used = enrolment.used.as_ref();
    Enrolment {
        id: enrolment.id.to_string(),
        state: enrolment.state(now),
        machine_id: used.map(|used| used.machine).or(enrolment.machine),
        kind: enrolment.profile.kind.clone(),
        name: enrolment.profile.name.clone(),
        labels: enrolment.profile.labels.clone(),
        policy: enrolment.policy,
        created_at: enrolment.created_at,
        created_by: enrolment.created_by.clone(),
        expires_at: enrolment.expires_at,
        used_at: used.map(|used| used.at),
    }
}

/// Make an enrolment
///
/// Its token is for one machine, and is said once. Whoever may enrol some machines only gives it the labels that make it one of them.
#[utoipa::path(post, path = "/api/v1/enrolments", operation_id = "make_enrolment", tag = "identities", request_body = NewEnrolment, responses(
    (status = 201, description = "The enrolment, with its token", body = EnrolmentMade),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are no identities here, or too many enrolments", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The kind, the name, a label or the time is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn make(
    State(state): State<GatewayState>,
    caller: Caller,
    Body(body): Body<NewEnrolment>,
) -> Result<(StatusCode, Json<EnrolmentMade>), ApiError> {
    let wanted = wanted(body, &caller)?;
    let identity = identities(&state)?;
    let now = identity.now();
    caller.may_announce(&reach::announced(None, &wanted.profile, &state), now)?;
    let (enrolment, token) = changed(identity, |identity| identity.invite(wanted, None)).await?;
    caller.note_object("enrolment", enrolment.id.to_string(), enrolment.called());
    let made = EnrolmentMade {
        enrolment: shown(&enrolment, now),
        token: token.to_string(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// List enrolments
///
/// Those of machines to which the caller may give identities. Those that are over are kept for 30 days.
#[utoipa::path(get, path = "/api/v1/enrolments", operation_id = "enrolments", tag = "identities", responses(
    (status = 200, description = "The newest first, at most a thousand", body = EnrolmentPage),
    (status = 409, description = "There are no identities here", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(state): State<GatewayState>,
    caller: Caller,
) -> Result<Json<EnrolmentPage>, ApiError> {
    let identity = identities(&state)?;
    let now = identity.now();
    let eyes = caller.eyes_for(Permission::Enrol);
    let mut enrolments = identity.register().enrolments();
    if !eyes.see_all() {
        enrolments.retain(|enrolment| eyes.see(&reach::of_enrolment(&state, enrolment)));
    }
    let items = enrolments.iter().take(IDENTITIES_PAGE_MAX as usize);
    Ok(Json(EnrolmentPage {
        items: items.map(|enrolment| shown(enrolment, now)).collect(),
    }))
}

/// Withdraw an enrolment
///
/// Its token is good for nothing any more. A machine that used it stays what it is.
#[utoipa::path(delete, path = "/api/v1/enrolments/{enrolment}", operation_id = "withdraw_enrolment", tag = "identities",
    params(("enrolment" = String, Path, description = "The enrolment", format = Uuid)), responses(
    (status = 204, description = "It is withdrawn"),
    (status = 404, description = "There is no such enrolment within the caller's reach", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are no identities here", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn withdraw(
    State(state): State<GatewayState>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let id = path.map(|Path(id)| id).unwrap_or_default();
    let identity = identities(&state)?;
    let found = Uuid::try_parse(&id).ok();
    let found = found.and_then(|uuid| identity.register().enrolment(uuid));
    caller.note_object(
        "enrolment",
        &id,
        found.as_ref().map(|found| found.called()).unwrap_or_default(),
    );
    let enrolment = found.ok_or_else(|| ApiError::no_such_enrolment(&id))?;
    let machine = reach::of_enrolment(&state, &enrolment);
    let now = identity.now();
    let allowed = caller.decide(Permission::Enrol, Some(&machine), now).could();
    if !allowed && !caller.eyes_for(Permission::Enrol).see(&machine) {
        // As if it did not exist.
        return Err(ApiError::no_such_enrolment(&id));
    }
    caller.may_announce(&machine, now)?;
    let uuid = enrolment.id;
    changed(identity, move |identity| identity.withdraw(uuid)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wanted(body: NewEnrolment, caller: &Caller) -> Result<Wanted, ApiError> {
    if let Some(kind) = &body.kind {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if kind.is_empty() || kind.len() > KIND_MAX_CHARS || !kind.chars().all(fits) {
            let detail = format!("1 to {KIND_MAX_CHARS} lower-case letters, digits and dashes are accepted");
            return Err(ApiError::bad_body("kind", detail));
        }
    }
    if let Some(name) = &body.name {
        let length = name.chars().count();
        if length == 0 || length > DISPLAY_NAME_MAX_CHARS || name.chars().any(char::is_control) {
            let detail = format!("1 to {DISPLAY_NAME_MAX_CHARS} printable characters are accepted");
            return Err(ApiError::bad_body("name", detail));
        }
    }
    check_labels(&body.labels)?;
    if let Some(expires_in_s) = body.expires_in_s
        && !(LIFETIME_MIN_S..=ENROLMENT_LIFETIME_MAX_S).contains(&expires_in_s)
    {
        let detail = format!("{LIFETIME_MIN_S} to {ENROLMENT_LIFETIME_MAX_S} seconds are accepted");
        return Err(ApiError::bad_body("expires_in_s", detail));
    }
    Ok(Wanted {
        profile: Profile {
            kind: body.kind,
            name: body.name,
            labels: body.labels,
        },
        expires_in_s: body.expires_in_s,
        policy: body.policy,
        created_by: caller.name().to_owned(),
    })
}
