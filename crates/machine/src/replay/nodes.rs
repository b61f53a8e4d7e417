//! Nodes that decide by what they hear and by timers, on the time of the recording.
//!
//! A node is entered where the recording says what it remembers. From there it hears what was recorded in the order of the bus,
//! its timers run on recorded time, and what it says is held against what was said.

use std::collections::VecDeque;

use muster_model::Timestamp;
use muster_protocol::link::Telemetry;
use serde_json::Value;

use super::Node;
use super::report::{Different, Report, differing};
use crate::bus::INBOX_MAX;
use crate::message::{Memory, Message, Payload, Source};
use crate::nodes::decides::{Decides, Running};
use crate::nodes::health::HealthDesk;
use crate::nodes::state::StateDesk;
use crate::nodes::telemetry::{self, TelemetryDesk};
use crate::recording::reader::Recorded;

/// A node hears a little after something was said, and its answer is said a little after that.
const SLACK_MS: i64 = 250;
/// Answers that wait for each other.
const WAITING_MAX: usize = 64;

/// Where each node stands in a replay.
pub(super) struct Nodes {
    state: Option<Player<StateDesk>>,
    health: Option<Player<HealthDesk>>,
    telemetry: Option<Player<TelemetryDesk>>,
}

impl Nodes {
    pub(super) fn new(nodes: &[Node]) -> Self {
        let state = |heard: &Message| matches!(heard.payload, Payload::Sections(..) | Payload::Link(_));
        let health = |heard: &Message| {
            matches!(
                heard.payload,
                Payload::Findings(..) | Payload::Sections(Source::Measured, _)
            )
        };
        let telemetry = |heard: &Message| {
            let measured = matches!(heard.payload, Payload::Sections(Source::Measured, _));
            measured || matches!(heard.payload, Payload::Traffic(_) | Payload::Link(_))
        };
        Self {
            state: nodes
                .contains(&Node::State)
                .then(|| Player::new(Node::State, state)),
            health: nodes
                .contains(&Node::Health)
                .then(|| Player::new(Node::Health, health)),
            telemetry: nodes
                .contains(&Node::Telemetry)
                .then(|| Player::new(Node::Telemetry, telemetry)),
        }
    }

    pub(super) fn take(&mut self, message: &Message, within: bool, report: &mut Report) {
        if let Some(player) = &mut self.state {
            player.take(message, within, report);
        }
        if let Some(player) = &mut self.health {
            player.take(message, within, report);
        }
        if let Some(player) = &mut self.telemetry {
            player.take(message, within, report);
        }
    }
}

/// One node in a replay.
struct Player<D> {
    node: Node,
    listens_to: fn(&Message) -> bool,
    at: Option<Running<D>>,
    /// What was said before it began: it hears that first.
    before: VecDeque<Message>,
    /// Whether it was started again: then nobody knows what waited for it.
    restarted: bool,
    /// What it said here, and was not said in the recording yet.
    said: VecDeque<(Timestamp, Payload)>,
    /// The other way round.
    expected: VecDeque<(Timestamp, Payload)>,
}

impl<D: Decides> Player<D> {
    fn new(node: Node, listens_to: fn(&Message) -> bool) -> Self {
        Self {
            node,
            listens_to,
            at: None,
            before: VecDeque::new(),
            restarted: false,
            said: VecDeque::new(),
            expected: VecDeque::new(),
        }
    }

    fn take(&mut self, message: &Message, within: bool, report: &mut Report) {
        match &message.payload {
            Payload::Memory(memory) if memory.node == self.node.as_str() => {
                // Who runs already knows what was heard. What a node says that it remembers may lack what was said just before and
                // had not reached it yet.
                if memory.fresh || self.at.is_none() {
                    self.enter(message.mono_ms, memory, report);
                }
                return;
            }
            Payload::Node(node) if node.name == self.node.as_str() => self.restarted |= node.restarts > 0,
            _ => {}
        }
        if self.at.is_none() {
            if (self.listens_to)(message) && self.before.len() < INBOX_MAX {
                self.before.push_back(message.clone());
            }
            return;
        }
        self.step(message);
        self.compare(message.at, within, report);
    }

    fn step(&mut self, message: &Message) {
        let Some(running) = &mut self.at else { return };
        let said = &mut self.said;
        let mut say = |payload: Payload| {
            // What others say as well is not compared.
            if answers(&payload).is_some() {
                said.push_back((message.at, payload));
            }
        };
        if answers(&message.payload) == Some(self.node) {
            // What it was due for before this was said.
            running.due(message.mono_ms, &mut say);
            self.expected.push_back((message.at, message.payload.clone()));
        } else if (self.listens_to)(message) {
            running.hear(message, &mut say);
        }
    }

    /// Begins where the recording says what the node remembers.
    fn enter(&mut self, now_ms: u64, memory: &Memory, report: &mut Report) {
        let (before, restarted) = (
            std::mem::take(&mut self.before),
            std::mem::take(&mut self.restarted),
        );
        self.at = None;
        if memory.fresh && restarted {
            // What waited for it is not known: it is entered where it says next what it remembers.
            return;
        }
        match serde_json::from_value(memory.state.clone()) {
            Ok(decides) => self.at = Some(Running { decides, now_ms }),
            Err(error) => report.unreadable(&format!("node.{}.memory", self.node.as_str()), &error),
        }
        if memory.fresh {
            for message in before {
                self.step(&message);
            }
        }
    }

    fn compare(&mut self, now: Timestamp, within: bool, report: &mut Report) {
        while let (Some(said), Some(expected)) = (self.said.front(), self.expected.front()) {
            if within {
                report.decisions += 1;
                if said.1 != expected.1 {
                    report.differs(|| self.different(expected.0, Some(&expected.1), Some(&said.1)));
                    // From here on it remembers something else: it is entered anew.
                    self.at = None;
                }
            }
            self.said.pop_front();
            self.expected.pop_front();
        }
        let is_late = |waiting: &VecDeque<(Timestamp, Payload)>| {
            let oldest = waiting.front();
            oldest.is_some_and(|(at, _)| now.millis_since(*at) > SLACK_MS) || waiting.len() > WAITING_MAX
        };
        if is_late(&self.said)
            && let Some((at, said)) = self.said.pop_front()
            && within
        {
            report.differs(|| self.different(at, None, Some(&said)));
            self.at = None;
        }
        if is_late(&self.expected)
            && let Some((at, expected)) = self.expected.pop_front()
            && within
        {
            report.differs(|| self.different(at, Some(&expected), None));
            self.at = None;
        }
    }

    fn different(&self, at: Timestamp, expected: Option<&Payload>, got: Option<&Payload>) -> Different {
        let what = expected
            .or(got)
            .map_or(String::new(), |payload| payload.topic().to_string());
        let json = |payload: Option<&Payload>| {
            let value = payload.and_then(|payload| serde_json::to_value(payload).ok());
            value.unwrap_or(Value::Null)
        };
        let (expected, got) = differing(json(expected), json(got));
        Different {
            node: self.node.as_str(),
            at,
            what,
            expected,
            got,
        }
    }
}

/// The node whose answer this is; nothing where others say the like as well.
fn answers(payload: &Payload) -> Option<Node> {
    match payload {
        Payload::State(_) => Some(Node::State),
        Payload::Sections(Source::Health, _) => Some(Node::Health),
        Payload::Telemetry(Telemetry { samples }) => {
            let ours = samples
                .iter()
                .all(|sample| telemetry::METRICS.contains(&sample.metric.as_ref()));
            ours.then_some(Node::Telemetry)
        }
        _ => None,
    }
}

/// A message as it was on the bus.
pub(super) fn message(recorded: &Recorded, at: Timestamp, payload: Payload) -> Option<Message> {
    Some(Message {
        topic: recorded.channel.topic.parse().ok()?,
        at,
        mono_ms: recorded.header.publish_time / 1_000_000,
        payload,
    })
}
