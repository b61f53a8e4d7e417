//! Logging of the process, and the tap that forwards some of its lines to the server.
//!
//! The tap never blocks and never logs itself: a line that finds it full, or comes too soon after too many others, is
//! counted and left out.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::io::IsTerminal;
use std::sync::Arc;

use muster_model::Severity;
use muster_runtime::Clock;
use muster_runtime::logging::{Format, parse};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt as fmt_layer;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that may wait to be forwarded.
const LINES_MAX: usize = 256;
/// Lines that may come at once.
const BURST: u32 = 100;
/// Lines that may come for long, per second.
const LINES_PER_S: u64 = 5;
/// Longest message of a line, in bytes.
const MESSAGE_MAX_BYTES: usize = 2_048;
/// Longest fields of a line, in bytes.
const FIELDS_MAX_BYTES: usize = 4_096;

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error("{text:?} is no log filter: write it like info or muster_machine=debug,info")]
    Filter {
        /// What was written.
        text: String,
    },
    /// Somebody set logging up before.
    #[error("logging was set up twice")]
    Twice,
}

/// Sets up logging on standard error for the whole process, with a tap where one is wanted.
pub fn init(filter: &str, format: Format, tap: Option<LogTap>) -> Result<(), LoggingError> {
    let filter = parse(filter).ok_or_else(|| LoggingError::Filter {
        text: filter.to_owned(),
    })?;
    let writer = fmt_layer::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let writer = match format {
        Format::Text => writer.compact().boxed(),
        Format::Json => writer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(writer)
        .with(tap.map(|tap| tap.layer()))
        .try_init()
        .map_err(|_| LoggingError::Twice)
}

/// Where log lines wait to be forwarded. Cheap to clone; all clones are the same tap.
#[derive(Clone, Debug)]
pub struct LogTap {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    least: Level,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug)]
struct Waiting {
    lines: VecDeque<Line>,
    left_out: u64,
    tokens: u32,
    refilled_ms: u64,
}

/// One line that was written.
#[derive(Clone, Debug)]
pub struct Line {
    /// How much it matters.
    pub severity: Severity,
    /// Which part of the machine wrote it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Its fields, as a JSON object.
    pub fields: Option<String>,
    /// When it was written, by the machine's wall clock.
    pub at_ms: i64,
}

impl LogTap {
    /// A tap for lines of this level and worse.
    pub fn new(clock: Clock, least: Level) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                least,
                waiting: Mutex::new(Waiting {
                    lines: VecDeque::new(),
                    left_out: 0,
                    tokens: BURST,
                    refilled_ms: clock.mono_ms(),
                }),
                arrived: Notify::new(),
            }),
        }
    }

    /// The layer that fills it, for whoever sets logging up.
    pub fn layer<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        TapLayer { tap: self.clone() }
    }

    /// Waits until there are lines.
    pub(crate) async fn arrived(&self) {
        loop {
            let arrived = self.shared.arrived.notified();
            if !self.shared.waiting.lock().lines.is_empty() {
                return;
            }
            arrived.await;
        }
    }

    /// The lines that wait, at most so many, and how many were left out.
    pub(crate) fn take(&self, most: usize) -> (Vec<Line>, u64) {
        let mut waiting = self.shared.waiting.lock();
        let count = waiting.lines.len().min(most);
        let lines = waiting.lines.drain(..count).collect();
        (lines, std::mem::take(&mut waiting.left_out))
    }

    fn offer(&self, line: Line) {
        let now_ms = self.shared.clock.mono_ms();
        let mut waiting = self.shared.waiting.lock();
        let fresh = now_ms.saturating_sub(waiting.refilled_ms) * LINES_PER_S / 1_000;
        if fresh > 0 {
            waiting.tokens = BURST.min(
                waiting
                    .tokens
                    .saturating_add(u32::try_from(fresh).unwrap_or(BURST)),
            );
            waiting.refilled_ms = now_ms;
        }
        if waiting.tokens == 0 || waiting.lines.len() >= LINES_MAX {
            waiting.left_out += 1;
            return;
        }
        waiting.tokens -= 1;
        waiting.lines.push_back(line);
        drop(waiting);
        self.shared.arrived.notify_one();
    }
}

struct TapLayer {
    tap: LogTap,
}

impl<S: Subscriber> Layer<S> for TapLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // In tracing a worse level is a smaller one.
        if *metadata.level() > self.tap.shared.least {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let fields = (!words.fields.is_empty())
            .then(|| serde_json::to_string(&words.fields).ok())
            .flatten();
        self.tap.offer(Line {
            severity: severity(*metadata.level()),
            target: metadata.target().chars().take(128).collect(),
            message: clip(words.message, MESSAGE_MAX_BYTES),
            fields: fields.filter(|fields| fields.len() <= FIELDS_MAX_BYTES),
            at_ms: self.tap.shared.clock.wall_ms(),
        });
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warning,
        Level::INFO => Severity::Info,
        _ => Severity::Debug,
    }
}

fn clip(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
    }
    text
}

#[derive(Default)]
struct Words {
    message: String,
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing into a String does not fail.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl Words {
    fn put(&mut self, field: &Field, value: serde_json::Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}
