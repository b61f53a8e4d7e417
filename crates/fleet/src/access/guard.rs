//! What every request goes through: who is it, may it come from there, what does the route need, may they – and then it is
//! written down.
//!
//! A browser sends requests for any page it shows. `Host` says under which name the page reached us, and a foreign name that was
//! made to point here (DNS rebinding) is no name of ours; `Origin` says for which page. What comes with a cookie and changes
//! something must say so, and be ours; what comes with a token can be sent by no page.

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use muster_model::access::Permission;
use muster_protocol::api::access::AuditOutcome;
use tokio::sync::oneshot;

use super::audit::Record;
use super::caller::{By, Caller};
use super::declared::{self, Needs, Route};
use super::proposing::{self, Seconded};
use super::{Access, AccessMode, Peer};
use crate::api::error::{self, ApiError, Refused};
use crate::api::params::machine_id;
use crate::gateway::{GatewayState, origin};
use crate::identity::reach;

/// Longest detail in the audit log, in characters.
const DETAIL_MAX_CHARS: usize = 1_000;

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // The guard put it there; where there is no guard, nobody asks.
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(ApiError::not_signed_in)
    }
}

/// Lets a request through, or says why not.
pub async fn guard(State(state): State<GatewayState>, mut request: Request, next: Next) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let from = Peer::of(request.extensions());
    let access = &state.access;
    // What was proposed and is carried out now is sent by the server itself; nobody else can put that into a request.
    let seconded = request.extensions_mut().remove::<Seconded>();
    if seconded.is_none()
        && let Err(error) = origin::check(
            request.headers(),
            request.uri(),
            access.mode(),
            access.is_encrypted(),
        )
    {
        metrics::counter!("muster_foreign_requests_total").increment(1);
        return error.into_response();
    }
    let method = request.method().clone();
    let route = path.as_deref().map(|path| (path, declared::route(&method, path)));
    let route = match route {
        // The dashboard's files, and paths that do not exist: the same for everybody.
        None => return next.run(request).await,
        Some((path, None)) if is_fallback(path) => return next.run(request).await,
        Some((path, None)) if known_path(path) => {
            return wrong_method(path, method, request.uri().clone()).await;
        }
        Some((path, None)) => {
            tracing::error!(path, "a route does not say what it needs: it is refused");
            return ApiError::not_allowed("this route does not say what it needs".to_owned()).into_response();
        }
        Some((_, Some(route))) => route,
    };
    if route.needs == Needs::MachineItself {
        return match access.mode() {
            AccessMode::TrustLoopback => next.run(request).await,
            AccessMode::SignIn => {
                let rule = "machines connect to a port of their own, with a certificate".to_owned();
                ApiError::not_allowed(rule).into_response()
            }
        };
    }
    // Who comes with what is not valid any more is nobody: whether that is enough, the route says.
    let caller = match seconded {
        Some(Seconded(caller)) => caller,
        None => access
            .who(request.headers(), from)
            .unwrap_or_else(|_| Caller::nobody(from)),
    };
    let changes = changes(&method) && !route.only_looks() || route.changes_by_get();
    caller.begin(route.action, changes);
    if !changes {
        return decided(state, route, caller, false, request, next).await;
    }
    // To the end, also when whoever asked goes away: hyper drops what it answers to nobody, and what is half done would be on the disk
    // and not in memory, or done and not written down.
    let (tell, told) = oneshot::channel();
    let tasks = state.tasks.clone();
    tasks.spawn_small(async move {
        // Nobody waits any more where that fails.
        let _ = tell.send(decided(state, route, caller, true, request, next).await);
    });
    told.await
        .unwrap_or_else(|_| ApiError::stopping().into_response())
}

/// Decides, has it done, and writes it down.
async fn decided(
    state: GatewayState,
    route: &'static Route,
    caller: Caller,
    changes: bool,
    mut request: Request,
    next: Next,
) -> Response {
    let access = &state.access;
    let mut checked = check(&state, route, &caller, &mut request).await;
    let asked = proposing::keep(&caller, changes, &checked, route, &mut request).await;
    let asked = asked.unwrap_or_else(|error| {
        checked = Err(error);
        None
    });
    let mut response = match checked {
        Ok(()) if changes && access.audit().has_failed() && route.action != "machines.stop" => {
            ApiError::not_persisted(
                "the audit log takes nothing any more: nothing but a stop is done without it",
            )
            .into_response()
        }
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    if let Some(asked) = asked {
        response = proposing::propose(access, route.action, &caller, asked, response).await;
    }
    let refused = matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    );
    // That nobody is let in who did not say who they are is no act of anybody; what they try where one says it, is.
    let is_nobody = refused && !caller.is_signed_in() && route.needs != Needs::Anybody;
    if is_nobody || !changes && !refused {
        return response;
    }
    written_down(access, route, &caller, response).await
}

/// What the router answers itself.
fn is_fallback(path: &str) -> bool {
    matches!(path, "/api" | "/api/" | "/api/{*rest}")
}

/// A path of ours, asked for in another way. Answered here: a method that the router knows and nobody declared is not let through.
fn known_path(path: &str) -> bool {
    declared::ROUTES.iter().any(|route| route.path == path)
}

async fn wrong_method(path: &str, method: Method, uri: Uri) -> Response {
    let mut response = error::method_not_allowed(method, uri).await.into_response();
    let mut allowed: Vec<&str> = Vec::new();
    for route in declared::ROUTES.iter().filter(|route| route.path == path) {
        allowed.push(route.method);
        if route.method == "GET" {
            allowed.push("HEAD");
        }
    }
    if let Ok(value) = HeaderValue::from_str(&allowed.join(",")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

async fn check(
    state: &GatewayState,
    route: &Route,
    caller: &Caller,
    request: &mut Request,
) -> Result<(), ApiError> {
    // Also where nobody has to be signed in: signing somebody in under a foreign name is an attack as well.
    let by_page = !matches!(caller.by(), By::Token { .. } | By::Proposal { .. });
    let by_cookie = by_page && !has_authorization(request.headers());
    if by_cookie && changes(request.method()) && state.access.mode() == AccessMode::SignIn {
        origin::must_be_ours(request.headers(), caller.is_signed_in())?;
    }
    if route.needs == Needs::Anybody {
        return Ok(());
    }
    if !caller.is_signed_in() {
        return Err(ApiError::not_signed_in());
    }
    let now = state.access.now();
    let permission = match route.needs {
        Needs::Anybody | Needs::SignedIn | Needs::MachineItself => return Ok(()),
        Needs::NotNarrowed => return caller.must_not_be_narrowed(),
        Needs::Oneself => {
            let name = of_path(request, "name").await;
            if caller.is_person() && caller.name() == name {
                return Ok(());
            }
            return caller.may_everywhere(Permission::Administer, now);
        }
        Needs::Everywhere(permission) => return caller.may_everywhere(permission, now),
        Needs::Machines(permission) => return caller.may_somewhere(permission),
        Needs::Machine(permission) | Needs::Identity(permission) => permission,
        Needs::Section => declared::of_section(&of_path(request, "section").await),
    };
    // What is no id is refused by the handler, which says what is accepted.
    let Ok(id) = machine_id(&of_path(request, "id").await) else {
        return Ok(());
    };
    let view = match route.needs {
        Needs::Identity(_) => reach::machine(state, id),
        _ => state.fleet.view(id),
    };
    let view = view.ok_or_else(|| ApiError::no_such_machine(id))?;
    if changes(request.method()) || permission != Permission::Read {
        caller.note_machine(
            id,
            if caller.sees(&view) {
                view.name()
            } else {
                String::new()
            },
        );
    }
    caller.may(permission, &view, now)
}

fn has_authorization(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
}

/// A part of the path by its name; empty if there is none.
async fn of_path(request: &mut Request, name: &str) -> String {
    let (mut parts, body) = std::mem::take(request).into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &()).await;
    *request = Request::from_parts(parts, body);
    let found = params.ok().and_then(|params| {
        let mut pairs = params.iter();
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    });
    found.unwrap_or_default()
}

/// Writes down what was done or refused, before anybody is told of it.
async fn written_down(access: &Access, route: &Route, caller: &Caller, response: Response) -> Response {
    let notes = caller.take_notes();
    let status = response.status();
    let failed =
        status.is_client_error() || notes.outcome.is_some_and(|outcome| outcome != AuditOutcome::Done);
    let in_vain = failed && !caller.is_signed_in();
    if notes.quiet || in_vain && !access.hears_strangers() {
        return response;
    }
    let outcome = notes.outcome.unwrap_or(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
            AuditOutcome::Refused
        }
        status if status.is_client_error() || status.is_server_error() => AuditOutcome::Failed,
        _ => AuditOutcome::Done,
    });
    let said = response
        .extensions()
        .get::<Refused>()
        .map(|refused| refused.detail.clone());
    let said = said.filter(|_| outcome != AuditOutcome::Done);
    let detail = said.map_or(notes.detail, |said| said.to_string());
    let named = notes.person.map(|name| name.to_string());
    let record = Record {
        person: named.unwrap_or_else(|| caller.name().to_owned()),
        by: caller.by().as_str().to_owned(),
        by_id: caller.by().id().to_owned(),
        second_person: caller.second().map_or("", Caller::name).to_owned(),
        action: route.action.to_owned(),
        objects: notes.objects,
        objects_in_all: notes.objects_in_all,
        reason: notes.reason,
        from: caller.from().to_string(),
        outcome,
        status: status.as_u16(),
        rule: notes.rule,
        detail: detail.chars().take(DETAIL_MAX_CHARS).collect(),
    };
    if let Err(error) = access.audit().write(access.now(), &record).await {
        metrics::counter!("muster_audit_entries_lost_total").increment(1);
        tracing::error!(
            code = error.code(), error = %muster_runtime::errors::chain(&error),
            action = record.action, person = record.person, from = record.from, status = record.status,
            "the audit log did not take an entry"
        );
    }
    response
}
