//! Sessions of people, and tokens for programs: which there are, and how they end.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use muster_model::access::{Permission, PersonName};
use muster_protocol::api::Problem;
use muster_protocol::api::access::{
    AccessSession, AccessSessions, AccessToken, AccessTokens, MakeToken, TOKEN_LIFETIME_DEFAULT_S,
    TOKEN_LIFETIME_MAX_S, TokenMade,
};
use serde::Deserialize;

use super::error::ApiError;
use super::params::{Body, Params, WordPath};
use super::people::checked_grants;
use super::session::{person_name, shown};
use crate::access::TOKENS_OF_ONE_MAX;
use crate::access::caller::{By, Caller};
use crate::access::records::{Session, Token, TokenRecord};
use crate::access::secret::{Secret, SecretKind, hex, random};
use crate::gateway::GatewayState;

/// Shortest life of a token, in seconds.
const TOKEN_LIFETIME_MIN_S: u64 = 60;
/// Longest name of a token, in characters.
const TOKEN_NAME_MAX_CHARS: usize = 100;

/// Whose.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OwnerParams {
    /// Only of this person.
    person: Option<String>,
}

/// List sessions
///
/// One's own; everybody's for who administers.
#[utoipa::path(get, path = "/api/v1/sessions", operation_id = "list_sessions", tag = "access", params(OwnerParams), responses(
    (status = 200, description = "Sessions that are valid, the newest first", body = AccessSessions),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
))]
pub async fn sessions(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<OwnerParams>,
) -> Json<AccessSessions> {
    let all = administers(&state, &caller);
    let sessions = state.access.directory().sessions(state.access.now());
    let items = sessions.iter().filter(|session| {
        let asked = params
            .person
            .as_deref()
            .is_none_or(|person| session.person.as_str() == person);
        asked && (all || session.person == caller.person().name && caller.is_signed_in())
    });
    Json(AccessSessions {
        items: items.map(|session| shown_session(session, &caller)).collect(),
    })
}

/// End a session
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", operation_id = "end_session", tag = "access",
    params(("id" = String, Path, description = "The session, as the list says it")), responses(
    (status = 204, description = "It is over, and so is what was connected by it"),
    (status = 404, description = "There is no such session", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn end_session(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(id): WordPath,
) -> Result<StatusCode, ApiError> {
    let directory = state.access.directory();
    let sessions = directory.sessions(state.access.now());
    let mine = |name: &PersonName| *name == caller.person().name || administers(&state, &caller);
    let found = sessions
        .iter()
        .find(|session| session.id == id && mine(&session.person));
    let session = found.ok_or_else(|| ApiError::no_such("session", &id))?;
    caller.note_object("session", id, session.person.as_str());
    if session.person != caller.person().name {
        caller.may_everywhere(Permission::Administer, state.access.now())?;
    }
    directory.end_session(&session.hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List tokens
///
/// One's own; everybody's for who administers.
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "list_tokens", tag = "access", params(OwnerParams), responses(
    (status = 200, description = "Tokens, the newest first; of those that are over, too", body = AccessTokens),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
))]
pub async fn tokens(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<OwnerParams>,
) -> Json<AccessTokens> {
    let all = administers(&state, &caller);
    let tokens = state.access.directory().tokens();
    let items = tokens.iter().filter(|token| {
        let asked = params
            .person
            .as_deref()
            .is_none_or(|person| token.owner.as_str() == person);
        asked && (all || token.owner == caller.person().name && caller.is_signed_in())
    });
    Json(AccessTokens {
        items: items.map(|token| shown_token(token)).collect(),
    })
}

/// Make a token
///
/// It can never do what its owner cannot. Told once.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "make_token", tag = "access", request_body = MakeToken, responses(
    (status = 201, description = "The token", body = TokenMade),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such person", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are too many, or nobody signs in here", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A part of the body is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn make(
    State(state): State<GatewayState>,
    caller: Caller,
    Body(body): Body<MakeToken>,
) -> Result<Response, ApiError> {
    let (access, directory) = (&state.access, state.access.directory());
    let name = body.name.trim().to_owned();
    if !(1..=TOKEN_NAME_MAX_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        let detail = format!("say what it is for, in 1 to {TOKEN_NAME_MAX_CHARS} characters");
        return Err(ApiError::bad_body("name", detail));
    }
    let owner = match &body.owner {
        Some(owner) => person_name(owner).map_err(|_| ApiError::no_such("person", owner))?,
        None => caller.person().name.clone(),
    };
    let own = owner == caller.person().name;
    if !own {
        caller.may_everywhere(Permission::Administer, access.now())?;
    }
    if directory.person(&owner).is_none() {
        if own && *caller.by() == By::Posture {
            let detail = "everybody on this computer is let in here: nobody needs a token";
            return Err(ApiError::as_things_stand(detail));
        }
        return Err(ApiError::no_such("person", owner.as_str()));
    }
    let now = access.now();
    // What made it is over by then: whoever found a token for an hour has an hour.
    let left_s = match caller.by() {
        By::Token { expires_at, .. } => Some((expires_at.millis_since(now) / 1_000).max(0).cast_unsigned()),
        _ => None,
    };
    let usual_s = TOKEN_LIFETIME_DEFAULT_S.min(left_s.unwrap_or(u64::MAX));
    let lifetime_s = body.expires_in_s.unwrap_or(usual_s);
    if let Some(left_s) = left_s.filter(|left_s| lifetime_s > *left_s) {
        let detail = format!("{lifetime_s}: a token makes none that outlives it, and it ends in {left_s} s");
        return Err(ApiError::bad_body("expires_in_s", detail));
    }
    if !(TOKEN_LIFETIME_MIN_S..=TOKEN_LIFETIME_MAX_S).contains(&lifetime_s) {
        let detail =
            format!("{lifetime_s}: {TOKEN_LIFETIME_MIN_S} to {TOKEN_LIFETIME_MAX_S} seconds are accepted");
        return Err(ApiError::bad_body("expires_in_s", detail));
    }
    let grants = body
        .grants
        .as_deref()
        .map(|grants| checked_grants("grants", grants))
        .transpose()?;
    if directory
        .tokens()
        .iter()
        .filter(|token| token.owner == owner)
        .count()
        >= TOKENS_OF_ONE_MAX
    {
        let detail = format!("{owner} has {TOKENS_OF_ONE_MAX} tokens, which is the most: revoke some");
        return Err(ApiError::as_things_stand(detail));
    }
    let no_entropy = |error: crate::access::secret::NoEntropy| ApiError::not_persisted(&error.to_string());
    let secret = Secret::new(SecretKind::Token).map_err(no_entropy)?;
    let record = TokenRecord {
        id: hex(&random::<8>().map_err(no_entropy)?),
        name,
        owner,
        grants,
        created_at: now,
        expires_at: now.plus_millis((lifetime_s * 1_000).cast_signed()),
        used_at: None,
        used_from: None,
    };
    caller.note_object("token", record.id.clone(), record.name.clone());
    caller.note_detail(format!("for {}, until {}", record.owner, record.expires_at));
    let token = Token::of(secret.hash(), record.clone());
    directory.add_token(secret.hash(), record).await?;
    let made = TokenMade {
        secret: secret.reveal().to_owned(),
        token: shown_token(&token),
    };
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(made),
    )
        .into_response())
}

/// Revoke a token
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", operation_id = "revoke_token", tag = "access",
    params(("id" = String, Path, description = "The token, as the list says it")), responses(
    (status = 204, description = "It is worth nothing any more"),
    (status = 404, description = "There is no such token", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn revoke(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(id): WordPath,
) -> Result<StatusCode, ApiError> {
    let directory = state.access.directory();
    let tokens = directory.tokens();
    let mine = |name: &PersonName| *name == caller.person().name || administers(&state, &caller);
    let found = tokens.iter().find(|token| token.id == id && mine(&token.owner));
    let token = found.ok_or_else(|| ApiError::no_such("token", &id))?;
    caller.note_object("token", id, token.record.name.clone());
    if token.owner != caller.person().name {
        caller.may_everywhere(Permission::Administer, state.access.now())?;
    }
    directory.revoke_token(&token.hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn administers(state: &GatewayState, caller: &Caller) -> bool {
    caller
        .decide(Permission::Administer, None, state.access.now())
        .could()
}

fn shown_session(session: &Arc<Session>, caller: &Caller) -> AccessSession {
    let record = session.to_record();
    AccessSession {
        id: record.id,
        person: record.person,
        current: caller.by().id() == session.id,
        created_at: record.created_at,
        used_at: record.used_at,
        expires_at: record.expires_at,
        from: record.from,
        agent: record.agent,
    }
}

fn shown_token(token: &Token) -> AccessToken {
    let record = token.to_record();
    AccessToken {
        id: record.id,
        name: record.name,
        owner: record.owner,
        grants: record.grants.as_deref().map(shown).unwrap_or_default(),
        created_at: record.created_at,
        expires_at: record.expires_at,
        used_at: record.used_at,
        used_from: record.used_from,
    }
}
