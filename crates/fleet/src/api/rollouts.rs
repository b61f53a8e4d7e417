//! Rollouts: what would happen, having it happen, and how far it is. See [`crate::rollout`].
//!
//! To look takes `read` of a machine of the rollout. To have something happen takes `deploy` of every machine of it; to pause or to end it,
//! of one.

mod acts;
mod shown;
mod updates;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use muster_brain::rollout::{Rollout, line};
use muster_model::access::Permission;
use muster_model::rollout::{LateJoiners, MachineStage, RolloutId};
use muster_model::{MachineId, MachineView};
use muster_protocol::api::{
    self, NewRollout, Problem, RolloutHistory, RolloutLine, RolloutMachinePage, RolloutPage, RolloutPlan,
};
use serde::Deserialize;

use super::error::ApiError;
use super::paging;
use super::params::{Body, Params, WordPath};
use super::stop::checked_reason;
use crate::access::caller::Caller;
use crate::gateway::{Gateway, GatewayState};
use crate::rollout::{CatalogueError, KeepError, OrderError, Wish};

pub use acts::{
    __path_abort, __path_approve, __path_pause, __path_resume, __path_retry, __path_roll_back, __path_skip,
    __path_start,
};
pub use acts::{abort, approve, pause, resume, retry, roll_back, skip, start};
pub use updates::{__path_resume_updates, __path_standing, __path_stop_updates};
pub use updates::{resume_updates, standing, stop_updates};

/// Rollouts that are folded for one request of somebody who does not see all machines.
const LOOKED_INTO_MAX: usize = 50;

/// Which rollouts.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only those that are so far; absent: all.
    #[serde(default)]
    #[param(inline)]
    state: Option<muster_model::rollout::RolloutState>,
    /// At most so many, 1 to 1,000.
    #[serde(default)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// Which machines of a rollout.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MachinesParams {
    /// Only those that are so far; absent: all.
    #[serde(default)]
    #[param(inline)]
    stage: Option<MachineStage>,
    /// Only those of this phase, from zero; absent: all.
    #[serde(default)]
    phase: Option<u32>,
    /// At most so many, 1 to 1,000.
    #[serde(default)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// Which lines of a history.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryParams {
    /// Only what is about this machine, and about the rollout as a whole.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Uuid)]
    machine: Option<MachineId>,
    /// At most so many, the newest, 1 to 1,000.
    #[serde(default)]
    limit: Option<u32>,
}

/// List rollouts
#[utoipa::path(get, path = "/api/v1/rollouts", operation_id = "list_rollouts", tag = "rollouts", params(ListParams), responses(
    (status = 200, description = "The newest first", body = RolloutPage),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Json<RolloutPage>, ApiError> {
    let limit = paging::limit(params.limit)?;
    let after: Option<(muster_model::Timestamp, String)> =
        params.cursor.as_deref().map(paging::read).transpose()?;
    let sees_all = caller.eyes().see_all();
    let (mut items, mut looked_into) = (Vec::new(), 0);
    let mut next_cursor = None;
    for (id, summary) in state.rollouts.all() {
        let is_behind = after
            .as_ref()
            .is_none_or(|(at, last)| (summary.created_at, id.as_str()) < (*at, last.as_str()));
        if !is_behind || params.state.is_some_and(|wanted| wanted != summary.state) {
            continue;
        }
        if items.len() == limit || looked_into == LOOKED_INTO_MAX {
            next_cursor = items
                .last()
                .map(|last: &api::RolloutSummary| paging::write(&(last.created_at, &last.id)));
            break;
        }
        if !sees_all && summary.by != caller.name() {
            looked_into += 1;
            let rollout = state.rollouts.get(&id).await?;
            if !sees(&state, &caller, &rollout) {
                continue;
            }
        }
        items.push(shown::summary(&id, &summary));
    }
    Ok(Json(RolloutPage { items, next_cursor }))
}

/// Say what a rollout would do, and keep nothing
#[utoipa::path(post, path = "/api/v1/rollouts/plan", operation_id = "plan_rollout", tag = "rollouts", request_body = NewRollout, responses(
    (status = 200, description = "Who would get it, in which phase, who is blocked and why, and who is left out", body = RolloutPlan),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "It cannot be meant so, or there is no such release", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn plan(
    State(state): State<GatewayState>,
    caller: Caller,
    Body(body): Body<NewRollout>,
) -> Result<Json<RolloutPlan>, ApiError> {
    let wish = wish(&state, &caller, body)?;
    let (release, plan) = state.rollouts.plan(&wish).await?;
    Ok(Json(shown::plan(&state, release, plan)))
}

/// Write a rollout down, with its plan
#[utoipa::path(post, path = "/api/v1/rollouts", operation_id = "create_rollout", tag = "rollouts", request_body = NewRollout, responses(
    (status = 201, description = "It is planned. Nothing happens before somebody approves and starts it", body = api::Rollout),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Too many rollouts are not over", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "It cannot be meant so, or there is no such release", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn create(
    State(state): State<GatewayState>,
    caller: Caller,
    Body(body): Body<NewRollout>,
) -> Result<(StatusCode, Json<api::Rollout>), ApiError> {
    let wish = wish(&state, &caller, body)?;
    caller.note_reason(&wish.reason);
    let (id, plan) = state.rollouts.create(wish).await?;
    caller.note_object("rollout", id.as_str(), format!("{} machines", plan.machines()));
    let rollout = state.rollouts.get(&id).await?;
    Ok((StatusCode::CREATED, Json(shown::rollout(&id, &rollout))))
}

/// Show a rollout
#[utoipa::path(get, path = "/api/v1/rollouts/{rollout}", operation_id = "show_rollout", tag = "rollouts",
    params(("rollout" = String, Path, description = "Its name")), responses(
    (status = 200, description = "Its phases, gates and decisions", body = api::Rollout),
    (status = 404, description = "There is no such rollout, or it is not for whoever asks", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(id): WordPath,
) -> Result<Json<api::Rollout>, ApiError> {
    let (id, rollout) = seen(&state, &caller, &id).await?;
    Ok(Json(shown::rollout(&id, &rollout)))
}

/// List the machines of a rollout
#[utoipa::path(get, path = "/api/v1/rollouts/{rollout}/machines", operation_id = "list_rollout_machines", tag = "rollouts",
    params(("rollout" = String, Path, description = "Its name"), MachinesParams), responses(
    (status = 200, description = "How far each is, and why", body = RolloutMachinePage),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such rollout, or it is not for whoever asks", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn machines(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(id): WordPath,
    Params(params): Params<MachinesParams>,
) -> Result<Json<RolloutMachinePage>, ApiError> {
    let limit = paging::limit(params.limit)?;
    let after: Option<MachineId> = params.cursor.as_deref().map(paging::read).transpose()?;
    let (_, rollout) = seen(&state, &caller, &id).await?;
    let (mut items, mut next_cursor) = (Vec::new(), None);
    for (machine, progress) in &rollout.machines {
        let is_behind = after.is_none_or(|after| *machine > after);
        let is_wanted = params.stage.is_none_or(|stage| progress.stage == stage)
            && params.phase.is_none_or(|phase| progress.phase == phase);
        if !is_behind || !is_wanted {
            continue;
        }
        let Some(view) = state.fleet.view(*machine).filter(|view| caller.sees(view)) else {
            continue;
        };
        if items.len() == limit {
            next_cursor = items
                .last()
                .map(|last: &api::RolloutMachine| paging::write(&last.machine_id));
            break;
        }
        items.push(shown::machine(&view, progress));
    }
    Ok(Json(RolloutMachinePage { items, next_cursor }))
}

/// Say what the log says of a rollout, or of one machine of it
///
/// Why is this machine not updated, why did this phase stop, who approved: also months later.
#[utoipa::path(get, path = "/api/v1/rollouts/{rollout}/history", operation_id = "show_rollout_history", tag = "rollouts",
    params(("rollout" = String, Path, description = "Its name"), HistoryParams), responses(
    (status = 200, description = "The oldest first", body = RolloutHistory),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such rollout or machine, or it is not for whoever asks", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn history(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(id): WordPath,
    Params(params): Params<HistoryParams>,
) -> Result<Json<RolloutHistory>, ApiError> {
    let limit = paging::limit(params.limit)?;
    let (id, rollout) = seen(&state, &caller, &id).await?;
    match params.machine {
        Some(machine) => {
            let view = state.fleet.view(machine).filter(|view| caller.sees(view));
            view.ok_or_else(|| ApiError::no_such_machine(machine))?;
        }
        // Some lines name machines: all of them must be for whoever asks.
        None if !sees_every(&state, &caller, &rollout) => {
            let rule = "the history of the whole rollout names machines that you may not see: ask for one machine of it";
            return Err(ApiError::not_allowed(rule.to_owned()));
        }
        None => {}
    }
    let records = state.rollouts.records(&id).await?;
    let lines = records.iter().filter_map(|record| {
        let text = line(record, params.machine)?;
        Some(RolloutLine { at: record.at, text })
    });
    let mut items: Vec<RolloutLine> = lines.collect();
    items.drain(..items.len().saturating_sub(limit));
    Ok(Json(RolloutHistory { items }))
}

/// What is asked for, with the machines that whoever asks may deploy to, if need be with a second person.
fn wish(state: &Gateway, caller: &Caller, body: NewRollout) -> Result<Wish, ApiError> {
    let NewRollout { spec, reason } = body;
    let reason = checked_reason(&reason)?;
    if caller.narrowed().is_some() && spec.late_joiners != LateJoiners::Skip {
        let detail =
            "who joins late is asked of the person, and this token is narrowed: only skip is accepted";
        return Err(ApiError::bad_body("spec.late_joiners", detail));
    }
    let now = state.access.now();
    let may = |view: &Arc<MachineView>| {
        caller.sees(view) && caller.decide(Permission::Deploy, Some(view), now).could()
    };
    Ok(Wish {
        spec,
        machines: state.fleet.views().into_iter().filter(may).collect(),
        by: caller.name().to_owned(),
        reason,
    })
}

fn views<'a>(state: &'a Gateway, rollout: &'a Rollout) -> impl Iterator<Item = Arc<MachineView>> + 'a {
    rollout
        .machines
        .keys()
        .filter_map(|machine| state.fleet.view(*machine))
}

/// Whether a rollout is for somebody: one of its machines is, or it is their own.
fn sees(state: &Gateway, caller: &Caller, rollout: &Rollout) -> bool {
    caller.eyes().see_all()
        || rollout.by == caller.name()
        || views(state, rollout).any(|view| caller.sees(&view))
}

fn sees_every(state: &Gateway, caller: &Caller, rollout: &Rollout) -> bool {
    let left_out = rollout
        .left_out
        .keys()
        .filter_map(|machine| state.fleet.view(*machine));
    caller.eyes().see_all()
        || views(state, rollout)
            .chain(left_out)
            .all(|view| caller.sees(&view))
}

async fn seen(state: &Gateway, caller: &Caller, id: &str) -> Result<(RolloutId, Arc<Rollout>), ApiError> {
    let no_such = || ApiError::no_such("rollout", id);
    let name: RolloutId = id.parse().map_err(|_| no_such())?;
    let rollout = match state.rollouts.get(&name).await {
        Err(OrderError::Unknown) => return Err(no_such()),
        result => result?,
    };
    if sees(state, caller, &rollout) {
        Ok((name, rollout))
    } else {
        Err(no_such())
    }
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        let text = muster_runtime::errors::chain(&error);
        match error {
            OrderError::Unknown => Self::no_such("rollout", ""),
            OrderError::Act(muster_brain::rollout::ActError::NotPersisted { reason }) => {
                Self::not_persisted(&reason)
            }
            OrderError::TooMany | OrderError::Act(_) => Self::as_things_stand(text),
            OrderError::Spec(_) => Self::bad_body("spec", text),
            OrderError::Catalogue(CatalogueError::Unknown { .. }) => Self::bad_body("spec.version", text),
            OrderError::Log(error) | OrderError::Keep(KeepError::Log(error)) => Self::log(&error),
            OrderError::Catalogue(CatalogueError::Unreadable(_))
            | OrderError::Keep(_)
            | OrderError::Entropy(_) => Self::not_persisted(&text),
            OrderError::Stopping(_) => Self::stopping(),
        }
    }
}
