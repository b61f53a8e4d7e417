//! `GET /api/v1/fleet/summary` and `GET /api/v1/fleet/timeline`.

use std::ops::ControlFlow;

use axum::Json;
use axum::extract::State;
use muster_model::{LogPosition, MachineEntry, Severity, Timestamp};
use muster_protocol::api::{FleetSummary, Problem, Timeline, TimelineBucket};
use serde::Deserialize;

use super::convert;
use super::error::ApiError;
use super::events::{is_state, searched_at_most};
use super::machines::{AtParams, snapshot};
use super::params::Params;
use crate::access::caller::Caller;
use crate::gateway::GatewayState;

/// Most buckets in a timeline.
const BUCKETS_MAX: u64 = 1_000;

/// The fleet in figures
#[utoipa::path(get, path = "/api/v1/fleet/summary", tag = "fleet", params(AtParams), responses(
    (status = 200, description = "The figures", body = FleetSummary),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn summary(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<AtParams>,
) -> Result<Json<FleetSummary>, ApiError> {
    let now = state.fleet.now().wall;
    let snapshot = snapshot(&state, &caller.eyes(), params.at).await?;
    let oldest = match state.fleet.history_from() {
        Some(oldest) => Some(oldest),
        // Only as long as the log is empty, or was a moment ago.
        None => {
            let log = state.fleet.log().clone();
            let oldest = state.fleet.searches().run(move || log.oldest_time());
            oldest.await?.map_err(|error| ApiError::log(&error))?
        }
    };
    if let Some(oldest) = oldest {
        state.fleet.set_history_from(oldest);
    }
    let mut summary = convert::fleet_summary(
        &snapshot.views,
        snapshot.at,
        now,
        snapshot.past,
        snapshot.position,
    );
    summary.history_from = oldest;
    Ok(Json(summary))
}

/// What is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineParams {
    /// Start; absent: an hour before the end.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// End; absent: now.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// How many buckets: 1 to 1,000, 120 by default.
    buckets: Option<u64>,
}

/// How many events happened, over time
#[utoipa::path(get, path = "/api/v1/fleet/timeline", tag = "fleet", params(TimelineParams), responses(
    (status = 200, description = "Buckets of equal length, oldest first", body = Timeline),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn timeline(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<TimelineParams>,
) -> Result<Json<Timeline>, ApiError> {
    let to = params.to.unwrap_or(state.fleet.now().wall);
    let from = params.from.unwrap_or(to.plus_millis(-3_600_000));
    if from >= to {
        return Err(ApiError::bad_parameter(
            "from",
            format!("{from} must be before {to}"),
        ));
    }
    let count = params.buckets.unwrap_or(120);
    if !(1..=BUCKETS_MAX).contains(&count) {
        return Err(ApiError::bad_parameter(
            "buckets",
            format!("{count}: 1 to {BUCKETS_MAX} is accepted"),
        ));
    }
    let bucket_ms = (to.millis_since(from) as u64).div_ceil(count).max(1);
    let (log, fleet, eyes) = (state.fleet.log().clone(), state.fleet.clone(), caller.eyes());
    let counted = state.fleet.searches().run(move || {
        let last = log.position_at(to)?;
        let first = log.position_at(from.plus_millis(-1))?.next();
        // A long span of a busy fleet: the newest part of it.
        let bounded = LogPosition(first.0.max(last.0.saturating_sub(searched_at_most())));
        let mut searched_to = if bounded > first { None } else { Some(from) };
        let mut buckets: Vec<TimelineBucket> = (0..count)
            .map(|index| TimelineBucket {
                at: from.plus_millis((index * bucket_ms) as i64),
                events: 0,
                warnings: 0,
                errors: 0,
            })
            .collect();
        log.scan(bounded, last, &mut |event| {
            searched_to.get_or_insert(event.recorded_at);
            let of_theirs = || {
                let view = event.stream.as_machine().and_then(|machine| fleet.view(machine));
                view.is_some_and(|view| eyes.see(&view))
            };
            if is_state(event.body) || !eyes.see_all() && !of_theirs() {
                return ControlFlow::Continue(());
            }
            let seen = serde_json::from_slice::<MachineEntry>(event.body).ok();
            let seen = seen.and_then(|entry| entry.as_event(event.recorded_at));
            let index = event.recorded_at.millis_since(from).max(0) as u64 / bucket_ms;
            if let (Some(seen), Some(bucket)) = (seen, buckets.get_mut(index as usize)) {
                bucket.events += 1;
                match seen.severity {
                    Severity::Debug | Severity::Info => {}
                    Severity::Warning => bucket.warnings += 1,
                    Severity::Error | Severity::Critical => bucket.errors += 1,
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok::<_, muster_store::LogError>(Timeline {
            buckets,
            bucket_ms,
            searched_to: searched_to.unwrap_or(from),
        })
    });
    let timeline = counted.await?.map_err(|error| ApiError::log(&error))?;
    Ok(Json(timeline))
}
