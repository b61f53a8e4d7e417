//! Roles, rules of one's own, and what somebody could do.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use muster_model::access::{Permission, Role};
use muster_protocol::api::Problem;
use muster_protocol::api::access::{
    AccessChecked, AccessDecision, AccessPolicies, AccessPolicy, CheckAccess, PolicyEffect, PutPolicy,
    RoleDescription, Roles,
};

use super::error::ApiError;
use super::params::{Body, Params};
use super::people::{ReasonParams, checked_grants, precondition, tagged};
use super::session::{decided, person_name};
use super::stop::checked_reason;
use crate::access::caller::{Act, Caller, Person, decide};
use crate::access::directory::Kept;
use crate::access::policy::{Compiled, Facts, PolicyError};
use crate::access::records::PolicyRecord;
use crate::access::{AccessMode, POLICIES_MAX};
use crate::gateway::GatewayState;

/// Longest name of a policy, in characters.
const NAME_MAX_CHARS: usize = 64;
/// Longest description, in characters.
const DESCRIPTION_MAX_CHARS: usize = 500;

/// The name of a policy in the path.
pub struct PolicyPath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PolicyPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let Ok(Path(text)) = text else {
            return Err(ApiError::no_such("policy", "of that name"));
        };
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=NAME_MAX_CHARS).contains(&text.len()) || !text.bytes().all(fits) {
            return Err(ApiError::no_such(
                "policy (names have 1 to 64 of a-z, 0-9 and '-')",
                &text,
            ));
        }
        Ok(Self(text))
    }
}

/// List roles
#[utoipa::path(get, path = "/api/v1/roles", operation_id = "list_roles", tag = "access", responses(
    (status = 200, description = "The roles, from least to most", body = Roles),
))]
pub async fn roles() -> Json<Roles> {
    let items = Role::ALL.iter().map(|role| RoleDescription {
        role: *role,
        permissions: role.permissions().to_vec(),
        description: match role {
            Role::Viewer => "Sees machines, what they report and what happened.",
            Role::Operator => "Sees, stops and operates machines, and has recordings brought.",
            Role::Engineer => "Sees machines, decides what runs on them and how they are set up.",
            Role::Admin => "Everything, people and identities included.",
        }
        .to_owned(),
    });
    Json(Roles {
        items: items.collect(),
    })
}

/// List policies
#[utoipa::path(get, path = "/api/v1/policies", operation_id = "list_policies", tag = "access", responses(
    (status = 200, description = "All of them, by name", body = AccessPolicies),
))]
pub async fn list(State(state): State<GatewayState>) -> Json<AccessPolicies> {
    let all = state.access.directory().policy_records();
    Json(AccessPolicies {
        items: all.iter().map(|(name, kept)| policy(name, kept)).collect(),
    })
}

/// Show one policy
#[utoipa::path(get, path = "/api/v1/policies/{name}", operation_id = "show_policy", tag = "access",
    params(("name" = String, Path, description = "Its name")), responses(
    (status = 200, description = "The policy, with an ETag", body = AccessPolicy),
    (status = 404, description = "There is no such policy", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(state): State<GatewayState>,
    PolicyPath(name): PolicyPath,
) -> Result<Response, ApiError> {
    shown(&state, &name)
}

/// Make a policy, or change one
///
/// It is tried on whoever asks before it is kept: what does not come out as true or false is refused.
#[utoipa::path(put, path = "/api/v1/policies/{name}", operation_id = "put_policy", tag = "access", request_body = PutPolicy,
    params(("name" = String, Path, description = "Its name: 1 to 64 of a-z, 0-9 and '-'"),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *"),
           ("If-None-Match" = Option<String>, Header, description = "* to make a new one")), responses(
    (status = 200, description = "The policy as it is now, in force", body = AccessPolicy),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There can be none of that name", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are too many, or nobody to be the second person", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The expression or another part of the body is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn put(
    State(state): State<GatewayState>,
    caller: Caller,
    PolicyPath(name): PolicyPath,
    headers: HeaderMap,
    Body(body): Body<PutPolicy>,
) -> Result<Response, ApiError> {
    caller.note_object("policy", name.clone(), "");
    let precondition = precondition(&headers)?;
    caller.note_reason(&checked_reason(&body.reason)?);
    let (record, compiled) = compiled(&state, caller.person(), &name, &body).await?;
    let directory = state.access.directory();
    let known = directory.policy_records();
    if known.len() >= POLICIES_MAX && !known.iter().any(|(other, _)| *other == name) {
        let detail = format!("there are {POLICIES_MAX} policies, which is the most");
        return Err(ApiError::as_things_stand(detail));
    }
    // Whoever would lock themselves out is told before, not after.
    let now = state.access.now();
    let mut all: Vec<Compiled> = Vec::new();
    for other in known.iter().filter(|(other, _)| *other != name) {
        all.extend(Compiled::new(&other.0, &other.1.value).ok());
    }
    all.push(compiled);
    let act = Act {
        action: "policies.remove",
        changes: true,
    };
    let still = decide(
        caller.person(),
        None,
        &all,
        Permission::Administer,
        None,
        act,
        now,
    );
    must_have_a_second_person(&state, &record)?;
    if !still.could() {
        let detail = format!("with it you could not change it back: {}", still.rule);
        return Err(ApiError::bad_body("condition", detail));
    }
    caller.note_detail(format!("{:?} when {}", record.effect, record.condition));
    directory.put_policy(&name, precondition, record, now).await?;
    shown(&state, &name)
}

/// Remove a policy
#[utoipa::path(delete, path = "/api/v1/policies/{name}", operation_id = "remove_policy", tag = "access",
    params(("name" = String, Path, description = "Its name"), ReasonParams,
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *")), responses(
    (status = 204, description = "It is not in force any more"),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such policy", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The reason is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn remove(
    State(state): State<GatewayState>,
    caller: Caller,
    PolicyPath(name): PolicyPath,
    headers: HeaderMap,
    Params(params): Params<ReasonParams>,
) -> Result<StatusCode, ApiError> {
    caller.note_object("policy", name.clone(), "");
    caller.note_reason(&checked_reason(&params.reason)?);
    let precondition = precondition(&headers)?;
    let directory = state.access.directory();
    let known = directory.policy_records();
    if !known.iter().any(|(other, _)| *other == name) || !directory.remove_policy(&name, precondition).await?
    {
        return Err(ApiError::no_such("policy", &name));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What somebody could do, without doing it
///
/// As they are, or with other grants or one more policy.
#[utoipa::path(post, path = "/api/v1/access/check", operation_id = "check_access", tag = "access", request_body = CheckAccess, responses(
    (status = 200, description = "One decision for each permission, with its rule", body = AccessChecked),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such person or machine", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A grant or the policy is wrong", body = Problem, content_type = "application/problem+json"),
))]
pub async fn check(
    State(state): State<GatewayState>,
    caller: Caller,
    Body(body): Body<CheckAccess>,
) -> Result<Json<AccessChecked>, ApiError> {
    let name = person_name(&body.person).map_err(|_| ApiError::no_such("person", &body.person))?;
    let directory = state.access.directory();
    let mut person = match directory.active(&name) {
        Some(person) => person,
        None if name == caller.person().name => caller.person().clone(),
        // Disabled: may nothing. Not there yet: with the grants that are asked about.
        None if directory.person(&name).is_some() => Person::new(name.clone(), Vec::new(), 0),
        None if body.grants.is_some() => Person::new(name.clone(), Vec::new(), 0),
        None => return Err(ApiError::no_such("person", name.as_str())),
    };
    if let Some(grants) = &body.grants {
        person.grants = checked_grants("grants", grants)?;
    }
    let mut policies: Vec<Compiled> = Vec::new();
    for (other, kept) in directory.policy_records() {
        policies.extend(Compiled::new(&other, &kept.value).ok());
    }
    if let Some(policy) = &body.policy {
        let (_, compiled) = compiled(&state, &person, "tried", policy).await?;
        policies.push(compiled);
    }
    let views = state.fleet.views();
    let machine = body.machine.map(|id| {
        let found = views.iter().find(|view| view.id == id);
        found.ok_or_else(|| ApiError::no_such_machine(id))
    });
    let machine = machine.transpose()?;
    let now = state.access.now();
    let mut decisions = Vec::new();
    for permission in Permission::ALL {
        let act = Act::SOME_CHANGE;
        let of = |view| decide(&person, None, &policies, *permission, view, act, now);
        let decision = of(machine.map(|view| &**view));
        // In how many places a scope holds is what one wants to know before giving it.
        let reached = || views.iter().filter(|view| of(Some(view)).could()).count() as u64;
        decisions.push(AccessDecision {
            machines: machine.is_none().then(reached),
            ..decided(decision, *permission)
        });
    }
    Ok(Json(AccessChecked {
        person: name.to_string(),
        decisions,
    }))
}

/// A policy that asks for a second person, where there is none, would end everything that it is about.
fn must_have_a_second_person(state: &GatewayState, record: &PolicyRecord) -> Result<(), ApiError> {
    if record.effect != PolicyEffect::SecondPerson {
        return Ok(());
    }
    if state.access.mode() == AccessMode::TrustLoopback {
        let detail = "nobody signs in here: everybody on this computer is one person, and there is no second";
        return Err(ApiError::as_things_stand(detail));
    }
    Ok(())
}

/// The policy of a body, compiled and tried.
async fn compiled(
    state: &GatewayState,
    person: &Person,
    name: &str,
    body: &PutPolicy,
) -> Result<(PolicyRecord, Compiled), ApiError> {
    let description = body.description.trim().to_owned();
    let fits = (1..=DESCRIPTION_MAX_CHARS).contains(&description.chars().count());
    if !fits || description.chars().any(char::is_control) {
        let detail = format!(
            "say what it is for, in 1 to {DESCRIPTION_MAX_CHARS} characters: whoever meets it reads it"
        );
        return Err(ApiError::bad_body("description", detail));
    }
    let record = PolicyRecord {
        effect: body.effect,
        permissions: body.permissions.clone(),
        condition: body.condition.trim().to_owned(),
        description,
    };
    let permission = body.permissions.first().copied().unwrap_or(Permission::Operate);
    let machine = state.fleet.views().into_iter().next();
    let (tried, person, name, now) = (
        record.clone(),
        person.clone(),
        name.to_owned(),
        state.access.now(),
    );
    let work = tokio::task::spawn_blocking(move || {
        let facts = Facts {
            person: &person,
            permission,
            machine: machine.as_deref(),
            action: "",
            now,
        };
        Compiled::tried(&name, &tried, &facts)
    });
    let compiled = work.await.map_err(|_| ApiError::stopping())?;
    let compiled = compiled.map_err(|error| {
        let at = match error {
            PolicyError::Read | PolicyError::Stop => "permissions",
            _ => "condition",
        };
        ApiError::bad_body(at, error.to_string())
    })?;
    Ok((record, compiled))
}

fn shown(state: &GatewayState, name: &str) -> Result<Response, ApiError> {
    let all = state.access.directory().policy_records();
    let found = all.iter().find(|(other, _)| other == name);
    let (_, kept) = found.ok_or_else(|| ApiError::no_such("policy", name))?;
    Ok(tagged(kept.version, Json(policy(name, kept))))
}

fn policy(name: &str, kept: &Kept<PolicyRecord>) -> AccessPolicy {
    let record = kept.value.clone();
    AccessPolicy {
        name: name.to_owned(),
        effect: record.effect,
        permissions: record.permissions,
        condition: record.condition,
        description: record.description,
        version: kept.version,
        updated_at: kept.updated_at,
    }
}
