//! All updates stop at once, or may go on: see [`crate::rollout::stopping`].

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use muster_model::access::Permission;
use muster_protocol::api::{
    Problem, StopRefused, StopRequest, UpdatesStanding, UpdatesStandingMachine, UpdatesStop, UpdatesStopped,
};

use super::super::error::ApiError;
use super::super::params::Body;
use super::super::stop::{checked_reason, selected};
use crate::access::caller::Caller;
use crate::gateway::GatewayState;
use crate::rollout::stopping;

/// Stop all updates of machines
///
/// They begin nothing more; what is on probation proves itself or goes back. Each machine confirms it by what it reports.
#[utoipa::path(post, path = "/api/v1/updates/stop", operation_id = "stop_updates", tag = "rollouts", request_body = UpdatesStop, responses(
    (status = 202, description = "It is in the log for each machine that is not in `refused`", body = UpdatesStopped),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "None of the machines that were named exists", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The selection or the reason is wrong, or no machine is selected", body = Problem, content_type = "application/problem+json"),
))]
pub async fn stop_updates(
    State(state): State<GatewayState>,
    caller: Caller,
    Body(body): Body<UpdatesStop>,
) -> Result<(StatusCode, Json<UpdatesStopped>), ApiError> {
    change(&state, &caller, body, true).await
}

/// Let updates of machines go on
#[utoipa::path(post, path = "/api/v1/updates/resume", operation_id = "resume_updates", tag = "rollouts", request_body = UpdatesStop, responses(
    (status = 202, description = "It is in the log for each machine that is not in `refused`", body = UpdatesStopped),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "None of the machines that were named exists", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The selection or the reason is wrong, or no machine is selected", body = Problem, content_type = "application/problem+json"),
))]
pub async fn resume_updates(
    State(state): State<GatewayState>,
    caller: Caller,
    Body(body): Body<UpdatesStop>,
) -> Result<(StatusCode, Json<UpdatesStopped>), ApiError> {
    change(&state, &caller, body, false).await
}

/// Show of which machines updates are stopped
#[utoipa::path(get, path = "/api/v1/updates/stop", operation_id = "show_updates_stop", tag = "rollouts", responses(
    (status = 200, description = "Machines of which it is asked, or that report it, by id", body = UpdatesStanding),
))]
pub async fn standing(State(state): State<GatewayState>, caller: Caller) -> Json<UpdatesStanding> {
    let eyes = caller.eyes();
    let mut items: Vec<UpdatesStandingMachine> = Vec::new();
    for view in state.fleet.views() {
        let standing = stopping::standing(&view);
        if (standing.is_asked || standing.is_confirmed) && eyes.see(&view) {
            items.push(UpdatesStandingMachine {
                machine_id: view.id,
                name: view.name(),
                is_asked: standing.is_asked,
                is_confirmed: standing.is_confirmed,
            });
        }
    }
    items.sort_by_key(|machine| machine.machine_id);
    let asked = items.iter().filter(|machine| machine.is_asked);
    let (asked, confirmed) = (
        asked.clone().count() as u64,
        asked.filter(|machine| machine.is_confirmed).count() as u64,
    );
    Json(UpdatesStanding {
        items,
        asked,
        confirmed,
    })
}

async fn change(
    state: &GatewayState,
    caller: &Caller,
    body: UpdatesStop,
    is_stop: bool,
) -> Result<(StatusCode, Json<UpdatesStopped>), ApiError> {
    let UpdatesStop {
        machines,
        filter,
        all,
        reason,
    } = body;
    let reason = checked_reason(&reason)?;
    caller.note_reason(&reason);
    let request = StopRequest {
        machines,
        filter,
        all,
        reason: reason.clone(),
        expires_in_s: None,
    };
    let selected = selected(state, &caller.eyes(), request)?;
    let now = state.access.now();
    let (mut machines, mut refused, mut first) = (Vec::new(), Vec::new(), None);
    for machine_id in selected {
        let detail = match state.fleet.view(machine_id).filter(|view| caller.sees(view)) {
            None => "there is no such machine".to_owned(),
            Some(view) => match caller.may(Permission::Deploy, &view, now) {
                Ok(()) => {
                    caller.note_machine(machine_id, view.name());
                    machines.push(machine_id);
                    continue;
                }
                Err(error) => {
                    let detail = caller.decide(Permission::Deploy, Some(&view), now).rule;
                    first.get_or_insert(error);
                    detail
                }
            },
        };
        refused.push(StopRefused {
            machine_id,
            told: false,
            detail,
        });
    }
    if let Some(error) = first.filter(|_| machines.is_empty()) {
        return Err(error);
    }
    let stopped = is_stop.then_some(reason.as_str());
    let told = stopping::stop(&state.fleet, &machines, stopped, (caller.name(), &reason)).await;
    for (machine_id, result) in told {
        if let Err(detail) = result {
            refused.push(StopRefused {
                machine_id,
                told: false,
                detail,
            });
            machines.retain(|machine| *machine != machine_id);
        }
    }
    let told = machines.len() as u64;
    Ok((StatusCode::ACCEPTED, Json(UpdatesStopped { told, refused })))
}
