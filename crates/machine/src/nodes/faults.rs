//! Puts faults into a simulated machine, and says which stand. A real machine has no such node and accepts no such command.
//!
//! A fault changes what the hardware does and measures. Nothing here clears a latch or lets a machine move.

use std::sync::Arc;

use muster_metal::Faults;
use muster_model::Severity;
use muster_model::simulation::{SimulatedFault, Simulation, StandingFault};
use muster_protocol::link::{Command, FaultArguments};
use muster_reflex::state::Section;
use tokio::sync::Notify;

use crate::message::{Payload, Source, event, section, topics};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// How often it is looked whether a fault is over, while one stands.
const LOOK_EVERY_MS: u64 = 500;

/// Where faults are put in: by the node, and by whoever is beside the machine.
pub struct Desk {
    faults: Arc<dyn Faults>,
    changed: Notify,
}

impl Desk {
    /// Of this machine.
    pub fn new(faults: Arc<dyn Faults>) -> Self {
        let changed = Notify::new();
        Self { faults, changed }
    }

    /// What can be put in.
    pub fn possible(&self) -> &'static [SimulatedFault] {
        self.faults.possible()
    }

    /// What stands.
    pub fn standing(&self) -> Vec<StandingFault> {
        self.faults.standing()
    }

    /// Puts one in, for so many seconds or until it is cleared; false where it is not possible.
    pub fn inject(&self, fault: SimulatedFault, for_s: Option<u32>) -> bool {
        let done = self.faults.inject(fault, for_s);
        self.changed.notify_one();
        done
    }

    /// Takes one out, or all.
    pub fn clear(&self, fault: Option<SimulatedFault>) {
        self.faults.clear(fault);
        self.changed.notify_one();
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Desk").field(&self.standing()).finish()
    }
}

/// The faults node.
pub fn spec(desk: Arc<Desk>) -> NodeSpec {
    NodeSpec::new("faults", &[topics::FAULT], move |context| {
        run(context, desk.clone())
    })
}

async fn run(mut context: NodeContext, desk: Arc<Desk>) -> Result<(), NodeError> {
    let mut told: Option<Vec<StandingFault>> = None;
    loop {
        let standing = desk.standing();
        if told.as_ref() != Some(&standing) {
            say(&context, told.as_deref().unwrap_or_default(), &standing);
            let report = Simulation {
                possible: desk.possible().to_vec(),
                faults: standing.clone(),
            };
            let report = section(Section::Simulation(Some(Arc::new(report))));
            context.publish(Payload::Sections(Source::Simulation, report));
            told = Some(standing);
        }
        let look = told.as_ref().is_some_and(|told| !told.is_empty());
        let due = look.then(|| context.clock().mono_ms() + LOOK_EVERY_MS);
        let wake = tokio::select! {
            wake = context.next(due) => wake,
            () = desk.changed.notified() => Wake::Due,
        };
        match wake {
            Wake::Stop => return Ok(()),
            Wake::Due => {}
            Wake::Message(delivery) => {
                if let Payload::Command(command) = &delivery.message.payload {
                    carry_out(&context, &desk, command);
                }
            }
        }
    }
}

fn carry_out(context: &NodeContext, desk: &Desk, command: &Command) {
    let failed = |why: String| {
        if let Payload::Event(mut event) = event("simulation.fault_refused", Severity::Warning, why) {
            event.causation_id = Some(command.id.clone());
            context.publish(Payload::Event(event));
        }
    };
    let arguments = match FaultArguments::read(command.arguments.as_ref()) {
        Ok(arguments) => arguments,
        Err(error) => return failed(format!("The fault cannot be put in: {error}")),
    };
    tracing::info!(issuer = %command.issuer, ?arguments, "a simulated fault");
    match arguments {
        FaultArguments {
            fault, clear: true, ..
        } => desk.clear(fault),
        FaultArguments {
            fault: Some(fault),
            for_s,
            ..
        } if !desk.inject(fault, for_s) => failed(format!("{fault} cannot happen to this machine")),
        FaultArguments { .. } => {}
    }
}

/// Tells of what came and went.
fn say(context: &NodeContext, before: &[StandingFault], now: &[StandingFault]) {
    let is_in = |list: &[StandingFault], fault| list.iter().any(|standing| standing.fault == fault);
    for came in now.iter().filter(|standing| !is_in(before, standing.fault)) {
        let lasts = came
            .for_s
            .map_or_else(|| "until it is cleared".to_owned(), |s| format!("for {s} s"));
        let text = format!("Simulated fault {}: {lasts}", came.fault);
        context.publish(event("simulation.fault_began", Severity::Warning, text));
    }
    for gone in before.iter().filter(|standing| !is_in(now, standing.fault)) {
        let text = format!("Simulated fault {} is over", gone.fault);
        context.publish(event("simulation.fault_ended", Severity::Info, text));
    }
}
