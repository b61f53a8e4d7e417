//! How a machine's connection ends, and what the machine is told.

use std::time::Duration;

use muster_model::{MachineId, SequenceNumber};
use muster_protocol::link::{
    Bye, ByeReason, DecodeError, Envelope, OLDEST_VERSION, RefusedRecord, ServerMessage, VERSION, encode,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::session::WRITE_WITHIN;
use crate::gateway::GatewayState;
use crate::gateway::closing::short;
use crate::gateway::wire::{Incoming, Wire, WireError};

/// How long a connection stands after its close was said, where nothing more can be read from it.
const LINGER: Duration = Duration::from_millis(300);
/// How long the courtesies of a close may take.
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);

/// Why a connection ends, and what the machine is told.
#[derive(Debug)]
pub(super) struct End {
    close: Option<(u16, String)>,
    /// For a person.
    pub(super) reason: String,
    /// The machine closed first: its close is still to be answered.
    answer: bool,
}

impl End {
    /// Nobody is there to be told.
    pub(super) fn gone(reason: impl Into<String>) -> Self {
        Self {
            close: None,
            reason: reason.into(),
            answer: false,
        }
    }

    /// The machine is told with this close code.
    pub(super) fn told(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            close: Some((code, reason.clone())),
            reason,
            answer: false,
        }
    }

    /// The machine closed.
    pub(super) fn by_the_machine(close: Option<(u16, &str)>) -> Self {
        let reason = match close {
            Some((_, reason)) if !reason.is_empty() => format!("closed by the machine: {reason}"),
            Some((code, _)) => format!("closed by the machine with code {code}"),
            None => "closed by the machine".to_owned(),
        };
        Self {
            close: None,
            reason,
            answer: true,
        }
    }

    /// Nothing more can be read.
    pub(super) fn by_error(error: &WireError) -> Self {
        match error.close_code() {
            Some(code) => {
                metrics::counter!("muster_violations_total", "kind" => "frame").increment(1);
                Self::told(code, error.to_string())
            }
            None => Self::gone("connection lost"),
        }
    }
}

/// A text that is no message.
#[derive(Debug)]
pub(super) struct Refusal {
    error: DecodeError,
    /// Who sent it, where that can be read.
    sender: Option<MachineId>,
    /// Which record it is, where it is one: it will come again.
    pub(super) record: Option<RefusedRecord>,
}

impl Refusal {
    /// Of this text, for this error.
    pub(super) fn new(text: &str, error: DecodeError) -> Self {
        /// Whatever else the message holds.
        #[derive(serde::Deserialize)]
        struct Sender {
            machine_id: Option<MachineId>,
        }
        // Only a refusal of a version is addressed.
        let sender = match error {
            DecodeError::UnsupportedVersion { .. } => serde_json::from_str::<Sender>(text).ok(),
            _ => None,
        };
        Self {
            record: match error {
                // Another version numbers its records as it likes.
                DecodeError::UnsupportedVersion { .. } => None,
                _ => RefusedRecord::of(text),
            },
            error,
            sender: sender.and_then(|sender| sender.machine_id),
        }
    }
}

impl Refusal {
    /// Why, for a person.
    pub(super) fn reason(&self) -> String {
        self.error.to_string()
    }
}

/// A text that is no message: counted, answered, and the end of the connection.
pub(super) async fn refused<S>(wire: &mut Wire<S>, state: &GatewayState, refusal: &Refusal) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let error = &refusal.error;
    metrics::counter!("muster_violations_total", "kind" => error.label()).increment(1);
    if let DecodeError::UnsupportedVersion { .. } = error {
        // The refusal of a version is typed, so that a machine of another age understands it.
        if let Ok(bye) = encode(&version_refusal(state, refusal)) {
            let write = async {
                wire.put_text(&bye)?;
                wire.flush().await
            };
            if !matches!(tokio::time::timeout(WRITE_WITHIN, write).await, Ok(Ok(()))) {
                return End::gone(error.to_string());
            }
        }
    }
    End::told(error.close_code(), error.to_string())
}

fn version_refusal(state: &GatewayState, refusal: &Refusal) -> Envelope<ServerMessage> {
    Envelope {
        machine_id: refusal.sender.unwrap_or(MachineId::from_uuid(uuid::Uuid::nil())),
        session: None,
        sequence: SequenceNumber(1),
        record: None,
        timestamp: state.fleet.now().wall,
        traceparent: None,
        message: ServerMessage::Bye(Bye {
            reason: ByeReason::UnsupportedVersion,
            message: refusal.error.to_string(),
            retry_after_ms: None,
            supported_versions: (OLDEST_VERSION..=VERSION).collect(),
        }),
    }
}

/// Says why, or answers the machine's close, and waits a moment for the other end to have read it. Says whether the other end
/// answered our close, and so is alive.
pub(super) async fn finish<S>(wire: &mut Wire<S>, end: End) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if end.close.is_none() && !end.answer {
        return false;
    }
    let mut alive = false;
    let ours = end.close.as_ref().map(|(code, _)| *code);
    let farewell = async {
        if let Some((code, reason)) = &end.close {
            wire.put_close(*code, short(reason))?;
        }
        // The answer to a close was put in line when it was read.
        wire.flush().await?;
        // What still comes is not looked at; without reading it the close could be lost to a reset.
        let mut answered = end.answer;
        let look = |incoming: Incoming<'_>| match incoming {
            Incoming::Close(close) => Some(close.map(|(code, _)| code)),
            _ => None,
        };
        while let Ok(closed) = wire.next(look).await {
            answered |= closed.is_some();
            // With another code it closed by itself, before it read ours.
            alive |= closed.is_some_and(|code| code.is_some() && code == ours);
        }
        if !answered {
            // After broken bytes nothing can be read any more, and what is unread turns into a reset: give the other end
            // time to have read the close.
            tokio::time::sleep(LINGER).await;
        }
        Ok::<_, WireError>(())
    };
    // A machine that does not answer loses nothing but the courtesy.
    let _ = tokio::time::timeout(FAREWELL_WITHIN, farewell).await;
    alive
}
