//! The scenarios, one a file: each starts what it measures, loads it, and adds its figures to the report.

pub(super) mod agent;
pub(super) mod api;
pub(super) mod authorisation;
pub(super) mod connections;
pub(super) mod durable;
pub(super) mod fanout;
pub(super) mod heartbeat;
pub(super) mod ingest;
pub(super) mod pipelined;
pub(super) mod recovery;
pub(super) mod restart;
pub(super) mod stop;
pub(super) mod storage;
pub(super) mod storm;
pub(super) mod storm_tls;

use super::context::Context;
use super::error::Result;
use super::load::Load;
use super::progress::thousands;

/// Connections that are on the way at a time where joining itself is not what is measured: a backlog's worth.
const JOINING_AT_ONCE: usize = 512;

/// Brings all machines of the plan into session.
fn join(context: &mut Context, load: &mut Load, who: &str, count: usize) -> Result<super::load::Joined> {
    context
        .progress
        .step(&format!("{who}: {} connections join", thousands(count as u64)));
    let progress = &mut context.progress;
    load.join(count, JOINING_AT_ONCE, &mut |up| {
        progress.go_on(|| {
            format!(
                "{who}: {} of {} joined",
                thousands(up as u64),
                thousands(count as u64)
            )
        });
    })
}

/// The value below which this share of the sorted samples lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .or(sorted.last())
        .copied()
        .unwrap_or(f64::NAN)
}

/// How the figures of each scenario are taken, for people.
pub(super) fn methods() -> String {
    let mut text = String::new();
    for scenario in super::all() {
        text += &format!("{}\n  {}\n\n", scenario.name(), scenario.about());
        for method in scenario.methods() {
            text += &format!("  {method}\n\n");
        }
    }
    text
}
