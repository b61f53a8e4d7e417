//! The fleet in figures, told to subscribers when it changes.

use std::sync::Arc;
use std::time::Duration;

use muster_brain::live::{Content, Published};
use muster_protocol::api::FleetSummary;
use muster_runtime::Shutdown;
use muster_store::Bus;

use crate::access::caller::Eyes;
use crate::api::convert;
use crate::state::Fleet;

/// Where the summary is published.
pub const TOPIC: &str = "fleet.summary";
/// How often it is looked at while somebody listens.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The fleet in figures, as it is now.
pub fn now(fleet: &Fleet, eyes: &Eyes) -> FleetSummary {
    let now = fleet.now().wall;
    let position = fleet.shown();
    let mut views = fleet.views();
    if !eyes.see_all() {
        views.retain(|view| eyes.see(view));
    }
    let mut summary = convert::fleet_summary(&views, now, now, false, position);
    summary.history_from = fleet.history_from();
    summary
}

/// Publishes the summary whenever it changed: written once, however many are told.
pub async fn run(fleet: Fleet, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
    let mut last = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return Ok(()),
        }
        if fleet.history_from().is_none() {
            find_history(&fleet).await;
        }
        if fleet.bus().subscribers() == 0 {
            continue;
        }
        let summary = now(&fleet, &Eyes::of_server());
        let Ok(data) = serde_json::value::to_raw_value(&summary) else {
            continue;
        };
        let figures = (
            summary.by_status,
            summary.by_presence,
            summary.by_mode,
            summary.by_kind,
            summary.low_battery,
        );
        if last.as_ref() != Some(&figures) {
            last = Some(figures);
            let content = Content::Latest(data.into());
            fleet.bus().publish(Arc::new(vec![Published {
                topic: TOPIC.into(),
                about: None,
                content,
            }]));
        }
    }
}

/// The beginning of the log never changes once there is one.
async fn find_history(fleet: &Fleet) {
    let log = fleet.log().clone();
    if let Ok(Ok(Some(oldest))) = tokio::task::spawn_blocking(move || log.oldest_time()).await {
        fleet.set_history_from(oldest);
    }
}
