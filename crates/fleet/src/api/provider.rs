//! The way to the provider at which people sign in, and the way back. Both are walked by browsers, so that what goes wrong ends on a page.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use muster_model::access::PersonName;
use muster_protocol::api::Problem;
use muster_protocol::api::access::AuditOutcome;
use serde::Deserialize;

use super::error::{ApiError, Refused};
use super::params::Params;
use super::session::{agent, set_cookie};
use crate::access::caller::Caller;
use crate::access::provider::{Provider, ProviderError, Returned, local_path};
use crate::access::signing_in::Begun;
use crate::gateway::GatewayState;

/// Where people go afterwards.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BeginParams {
    /// A page of the dashboard to go to afterwards, such as `/machines`; anything else, and absent: `/`.
    #[serde(default)]
    next: Option<String>,
}

/// Go to the provider to sign in
#[utoipa::path(get, path = "/api/v1/session/provider", operation_id = "sign_in_at_provider", tag = "access", params(BeginParams), responses(
    (status = 303, description = "To the provider; to `/sign-in?problem=CODE`, if it is away"),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no provider", body = Problem, content_type = "application/problem+json"),
))]
pub async fn begin(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<BeginParams>,
) -> Result<Response, ApiError> {
    let provider = state.access.provider().ok_or_else(ApiError::no_provider)?;
    let next = params.next.as_deref().unwrap_or("/");
    Ok(match provider.begin(next, caller.from()).await {
        Ok(sent) => {
            let mut response = see(&sent.address);
            set_cookie(&mut response, &state.access.provider_cookie(Some(&sent.browser)));
            response
        }
        Err(error) => {
            tracing::warn!(code = error.code(), %error, from = %caller.from(), "nobody can sign in at the provider");
            see_problem(&error, "")
        }
    })
}

/// Come back from the provider
///
/// Its address is what a provider calls the redirect URI. Parameters are what the provider says: `code`, `state`, `iss`, `error`.
#[utoipa::path(get, path = "/api/v1/session/callback", operation_id = "come_back_from_provider", tag = "access", responses(
    (status = 303, description = "Signed in, and on to where it was begun for: a cookie holds the session; not signed in: to `/sign-in?problem=CODE`"),
    (status = 404, description = "There is no provider", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The audit log takes nothing any more", body = Problem, content_type = "application/problem+json"),
))]
pub async fn finish(
    State(state): State<GatewayState>,
    caller: Caller,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, ApiError> {
    let provider = state.access.provider().ok_or_else(ApiError::no_provider)?;
    let returned = Returned::of(query.map(|Query(pairs)| pairs).unwrap_or_default());
    let mut changed = String::new();
    let mut response = match entered(&state, provider, &caller, &headers, returned, &mut changed).await {
        Ok((begun, next)) => {
            caller.note_person(&begun.name);
            caller.note_outcome(AuditOutcome::Done);
            let mut response = see(local_path(&next));
            set_cookie(&mut response, &state.access.cookie(Some(&begun.secret)));
            response
        }
        Err(error) => {
            tracing::warn!(code = error.code(), %error, from = %caller.from(), "somebody is not signed in by the provider");
            if let Some(name) = error.name().and_then(|name| name.parse::<PersonName>().ok()) {
                caller.note_person(&name);
            }
            caller.note_outcome(match error {
                ProviderError::Away(_) | ProviderError::TooMany | ProviderError::Here(_) => {
                    AuditOutcome::Failed
                }
                _ => AuditOutcome::Refused,
            });
            see_problem(&error, &changed)
        }
    };
    set_cookie(&mut response, &state.access.provider_cookie(None));
    Ok(response)
}

async fn entered(
    state: &GatewayState,
    provider: &Provider,
    caller: &Caller,
    headers: &HeaderMap,
    returned: Returned,
    changed: &mut String,
) -> Result<(Begun, String), ProviderError> {
    let word = state.access.provider_word(headers);
    let (who, next) = provider.finish(returned, word).await?;
    let (from, agent) = (caller.from(), agent(headers));
    let begun = state.access.enter(provider, &who, from, agent, changed).await?;
    let vouches = format!("{} vouches for {}", provider.name(), who.subject);
    caller.note_detail(and(vouches, changed));
    Ok((begun, next))
}

fn and(said: String, changed: &str) -> String {
    match changed {
        "" => said,
        changed => format!("{said}; {changed}"),
    }
}

/// Sends a browser elsewhere.
fn see(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
        Err(_) => ApiError::bad_parameter("next", "no address can hold it").into_response(),
    }
}

/// To the page that says why nobody was signed in, and to the audit log what the attempt changed all the same.
fn see_problem(error: &ProviderError, changed: &str) -> Response {
    let said = axum::Extension(Refused {
        detail: and(format!("{}: {error}", error.code()), changed).into(),
        takes_a_second_person: false,
    });
    (said, see(&format!("/sign-in?problem={}", error.problem()))).into_response()
}
