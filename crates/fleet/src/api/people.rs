//! People: who there is, what they are granted, their passwords and second factors.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use muster_model::access::{Grant, PersonName, Scope, ScopeError};
use muster_protocol::api::Problem;
use muster_protocol::api::access::{
    AccessGrant, ConfirmSecondFactor, GRANTS_MAX, People, Person, PutPassword, PutPerson, RecoveryCodes,
    SecondFactorOffer,
};
use muster_store::{DocumentVersion, Precondition};
use serde::Deserialize;

use super::error::ApiError;
use super::params::{Body, Params};
use super::session::{refusal, shown};
use super::stop::checked_reason;
use crate::access::caller::Caller;
use crate::access::directory::{DirectoryError, Kept};
use crate::access::records::{PersonRecord, SecondFactor};
use crate::access::signing_in::SignInError;
use crate::access::{PEOPLE_MAX, password, second_factor};
use crate::gateway::GatewayState;

/// Longest name to be shown, in characters.
const DISPLAY_NAME_MAX_CHARS: usize = 100;

/// The name of a person in the path.
pub struct PersonPath(pub PersonName);

impl<S: Send + Sync> FromRequestParts<S> for PersonPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let Ok(Path(text)) = text else {
            return Err(ApiError::no_such("person", "of that name"));
        };
        let name = text.parse();
        name.map(Self).map_err(|_| ApiError::no_such("person", &text))
    }
}

/// Why it is done.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReasonParams {
    /// Why: 1 to 500 characters.
    pub reason: String,
}

/// List people
#[utoipa::path(get, path = "/api/v1/people", operation_id = "list_people", tag = "access", responses(
    (status = 200, description = "Everybody, by name", body = People),
))]
pub async fn list(State(state): State<GatewayState>) -> Json<People> {
    let directory = state.access.directory();
    let items = directory
        .people()
        .iter()
        .map(|(name, kept)| person(&state, name, kept))
        .collect();
    Json(People { items })
}

/// Show one person
#[utoipa::path(get, path = "/api/v1/people/{name}", operation_id = "show_person", tag = "access",
    params(("name" = String, Path, description = "The name to sign in by")), responses(
    (status = 200, description = "The person, with an ETag", body = Person),
    (status = 404, description = "There is no such person", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(state): State<GatewayState>,
    PersonPath(name): PersonPath,
) -> Result<Response, ApiError> {
    let kept = state.access.directory().person(&name);
    let kept = kept.ok_or_else(|| ApiError::no_such("person", name.as_str()))?;
    Ok(tagged(kept.version, Json(person(&state, &name, &kept))))
}

/// Make a person, or change one
#[utoipa::path(put, path = "/api/v1/people/{name}", operation_id = "put_person", tag = "access", request_body = PutPerson,
    params(("name" = String, Path, description = "The name to sign in by: a-z, 0-9, '.', '-', '_', '@'"),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *"),
           ("If-None-Match" = Option<String>, Header, description = "* to make somebody new")), responses(
    (status = 200, description = "The person as it is now", body = Person),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There can be nobody of that name", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is the last admin, or there are too many people", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A part of the body is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn put(
    State(state): State<GatewayState>,
    caller: Caller,
    PersonPath(name): PersonPath,
    headers: HeaderMap,
    Body(body): Body<PutPerson>,
) -> Result<Response, ApiError> {
    caller.note_object("person", name.as_str(), body.display_name.clone());
    let precondition = precondition(&headers)?;
    let reason = checked_reason(&body.reason)?;
    caller.note_reason(&reason);
    let display_name = body.display_name.trim().to_owned();
    if display_name.chars().count() > DISPLAY_NAME_MAX_CHARS || display_name.chars().any(char::is_control) {
        let detail =
            format!("at most {DISPLAY_NAME_MAX_CHARS} characters without control characters are accepted");
        return Err(ApiError::bad_body("display_name", detail));
    }
    let grants = checked_grants("grants", &body.grants)?;
    let (access, directory) = (&state.access, state.access.directory());
    let before = directory.person(&name);
    if before.is_none() && directory.people().len() >= PEOPLE_MAX {
        return Err(ApiError::as_things_stand(format!(
            "there are {PEOPLE_MAX} people, which is the most"
        )));
    }
    if name == PersonName::local() {
        let detail = "local is what everybody is called where nobody signs in: take another name";
        return Err(ApiError::bad_body("name", detail));
    }
    let had = before.as_ref().map(|kept| &kept.value);
    let mut password = had.and_then(|had| had.password.clone());
    let mut era = had.map(|had| had.era).unwrap_or_default();
    if let Some(given) = body.password {
        password::check(&given, name.as_str())
            .map_err(|error| ApiError::bad_body("password", error.to_string()))?;
        password = Some(access.hash(given).await.map_err(refusal)?);
        era += 1;
    }
    if body.disabled && had.is_some_and(|had| !had.disabled) {
        // Or the sessions of before would be back when they are enabled again.
        era += 1;
    }
    let now = access.now();
    let record = PersonRecord {
        display_name,
        grants,
        disabled: body.disabled,
        password,
        second_factor: had.and_then(|had| had.second_factor.clone()),
        provider: had.and_then(|had| had.provider.clone()),
        created_at: had.map_or(now, |had| had.created_at),
        era,
    };
    caller.note_detail(record.what_changed(had));
    directory.put_person(&name, precondition, record, now).await?;
    if body.disabled {
        revoke_tokens_of(&state, &name).await?;
    }
    let kept = directory.person(&name).ok_or_else(ApiError::stopping)?;
    Ok(tagged(kept.version, Json(person(&state, &name, &kept))))
}

/// Revokes the tokens of somebody who is disabled: those of before must not be back when they are enabled again. What the store does
/// not take is worth nothing while they are disabled, and is tried again when they are disabled once more.
async fn revoke_tokens_of(state: &GatewayState, name: &PersonName) -> Result<(), ApiError> {
    let directory = state.access.directory();
    let tokens = directory.tokens();
    for token in tokens.iter().filter(|token| token.owner == *name) {
        directory.revoke_token(&token.hash).await?;
    }
    Ok(())
}

/// Remove a person, with their sessions and tokens
#[utoipa::path(delete, path = "/api/v1/people/{name}", operation_id = "remove_person", tag = "access",
    params(("name" = String, Path, description = "The name to sign in by"), ReasonParams,
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *")), responses(
    (status = 204, description = "Gone, with all sessions and tokens"),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such person", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is the last admin", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The reason is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn remove(
    State(state): State<GatewayState>,
    caller: Caller,
    PersonPath(name): PersonPath,
    headers: HeaderMap,
    Params(params): Params<ReasonParams>,
) -> Result<StatusCode, ApiError> {
    caller.note_object("person", name.as_str(), "");
    caller.note_reason(&checked_reason(&params.reason)?);
    let precondition = precondition(&headers)?;
    let directory = state.access.directory();
    if directory.person(&name).is_none()
        || !directory
            .remove_person(&name, precondition, state.access.now())
            .await?
    {
        return Err(ApiError::no_such("person", name.as_str()));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Give a person another password
///
/// One's own with the one so far; anybody's for who administers. All sessions of theirs end, also the one that asks.
#[utoipa::path(put, path = "/api/v1/people/{name}/password", operation_id = "put_password", tag = "access", request_body = PutPassword,
    params(("name" = String, Path, description = "The name to sign in by")), responses(
    (status = 204, description = "In force; their sessions are over"),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such person", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The password is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many tries failed", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn put_password(
    State(state): State<GatewayState>,
    caller: Caller,
    PersonPath(name): PersonPath,
    Body(body): Body<PutPassword>,
) -> Result<StatusCode, ApiError> {
    caller.note_object("person", name.as_str(), "");
    let access = &state.access;
    let own = caller.is_person() && caller.person().name == name;
    let kept = access
        .directory()
        .person(&name)
        .ok_or_else(|| ApiError::no_such("person", name.as_str()))?;
    password::check(&body.password, name.as_str())
        .map_err(|error| ApiError::bad_body("password", error.to_string()))?;
    if own {
        let current = body.current.unwrap_or_default();
        let proved = access.prove(name.as_str(), current, kept.value.password.clone(), caller.from());
        proved.await.map_err(|error| match error {
            // Who is signed in stays so.
            SignInError::Wrong => ApiError::bad_body("current", "it is not the password so far"),
            other => refusal(other),
        })?;
    }
    let record = PersonRecord {
        password: Some(access.hash(body.password).await.map_err(refusal)?),
        era: kept.value.era + 1,
        ..kept.value.clone()
    };
    change(&state, &name, &kept, record).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask for a second factor of one's own
///
/// Nothing changes until a code of it is told.
#[utoipa::path(post, path = "/api/v1/me/second-factor", operation_id = "offer_second_factor", tag = "access", responses(
    (status = 200, description = "A secret for an authenticator", body = SecondFactorOffer),
    (status = 404, description = "Nobody is signed in as a person", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There is one already", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn offer_second_factor(
    State(state): State<GatewayState>,
    caller: Caller,
) -> Result<Json<SecondFactorOffer>, ApiError> {
    let (name, kept) = oneself(&state, &caller)?;
    if kept.value.second_factor.is_some() {
        let detail = "there is a second factor already: remove it first";
        return Err(ApiError::as_things_stand(detail));
    }
    let offer = second_factor::offer(&name).map_err(|error| ApiError::not_persisted(&error.to_string()))?;
    state.access.keep_offer(&name, &offer.secret);
    Ok(Json(SecondFactorOffer {
        secret: offer.secret,
        address: offer.address,
        qr_svg: offer.qr_svg,
    }))
}

/// Put the second factor in force that was offered
#[utoipa::path(put, path = "/api/v1/me/second-factor", operation_id = "confirm_second_factor", tag = "access", request_body = ConfirmSecondFactor, responses(
    (status = 200, description = "In force, with codes for the day it is lost", body = RecoveryCodes),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "None was offered", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The code is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn confirm_second_factor(
    State(state): State<GatewayState>,
    caller: Caller,
    Body(body): Body<ConfirmSecondFactor>,
) -> Result<Json<RecoveryCodes>, ApiError> {
    let (name, kept) = oneself(&state, &caller)?;
    caller.note_object("person", name.as_str(), "");
    let secret = state
        .access
        .offered(&name)
        .ok_or_else(|| ApiError::no_such("offer", "second factor"))?;
    let (codes, recovery) =
        second_factor::recovery_codes().map_err(|error| ApiError::not_persisted(&error.to_string()))?;
    let factor = SecondFactor {
        secret,
        last_step: 0,
        recovery: Vec::new(),
    };
    let Some(spent) = second_factor::spend(&factor, &body.code, &name, state.access.now()) else {
        return Err(ApiError::bad_body(
            "code",
            "it is not the code of this secret, now: look at the clock of both sides",
        ));
    };
    let factor = SecondFactor { recovery, ..spent };
    let record = PersonRecord {
        second_factor: Some(factor),
        ..kept.value.clone()
    };
    change(&state, &name, &kept, record).await?;
    state.access.forget_offer(&name);
    Ok(Json(RecoveryCodes { codes }))
}

/// Take a second factor away
///
/// One's own, or anybody's for who administers.
#[utoipa::path(delete, path = "/api/v1/people/{name}/second-factor", operation_id = "remove_second_factor", tag = "access",
    params(("name" = String, Path, description = "The name to sign in by")), responses(
    (status = 204, description = "Only the password is asked for now"),
    (status = 404, description = "There is no such person, or no second factor", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn remove_second_factor(
    State(state): State<GatewayState>,
    caller: Caller,
    PersonPath(name): PersonPath,
) -> Result<StatusCode, ApiError> {
    caller.note_object("person", name.as_str(), "");
    let kept = state.access.directory().person(&name);
    let kept = kept.filter(|kept| kept.value.second_factor.is_some());
    let kept = kept.ok_or_else(|| ApiError::no_such("second factor of", name.as_str()))?;
    let record = PersonRecord {
        second_factor: None,
        ..kept.value.clone()
    };
    change(&state, &name, &kept, record).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change(
    state: &GatewayState,
    name: &PersonName,
    kept: &Kept<PersonRecord>,
    record: PersonRecord,
) -> Result<(), ApiError> {
    let version = Precondition::Version(DocumentVersion(kept.version));
    let directory = state.access.directory();
    directory
        .put_person(name, version, record, state.access.now())
        .await?;
    Ok(())
}

/// Who asks, as a person with a session of their own.
fn oneself(
    state: &GatewayState,
    caller: &Caller,
) -> Result<(PersonName, std::sync::Arc<Kept<PersonRecord>>), ApiError> {
    let name = caller.person().name.clone();
    let kept = state
        .access
        .directory()
        .person(&name)
        .filter(|_| caller.is_person());
    let kept = kept.ok_or_else(|| ApiError::no_such("person with a session", name.as_str()))?;
    Ok((name, kept))
}

fn person(state: &GatewayState, name: &PersonName, kept: &Kept<PersonRecord>) -> Person {
    let record = &kept.value;
    let sessions = state.access.directory().sessions(state.access.now());
    let mine = sessions.iter().filter(|session| session.person == *name);
    Person {
        name: name.clone(),
        display_name: record.display_name.clone(),
        grants: shown(&record.grants),
        disabled: record.disabled,
        has_password: record.password.is_some(),
        second_factor: record.second_factor.is_some(),
        provider: record.provider.as_ref().map(|vouched| vouched.issuer.clone()),
        created_at: record.created_at,
        signed_in_at: mine.map(|session| session.record.created_at).max(),
        version: kept.version,
    }
}

/// Grants of a body.
pub(super) fn checked_grants(at: &str, grants: &[AccessGrant]) -> Result<Vec<Grant>, ApiError> {
    if grants.len() > GRANTS_MAX {
        let detail = format!("{}: at most {GRANTS_MAX} are accepted", grants.len());
        return Err(ApiError::bad_body(at, detail));
    }
    let checked = grants.iter().enumerate().map(|(index, grant)| {
        let scope: Result<Scope, ScopeError> = grant.scope.parse();
        let scope =
            scope.map_err(|error| ApiError::bad_body(&format!("{at}.{index}.scope"), error.to_string()))?;
        Ok(Grant {
            role: grant.role,
            scope,
        })
    });
    checked.collect()
}

/// What must be there for a change: `If-Match`, or `If-None-Match: *` for something new.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|value| value == "*")
    {
        return Ok(Precondition::Absent);
    }
    let version = super::profile::expected_number(headers)?;
    Ok(version.map_or(Precondition::Any, |version| {
        Precondition::Version(DocumentVersion(version))
    }))
}

/// With the version as its `ETag`.
pub(super) fn tagged(version: u64, body: impl IntoResponse) -> Response {
    ([(header::ETAG, format!("\"{version}\""))], body).into_response()
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        match &error {
            DirectoryError::Conflict { actual: None } => Self::conflict("{}"),
            DirectoryError::Conflict {
                actual: Some(version),
            } => Self::conflict(&format!("{{\"version\":{version}}}")),
            DirectoryError::LastAdmin | DirectoryError::SecondAdmin => Self::last_admin(error.to_string()),
            DirectoryError::Stopping => Self::stopping(),
            DirectoryError::Store(_) | DirectoryError::Document { .. } | DirectoryError::Policy { .. } => {
                let chain = muster_runtime::errors::chain(&error);
                tracing::error!(error = %chain, "people, sessions or tokens could not be changed");
                Self::not_persisted(&chain)
            }
        }
    }
}
