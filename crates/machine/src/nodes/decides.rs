//! Nodes that decide by what they hear and by timers, apart from what runs them: a recording is run into the same.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Memory, Message, Payload};
use crate::supervisor::{NodeContext, NodeError, Wake};

/// How often a node says what it remembers, while somebody listens: a recording can be entered there.
const REMEMBERS_EVERY_MS: u64 = 5_000;

/// Turns that a node may be due for at once.
const TURNS_MAX: usize = 16;

/// The deciding part of a node. All that it remembers can be written, and read again.
pub(crate) trait Decides: Serialize + DeserializeOwned {
    /// Hears something.
    fn hear(&mut self, now_ms: u64, payload: &Payload, say: &mut dyn FnMut(Payload));

    /// When it wants a turn though it hears nothing.
    fn due_ms(&self) -> Option<u64> {
        None
    }

    /// Its turn: after what it heard, and when it is due.
    fn turn(&mut self, _now_ms: u64, _say: &mut dyn FnMut(Payload)) {}
}

/// One that decides, and how far its time has come.
pub(crate) struct Running<D> {
    /// What decides.
    pub decides: D,
    /// The time of its last turn.
    pub now_ms: u64,
}

impl<D: Decides> Running<D> {
    /// Hears a message. The time that counts is when it was said: so what is decided does not hang on how busy a computer is, and
    /// a recording decides the same.
    pub(crate) fn hear(&mut self, message: &Message, say: &mut dyn FnMut(Payload)) {
        self.due(message.mono_ms, say);
        self.now_ms = self.now_ms.max(message.mono_ms);
        self.decides.hear(self.now_ms, &message.payload, say);
        self.decides.turn(self.now_ms, say);
    }

    /// Has its turn at each time that it was due until now.
    pub(crate) fn due(&mut self, now_ms: u64, say: &mut dyn FnMut(Payload)) {
        for _ in 0..TURNS_MAX {
            match self.decides.due_ms() {
                Some(due_ms) if due_ms <= now_ms => {
                    self.now_ms = self.now_ms.max(due_ms);
                    self.decides.turn(self.now_ms, say);
                }
                Some(_) | None => return,
            }
        }
        self.now_ms = self.now_ms.max(now_ms);
        self.decides.turn(self.now_ms, say);
    }
}

/// Runs a node that decides in this way.
pub(crate) async fn run(mut context: NodeContext, decides: impl Decides) -> Result<(), NodeError> {
    let mut running = Running {
        decides,
        now_ms: context.clock().mono_ms(),
    };
    remember(&context, true, &running.decides);
    let mut remembers_ms = running.now_ms + REMEMBERS_EVERY_MS;
    let bus = context.bus().clone();
    let mut say = |payload| bus.publish(payload);
    loop {
        match context.next(running.decides.due_ms()).await {
            Wake::Stop => return Ok(()),
            Wake::Due => running.due(context.clock().mono_ms(), &mut say),
            Wake::Message(delivery) => running.hear(&delivery.message, &mut say),
        }
        // Only with nothing waiting is it clear what was heard before.
        let now_ms = context.clock().mono_ms();
        if now_ms >= remembers_ms && context.hears_nothing() {
            remembers_ms = now_ms + REMEMBERS_EVERY_MS;
            remember(&context, false, &running.decides);
        }
    }
}

fn remember(context: &NodeContext, fresh: bool, decides: &impl Decides) {
    let memory = |state| {
        Payload::Memory(Box::new(Memory {
            node: context.name().to_owned(),
            fresh,
            state,
        }))
    };
    if !context
        .bus()
        .is_heard(memory(serde_json::Value::Null).topic().as_str())
    {
        return;
    }
    match serde_json::to_value(decides) {
        Ok(state) => context.publish(memory(state)),
        Err(error) => tracing::debug!(%error, "what is remembered has no form"),
    }
}
