//! Who asks, and how somebody signs in and out.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use muster_model::access::{Permission, PersonName};
use muster_protocol::api::Problem;
use muster_protocol::api::access::{AccessChecked, AccessDecision, AccessGrant, Me, SetUp, SignIn, SignedIn};
use serde::Deserialize;

use super::error::ApiError;
use super::params::{Params, SmallBody};
use crate::access::caller::{Act, By, Caller, Decision};
use crate::access::signing_in::{Begun, SignInError};
use crate::access::{Access, AccessMode, password};
use crate::gateway::GatewayState;
use muster_model::MachineId;
use muster_model::access::Grant;

/// How long signing out waits for where to sign out at the provider.
const PROVIDER_WITHIN: Duration = Duration::from_secs(2);

/// Who asks
///
/// Also for nobody: then it says how to sign in.
#[utoipa::path(get, path = "/api/v1/me", operation_id = "me", tag = "access", responses(
    (status = 200, description = "Who asks, and what they may do", body = Me),
))]
pub async fn me(State(state): State<GatewayState>, caller: Caller) -> Json<Me> {
    let access = &state.access;
    let person = caller.person();
    let now = access.now();
    let permissions = Permission::ALL.iter().copied();
    Json(Me {
        signed_in: caller.is_signed_in(),
        name: caller.is_signed_in().then(|| person.name.to_string()),
        display_name: Some(person.display_name.clone()).filter(|name| !name.is_empty()),
        by: caller.is_signed_in().then(|| caller.by().as_str().to_owned()),
        grants: shown(caller.narrowed().unwrap_or(&person.grants)),
        permissions: permissions
            .clone()
            .filter(|one| caller.may_anywhere(*one))
            .collect(),
        permissions_everywhere: permissions
            .filter(|one| caller.decide(*one, None, now).allowed)
            .collect(),
        trusts_loopback: access.mode() == AccessMode::TrustLoopback,
        needs_set_up: access.needs_set_up(),
        second_factor: person.second_factor,
        expires_at: caller.by().expires_at(),
        provider: access.provider().map(|provider| provider.name().to_owned()),
    })
}

/// What is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MineParams {
    /// To which machine, by id; absent: to the fleet as such.
    #[param(value_type = Option<String>, format = Uuid)]
    machine: Option<MachineId>,
}

/// What whoever asks may do, and by which rule
#[utoipa::path(get, path = "/api/v1/access/mine", operation_id = "access_mine", tag = "access", params(MineParams), responses(
    (status = 200, description = "One decision for each permission", body = AccessChecked),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
))]
pub async fn mine(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<MineParams>,
) -> Result<Json<AccessChecked>, ApiError> {
    let view = params.machine.map(|id| {
        let view = state.fleet.view(id).filter(|view| caller.sees(view));
        view.ok_or_else(|| ApiError::no_such_machine(id))
    });
    let view = view.transpose()?;
    let now = state.access.now();
    let act = Act {
        changes: *caller.by() != By::Posture,
        ..Act::SOME_CHANGE
    };
    let decisions = Permission::ALL.iter().map(|permission| {
        decided(
            caller.decide_act(*permission, view.as_deref(), act, now),
            *permission,
        )
    });
    Ok(Json(AccessChecked {
        person: caller.name().to_owned(),
        decisions: decisions.collect(),
    }))
}

/// What is told of a decision.
pub(super) fn decided(decision: Decision, permission: Permission) -> AccessDecision {
    AccessDecision {
        permission,
        allowed: decision.could(),
        rule: decision.rule,
        second_person: decision.second_person.map(|policy| policy.name.to_string()),
        machines: None,
    }
}

/// Sign in
#[utoipa::path(post, path = "/api/v1/session", operation_id = "sign_in", tag = "access", request_body = SignIn, responses(
    (status = 200, description = "Signed in: a cookie holds the session, or the answer, if it was asked for so", body = SignedIn),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Nobody signs in here", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A part of the body is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many tries failed: `Retry-After` says how long to wait", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn sign_in(
    State(state): State<GatewayState>,
    caller: Caller,
    headers: HeaderMap,
    SmallBody(body): SmallBody<SignIn>,
) -> Result<Response, ApiError> {
    if let Ok(name) = body.name.parse::<PersonName>() {
        caller.note_person(&name);
    }
    if state.access.mode() == AccessMode::TrustLoopback {
        let detail = "everybody on this computer is let in here: nobody has to sign in";
        return Err(ApiError::as_things_stand(detail));
    }
    let code = body.code.as_deref();
    let begun = state
        .access
        .sign_in(&body.name, body.password, code, caller.from(), agent(&headers))
        .await;
    match begun {
        Ok(begun) => Ok(signed_in(&state.access, &begun, body.as_token)),
        Err(SignInError::Wait { wait_s }) => Ok(wait(wait_s)),
        Err(error) => Err(refusal(error)),
    }
}

/// Sign out
///
/// Of somebody who came from a provider that ends sessions, too, the answer holds the address of that place as `Location`.
#[utoipa::path(delete, path = "/api/v1/session", operation_id = "sign_out", tag = "access", responses(
    (status = 204, description = "The session is over", headers(("location" = Option<String>, description = "Where to be signed out at the provider as well"))),
    (status = 409, description = "There is no session: it is a token, or nobody signs in here", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn sign_out(State(state): State<GatewayState>, caller: Caller) -> Result<Response, ApiError> {
    let By::Session { hash, id, .. } = caller.by() else {
        let detail = "there is no session to end: a token is revoked at /api/v1/tokens/{id}";
        return Err(ApiError::as_things_stand(detail));
    };
    caller.note_object("session", id.clone(), "");
    let access = &state.access;
    let vouched = access.directory().session(hash, access.now());
    let vouched = vouched.is_some_and(|session| session.record.provider_session.is_some());
    access.directory().end_session(hash).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if vouched && let Some(provider) = access.provider() {
        // It is over here in any case: nobody waits long for a provider that is away.
        let there = tokio::time::timeout(PROVIDER_WITHIN, provider.end_session()).await;
        let address = there
            .ok()
            .flatten()
            .and_then(|address| HeaderValue::try_from(address).ok());
        if let Some(address) = address {
            response.headers_mut().insert(header::LOCATION, address);
        }
    }
    set_cookie(&mut response, &access.cookie(None));
    Ok(response)
}

/// Make the first admin, by the set-up link
#[utoipa::path(post, path = "/api/v1/set-up", operation_id = "set_up", tag = "access", request_body = SetUp, responses(
    (status = 200, description = "Made, and signed in: a cookie holds the session", body = SignedIn),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The name or the password is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many tries failed: `Retry-After` says how long to wait", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn set_up(
    State(state): State<GatewayState>,
    caller: Caller,
    headers: HeaderMap,
    SmallBody(body): SmallBody<SetUp>,
) -> Result<Response, ApiError> {
    if !state.access.needs_set_up() {
        return Err(ApiError::no_set_up());
    }
    let name = person_name(&body.name)?;
    caller.note_person(&name);
    password::check(&body.password, name.as_str())
        .map_err(|error| ApiError::bad_body("password", error.to_string()))?;
    let (from, agent) = (caller.from(), agent(&headers));
    match state
        .access
        .set_up(&body.token, name, body.password, from, agent)
        .await
    {
        Ok(begun) => Ok(signed_in(&state.access, &begun, false)),
        Err(SignInError::Wait { wait_s }) => Ok(wait(wait_s)),
        Err(SignInError::Wrong) => Err(ApiError::no_set_up()),
        Err(error) => Err(refusal(error)),
    }
}

pub(super) fn signed_in(access: &Access, begun: &Begun, as_token: bool) -> Response {
    let answer = SignedIn {
        name: begun.name.to_string(),
        token: as_token.then(|| begun.secret.reveal().to_owned()),
        expires_at: begun.expires_at,
    };
    let mut response = Json(answer).into_response();
    if !as_token {
        set_cookie(&mut response, &access.cookie(Some(&begun.secret)));
    }
    response
}

pub(super) fn set_cookie(response: &mut Response, cookie: &str) {
    // Of letters, digits and signs of ours.
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn wait(wait_s: u64) -> Response {
    let detail = format!("too many tries failed: wait {wait_s} s");
    (
        [(header::RETRY_AFTER, wait_s.to_string())],
        ApiError::wait(detail),
    )
        .into_response()
}

pub(super) fn agent(headers: &HeaderMap) -> &str {
    headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or("")
}

/// Why somebody is not signed in, as an answer.
pub(super) fn refusal(error: SignInError) -> ApiError {
    match error {
        SignInError::Wrong => ApiError::wrong_credentials(error.to_string()),
        SignInError::CodeNeeded | SignInError::CodeWrong => ApiError::code_needed(error.to_string()),
        SignInError::Wait { .. } => ApiError::wait(error.to_string()),
        SignInError::Directory(error) => error.into(),
        SignInError::Entropy(_) => ApiError::not_persisted(&error.to_string()),
        SignInError::Stopping => ApiError::stopping(),
    }
}

/// The name of a person in a body.
pub(super) fn person_name(text: &str) -> Result<PersonName, ApiError> {
    text.parse()
        .map_err(|error: muster_model::access::PersonNameError| ApiError::bad_body("name", error.to_string()))
}

/// Grants as the API says them.
pub(super) fn shown(grants: &[Grant]) -> Vec<AccessGrant> {
    let grants = grants.iter();
    grants
        .map(|grant| AccessGrant {
            role: grant.role,
            scope: grant.scope.to_string(),
        })
        .collect()
}
