//! Health and metrics, on a listener of their own: not for the same eyes as the fleet.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use muster_runtime::Shutdown;

use crate::gateway::GatewayState;

/// How often what was measured is taken in.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What the handlers need.
#[derive(Clone)]
struct AdminState {
    gateway: GatewayState,
    metrics: Option<PrometheusHandle>,
}

/// The routes. Without a recorder (another server runs in this process) there are no metrics.
pub fn router(gateway: GatewayState, metrics: Option<PrometheusHandle>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .with_state(AdminState { gateway, metrics })
}

/// Installs the recorder, once for the process; none if there is one already.
pub fn install_recorder() -> Option<PrometheusHandle> {
    PrometheusBuilder::new().install_recorder().ok()
}

/// Durations wait in memory until somebody asks for the metrics; where nobody does, this takes them in.
pub async fn upkeep(recorder: PrometheusHandle, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(UPKEEP_EVERY) => recorder.run_upkeep(),
            () = shutdown.requested() => return Ok(()),
        }
    }
}

/// The process is there.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The server takes machines and requests.
async fn readyz(State(state): State<AdminState>) -> Response {
    if state.gateway.shutdown.is_requested() {
        return (StatusCode::SERVICE_UNAVAILABLE, "being stopped\n").into_response();
    }
    match state.gateway.fleet.log().failure().get() {
        Some(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{} {error}\n", error.code()),
        )
            .into_response(),
        None => "ready\n".into_response(),
    }
}

async fn show_metrics(State(state): State<AdminState>) -> Response {
    let Some(handle) = state.metrics else {
        return (
            StatusCode::NOT_FOUND,
            "another server in this process keeps the metrics\n",
        )
            .into_response();
    };
    let fleet = &state.gateway.fleet;
    let log = fleet.log().stats();
    metrics::gauge!("muster_log_queued_rows").set(log.queued_rows as f64);
    metrics::counter!("muster_log_commits_total").absolute(log.commits);
    metrics::counter!("muster_log_rows_total").absolute(log.rows);
    metrics::counter!("muster_log_conflicts_total").absolute(log.conflicts);
    metrics::counter!("muster_log_refused_queue_full_total").absolute(log.refused_queue_full);
    metrics::counter!("muster_log_refused_disk_full_total").absolute(log.refused_disk_full);
    metrics::gauge!("muster_log_position").set(fleet.position().0 as f64);
    let series = fleet.series().stats();
    metrics::counter!("muster_telemetry_samples_total").absolute(series.samples);
    metrics::counter!("muster_telemetry_samples_dropped_total").absolute(series.samples_dropped);
    metrics::counter!("muster_telemetry_samples_without_name_total").absolute(series.samples_without_name);
    metrics::counter!("muster_log_lines_dropped_total").absolute(series.lines_dropped);
    metrics::counter!("muster_telemetry_writes_failed_total").absolute(series.writes_failed);
    metrics::gauge!("muster_telemetry_size_bytes").set(series.size_bytes as f64);
    let summary = crate::live::summary::now(fleet, &crate::access::caller::Eyes::of_server());
    metrics::gauge!("muster_machines").set(summary.total as f64);
    for (presence, count) in &summary.by_presence {
        metrics::gauge!("muster_machines_by_presence", "presence" => presence.as_str()).set(*count as f64);
    }
    for (status, count) in &summary.by_status {
        metrics::gauge!("muster_machines_by_status", "status" => status.as_str()).set(*count as f64);
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        handle.render(),
    )
        .into_response()
}
