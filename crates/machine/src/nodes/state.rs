//! Gathers sections into the machine's state, and says what of it is to be told.
//!
//! What is news, and for how long a section may be believed, is decided by [`muster_reflex::state::Aggregator`].

use muster_reflex::link::LinkState;
use muster_reflex::state::{Aggregator, Options};
use serde::{Deserialize, Serialize};

use crate::message::{Payload, Wanted, sections_of, topics};
use crate::nodes::decides::{self, Decides};
use crate::supervisor::NodeSpec;

/// Sections that are due are asked for again when nobody read them within this time.
const ASK_AGAIN_MS: u64 = 10_000;

/// The state node.
pub fn spec(options: Options) -> NodeSpec {
    let topics = &[topics::SECTIONS, topics::LINK];
    NodeSpec::new("state", topics, move |context| {
        decides::run(context, StateDesk::new(options.clone()))
    })
}

/// Decides what of the state is told, and what is to be read.
#[derive(Serialize, Deserialize)]
pub(crate) struct StateDesk {
    aggregator: Aggregator,
    asked_ms: Option<u64>,
}

impl StateDesk {
    fn new(options: Options) -> Self {
        Self {
            aggregator: Aggregator::new(options),
            asked_ms: None,
        }
    }
}

impl Decides for StateDesk {
    fn hear(&mut self, now_ms: u64, payload: &Payload, _: &mut dyn FnMut(Payload)) {
        match payload {
            Payload::Sections(_, patch) => {
                for section in sections_of(patch) {
                    self.aggregator.observe(now_ms, section);
                }
            }
            Payload::Link(link) => self.aggregator.set_connected(link.state == LinkState::Connected),
            _ => {}
        }
    }

    fn due_ms(&self) -> Option<u64> {
        // To be read again is due now and then only, and a look at it is cheap: once in a while is enough.
        let ask_at = self.asked_ms.map_or(0, |asked| asked + ASK_AGAIN_MS);
        Some(self.aggregator.next_step_at().unwrap_or(u64::MAX).min(ask_at))
    }

    fn turn(&mut self, now_ms: u64, say: &mut dyn FnMut(Payload)) {
        if self.asked_ms.is_none_or(|asked| asked + ASK_AGAIN_MS <= now_ms) {
            self.asked_ms = Some(now_ms);
            let wanted = self.aggregator.due_to_be_read(now_ms);
            if !wanted.is_empty() {
                say(Payload::Wanted(wanted.into_iter().map(Wanted).collect()));
            }
        }
        if let Some(state) = self.aggregator.step(now_ms) {
            say(Payload::State(Box::new(state)));
        }
    }
}
