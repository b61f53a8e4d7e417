//! Runs what people want to run, and says how it fares.
//!
//! What is started, checked, started again and ended is [`muster_reflex::workload::Workloads`]'s decision; [`work`] carries it out by a
//! [`runner`], each action on a thread of its own, because a computer may take its time. Programs outlive this node and the whole
//! runtime: their keepers ([`crate::keeper`]) do not notice, and the next node takes them over.

mod checks;
mod desk;
mod find;
mod podman;
mod report;
mod runner;
mod systemd;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use muster_model::DesiredVersion;
use muster_model::desired::HeldDesired;
use muster_model::workload::{SECTION, Workloads, check_all};

use crate::message::topics;
use crate::releases::Releases;
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

pub(crate) use runner::run as run_command;

pub use desk::{Desk, DeskError, LogLine};
pub use systemd::Systemd;

/// Between two looks at what is printed and used.
const LOOK_MS: u64 = 1_000;
/// The folder in the data directory.
pub const FOLDER: &str = "workloads";

/// What the node works with.
#[derive(Debug)]
pub struct Setup {
    /// Where each workload has its directory.
    pub directory: PathBuf,
    /// The executable that becomes a keeper.
    pub program: PathBuf,
    /// What the machine's own file wants.
    pub machine: Workloads,
    /// How people at the machine reach it.
    pub desk: Desk,
    /// Where systemd is asked, where it runs.
    pub systemd: Option<Systemd>,
    /// Where programs lie that come with releases.
    pub releases: Releases,
}

/// The workloads node.
pub fn spec(setup: Arc<Setup>) -> NodeSpec {
    let topics = &[topics::DESIRED];
    NodeSpec {
        needs_io: true,
        ..NodeSpec::new("workloads", topics, move |context| run(context, setup.clone()))
    }
}

/// The fleet's workloads, and of which version they are; nothing is desired where there is no section.
fn desired_by_fleet(held: &HeldDesired) -> (Option<DesiredVersion>, Result<Workloads, String>) {
    let Some(section) = held.document.0.get(SECTION) else {
        return (None, Ok(Workloads::new()));
    };
    let read: Result<Workloads, _> = serde_json::from_str(section.content.0.get());
    let accepted = read
        .map_err(|error| error.to_string())
        .and_then(|all| check_all(&all).map(|()| all).map_err(|error| error.to_string()));
    (Some(section.version), accepted)
}

async fn run(mut context: NodeContext, setup: Arc<Setup>) -> Result<(), NodeError> {
    let looked = setup.clone();
    let seen = tokio::task::spawn_blocking(move || find::all(&looked));
    let Some(seen) = context.while_waiting(seen).await else {
        return Ok(());
    };
    let seen = seen
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|error| NodeError(format!("{}: {error}", setup.directory.display())))?;
    let mut changes = setup.releases.changes();
    let (mut work, mut outcomes) = work::Work::begin(&context, setup.clone(), seen);
    loop {
        work.show(&context);
        let due = work.due_ms(&context);
        tokio::select! {
            wake = context.next(Some(due)) => match wake {
                // What runs goes on running.
                Wake::Stop => return Ok(()),
                Wake::Due => work.look(&context),
                Wake::Message(delivery) => work.hear(&context, &delivery.message.payload),
            },
            // Never over: `work` has a sender.
            Some(outcome) = outcomes.recv() => work.came_about(&context, outcome),
            Ok(()) = changes.changed() => work.another_version(&context),
            name = work.ended() => work.conclude(&name),
            (name, ask) = setup.desk.asked() => work.asked(&context, name, ask),
        }
    }
}
