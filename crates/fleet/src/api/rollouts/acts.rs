//! What people decide about a rollout: a route each, so that policies and the audit log can tell them apart.

use axum::Json;
use axum::extract::State;
use muster_model::access::Permission;
use muster_model::rollout::RolloutAct;
use muster_protocol::api::{Problem, Rollout, RolloutDecision};

use super::super::error::ApiError;
use super::super::params::{Body, WordPath};
use super::super::stop::checked_reason;
use super::{seen, shown, views};
use crate::access::caller::Caller;
use crate::gateway::GatewayState;

/// Of how many of its machines one must be allowed to deploy to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Who has something happen, of all.
    All,
    /// Who has something not happen, of one.
    Some,
}

macro_rules! act {
    ($(#[$doc:meta])* $name:ident, $path:tt, $operation:tt, $of:expr, $act:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, operation_id = $operation, tag = "rollouts", request_body = RolloutDecision,
            params(("rollout" = String, Path, description = "Its name")), responses(
            (status = 200, description = "It is in the log", body = Rollout),
            (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
            (status = 404, description = "There is no such rollout, or it is not for whoever asks", body = Problem, content_type = "application/problem+json"),
            (status = 409, description = "It cannot be decided as the rollout stands", body = Problem, content_type = "application/problem+json"),
            (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
            (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
            (status = 422, description = "The reason is wrong, or a field is for another decision", body = Problem, content_type = "application/problem+json"),
            (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
        ))]
        pub async fn $name(
            State(state): State<GatewayState>,
            caller: Caller,
            WordPath(id): WordPath,
            Body(body): Body<RolloutDecision>,
        ) -> Result<Json<Rollout>, ApiError> {
            decide(&state, &caller, &id, body, $of, $act).await
        }
    };
}

act!(
    /// Approve the plan of a rollout, or a phase that waits for it
    approve,
    "/api/v1/rollouts/{rollout}/approve",
    "approve_rollout",
    Of::All,
    |given| match given.phase.take() {
        Some(phase) => Ok(RolloutAct::ApprovePhase { phase }),
        None => Ok(RolloutAct::Approve),
    }
);
act!(
    /// Start a rollout, now or at a moment
    start,
    "/api/v1/rollouts/{rollout}/start",
    "start_rollout",
    Of::All,
    |given| Ok(RolloutAct::Start { at: given.at.take() })
);
act!(
    /// Give out no places any more
    pause,
    "/api/v1/rollouts/{rollout}/pause",
    "pause_rollout",
    Of::Some,
    |_| Ok(RolloutAct::Pause)
);
act!(
    /// Let a paused rollout go on
    resume,
    "/api/v1/rollouts/{rollout}/resume",
    "resume_rollout",
    Of::All,
    |_| Ok(RolloutAct::Resume)
);
act!(
    /// Give machines that did not make it another chance
    retry,
    "/api/v1/rollouts/{rollout}/retry",
    "retry_rollout",
    Of::All,
    |given| Ok(RolloutAct::Retry {
        machines: given.machines.take().unwrap_or_default()
    })
);
act!(
    /// Leave machines out
    skip,
    "/api/v1/rollouts/{rollout}/skip",
    "skip_in_rollout",
    Of::All,
    |given| match given.machines.take() {
        Some(machines) => Ok(RolloutAct::Skip { machines }),
        None => Err(ApiError::bad_body("machines", "name the machines to be skipped")),
    }
);
act!(
    /// End a rollout
    ///
    /// What was not begun is taken back. What has begun goes on to its end.
    abort,
    "/api/v1/rollouts/{rollout}/abort",
    "abort_rollout",
    Of::Some,
    |_| Ok(RolloutAct::Abort)
);
act!(
    /// Have machines go back to the version before
    roll_back,
    "/api/v1/rollouts/{rollout}/roll-back",
    "roll_back_rollout",
    Of::All,
    |given| Ok(RolloutAct::RollBack {
        phase: given.phase.take()
    })
);

async fn decide(
    state: &GatewayState,
    caller: &Caller,
    id: &str,
    mut given: RolloutDecision,
    of: Of,
    act: impl FnOnce(&mut RolloutDecision) -> Result<RolloutAct, ApiError>,
) -> Result<Json<Rollout>, ApiError> {
    let (id, rollout) = seen(state, caller, id).await?;
    caller.note_object("rollout", id.as_str(), rollout.spec.shown_name());
    let reason = checked_reason(&given.reason)?;
    caller.note_reason(&reason);
    let act = act(&mut given)?;
    let left = [
        ("phase", given.phase.is_some()),
        ("machines", given.machines.is_some()),
        ("at", given.at.is_some()),
    ];
    if let Some((field, _)) = left.into_iter().find(|(_, is_given)| *is_given) {
        let detail = format!("it means nothing with {}: leave it out", act.as_str());
        return Err(ApiError::bad_body(field, detail));
    }
    let now = state.access.now();
    let mut refused = None;
    let mut is_any = false;
    for view in views(state, &rollout) {
        match caller.may(Permission::Deploy, &view, now) {
            Ok(()) => is_any = true,
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
        if (of == Of::All && refused.is_some()) || (of == Of::Some && is_any) {
            break;
        }
    }
    if let Some(error) = refused.filter(|_| of == Of::All || !is_any) {
        // Of a machine that is not theirs to see, they learn no more than that there is one.
        if error.is_not_found() {
            let rule =
                "the rollout reaches machines that you may not see, and it takes deploy of each of them";
            return Err(ApiError::not_allowed(rule.to_owned()));
        }
        return Err(error);
    }
    caller.note_detail(act.as_str().to_owned());
    let by = caller.name().to_owned();
    state.rollouts.act(&id, act, by, reason).await?;
    let rollout = state.rollouts.get(&id).await?;
    Ok(Json(shown::rollout(&id, &rollout)))
}
