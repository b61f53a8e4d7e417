//! What people want a machine to become: sections by name, each an object that the machine's own nodes look into.
//!
//! Each answer has an `ETag`, the version of the whole; a change says by `If-Match` what it is based on. The answer says that the change
//! is in the log; whether the machine is so stands beside each section, by what the machine reports.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use muster_brain::shard::{DesiredChange, DesiredError};
use muster_model::desired::{DesiredStatus, check_content, check_name};
use muster_model::entry::JsonText;
use muster_model::workload::{Workloads, check_all};
use muster_model::{DesiredState, DesiredVersion, LogPosition, MachineEntry, MachineId, MachineView};
use muster_protocol::api::{
    self, DESIRED_REASON_MAX_CHARS, Desired, DesiredHistory, DesiredPast, DesiredSection, Problem,
    ProblemField,
};
use muster_store::{EventLog, LogError, StreamName};
use serde::Deserialize;

use super::error::ApiError;
use super::params::{Body, MachinePath, Params, machine_id};
use crate::access::caller::Caller;
use crate::gateway::GatewayState;

/// Changes that a history shows.
const HISTORY_MAX: usize = 50;
/// Entries of the machine that a history looks through.
const SEARCHED_MAX: usize = 20_000;
/// Entries that are read at once.
const READ_AT_ONCE: usize = 256;

/// Show what a machine should become
#[utoipa::path(get, path = "/api/v1/machines/{id}/desired", operation_id = "desired", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 200, description = "What is desired and how far the machine is, with its ETag", body = Desired),
    (status = 400, description = "The id is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
) -> Result<Response, ApiError> {
    let view = state
        .fleet
        .view(id)
        .ok_or_else(|| ApiError::no_such_machine(id))?;
    Ok(with_tag(&document(&view, view.desired.as_deref())))
}

/// Desire a section
#[utoipa::path(put, path = "/api/v1/machines/{id}/desired/{section}", operation_id = "put_desired", tag = "machines", request_body = api::DesiredChange,
    params(("id" = String, Path, description = "The machine", format = Uuid),
           ("section" = String, Path, description = "The section: calibration …"),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *")), responses(
    (status = 200, description = "What is desired now; the machine is told", body = Desired),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The content or the reason is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn put(
    State(state): State<GatewayState>,
    caller: Caller,
    SectionPath(id, section): SectionPath,
    headers: HeaderMap,
    Body(body): Body<api::DesiredChange>,
) -> Result<Response, ApiError> {
    let reason = reason(&body.reason).map_err(|detail| ApiError::bad_body("reason", detail))?;
    let content =
        check_content(&body.content).map_err(|refusal| ApiError::bad_body("content", refusal.to_string()))?;
    check_meaning(&section, &body.content)?;
    change(&state, &caller, id, &headers, section, Some(content), reason).await
}

/// What a section means is its node's to say; what is plainly wrong is refused before it goes anywhere.
fn check_meaning(section: &str, content: &serde_json::Value) -> Result<(), ApiError> {
    let wrong = match section {
        muster_model::calibration::SECTION => super::calibration::wrong_in(content),
        muster_model::workload::SECTION => wrong_in_workloads(content),
        _ => return Ok(()),
    };
    if wrong.is_empty() {
        return Ok(());
    }
    let fields = wrong.into_iter().map(|field| ProblemField {
        at: format!("body.content.{}", field.at)
            .trim_end_matches('.')
            .to_owned(),
        detail: field.detail,
    });
    Err(ApiError::bad_body_fields(fields.collect()))
}

fn wrong_in_workloads(content: &serde_json::Value) -> Vec<ProblemField> {
    let read: Result<Workloads, _> = serde_json::from_value(content.clone());
    let error = match read {
        Ok(workloads) => check_all(&workloads).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    let field = |detail| ProblemField {
        at: String::new(),
        detail,
    };
    error.map(field).into_iter().collect()
}

/// Show how a section was desired before
#[utoipa::path(get, path = "/api/v1/machines/{id}/desired/{section}/history", operation_id = "desired_history", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid),
           ("section" = String, Path, description = "The section: calibration …")), responses(
    (status = 200, description = "Its last changes, newest first", body = DesiredHistory),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn history(
    State(state): State<GatewayState>,
    SectionPath(id, section): SectionPath,
) -> Result<Json<DesiredHistory>, ApiError> {
    if state.fleet.view(id).is_none() {
        return Err(ApiError::no_such_machine(id));
    }
    let log = state.fleet.log().clone();
    let found = state
        .fleet
        .searches()
        .run(move || changes_of(&*log, id, &section))
        .await?;
    found.map(Json).map_err(|error| ApiError::log(&error))
}

/// The last changes of a section, along the machine's stream.
fn changes_of(log: &dyn EventLog, id: MachineId, wanted: &str) -> Result<DesiredHistory, LogError> {
    let stream = StreamName::machine(id);
    let (mut items, mut from, mut searched) = (Vec::new(), None, 0);
    loop {
        let events = log.read_stream_backward(&stream, from, READ_AT_ONCE)?;
        for event in &events {
            // Nearly all entries are about something else: they need not be read.
            if !event.body.starts_with(b"{\"desired_changed\"") {
                continue;
            }
            if let Ok(MachineEntry::DesiredChanged {
                version,
                section,
                content,
                issuer,
                reason,
            }) = serde_json::from_slice(&event.body)
                && section == wanted
            {
                items.push(DesiredPast {
                    version,
                    content,
                    issuer,
                    reason,
                    changed_at: event.recorded_at,
                });
            }
            if items.len() >= HISTORY_MAX {
                return Ok(DesiredHistory {
                    items,
                    complete: false,
                });
            }
        }
        searched += events.len();
        from = events
            .last()
            .map(|last| last.previous)
            .filter(|previous| *previous > LogPosition::ZERO);
        if from.is_none() || searched >= SEARCHED_MAX {
            let complete = from.is_none();
            return Ok(DesiredHistory { items, complete });
        }
    }
}

/// Why something is desired no more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveParams {
    /// 1 to 500 characters.
    reason: String,
}

/// Desire a section no more
#[utoipa::path(delete, path = "/api/v1/machines/{id}/desired/{section}", operation_id = "delete_desired", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid),
           ("section" = String, Path, description = "The section: calibration …"),
           ("reason" = String, Query, description = "Why: 1 to 500 characters"),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read, or *")), responses(
    (status = 200, description = "What is desired now; the machine is told", body = Desired),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else changed it", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn remove(
    State(state): State<GatewayState>,
    caller: Caller,
    SectionPath(id, section): SectionPath,
    headers: HeaderMap,
    Params(params): Params<RemoveParams>,
) -> Result<Response, ApiError> {
    let reason = reason(&params.reason).map_err(|detail| ApiError::bad_parameter("reason", detail))?;
    change(&state, &caller, id, &headers, section, None, reason).await
}

/// The machine and the section of a path.
pub struct SectionPath(MachineId, String);

impl<S: Send + Sync> FromRequestParts<S> for SectionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found: Result<Path<(String, String)>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        let Path((id, section)) = found.map_err(|_| ApiError::no_such_machine("of that name"))?;
        let id = machine_id(&id)?;
        check_name(&section).map_err(|refusal| ApiError::bad_request("MST-A001", refusal.to_string()))?;
        Ok(Self(id, section))
    }
}

fn reason(given: &str) -> Result<String, String> {
    let given = given.trim();
    let fits = (1..=DESIRED_REASON_MAX_CHARS).contains(&given.chars().count());
    if fits && !given.chars().any(char::is_control) {
        return Ok(given.to_owned());
    }
    Err(format!(
        "say why, in 1 to {DESIRED_REASON_MAX_CHARS} characters without control characters: those who look into it later read it"
    ))
}

async fn change(
    state: &GatewayState,
    caller: &Caller,
    id: MachineId,
    headers: &HeaderMap,
    section: String,
    content: Option<JsonText>,
    reason: String,
) -> Result<Response, ApiError> {
    caller.note_reason(&reason);
    caller.note_detail(format!(
        "{} {section}",
        if content.is_some() { "set" } else { "removed" }
    ));
    let expected = super::profile::expected_number(headers)?.map(DesiredVersion);
    let change = DesiredChange {
        section,
        content,
        issuer: caller.name().to_owned(),
        reason,
    };
    let desired = state.fleet.change_desired(id, change, expected).await?;
    let desired = desired.map_err(|error| match error {
        DesiredError::NoSuchMachine => ApiError::no_such_machine(id),
        DesiredError::Conflict { current } => {
            let version = current.map_or(DesiredVersion::ZERO, |current| current.version);
            ApiError::conflict(&format!("version {version}"))
        }
        DesiredError::TooMuch(why) => ApiError::bad_body("content", why),
        DesiredError::NotPersisted { reason } => ApiError::not_persisted(&reason),
    })?;
    let view = state
        .fleet
        .view(id)
        .ok_or_else(|| ApiError::no_such_machine(id))?;
    Ok(with_tag(&document(&view, desired.as_deref())))
}

/// What is desired, beside what the machine last reported of it.
fn document(view: &MachineView, desired: Option<&DesiredState>) -> Desired {
    let report = view.reported.desired.as_deref();
    let version = desired.map_or(DesiredVersion::ZERO, |desired| desired.version);
    let held_version = report.map_or(DesiredVersion::ZERO, |report| report.version);
    let sections = desired.into_iter().flat_map(|desired| &desired.sections);
    let sections: Vec<DesiredSection> = sections
        .map(|(name, section)| {
            let said = report
                .and_then(|report| report.sections.iter().find(|said| said.name == *name))
                .filter(|said| said.version == section.version);
            DesiredSection {
                name: name.clone(),
                version: section.version,
                content: section.content.clone(),
                issuer: section.issuer.clone(),
                reason: section.reason.clone(),
                changed_at: section.changed_at,
                status: said.map_or(DesiredStatus::Pending, |said| said.status),
                status_reason: said.and_then(|said| said.reason.clone()),
            }
        })
        .collect();
    let applied = sections
        .iter()
        .all(|section| section.status == DesiredStatus::Applied);
    Desired {
        machine_id: view.id,
        version,
        held_version,
        converged: version == held_version && applied,
        sections,
    }
}

fn with_tag(desired: &Desired) -> Response {
    let mut response = Json(desired).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", desired.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
