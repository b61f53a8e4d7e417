//! Acts that wait for a second person: see [`crate::access::proposing`].

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use muster_model::access::Permission;
use muster_protocol::api::{ApproveProposal, Problem, Proposal, ProposalState, Proposals, RefuseProposal};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::error::ApiError;
use super::params::{Body, Params, WordPath};
use super::stop::checked_reason;
use crate::access::caller::Caller;
use crate::access::proposals::{KEPT_MAX, ProposalRecord, Step};
use crate::access::proposing::{CarriedOut, carry_out, could_do, is_own, may_decide};
use crate::gateway::GatewayState;

/// Which proposals.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProposalParams {
    /// Only those that are so far; absent: all.
    #[serde(default)]
    #[param(inline)]
    state: Option<ProposalState>,
}

/// List acts that wait, or waited, for a second person
///
/// One's own, those that one could do oneself, and all for who reads the audit log.
#[utoipa::path(get, path = "/api/v1/proposals", operation_id = "list_proposals", tag = "access", params(ProposalParams), responses(
    (status = 200, description = "The newest first", body = Proposals),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<ProposalParams>,
) -> Json<Proposals> {
    let all = state.access.directory().proposals().all();
    let mut items: Vec<Proposal> = all
        .iter()
        .filter(|(_, record)| sees(&state, &caller, record))
        .map(|(id, record)| shown(&state, &caller, id, record))
        .collect();
    let for_you = items.iter().filter(|one| one.may_decide).count() as u64;
    let fits = |one: &Proposal| params.state.is_none_or(|state| one.state == state);
    items.retain(fits);
    // What waits comes first, whatever was decided since.
    items.sort_by_key(|one| one.state != ProposalState::Waiting);
    items.truncate(KEPT_MAX);
    Json(Proposals { items, for_you })
}

/// Show an act that waits, or waited, for a second person
#[utoipa::path(get, path = "/api/v1/proposals/{proposal}", operation_id = "show_proposal", tag = "access",
    params(("proposal" = String, Path, description = "Its name")), responses(
    (status = 200, description = "The whole request, with dots for secrets", body = Proposal),
    (status = 404, description = "There is no such proposal, or it is not for whoever asks", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(id): WordPath,
) -> Result<Json<Proposal>, ApiError> {
    let record = seen(&state, &caller, &id)?;
    Ok(Json(whole(&state, &caller, &id, &record)))
}

/// Say yes as the second person: it is carried out
///
/// As a person who is signed in, not the one who proposed it, and who could do it themselves. The answer tells what came of it: `done`,
/// or `failed` with the reason.
#[utoipa::path(post, path = "/api/v1/proposals/{proposal}/approve", operation_id = "approve_proposal", tag = "access", request_body = ApproveProposal,
    params(("proposal" = String, Path, description = "Its name")), responses(
    (status = 200, description = "It was carried out, or could not be", body = Proposal),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such proposal, or it is not for whoever asks", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It does not wait any more", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The reason is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn approve(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(id): WordPath,
    Body(body): Body<ApproveProposal>,
) -> Result<Json<Proposal>, ApiError> {
    let record = noted(&state, &caller, &id)?;
    let reason = reason(&body.reason)?;
    caller.note_reason(&reason);
    decides(&state, &caller, &record)?;
    let proposals = state.access.directory().proposals();
    let by = caller.person().name.clone();
    let (record, request) = proposals.begin(&id, by, reason, state.access.now()).await?;
    // To the end, also when whoever approved does not wait for it.
    let (tell, told) = oneshot::channel();
    let (at, of, who) = (state.clone(), id.clone(), caller.clone());
    state.tasks.spawn_small(async move {
        let CarriedOut {
            status,
            detail,
            answer,
        } = carry_out(&at, &of, &record, request, who).await;
        let proposals = at.access.directory().proposals();
        let now = at.access.now();
        let finished = proposals.finish(&of, status.as_u16(), detail, answer, now).await;
        // Nobody waits any more where that fails.
        let _ = tell.send(finished);
    });
    let record = told.await.map_err(|_| ApiError::stopping())??;
    caller.note_detail(match record.status {
        Some(status) if record.detail.is_empty() => format!("{} → {status}", record.action),
        _ => format!("{}: {}", record.action, record.detail),
    });
    Ok(Json(whole(&state, &caller, &id, &record)))
}

/// Say no as the second person
#[utoipa::path(post, path = "/api/v1/proposals/{proposal}/refuse", operation_id = "refuse_proposal", tag = "access", request_body = RefuseProposal,
    params(("proposal" = String, Path, description = "Its name")), responses(
    (status = 200, description = "It will not be done", body = Proposal),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such proposal, or it is not for whoever asks", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It does not wait any more", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The reason is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn refuse(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(id): WordPath,
    Body(body): Body<RefuseProposal>,
) -> Result<Json<Proposal>, ApiError> {
    let record = noted(&state, &caller, &id)?;
    let reason = checked_reason(&body.reason)?;
    caller.note_reason(&reason);
    decides(&state, &caller, &record)?;
    let step = Step::Refuse(caller.person().name.clone(), reason);
    let proposals = state.access.directory().proposals();
    let record = proposals.end(&id, step, state.access.now()).await?;
    Ok(Json(whole(&state, &caller, &id, &record)))
}

/// Take back what one proposed
#[utoipa::path(delete, path = "/api/v1/proposals/{proposal}", operation_id = "withdraw_proposal", tag = "access",
    params(("proposal" = String, Path, description = "Its name")), responses(
    (status = 204, description = "It will not be done"),
    (status = 404, description = "There is no such proposal, or it is not for whoever asks", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It does not wait any more", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn withdraw(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(id): WordPath,
) -> Result<StatusCode, ApiError> {
    let record = noted(&state, &caller, &id)?;
    if !is_own(&caller, &record) {
        let rule = format!(
            "only {} can take it back, signed in or by the token that proposed it; others can refuse it",
            record.person
        );
        return Err(ApiError::not_allowed(rule));
    }
    let proposals = state.access.directory().proposals();
    proposals.end(&id, Step::Withdraw, state.access.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A reason that need not be given.
fn reason(text: &str) -> Result<String, ApiError> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    checked_reason(text)
}

fn decides(state: &GatewayState, caller: &Caller, record: &ProposalRecord) -> Result<(), ApiError> {
    let now = state.access.now();
    if record.state_at(now) != ProposalState::Waiting {
        let detail = format!("it is {} already", record.state_at(now).as_str());
        return Err(ApiError::not_waiting(detail));
    }
    may_decide(state, caller, record)
        .map(|_| ())
        .map_err(ApiError::not_allowed)
}

fn sees(state: &GatewayState, caller: &Caller, record: &ProposalRecord) -> bool {
    let now = state.access.now();
    is_own(caller, record)
        || could_do(state, caller, record).could()
        || caller.decide(Permission::Audit, None, now).allowed
}

fn seen(state: &GatewayState, caller: &Caller, id: &str) -> Result<std::sync::Arc<ProposalRecord>, ApiError> {
    let found = state.access.directory().proposals().get(id);
    let found = found.filter(|record| sees(state, caller, record));
    found.ok_or_else(|| ApiError::no_such("proposal", id))
}

/// As [`seen`], for the audit log.
fn noted(
    state: &GatewayState,
    caller: &Caller,
    id: &str,
) -> Result<std::sync::Arc<ProposalRecord>, ApiError> {
    let record = seen(state, caller, id)?;
    caller.note_object("proposal", id, record.action.clone());
    if let Some((machine, name)) = &record.machine {
        caller.note_machine(*machine, name.clone());
    }
    Ok(record)
}

/// With the body, and for whoever proposed it with the answer.
fn whole(state: &GatewayState, caller: &Caller, id: &str, record: &ProposalRecord) -> Proposal {
    let mut proposal = shown(state, caller, id, record);
    let body = &record.request.body;
    proposal.body = (!body.is_empty()).then(|| body.clone());
    if is_own(caller, record) {
        let answer = state
            .access
            .directory()
            .proposals()
            .answer(id, state.access.now());
        proposal.answer = answer.map(|answer| answer.to_string());
    }
    proposal
}

fn shown(state: &GatewayState, caller: &Caller, id: &str, record: &ProposalRecord) -> Proposal {
    let (may_decide, why) = match may_decide(state, caller, record) {
        Ok(rule) => (true, rule),
        Err(why) => (false, why),
    };
    let (machine, machine_name) = record.machine.clone().unzip();
    Proposal {
        id: id.to_owned(),
        state: record.state_at(state.access.now()),
        person: record.person.clone(),
        by: record.by.clone(),
        from: record.from.to_string(),
        action: record.action.clone(),
        method: record.request.method.clone(),
        path: record.request.path.clone(),
        if_match: record.request.if_match.clone(),
        if_none_match: record.request.if_none_match.clone(),
        body: None,
        permission: record.permission,
        machine,
        machine_name: machine_name.unwrap_or_default(),
        policy: record.policy.clone(),
        policy_description: record.policy_description.clone(),
        reason: record.reason.clone(),
        created_at: record.created_at,
        expires_at: record.expires_at,
        decided_by: record.decided_by.clone(),
        decided_at: record.decided_at,
        decision_reason: record.decision_reason.clone(),
        status: record.status,
        detail: record.detail.clone(),
        answer: None,
        may_decide,
        why,
    }
}
