//! Reads the hardware: what is cheap every few seconds, what is fixed or slow when it is due.
//!
//! A reading that fails makes its section unknown and its sensor unreadable; no value is ever made up for it. What is calibrated
//! ([`calibrated`]) is calibrated here, so that nobody sees it otherwise.

pub mod calibrated;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_metal::{Facts, Metal, MetalError};
use muster_model::Severity;
use muster_model::state::{Deployment, Identity, StatePatch};
use muster_protocol::link::Command;
use muster_reflex::calibration::Calibrations;
use muster_reflex::state::{Section, SectionKind};
use muster_runtime::errors::chain;
use tokio::sync::watch;

use calibrated::Calibrated;

use crate::message::{Finding, Payload, Source, TrafficReading, event, put, some, topics};
use crate::metals::MetalSource;
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// What the node needs to know beside the hardware.
#[derive(Clone, Debug)]
pub struct Options {
    /// Between two readings of what is cheap.
    pub interval_ms: u64,
    /// The first reading is put off by so long.
    pub delay_ms: u64,
    /// Who the machine is, as it was configured.
    pub identity: Identity,
    /// The calibrations in force.
    pub calibrations: watch::Receiver<Arc<Calibrations>>,
}

/// The resources node.
pub fn spec(options: Options, metal: MetalSource) -> NodeSpec {
    let topics = &[topics::WANTED, topics::IDENTIFY];
    NodeSpec::new("resources", topics, move |context| {
        run(context, options.clone(), metal.clone())
    })
}

async fn run(mut context: NodeContext, options: Options, metal: MetalSource) -> Result<(), NodeError> {
    let held = || NodeError("the hardware is still held by the node before".to_owned());
    let mut metal = metal.take().ok_or_else(held)?;
    let mut reader = Reader::new(options.calibrations.clone());
    let mut due_ms = context.clock().mono_ms() + options.delay_ms;
    loop {
        match context.next(Some(due_ms)).await {
            Wake::Stop => return Ok(()),
            Wake::Due => {
                let now_ms = context.clock().mono_ms();
                metal.advance_to(Duration::from_millis(now_ms));
                reader.measure(&context, &mut *metal);
                // After a pause there is nothing to make up for.
                due_ms = (due_ms + options.interval_ms).max(now_ms + options.interval_ms / 2);
            }
            Wake::Message(delivery) => match &delivery.message.payload {
                Payload::Wanted(wanted) => {
                    let kinds: Vec<_> = wanted.iter().map(|wanted| wanted.0).collect();
                    reader.look_up(&context, &mut *metal, &options.identity, &kinds);
                }
                Payload::Command(command) => identify(&context, command),
                _ => {}
            },
        }
    }
}

/// Makes the machine known to a person. There is no light to blink yet: an event and a line in the log have to do.
fn identify(context: &NodeContext, command: &Command) {
    tracing::info!(issuer = %command.issuer, reason = %command.reason, "asked to make itself known");
    let mut text = format!("Made itself known for {}: {}", command.issuer, command.reason);
    text.truncate(text.floor_char_boundary(1_000));
    if let Payload::Event(mut event) = event("machine.identified", Severity::Info, text) {
        event.causation_id = Some(command.id.clone());
        context.publish(Payload::Event(event));
    }
}

/// Remembers which sensors cannot be read.
struct Reader {
    calibrated: Calibrated,
    unreadable: BTreeMap<&'static str, String>,
    /// What was said last, so that only changes are said.
    said_unreadable: Option<Vec<&'static str>>,
    said_hardware: Option<Vec<Finding>>,
}

impl Reader {
    fn new(in_force: watch::Receiver<Arc<Calibrations>>) -> Self {
        Self {
            calibrated: Calibrated::new(in_force),
            unreadable: BTreeMap::new(),
            said_unreadable: None,
            said_hardware: None,
        }
    }

    /// What is cheap, all in one message.
    fn measure(&mut self, context: &NodeContext, metal: &mut dyn Metal) {
        let mut patch = StatePatch::default();
        let resources = self.note("resources", metal.resources().map(Some));
        put(&mut patch, Section::Resources(resources.and_then(some)));
        let mut power = self.note("power", metal.power());
        power.iter_mut().for_each(|power| self.calibrated.power(power));
        put(&mut patch, Section::Power(power.and_then(some)));
        let mut thermal = self.note("thermal", metal.thermal());
        thermal
            .iter_mut()
            .for_each(|thermal| self.calibrated.thermal(thermal));
        put(&mut patch, Section::Thermal(thermal.and_then(some)));
        let location = self.note("location", metal.location());
        put(&mut patch, Section::Location(location.and_then(some)));
        if let Some(mode) = self.note("mode", metal.mode().map(Some)) {
            context.publish(Payload::Mode(mode));
        }
        if let Some(traffic) = self.note("traffic", metal.traffic()) {
            context.publish(Payload::Traffic(TrafficReading {
                receive_bytes_per_s: traffic.receive_bytes_per_s,
                transmit_bytes_per_s: traffic.transmit_bytes_per_s,
            }));
        }
        context.publish(Payload::Sections(Source::Measured, Box::new(patch)));
        if let Some(findings) = self.calibrated.findings() {
            context.publish(Payload::Findings(Source::Calibrated, findings));
        }
        self.examine(context, metal);
    }

    /// What the hardware says is wrong with it, and which sensors cannot be read.
    fn examine(&mut self, context: &NodeContext, metal: &mut dyn Metal) {
        let conditions = self
            .note("conditions", metal.conditions().map(Some))
            .unwrap_or_default();
        let findings: Vec<_> = conditions
            .into_iter()
            // A sensor that was seen to be unreadable need not be said to be silent as well.
            .filter(|problem| problem.kind != "sensor.silent" || self.unreadable.is_empty())
            .map(|problem| Finding {
                kind: problem.kind,
                subject: String::new(),
                severity: problem.severity,
                message: problem.message,
            })
            .collect();
        if self.said_hardware.as_ref() != Some(&findings) {
            context.publish(Payload::Findings(Source::Hardware, findings.clone()));
            self.said_hardware = Some(findings);
        }
        let unreadable: Vec<_> = self.unreadable.keys().copied().collect();
        if self.said_unreadable.as_ref() != Some(&unreadable) {
            let findings = self.unreadable.iter().map(|(sensor, error)| Finding {
                kind: "sensor.unreadable".into(),
                subject: (*sensor).to_owned(),
                severity: Severity::Warning,
                message: format!("The reading {sensor} is unknown: {error}"),
            });
            context.publish(Payload::Findings(Source::Sensors, findings.collect()));
            self.said_unreadable = Some(unreadable);
        }
    }

    /// What was asked for, apart from what is read every few seconds anyway.
    fn look_up(
        &mut self,
        context: &NodeContext,
        metal: &mut dyn Metal,
        identity: &Identity,
        kinds: &[SectionKind],
    ) {
        let mut patch = StatePatch::default();
        let mut facts: Option<Option<Facts>> = None;
        for kind in kinds {
            match kind {
                SectionKind::Identity => put(&mut patch, Section::Identity(some(identity.clone()))),
                SectionKind::Deployment => put(&mut patch, Section::Deployment(some(deployment()))),
                SectionKind::Network => {
                    let network = self.note("network", metal.network().map(Some));
                    put(&mut patch, Section::Network(network.and_then(some)));
                }
                SectionKind::Hardware => {
                    let facts = facts.get_or_insert_with(|| self.note("facts", metal.facts().map(Some)));
                    let hardware = facts.as_ref().map(|facts| facts.hardware.clone());
                    put(&mut patch, Section::Hardware(hardware.and_then(some)));
                }
                SectionKind::Platform => {
                    let facts = facts.get_or_insert_with(|| self.note("facts", metal.facts().map(Some)));
                    let platform = facts.as_ref().map(|facts| facts.platform.clone());
                    put(&mut patch, Section::Platform(platform.and_then(some)));
                }
                SectionKind::Operation
                | SectionKind::Resources
                | SectionKind::Power
                | SectionKind::Thermal
                | SectionKind::Updates
                | SectionKind::Location
                | SectionKind::Devices
                | SectionKind::Nodes
                | SectionKind::Health
                | SectionKind::Desired
                | SectionKind::Calibration
                | SectionKind::Recordings
                | SectionKind::Workloads
                | SectionKind::Services
                | SectionKind::Safety
                | SectionKind::Gate
                | SectionKind::Simulation => {}
            }
        }
        if patch != StatePatch::default() {
            context.publish(Payload::Sections(Source::Facts, Box::new(patch)));
        }
    }

    /// Remembers whether a sensor could be read, and turns an error into not knowing.
    fn note<T>(&mut self, sensor: &'static str, reading: Result<Option<T>, MetalError>) -> Option<T> {
        match reading {
            Ok(value) => {
                if self.unreadable.remove(sensor).is_some() {
                    tracing::info!(sensor, "readable again");
                }
                value
            }
            Err(error) => {
                let error = chain(&error);
                if !self.unreadable.contains_key(sensor) {
                    tracing::warn!(sensor, %error, "unreadable: its section is unknown");
                }
                self.unreadable.insert(sensor, error);
                None
            }
        }
    }
}

fn deployment() -> Deployment {
    Deployment {
        agent_version: crate::VERSION.to_owned(),
        release: None,
        phase: None,
    }
}
