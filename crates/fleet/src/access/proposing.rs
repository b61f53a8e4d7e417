//! From a request that takes a second person to a proposal, and from an approved proposal back to a request.
//!
//! [`keep`] takes the whole request along before it is decided in a handler, where there are policies that ask for a second person at all;
//! [`propose`] makes a proposal of it if that is what came out; [`carry_out`] sends it through the router again.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use muster_model::Timestamp;
use muster_model::access::PersonName;
use muster_protocol::api::access::AuditOutcome;
use muster_protocol::api::{Problem, ProposalState};
use muster_release::manifest::MANIFEST_MAX_BYTES;
use serde_json::Value;
use tower::ServiceExt;

use super::caller::{Act, By, Caller, Decision, Waits};
use super::declared::{PUBLISH, Route};
use super::proposals::{
    BODY_MAX_BYTES, KeptRequest, LIFETIME_MS, ProposalError, ProposalRecord, without_secrets,
};
use super::{Access, Peer};
use crate::api::error::{ApiError, Refused};
use crate::api::params;
use crate::api::releases::publish::MANIFEST_WITHIN;
use crate::gateway::GatewayState;
use crate::identity::reach;

/// Longest answer of an act that is read, in bytes.
const ANSWER_MAX_BYTES: usize = 4 << 20;
/// Longest reason that is taken from a request, in characters.
const REASON_MAX_CHARS: usize = 500;

/// In a request that the server sends itself: on whose behalf.
#[derive(Clone)]
pub struct Seconded(pub Caller);

/// A request that may have to wait.
pub struct Asked {
    request: KeptRequest,
    body: Bytes,
}

/// Takes a request along that may have to wait. Nothing, as long as no policy asks for a second person.
///
/// # Errors
///
/// Its body cannot be read.
pub async fn keep(
    caller: &Caller,
    changes: bool,
    checked: &Result<(), ApiError>,
    route: &Route,
    request: &mut Request,
) -> Result<Option<Asked>, ApiError> {
    if !changes || !caller.may_have_to_wait() || checked.is_err() && !caller.waits() {
        return Ok(None);
    }
    let (parts, body) = std::mem::take(request).into_parts();
    let body = Bytes::from(match route.action {
        PUBLISH => params::read_at_most(body, MANIFEST_MAX_BYTES, MANIFEST_WITHIN).await?,
        _ => params::read(body).await?,
    });
    let text = |name: header::HeaderName| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let path = parts.uri.path_and_query();
    let asked = Asked {
        request: KeptRequest {
            method: parts.method.to_string(),
            path: path.map_or("/", |path| path.as_str()).to_owned(),
            if_match: text(header::IF_MATCH),
            if_none_match: text(header::IF_NONE_MATCH),
            body: String::new(),
        },
        body: body.clone(),
    };
    *request = Request::from_parts(parts, Body::from(body));
    Ok(Some(asked))
}

/// Makes a proposal of a request whose answer is that it takes a second person; what was answered otherwise stays.
pub async fn propose(
    access: &Access,
    action: &'static str,
    caller: &Caller,
    asked: Asked,
    response: Response,
) -> Response {
    let refused = response.extensions().get::<Refused>();
    if !refused.is_some_and(|refused| refused.takes_a_second_person) {
        return response;
    }
    let Some(waits) = caller.take_waits() else {
        return response;
    };
    let path = asked.request.path.split('?').next().unwrap_or_default();
    let name = format!("{} {path}", asked.request.method);
    match kept(access, action, caller, asked, &waits).await {
        Ok(id) => {
            caller.note_outcome(AuditOutcome::Proposed);
            caller.note_object("proposal", id.as_str(), name);
            ApiError::waits_for_a_second_person(&waits.policy, &id).into_response()
        }
        Err(error) => error.into_response(),
    }
}

async fn kept(
    access: &Access,
    action: &'static str,
    caller: &Caller,
    asked: Asked,
    waits: &Waits,
) -> Result<String, ApiError> {
    if asked.body.len() > BODY_MAX_BYTES {
        let detail = format!("what waits has a body of at most {BODY_MAX_BYTES} bytes");
        return Err(ApiError::cannot_wait(detail));
    }
    let unreadable = |error: String| ApiError::unreadable_body(StatusCode::BAD_REQUEST, error);
    let body = String::from_utf8(asked.body.to_vec()).map_err(|error| unreadable(error.to_string()))?;
    let value: Value = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&body).map_err(|error| unreadable(error.to_string()))?
    };
    let hidden = without_secrets(action, &value);
    let mut request = asked.request;
    request.body = match &hidden {
        Some(hidden) => hidden.to_string(),
        None => body.clone(),
    };
    let reason = reason(&value, &request.path);
    caller.note_reason(&reason);
    let now = access.now();
    let record = ProposalRecord {
        person: caller.person().name.clone(),
        by: caller.by().as_str().to_owned(),
        by_id: caller.by().id().to_owned(),
        narrowed: caller.narrowed().map(<[_]>::to_vec),
        era: era(access, &caller.person().name),
        from: caller.from(),
        action: action.to_owned(),
        request,
        has_secret: hidden.is_some(),
        permission: waits.permission,
        machine: waits.machine.clone(),
        policy: waits.policy.name.to_string(),
        policy_description: waits.policy.description.to_string(),
        reason,
        created_at: now,
        expires_at: now.plus_millis(LIFETIME_MS),
        state: ProposalState::Waiting,
        decided_by: None,
        decided_at: None,
        decision_reason: String::new(),
        status: None,
        detail: String::new(),
    };
    let (id, is_new) = access.directory().proposals().add(record, body).await?;
    if !is_new {
        // It is in the audit log already.
        caller.note_nothing();
    }
    Ok(id)
}

/// Why, as the body or the query says it.
fn reason(body: &Value, path: &str) -> String {
    let said = body.get("reason").and_then(Value::as_str).map(ToOwned::to_owned);
    let asked = || {
        let uri = path.parse::<Uri>().ok()?;
        let Query(mut pairs) = Query::<BTreeMap<String, String>>::try_from_uri(&uri).ok()?;
        pairs.remove("reason")
    };
    let reason = said.or_else(asked).unwrap_or_default();
    let shown = reason.chars().filter(|character| !character.is_control());
    shown.take(REASON_MAX_CHARS).collect()
}

/// What came of an approved proposal.
pub struct CarriedOut {
    /// The status.
    pub status: StatusCode,
    /// Why it failed; empty: it did not.
    pub detail: String,
    /// What was answered.
    pub answer: String,
}

impl CarriedOut {
    fn refused(detail: String) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            detail,
            answer: String::new(),
        }
    }
}

/// Sends an approved proposal through the router, on behalf of whoever proposed it, with the second person beside them.
pub async fn carry_out(
    state: &GatewayState,
    id: &str,
    record: &ProposalRecord,
    body: Arc<str>,
    second: Caller,
) -> CarriedOut {
    let (access, now) = (&state.access, state.access.now());
    let Some(person) = access.directory().active(&record.person) else {
        return CarriedOut::refused(format!("{} is not let in any more", record.person));
    };
    if record.by == "session" && record.era != era(access, &record.person) {
        let detail = format!(
            "{} has another password since, which ends what was proposed before",
            record.person
        );
        return CarriedOut::refused(detail);
    }
    if record.by == "token" && !holds(access, &record.by_id, now) {
        return CarriedOut::refused(format!("the token of {} is not valid any more", record.person));
    }
    let caller = Caller::seconded(
        person,
        id.to_owned(),
        record.narrowed.clone(),
        record.from,
        second,
    );
    let asked = &record.request;
    let method = asked.method.parse::<Method>().unwrap_or(Method::GET);
    let mut request = Request::builder().method(method).uri(&asked.path);
    for (name, value) in [
        (header::IF_MATCH, &asked.if_match),
        (header::IF_NONE_MATCH, &asked.if_none_match),
    ] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request
        .extension(Seconded(caller))
        .extension(Peer(record.from))
        .body(Body::from(body.to_string()));
    let Ok(request) = request else {
        return CarriedOut::refused("what was kept of it is no request".to_owned());
    };
    let Ok(response) = crate::api::router(state.clone()).oneshot(request).await;
    let status = response.status();
    let read = Limited::new(response.into_body(), ANSWER_MAX_BYTES)
        .collect()
        .await;
    let answer = read.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    let answer = answer.unwrap_or_default();
    if status.is_success() {
        return CarriedOut {
            status,
            detail: String::new(),
            answer,
        };
    }
    let problem = serde_json::from_str::<Problem>(&answer);
    CarriedOut {
        status,
        detail: problem.map_or_else(
            |_| format!("it was answered with {status}"),
            |problem| format!("{} ({})", problem.detail, problem.code),
        ),
        answer: String::new(),
    }
}

/// The era of a person: it is another when all their sessions have ended.
fn era(access: &Access, name: &PersonName) -> u64 {
    let person = access.directory().person(name);
    person.map(|kept| kept.value.era).unwrap_or_default()
}

/// Whether a token is still there and not over.
fn holds(access: &Access, id: &str, now: Timestamp) -> bool {
    let tokens = access.directory().tokens();
    tokens
        .iter()
        .any(|token| token.id == id && now < token.expires_at)
}

/// Whether somebody can be the second person for a proposal, and by which rule; or why not.
///
/// # Errors
///
/// Why not, in words.
pub fn may_decide(state: &GatewayState, caller: &Caller, record: &ProposalRecord) -> Result<String, String> {
    let now = state.access.now();
    if record.state_at(now) != ProposalState::Waiting {
        return Err(format!("it is {} already", record.state_at(now).as_str()));
    }
    if record.person == caller.person().name {
        return Err("you proposed it: it takes somebody else".to_owned());
    }
    if !matches!(caller.by(), By::Session { .. }) {
        return Err("only a person who is signed in can be the second one, no token".to_owned());
    }
    let decision = could_do(state, caller, record);
    if decision.could() {
        Ok(decision.rule)
    } else {
        Err(decision.rule)
    }
}

/// Whether it is one's own: a person's, when they are signed in, and a token's what that token itself proposed. Not all that its owner did.
pub fn is_own(caller: &Caller, record: &ProposalRecord) -> bool {
    let signed_in = matches!(caller.by(), By::Session { .. } | By::Posture);
    let same_token = record.by == caller.by().as_str() && record.by_id == caller.by().id();
    record.person == caller.person().name && (signed_in || same_token)
}

/// Whether somebody could do themselves what is proposed.
pub fn could_do(state: &GatewayState, caller: &Caller, record: &ProposalRecord) -> Decision {
    let act = Act {
        action: &record.action,
        changes: true,
    };
    let machine = record.machine.as_ref().map(|(id, _)| reach::machine(state, *id));
    match machine {
        None => caller.decide_act(record.permission, None, act, state.access.now()),
        Some(Some(view)) if caller.sees(&view) => {
            caller.decide_act(record.permission, Some(&view), act, state.access.now())
        }
        Some(_) => Decision::unseen(),
    }
}

impl From<ProposalError> for ApiError {
    fn from(error: ProposalError) -> Self {
        match error {
            ProposalError::NotSo(_) => Self::not_waiting(error.to_string()),
            ProposalError::Unknown => Self::no_such("proposal", ""),
            ProposalError::TooMany => Self::cannot_wait(error.to_string()),
            ProposalError::Entropy(_) => Self::not_persisted(&error.to_string()),
            ProposalError::Directory(error) => Self::from(error),
        }
    }
}
