//! Signing a program in by a browser that is signed in already: see [`crate::access::device`].

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use muster_protocol::api::Problem;
use muster_protocol::api::access::{DeviceAsks, DeviceRequest, DeviceStarted, SignedIn};

use super::error::ApiError;
use super::params::{SmallBody, WordPath};
use super::session::{agent, refusal, signed_in};
use crate::access::AccessMode;
use crate::access::caller::{By, Caller};
use crate::access::device::{Approval, Heard, LIFETIME_MS};
use crate::access::secret::{SecretKind, hash_of};
use crate::gateway::GatewayState;

/// How often a program asks.
const INTERVAL_S: u32 = 2;
/// Where a person types the code.
const PAGE: &str = "/device";

/// Ask to be signed in by a browser
///
/// The program shows `user_code`; a person who is signed in types it at `verification_path` and says yes. Source: RFC 8628.
#[utoipa::path(post, path = "/api/v1/device", operation_id = "start_device", tag = "access", responses(
    (status = 200, description = "What to show, and what to ask with", body = DeviceStarted),
    (status = 409, description = "Nobody signs in here, or too many wait", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn start(
    State(state): State<GatewayState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<DeviceStarted>, ApiError> {
    if state.access.mode() == AccessMode::TrustLoopback {
        let detail = "everybody on this computer is let in here: nobody has to sign in";
        return Err(ApiError::as_things_stand(detail));
    }
    let now = state.access.now();
    let begun = state.access.devices().begin(caller.from(), agent(&headers), now);
    let (secret, user_code) = begun.map_err(|error| ApiError::as_things_stand(error.to_string()))?;
    Ok(Json(DeviceStarted {
        device_code: secret.reveal().to_owned(),
        verification_path: format!("{PAGE}?code={user_code}"),
        user_code,
        expires_at: now.plus_millis(LIFETIME_MS),
        interval_s: INTERVAL_S,
    }))
}

/// Ask whether somebody said yes
#[utoipa::path(post, path = "/api/v1/device/session", operation_id = "device_session", tag = "access", request_body = DeviceAsks, responses(
    (status = 200, description = "Signed in; the session is told once", body = SignedIn),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "It asked too late, was answered already, or never began", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Nobody said anything yet: ask again after `interval_s`; or somebody said no, which the code says", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A part of the body is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn session(
    State(state): State<GatewayState>,
    caller: Caller,
    headers: HeaderMap,
    SmallBody(body): SmallBody<DeviceAsks>,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::no_such("request to be signed in", "with that code");
    let hash = hash_of(&body.device_code, SecretKind::Device).ok_or_else(unknown)?;
    let heard = state.access.devices().hear(&hash, state.access.now());
    let approval = match heard {
        Heard::NotYet => {
            caller.note_nothing();
            return Err(ApiError::nobody_said_yes_yet());
        }
        Heard::Denied => return Err(ApiError::somebody_said_no()),
        Heard::Unknown => return Err(unknown()),
        Heard::Approved(approval) => approval,
    };
    let Approval { by: name, era } = approval;
    caller.note_person(&name);
    // Who said yes may have been disabled since, or have changed the password to be rid of what others were let into.
    let kept = state.access.directory().person(&name);
    kept.filter(|kept| !kept.value.disabled && kept.value.era == era)
        .ok_or_else(unknown)?;
    let begun = state
        .access
        .begin(name, era, caller.from(), agent(&headers), None)
        .await
        .map_err(refusal)?;
    Ok(signed_in(&state.access, &begun, true))
}

/// Which program waits under a code
#[utoipa::path(get, path = "/api/v1/device/{code}", operation_id = "show_device", tag = "access",
    params(("code" = String, Path, description = "What the program shows")), responses(
    (status = 200, description = "From where it asks, and what it calls itself", body = DeviceRequest),
    (status = 404, description = "None waits under this code", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(state): State<GatewayState>,
    WordPath(code): WordPath,
) -> Result<Json<DeviceRequest>, ApiError> {
    let found = state.access.devices().find(&code, state.access.now());
    let request = found.ok_or_else(|| ApiError::no_such("program that waits under the code", &code))?;
    Ok(Json(DeviceRequest {
        from: request.from.to_string(),
        agent: request.agent,
        started_at: request.started_at,
    }))
}

/// Sign the program in that waits under a code, as oneself
#[utoipa::path(post, path = "/api/v1/device/{code}", operation_id = "approve_device", tag = "access",
    params(("code" = String, Path, description = "What the program shows")), responses(
    (status = 204, description = "It gets a session of whoever asks"),
    (status = 404, description = "None waits under this code", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Only a person with a session can do that", body = Problem, content_type = "application/problem+json"),
))]
pub async fn approve(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(code): WordPath,
) -> Result<StatusCode, ApiError> {
    let By::Session { hash, .. } = caller.by() else {
        // A token would become a session that outlives it.
        let detail =
            "only a person with a session can sign a program in: programs with a token need no session";
        return Err(ApiError::as_things_stand(detail));
    };
    // The era of the session, and not the one of now: it may have ended while this was asked.
    let session = state.access.directory().session(hash, state.access.now());
    let session = session.ok_or_else(ApiError::not_signed_in)?;
    let approval = Approval {
        by: session.person.clone(),
        era: session.era,
    };
    answer(&state, &caller, &code, Some(approval))
}

/// Turn the program away that waits under a code
#[utoipa::path(delete, path = "/api/v1/device/{code}", operation_id = "deny_device", tag = "access",
    params(("code" = String, Path, description = "What the program shows")), responses(
    (status = 204, description = "It is told so"),
    (status = 404, description = "None waits under this code", body = Problem, content_type = "application/problem+json"),
))]
pub async fn deny(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(code): WordPath,
) -> Result<StatusCode, ApiError> {
    answer(&state, &caller, &code, None)
}

fn answer(
    state: &GatewayState,
    caller: &Caller,
    code: &str,
    yes: Option<Approval>,
) -> Result<StatusCode, ApiError> {
    let now = state.access.now();
    let found = state.access.devices().find(code, now);
    let request = found.ok_or_else(|| ApiError::no_such("program that waits under the code", code))?;
    caller.note_detail(format!("{} at {}", request.agent, request.from));
    if !state.access.devices().answer(code, yes, now) {
        return Err(ApiError::no_such("program that waits under the code", code));
    }
    Ok(StatusCode::NO_CONTENT)
}
