//! Brings recordings to the server that people asked for, and has the minutes around now kept for them.
//!
//! Begin with [`wishes`]: what was asked for, on disk; then [`bring`]: one file on its way. One is brought at a time, the oldest first;
//! what is in the way is tried again for a day. Nothing here is in a hurry: control has the line.

mod bring;
mod wishes;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use muster_model::recording::FailedUpload;
use muster_model::{MachineId, Severity, Timestamp};
use muster_protocol::link::{Command, CommandKind, UploadArguments};

use crate::dial::Dial;
use crate::message::{Payload, event, topics};
use crate::nodes::recorder::Desk;
use crate::options::ServerUrl;
use crate::recording::recorder::{Moment, Order};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};
use bring::{Brought, Target, Trouble};
use wishes::{Wish, Wishes};

/// What failed is tried again after this, and twice that, and so on …
const AGAIN_MS: u64 = 1_000;
/// … but at least this often.
const AGAIN_MAX_MS: u64 = 60_000;
/// So long it is tried.
const GIVEN_UP_AFTER_MS: i64 = 24 * 3_600_000;
/// What the server does not know, it may yet come to know: its people read a little later than its log.
const UNKNOWN_TRIES: u32 = 5;

/// What the node works with.
pub struct Setup<D> {
    /// How the server is reached.
    pub dial: Arc<D>,
    /// Where it is.
    pub server: ServerUrl,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// Who brings.
    pub machine_id: MachineId,
    /// Where the recordings are.
    pub directory: PathBuf,
    /// Most bytes a second; zero: as many as go.
    pub bytes_per_s: u64,
    /// Where the recorder is found.
    pub desk: Desk,
}

/// The uploads node.
pub fn spec<D: Dial>(setup: Arc<Setup<D>>) -> NodeSpec {
    NodeSpec {
        needs_io: true,
        ..NodeSpec::new("uploads", &[topics::RECORD], move |context| {
            run(context, setup.clone())
        })
    }
}

type Bringing = Pin<Box<dyn Future<Output = Result<Brought, Trouble>> + Send>>;

struct Node<'a, D> {
    context: NodeContext,
    setup: &'a Setup<D>,
    wishes: Wishes,
    /// The oldest wish, on its way.
    bringing: Option<Bringing>,
    /// How often it failed, and when it is tried again.
    failures: u32,
    due_ms: u64,
}

async fn run<D: Dial>(context: NodeContext, setup: Arc<Setup<D>>) -> Result<(), NodeError> {
    let wishes = Wishes::open(&setup.directory).map_err(|error| NodeError(error.to_string()))?;
    let mut node = Node {
        context,
        setup: &setup,
        wishes,
        bringing: None,
        failures: 0,
        due_ms: 0,
    };
    node.work().await;
    Ok(())
}

impl<D: Dial> Node<'_, D> {
    async fn work(&mut self) {
        loop {
            let due_ms = self.begin();
            let wake = match &mut self.bringing {
                None => self.context.next(due_ms).await,
                Some(bringing) => tokio::select! {
                    wake = self.context.next(None) => wake,
                    result = bringing => {
                        self.bringing = None;
                        self.came(result);
                        continue;
                    }
                },
            };
            match wake {
                Wake::Stop => return,
                Wake::Due => {}
                Wake::Message(delivery) => {
                    if let Payload::Command(command) = &delivery.message.payload {
                        self.hear(command);
                    }
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.context.clock().wall_ms())
    }

    /// Begins with the oldest wish, if it is due; else says when that is.
    fn begin(&mut self) -> Option<u64> {
        if self.bringing.is_some() {
            return None;
        }
        let wish = self.wishes.first()?.clone();
        if self.context.clock().mono_ms() < self.due_ms {
            return Some(self.due_ms);
        }
        let target = Target {
            dial: self.setup.dial.clone(),
            server: self.setup.server.clone(),
            connect_timeout: self.setup.connect_timeout,
            machine: self.setup.machine_id,
            bytes_per_s: self.setup.bytes_per_s,
        };
        let path = self.wishes.content(&wish);
        self.bringing = Some(Box::pin(bring::bring(target, wish, path)));
        None
    }

    fn came(&mut self, result: Result<Brought, Trouble>) {
        let Some(wish) = self.wishes.first().cloned() else {
            return;
        };
        match result {
            Ok(brought) => {
                let megabytes = brought.bytes as f64 / 1e6;
                let text = format!(
                    "Recording {} ({megabytes:.1} MB) was brought to the server",
                    wish.file
                );
                self.tell("recording.uploaded", Severity::Info, text, &wish.command);
                self.next();
            }
            Err(Trouble::Never(why)) => self.give_up(&wish, why),
            Err(Trouble::Unknown(why)) if self.failures + 1 >= UNKNOWN_TRIES => self.give_up(&wish, why),
            Err(Trouble::Later(why) | Trouble::Unknown(why)) => {
                if self.now().millis_since(wish.asked) > GIVEN_UP_AFTER_MS {
                    return self.give_up(&wish, format!("it was tried for a day: {why}"));
                }
                tracing::debug!(file = %wish.file, %why, "a recording is not brought yet");
                let wait_ms = (AGAIN_MS << self.failures.min(10)).min(AGAIN_MAX_MS);
                self.failures += 1;
                self.due_ms = self.context.clock().mono_ms() + wait_ms;
            }
        }
    }

    fn give_up(&mut self, wish: &Wish, why: String) {
        self.failed(&wish.command, &wish.file, why);
        self.next();
    }

    /// The oldest wish is done with.
    fn next(&mut self) {
        self.wishes.done();
        self.failures = 0;
        self.due_ms = 0;
    }

    fn hear(&mut self, command: &Command) {
        match command.kind {
            CommandKind::RecordMark => self.mark(command),
            CommandKind::RecordUpload => match UploadArguments::read(command.arguments.as_ref()) {
                Ok(arguments) => {
                    let wish = Wish {
                        command: command.id.clone(),
                        file: arguments.file,
                        asked: self.now(),
                    };
                    let file = wish.file.clone();
                    if let Err(error) = self.wishes.add(wish) {
                        self.failed(&command.id, &file, error.to_string());
                    }
                }
                Err(error) => self.failed(&command.id, "which was not named", error.to_string()),
            },
            // `command.record.*` has others, too, which are not given yet.
            _ => {}
        }
    }

    fn mark(&mut self, command: &Command) {
        let moment = Moment {
            why: "marked".to_owned(),
            text: command.reason.clone(),
            at: self.now(),
            pinned: true,
        };
        let recorder = self.setup.desk.recorder();
        if !recorder.is_some_and(|recorder| recorder.order(Order::Keep(moment))) {
            let text = "Nothing is kept: the recorder has too much to do, or does not run";
            self.tell(
                "recording.mark_failed",
                Severity::Warning,
                text.to_owned(),
                &command.id,
            );
        }
    }

    fn failed(&self, command: &str, file: &str, why: String) {
        let text = format!("Recording {file} is not brought to the server: {why}");
        self.tell("recording.upload_failed", Severity::Warning, text, command);
        self.setup.desk.failed(FailedUpload {
            command_id: command.to_owned(),
            why,
        });
    }

    fn tell(&self, kind: &str, severity: Severity, text: String, command: &str) {
        if let Payload::Event(mut event) = event(kind, severity, text) {
            event.causation_id = Some(command.to_owned());
            self.context.publish(Payload::Event(event));
        }
    }
}
