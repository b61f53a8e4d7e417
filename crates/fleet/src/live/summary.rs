//! The fleet in figures, told to subscribers when it changes.

use std::sync::Arc;
use std::time::Duration;

use muster_brain::live::{Content, Published};
use muster_protocol::api::FleetSummary;
use muster_runtime::Shutdown;
use muster_store::Bus;

use crate::api::convert;
use crate::state::Fleet;

/// Where the summary is published.
pub const TOPIC: &str = "fleet.summary";
/// How often it is looked at while somebody listens.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The fleet in figures, as it is now.
pub fn now(fleet: &Fleet) -> FleetSummary {
    let now = fleet.now().wall;
    let views = fleet.views();
    convert::fleet_summary(&views, now, now, false, fleet.position())
}

/// Publishes the summary whenever it changed.
pub async fn run(fleet: Fleet, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
    let mut last = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.requested() => return Ok(()),
        }
        if fleet.bus().subscribers() == 0 {
            continue;
        }
        let summary = now(&fleet);
        let key = (
            summary.by_status,
            summary.by_presence,
            summary.by_mode,
            summary.by_kind,
            summary.low_battery,
        );
        if last.as_ref() != Some(&key) {
            last = Some(key);
            let published = Published {
                topic: TOPIC.into(),
                about: None,
                content: Content::Changed,
            };
            fleet.bus().publish(Arc::new(vec![published]));
        }
    }
}
