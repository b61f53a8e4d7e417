//! `GET /api/v1/machines/{id}/telemetry` and `GET /api/v1/machines/{id}/logs`.

use axum::Json;
use axum::extract::State;
use muster_model::{Severity, Timestamp};
use muster_protocol::api::{LogPage, Problem, Telemetry};
use muster_store::{LogQuery, TelemetryQuery};
use serde::Deserialize;

use super::error::ApiError;
use super::paging;
use super::params::{MachinePath, Params};
use crate::gateway::GatewayState;

/// Most points of one series.
const POINTS_MAX: u32 = 5_000;
/// Most metrics that can be asked for by name.
const METRICS_MAX: usize = 64;

/// What is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TelemetryParams {
    /// Which metrics, separated by commas; absent: all.
    metrics: Option<String>,
    /// Start; absent: an hour before the end.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// End; absent: now.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Points of each series at most: 1 to 5,000, 600 by default. Where there are more samples, a point holds the least,
    /// mean and greatest of several.
    points: Option<u32>,
}

/// Measurements of one machine
#[utoipa::path(get, path = "/api/v1/machines/{id}/telemetry", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid), TelemetryParams), responses(
    (status = 200, description = "One series per metric", body = Telemetry),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn telemetry(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
    Params(params): Params<TelemetryParams>,
) -> Result<Json<Telemetry>, ApiError> {
    if state.fleet.view(id).is_none() {
        return Err(ApiError::no_such_machine(id));
    }
    let to = params.to.unwrap_or(state.fleet.now().wall);
    let from = params.from.unwrap_or(to.plus_millis(-3_600_000));
    if from >= to {
        return Err(ApiError::bad_parameter(
            "from",
            format!("{from} must be before {to}"),
        ));
    }
    let points = params.points.unwrap_or(600);
    if !(1..=POINTS_MAX).contains(&points) {
        return Err(ApiError::bad_parameter(
            "points",
            format!("{points}: 1 to {POINTS_MAX} is accepted"),
        ));
    }
    let names = params
        .metrics
        .as_deref()
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let metrics: Vec<String> = names.map(str::to_owned).collect();
    if metrics.len() > METRICS_MAX {
        return Err(ApiError::bad_parameter(
            "metrics",
            format!("at most {METRICS_MAX} are accepted"),
        ));
    }
    let series = state.fleet.series().clone();
    let query = TelemetryQuery {
        metrics,
        from,
        to,
        points_max: points as usize,
    };
    let found = state
        .fleet
        .series_searches()
        .run(move || series.query(id, &query));
    let series = found.await??;
    Ok(Json(Telemetry {
        machine_id: id,
        from,
        to,
        series,
    }))
}

/// What is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogParams {
    /// This severity or worse.
    severity: Option<Severity>,
    /// Of this part alone, by its whole name: `workload.camera`.
    target: Option<String>,
    /// Written at this moment or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Written at this moment or earlier.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Lines on a page: 1 to 1,000, 100 by default.
    limit: Option<u32>,
}

/// Log lines of one machine
#[utoipa::path(get, path = "/api/v1/machines/{id}/logs", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid), LogParams), responses(
    (status = 200, description = "A page of lines, newest first", body = LogPage),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn logs(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
    Params(params): Params<LogParams>,
) -> Result<Json<LogPage>, ApiError> {
    if state.fleet.view(id).is_none() {
        return Err(ApiError::no_such_machine(id));
    }
    // A machine's clock may run a little ahead of the server's.
    let to = params.to.unwrap_or(state.fleet.now().wall.plus_millis(60_000));
    let from = params.from.unwrap_or(Timestamp::EPOCH);
    if from > to {
        return Err(ApiError::bad_parameter(
            "from",
            format!("{from} must not be after {to}"),
        ));
    }
    let limit = paging::limit(params.limit)?;
    let before = params.cursor.as_deref().map(str::parse).transpose()?;
    let severity_min = params.severity.unwrap_or(Severity::Debug);
    let query = LogQuery {
        from,
        to,
        severity_min,
        target: params.target,
        before,
        limit,
    };
    let series = state.fleet.series().clone();
    let page = state
        .fleet
        .series_searches()
        .run(move || series.query_lines(id, &query));
    Ok(Json(page.await??))
}
