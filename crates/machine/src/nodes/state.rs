//! Gathers sections into the machine's state, and says what of it is to be told.
//!
//! What is news, and for how long a section may be believed, is decided by [`muster_reflex::state::Aggregator`].

use muster_reflex::link::LinkState;
use muster_reflex::state::{Aggregator, Options};

use crate::message::{Payload, Wanted, sections_of, topics};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// Sections that are due are asked for again when nobody read them within this time.
const ASK_AGAIN_MS: u64 = 10_000;

/// The state node.
pub fn spec(options: Options) -> NodeSpec {
    let topics = &[topics::SECTIONS, topics::LINK];
    NodeSpec::new("state", topics, move |context| run(context, options.clone()))
}

async fn run(mut context: NodeContext, options: Options) -> Result<(), NodeError> {
    let mut aggregator = Aggregator::new(options);
    let mut asked_ms = None;
    loop {
        // To be read again is due now and then only, and a look at it is cheap: once in a while is enough.
        let ask_at = asked_ms.map_or(0, |asked| asked + ASK_AGAIN_MS);
        let due = aggregator.next_step_at().unwrap_or(u64::MAX).min(ask_at);
        match context.next(Some(due)).await {
            Wake::Stop => return Ok(()),
            Wake::Due => {}
            Wake::Message(delivery) => match &delivery.message.payload {
                Payload::Sections(_, patch) => {
                    let now_ms = context.clock().mono_ms();
                    for section in sections_of(patch) {
                        aggregator.observe(now_ms, section);
                    }
                }
                Payload::Link(link) => aggregator.set_connected(link.state == LinkState::Connected),
                _ => {}
            },
        }
        let now_ms = context.clock().mono_ms();
        if asked_ms.is_none_or(|asked| asked + ASK_AGAIN_MS <= now_ms) {
            asked_ms = Some(now_ms);
            let wanted = aggregator.due_to_be_read(now_ms);
            if !wanted.is_empty() {
                context.publish(Payload::Wanted(wanted.into_iter().map(Wanted).collect()));
            }
        }
        if let Some(state) = aggregator.step(now_ms) {
            context.publish(Payload::State(Box::new(state)));
        }
    }
}
