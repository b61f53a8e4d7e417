//! `POST /api/v1/machines/{id}/stop` and `POST /api/v1/stop`: remote stop.
//!
//! A machine in session is told at once. The answer says that the stop is in the log, or that the machine was told and the log
//! has no record of it; how far it got shows in `last_stop` of each machine. Nothing here takes a stop back: only somebody at the machine lets it move again.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use muster_brain::shard::{StopError, StopOrder};
use muster_model::access::Permission;
use muster_model::vocabulary::Presence;
use muster_model::{Filter, FilterError, MachineId, MachineView};
use muster_protocol::api::{
    Problem, STOP_LIFETIME_MAX_S, STOP_MACHINES_MAX, STOP_REASON_MAX_CHARS, StopMachine, StopRefused,
    StopRequest, StopTold, StopsIssued,
};
use tokio::sync::oneshot;

use super::error::ApiError;
use super::params::{Body, MachinePath};
use crate::access::caller::{Caller, Eyes};
use crate::gateway::{Gateway, GatewayState};
use crate::state::stops::StopResults;

/// Stop one machine
#[utoipa::path(post, path = "/api/v1/machines/{id}/stop", tag = "machines", request_body = StopMachine,
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 202, description = "The machine was told if it is in session, and the stop is in the log", body = StopsIssued),
    (status = 400, description = "The id or the body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The reason or the time is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The log has no record of it. Machines in session were told all the same: the problem says whether", body = Problem, content_type = "application/problem+json"),
))]
pub async fn one(
    State(state): State<GatewayState>,
    caller: Caller,
    MachinePath(id): MachinePath,
    Body(body): Body<StopMachine>,
) -> Result<(StatusCode, Json<StopsIssued>), ApiError> {
    let ask = Ask::of(&state, &body.reason, body.expires_in_s)?;
    if state.fleet.view(id).is_none() {
        return Err(ApiError::no_such_machine(id));
    }
    issue(&state, &caller, vec![id], Vec::new(), true, ask).await
}

/// Stop several machines, or all
#[utoipa::path(post, path = "/api/v1/stop", tag = "machines", request_body = StopRequest, responses(
    (status = 202, description = "Each machine was told that is in session, and the stops are in the log. `refused` names those \
        for which it could not be done", body = StopsIssued),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "None of the machines that were named exists", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The selection, the reason or the time is wrong, or no machine is selected", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The log has no record of it. Machines in session were told all the same: the problem says whether", body = Problem, content_type = "application/problem+json"),
))]
pub async fn several(
    State(state): State<GatewayState>,
    caller: Caller,
    Body(body): Body<StopRequest>,
) -> Result<(StatusCode, Json<StopsIssued>), ApiError> {
    let ask = Ask::of(&state, &body.reason, body.expires_in_s)?;
    let machines = selected(&state, &caller.eyes(), body)?;
    let (machines, refused) = allowed(&state, &caller, machines)?;
    issue(&state, &caller, machines, refused, false, ask).await
}

/// Those of the machines that may be stopped, and those that may not. What may not even be seen is not there, as what does not
/// exist.
fn allowed(
    state: &Gateway,
    caller: &Caller,
    machines: Vec<MachineId>,
) -> Result<(Vec<MachineId>, Vec<StopRefused>), ApiError> {
    let now = state.access.now();
    let (mut allowed, mut refused, mut rule) = (Vec::new(), Vec::new(), None);
    for machine_id in machines {
        let view = state.fleet.view(machine_id).filter(|view| caller.sees(view));
        let detail = match view {
            None => StopError::NoSuchMachine.to_string(),
            Some(view) => {
                let decision = caller.decide(Permission::Stop, Some(&view), now);
                if decision.allowed {
                    allowed.push(machine_id);
                    continue;
                }
                rule.get_or_insert_with(|| decision.rule.clone());
                decision.rule
            }
        };
        refused.push(StopRefused {
            machine_id,
            told: false,
            detail,
        });
    }
    match rule {
        Some(rule) if allowed.is_empty() => Err(ApiError::not_allowed(rule)),
        Some(_) | None => Ok((allowed, refused)),
    }
}

/// What is asked of each machine.
struct Ask {
    reason: String,
    lifetime_ms: u64,
}

impl Ask {
    fn of(state: &Gateway, reason: &str, expires_in_s: Option<u64>) -> Result<Self, ApiError> {
        let reason = checked_reason(reason)?;
        let lifetime_s = expires_in_s.unwrap_or(state.options.stop_lifetime_s);
        if !(1..=STOP_LIFETIME_MAX_S).contains(&lifetime_s) {
            let detail = format!("{lifetime_s}: 1 to {STOP_LIFETIME_MAX_S} seconds are accepted");
            return Err(ApiError::bad_body("expires_in_s", detail));
        }
        Ok(Self {
            reason,
            lifetime_ms: lifetime_s * 1_000,
        })
    }
}

/// Why something is asked of a machine.
pub(super) fn checked_reason(reason: &str) -> Result<String, ApiError> {
    let reason = reason.trim();
    let fits = (1..=STOP_REASON_MAX_CHARS).contains(&reason.chars().count());
    if !fits || reason.chars().any(char::is_control) {
        let detail = format!(
            "say why, in 1 to {STOP_REASON_MAX_CHARS} characters without control characters: people at the machine \
             and those who look into it later read it"
        );
        return Err(ApiError::bad_body("reason", detail));
    }
    Ok(reason.to_owned())
}

/// The machines that are meant, those in session first: they can be told now. Never none.
pub(super) fn selected(
    state: &Gateway,
    eyes: &Eyes,
    request: StopRequest,
) -> Result<Vec<MachineId>, ApiError> {
    let StopRequest {
        machines,
        filter,
        all,
        ..
    } = request;
    match (machines, filter, all) {
        (Some(machines), None, None) => {
            if machines.len() > STOP_MACHINES_MAX {
                let detail = format!(
                    "{} are named, at most {STOP_MACHINES_MAX} are accepted: select them by `filter` or `all`",
                    machines.len()
                );
                return Err(ApiError::bad_body("machines", detail));
            }
            let machines: BTreeSet<MachineId> = machines.into_iter().collect();
            let Some(first) = machines.first() else {
                return Err(ApiError::nothing_selected("`machines` is empty"));
            };
            let there = |machine: &MachineId| state.fleet.view(*machine).is_some_and(|view| eyes.see(&view));
            if !machines.iter().any(there) {
                return Err(ApiError::no_such_machine(first));
            }
            Ok(machines.into_iter().collect())
        }
        (None, Some(text), None) => {
            let filter: Filter = text
                .parse()
                .map_err(|error: FilterError| ApiError::bad_body("filter", error.to_string()))?;
            if text.trim().is_empty() {
                // An empty filter lets everything pass. Who means that says it.
                let detail = "it is empty, which every machine passes: write \"all\": true for that";
                return Err(ApiError::bad_body("filter", detail));
            }
            let views = seen(state, eyes);
            let passing: Vec<Arc<MachineView>> =
                views.into_iter().filter(|view| filter.matches(view)).collect();
            present_first(passing).ok_or_else(|| ApiError::nothing_selected("no machine passes the filter"))
        }
        (None, None, Some(true)) => present_first(seen(state, eyes))
            .ok_or_else(|| ApiError::nothing_selected("there are no machines in the fleet")),
        (None, None, Some(false)) => Err(ApiError::bad_body(
            "all",
            "only true is accepted: leave it out where not all are meant",
        )),
        (None, None, None) | (Some(_), _, _) | (_, Some(_), _) => Err(ApiError::bad_body(
            "machines",
            "say which by exactly one of `machines`, `filter` and `all`",
        )),
    }
}

fn seen(state: &Gateway, eyes: &Eyes) -> Vec<Arc<MachineView>> {
    let views = state.fleet.views().into_iter();
    views.filter(|view| eyes.see(view)).collect()
}

fn present_first(mut views: Vec<Arc<MachineView>>) -> Option<Vec<MachineId>> {
    views.sort_by_key(|view| (view.presence != Presence::Online, view.id));
    let ids: Vec<MachineId> = views.iter().map(|view| view.id).collect();
    (!ids.is_empty()).then_some(ids)
}

async fn issue(
    state: &Gateway,
    caller: &Caller,
    machines: Vec<MachineId>,
    refused: Vec<StopRefused>,
    by_path: bool,
    ask: Ask,
) -> Result<(StatusCode, Json<StopsIssued>), ApiError> {
    caller.note_reason(&ask.reason);
    let mut orders = Vec::with_capacity(machines.len());
    if !by_path {
        let name = |machine| {
            state
                .fleet
                .view(machine)
                .map(|view| view.name())
                .unwrap_or_default()
        };
        machines
            .iter()
            .for_each(|machine| caller.note_machine(*machine, name(*machine)));
    }
    if !refused.is_empty() {
        caller.note_detail(format!(
            "of {} machines {} were refused",
            machines.len() + refused.len(),
            refused.len()
        ));
    }
    for machine in machines {
        let command_id = state
            .fleet
            .new_id()
            .map_err(|error| ApiError::not_persisted(&error.to_string()))?;
        let order = StopOrder {
            command_id: command_id.to_string(),
            issuer: caller.name().to_owned(),
            reason: ask.reason.clone(),
            lifetime_ms: ask.lifetime_ms,
        };
        orders.push((machine, order));
    }
    // Whoever asked may hang up; what was begun goes on all the same, or half a fleet would be stopped.
    let fleet = state.fleet.clone();
    let (reply, answered) = oneshot::channel();
    state.tasks.spawn_small(async move {
        let _ = reply.send(fleet.stop(orders).await);
    });
    let results = answered.await.map_err(|_| ApiError::stopping())?;
    answer(state, caller.name(), results, refused, ask.reason)
}

fn answer(
    state: &Gateway,
    issuer: &str,
    results: StopResults,
    refused: Vec<StopRefused>,
    reason: String,
) -> Result<(StatusCode, Json<StopsIssued>), ApiError> {
    let mut issued = StopsIssued {
        issuer: issuer.to_owned(),
        reason,
        stops: Vec::with_capacity(results.len()),
        refused,
    };
    let mut lost = None;
    let asked = results.len();
    for (machine_id, result) in results {
        match result {
            Ok(stop) => issued.stops.push(StopTold {
                machine_id,
                machine_name: state
                    .fleet
                    .view(machine_id)
                    .map(|view| view.name())
                    .unwrap_or_default(),
                command_id: stop.command_id,
                issued_at: stop.issued,
                expires_at: stop.expires,
                told: stop.in_session,
            }),
            Err(error) => {
                let detail = error.to_string();
                let told = matches!(error, StopError::NotPersisted { told: true, .. });
                if !matches!(error, StopError::NoSuchMachine) {
                    lost = Some(error);
                }
                issued.refused.push(StopRefused {
                    machine_id,
                    told,
                    detail,
                });
            }
        }
    }
    let told = issued.refused.iter().filter(|refused| refused.told).count();
    match lost {
        Some(error) if issued.stops.is_empty() => Err(match error {
            StopError::NotPersisted { reason, .. } if told > 0 => {
                ApiError::told_without_record(told, asked, &reason)
            }
            StopError::NotPersisted { reason, .. } => ApiError::not_persisted(&reason),
            StopError::NoSuchMachine | StopError::Stopping => ApiError::stopping(),
        }),
        Some(_) | None => Ok((StatusCode::ACCEPTED, Json(issued))),
    }
}
