//! Keeps what the server wants the machine to become, tells the other nodes of it, and says how far the machine is with it.
//!
//! Nothing is told before the disk holds it, so that what a node applied once is desired after the next start as well. Which state
//! to hold is decided by [`muster_reflex::desired::Keeper`]; what a section means, by the node that applies it: that one hears
//! [`Payload::Desired`] and answers with [`Payload::Outcome`]. To apply a section of a new name, add it to [`APPLIED`].

use std::sync::Arc;

use muster_model::MachineId;
use muster_model::Severity;
use muster_model::desired::{DesiredReport, DesiredStatus, HeldDesired};
use muster_protocol::link::Desired;
use muster_reflex::desired::{Keeper, Offered};
use muster_reflex::state::Section;
use muster_runtime::errors::chain;

use crate::message::{Finding, Payload, Source, section, topics};
use crate::store::{DESIRED, Store, StoreError};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// Sections that a node of this runtime applies. Any other is refused here.
pub const APPLIED: &[&str] = &[muster_model::calibration::SECTION];

/// Sections that only a machine applies which runs programs: a simulated one does not.
pub const APPLIED_BY_RUNNING: &[&str] = &[muster_model::workload::SECTION, muster_model::release::SECTION];

/// What the node works with.
#[derive(Debug)]
pub struct Setup {
    /// Whose desired state it is.
    pub machine_id: MachineId,
    /// Where it is kept.
    pub store: Store,
    /// Whether the machine runs programs.
    pub runs_workloads: bool,
}

/// The desired node.
pub fn spec(setup: Arc<Setup>) -> NodeSpec {
    let topics = &[topics::DESIRED_OFFERED, topics::DESIRED_OUTCOMES];
    NodeSpec::new("desired", topics, move |context| run(context, setup.clone()))
}

async fn run(mut context: NodeContext, setup: Arc<Setup>) -> Result<(), NodeError> {
    let reading = setup.store.document(setup.machine_id, DESIRED);
    let Some(kept) = context.while_waiting(reading).await else {
        return Ok(());
    };
    let kept = kept.map_err(|error| broken(&error))?;
    let also = if setup.runs_workloads {
        APPLIED_BY_RUNNING
    } else {
        &[]
    };
    let mut node = Node {
        keeper: Keeper::new(held_in(kept.as_deref()), APPLIED.iter().chain(also)),
        unusable: None,
        told: None,
        found: Vec::new(),
    };
    node.publish_held(&context);
    node.tell(&context);
    loop {
        let Wake::Message(delivery) = context.next(None).await else {
            return Ok(());
        };
        match &delivery.message.payload {
            Payload::Offered(desired) => node.offered(&mut context, &setup, desired).await?,
            Payload::Outcome(outcome) => node.keeper.said(outcome),
            _ => {}
        }
        node.tell(&context);
    }
}

/// What the disk holds. What cannot be read is as good as nothing: the server says it again.
pub(crate) fn held_in(kept: Option<&str>) -> HeldDesired {
    let Some(text) = kept else {
        return HeldDesired::default();
    };
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "the desired state that was kept cannot be read: it is asked for anew");
        HeldDesired::default()
    })
}

fn broken(error: &StoreError) -> NodeError {
    NodeError(chain(error))
}

struct Node {
    keeper: Keeper,
    /// Why what the server sent last cannot be used.
    unusable: Option<String>,
    told: Option<DesiredReport>,
    found: Vec<Finding>,
}

impl Node {
    /// The server sent something: puts it on disk, then tells of it.
    async fn offered(
        &mut self,
        context: &mut NodeContext,
        setup: &Setup,
        desired: &Desired,
    ) -> Result<(), NodeError> {
        match self.keeper.offered(desired) {
            Offered::Known => Ok(()),
            Offered::Unusable(why) => {
                tracing::warn!(version = desired.version, %why, "what the server wants of the machine cannot be used");
                self.unusable = Some(why);
                Ok(())
            }
            Offered::Keep(held) => {
                let text = serde_json::to_string(&held)
                    .map_err(|error| NodeError(format!("the desired state has no JSON: {error}")))?;
                let keeping = setup.store.keep_document(setup.machine_id, DESIRED, text);
                if let Some(kept) = context.while_waiting(keeping).await {
                    kept.map_err(|error| broken(&error))?;
                    tracing::info!(version = %held.version, "the machine holds a new desired state");
                    self.unusable = None;
                    self.keeper.kept(held);
                    self.publish_held(context);
                }
                Ok(())
            }
        }
    }

    fn publish_held(&self, context: &NodeContext) {
        context.publish(Payload::Desired(Arc::new(self.keeper.held().clone())));
    }

    /// Says how the machine stands, if that changed.
    fn tell(&mut self, context: &NodeContext) {
        let report = self.keeper.report();
        if report != self.told {
            let told = Section::Desired(report.clone().map(Arc::new));
            context.publish(Payload::Sections(Source::Desired, section(told)));
        }
        let found = self.findings(report.as_ref());
        if found != self.found {
            context.publish(Payload::Findings(Source::Desired, found.clone()));
            self.found = found;
        }
        self.told = report;
    }

    fn findings(&self, report: Option<&DesiredReport>) -> Vec<Finding> {
        let sections = report.into_iter().flat_map(|report| &report.sections);
        let standing = sections.filter_map(|section| {
            let (kind, what) = match section.status {
                DesiredStatus::Pending | DesiredStatus::Applied => return None,
                DesiredStatus::Refused => ("desired.refused", "is refused"),
                DesiredStatus::Conflict => ("desired.conflict", "stands against what was decided here"),
            };
            let why = section.reason.as_deref().unwrap_or("no reason is given");
            Some(Finding {
                kind: kind.to_owned(),
                subject: section.name.clone(),
                severity: Severity::Warning,
                message: format!("The desired {} {what}: {why}", section.name),
            })
        });
        let unusable = self.unusable.as_ref().map(|why| Finding {
            kind: "desired.unusable".to_owned(),
            subject: String::new(),
            severity: Severity::Warning,
            message: format!("What the server wants of the machine cannot be used: {why}"),
        });
        standing.chain(unusable).collect()
    }
}
