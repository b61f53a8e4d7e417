//! Brings other releases onto the machine, and says how far it is with them.
//!
//! What is done when is [`muster_reflex::update::Updates`]'s decision. This node hears what the fleet assigns and how the machine is, carries
//! effects out one after the other, and answers each: [`fetch`] gets and verifies, [`Releases`] changes slots on a thread that may block,
//! [`commands`] runs hooks and checks. Before anything is begun or told as ended, the machine's store holds a note of it.

mod commands;
mod fetch;
mod readings;
mod trust;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_model::MachineId;
use muster_model::desired::{DesiredOutcome, DesiredStatus, HeldDesired};
use muster_model::release::{DesiredReleases, ProductName, SECTION};
use muster_reflex::update::Taken;
use muster_runtime::errors::chain;

use crate::dial::Dial;
use crate::message::{Payload, topics};
use crate::options::{ReleaseOptions, ServerUrl};
use crate::releases::Releases;
use crate::store::{Store, UPDATES};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// What the node works with.
pub struct Setup<D> {
    /// How the server is reached.
    pub dial: Arc<D>,
    /// Where it is.
    pub server: ServerUrl,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// Whose releases they are.
    pub machine_id: MachineId,
    /// What kind of machine it is.
    pub kind: String,
    /// Where it is noted how far each assignment was dealt with.
    pub store: Store,
    /// The releases.
    pub releases: Releases,
    /// What is believed, and how it is fetched.
    pub options: ReleaseOptions,
}

/// The updates node.
pub fn spec<D: Dial>(setup: Arc<Setup<D>>) -> NodeSpec {
    let topics = &[topics::DESIRED, topics::SECTIONS];
    NodeSpec {
        needs_io: true,
        ..NodeSpec::new("updates", topics, move |context| run(context, setup.clone()))
    }
}

async fn run<D: Dial>(mut context: NodeContext, setup: Arc<Setup<D>>) -> Result<(), NodeError> {
    let reading = setup.store.document(setup.machine_id, UPDATES);
    let Some(kept) = context.while_waiting(reading).await else {
        return Ok(());
    };
    let kept = kept.map_err(|error| NodeError(chain(&error)))?;
    let taken = kept
        .as_deref()
        .map(serde_json::from_str::<BTreeMap<ProductName, Taken>>);
    let taken = match taken {
        None => BTreeMap::new(),
        Some(Ok(taken)) => taken,
        Some(Err(error)) => {
            // The slots say what runs; only how assignments ended is lost, and they are looked at anew.
            tracing::error!(%error, "how far updates were cannot be read");
            BTreeMap::new()
        }
    };
    let mut work = work::Work::begin(&context, setup, taken);
    loop {
        work.show(&context);
        let due = work.due_ms(&context);
        tokio::select! {
            wake = context.next(Some(due)) => match wake {
                Wake::Stop => return Ok(()),
                Wake::Due => work.look(&context),
                Wake::Message(delivery) => match &delivery.message.payload {
                    Payload::Desired(held) => work.desired(&context, held),
                    Payload::Sections(_, patch) => work.hear(&context, patch),
                    _ => {}
                },
            },
            (product, step) = work.came() => work.answer(&context, product, step),
        }
    }
}

/// What the fleet assigns, and what to say to it; nothing where nothing was ever assigned.
fn desired_by_fleet(held: &HeldDesired) -> (Option<DesiredOutcome>, Option<DesiredReleases>) {
    let Some(section) = held.document.0.get(SECTION) else {
        return (None, Some(DesiredReleases::default()));
    };
    let read: Result<DesiredReleases, _> = serde_json::from_str(section.content.0.get());
    let accepted = read
        .map_err(|error| error.to_string())
        .and_then(|all| all.check().map(|()| all).map_err(|error| error.to_string()));
    let outcome = |status, reason| {
        Some(DesiredOutcome {
            section: SECTION.to_owned(),
            version: section.version,
            status,
            reason,
        })
    };
    match accepted {
        Ok(all) => (outcome(DesiredStatus::Applied, None), Some(all)),
        Err(why) => (outcome(DesiredStatus::Refused, Some(why)), None),
    }
}
