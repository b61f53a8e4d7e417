//! One machine's WebSocket, from its first byte to its last.
//!
//! Frames are decoded here, in parallel, and handed to the shard that owns the machine; what the shard says is written
//! here. A machine that sends nonsense, floods, stalls or does not read loses its connection and nobody else notices.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use muster_model::{MachineId, SequenceNumber};
use muster_protocol::link::{
    Bye, ByeReason, DecodeError, Decoder, Envelope, MachineMessage, OLDEST_VERSION, SUBPROTOCOL,
    ServerMessage, TokenBucket, VERSION, encode,
};
use tokio::sync::mpsc;

use super::GatewayState;
use super::accept::Room;
use super::closing::{close_of, short};
use crate::api::error::ApiError;
use crate::state::{Line, ShardMessage};

/// How long a connection stands after its close was said, where nothing more can be read from it.
const LINGER: Duration = Duration::from_millis(300);
/// A machine that takes nothing for so long is let go.
const WRITE_WITHIN: Duration = Duration::from_secs(15);

/// Why a connection ends, and what the machine is told.
struct End {
    close: Option<(u16, String)>,
    reason: String,
    /// The machine closed first: its close is still to be answered.
    answer: bool,
}

impl End {
    fn gone(reason: impl Into<String>) -> Self {
        Self {
            close: None,
            reason: reason.into(),
            answer: false,
        }
    }

    fn told(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            close: Some((code, reason.clone())),
            reason,
            answer: false,
        }
    }
}

/// Upgrades a machine.
pub async fn upgrade(State(state): State<GatewayState>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let room = parts.extensions.get::<Room>().cloned();
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        let detail =
            format!("machines connect here, with a WebSocket client and the subprotocol {SUBPROTOCOL}");
        return ApiError::bad_request("MST-G001", detail).into_response();
    };
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        let detail = format!("the subprotocol {SUBPROTOCOL} must be offered: it is the only one spoken here");
        return ApiError::bad_request("MST-G001", detail).into_response();
    }
    let longest = state.options.shard.limits.state_frame_max_bytes;
    upgrade
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(256 * 1024)
        .max_message_size(longest)
        .max_frame_size(longest)
        .on_upgrade(move |socket| {
            Box::pin(async move {
                let _room = room;
                run(socket, state).await;
            })
        })
}

async fn run(mut socket: WebSocket, state: GatewayState) {
    let _counted = state.machines.enter();
    let mut decoder = Decoder {
        limits: state.options.shard.limits,
        ..Decoder::default()
    };
    let first = match first_frame(&mut socket, &state, &decoder).await {
        Ok(frame) => frame,
        Err(end) => {
            finish(&mut socket, end).await;
            return;
        }
    };
    if let MachineMessage::Hello(hello) = &first.message {
        decoder.minor = muster_protocol::link::Minor(hello.minor);
    }
    let connection = state.fleet.new_connection();
    let shard = state.fleet.shard_of(first.machine_id).inbox.clone();
    let machine = first.machine_id;
    let line = Line::default();
    if shard
        .send(ShardMessage::Open {
            connection,
            line: line.clone(),
        })
        .await
        .is_err()
    {
        finish(&mut socket, End::told(1001, "the server is being stopped")).await;
        return;
    }
    if shard
        .send(ShardMessage::Frame {
            connection,
            frame: first,
        })
        .await
        .is_err()
    {
        return;
    }
    let session = Session {
        state: &state,
        decoder,
        shard: &shard,
        connection,
        line,
    };
    let end = session.run(&mut socket).await;
    tracing::debug!(%machine, reason = %end.reason, "a machine's connection ended");
    // The shard learns first: nothing more is taken in from here.
    let closed = ShardMessage::Closed {
        connection,
        reason: end.reason.clone(),
    };
    // A shard that is gone needs no telling.
    let _ = shard.send(closed).await;
    finish(&mut socket, end).await;
}

/// The first frame must come soon, and be a `hello`.
async fn first_frame(
    socket: &mut WebSocket,
    state: &GatewayState,
    decoder: &Decoder,
) -> Result<Envelope<MachineMessage>, End> {
    let within = Duration::from_millis(state.options.hello_within_ms);
    let deadline = tokio::time::sleep(within);
    tokio::pin!(deadline);
    loop {
        let message = tokio::select! {
            message = socket.recv() => message,
            () = &mut deadline => {
                metrics::counter!("muster_hello_timeouts_total").increment(1);
                return Err(End::told(1008, format!("no hello within {} ms", within.as_millis())));
            }
            () = state.shutdown.requested() => return Err(End::told(1001, "the server is being stopped")),
        };
        match incoming(message)? {
            Some(text) => match decoder.machine(text.as_str()) {
                Ok(frame) => {
                    count(&frame);
                    return Ok(frame);
                }
                Err(error) => return Err(refused(socket, state, text.as_str(), &error).await),
            },
            None => continue,
        }
    }
}

struct Session<'a> {
    state: &'a GatewayState,
    decoder: Decoder,
    shard: &'a mpsc::Sender<ShardMessage>,
    connection: muster_brain::shard::ConnectionId,
    line: Line,
}

impl Session<'_> {
    async fn run(&self, socket: &mut WebSocket) -> End {
        let limits = self.state.options.shard.limits;
        let started = self.state.fleet.now().mono_ms;
        let mut bucket = TokenBucket::new(limits.messages_per_s, limits.messages_burst, started);
        let every = Duration::from_millis(self.state.options.ping_every_ms);
        let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut unheard = 0u8;
        loop {
            tokio::select! {
                message = socket.recv() => {
                    unheard = 0;
                    let incoming = match incoming(message) {
                        Ok(incoming) => incoming,
                        Err(end) => return end,
                    };
                    // Pings and pongs are no messages, but cost as much.
                    if !bucket.take(self.state.fleet.now().mono_ms) {
                        metrics::counter!("muster_violations_total", "kind" => "flood").increment(1);
                        let (rate, burst) = (limits.messages_per_s, limits.messages_burst);
                        return End::told(1008, format!("more than {rate} messages a second after a burst of {burst}"));
                    }
                    let text = match incoming {
                        Some(text) => text,
                        None => {
                            if self.shard.send(ShardMessage::Heard(self.connection)).await.is_err() {
                                return End::told(1001, "the server is being stopped");
                            }
                            continue;
                        }
                    };
                    let frame = match self.decoder.machine(text.as_str()) {
                        Ok(frame) => frame,
                        Err(error) => return refused(socket, self.state, text.as_str(), &error).await,
                    };
                    count(&frame);
                    let message = ShardMessage::Frame { connection: self.connection, frame };
                    if self.shard.send(message).await.is_err() {
                        return End::told(1001, "the server is being stopped");
                    }
                }
                (frames, close) = self.line.next() => {
                    let write = async {
                        for frame in frames {
                            socket.feed(Message::Text(frame.into())).await?;
                        }
                        socket.flush().await
                    };
                    match tokio::time::timeout(WRITE_WITHIN, write).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return End::gone(format!("could not be written to: {error}")),
                        Err(_) => return End::gone("takes nothing any more"),
                    }
                    if let Some((code, reason)) = close {
                        return End::told(code, reason);
                    }
                }
                _ = ping.tick() => {
                    // Two pings without an answer, and the other end is gone.
                    if unheard >= 2 {
                        metrics::counter!("muster_ping_timeouts_total").increment(1);
                        return End::gone("no answer to pings");
                    }
                    unheard += 1;
                    if tokio::time::timeout(WRITE_WITHIN, socket.send(Message::Ping(Default::default()))).await.is_err() {
                        return End::gone("takes nothing any more");
                    }
                }
            }
        }
    }
}

/// The text of a message; none for one that carries none.
fn incoming(
    message: Option<Result<Message, axum::Error>>,
) -> Result<Option<axum::extract::ws::Utf8Bytes>, End> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => {
            metrics::counter!("muster_violations_total", "kind" => "binary").increment(1);
            Err(End::told(
                1003,
                "binary frames need a dictionary, and none was agreed",
            ))
        }
        Some(Ok(Message::Close(frame))) => {
            let reason = match frame {
                Some(frame) if !frame.reason.is_empty() => {
                    format!("closed by the machine: {}", frame.reason.as_str())
                }
                Some(frame) => format!("closed by the machine with code {}", frame.code),
                None => "closed by the machine".to_owned(),
            };
            Err(End {
                close: None,
                reason,
                answer: true,
            })
        }
        Some(Err(error)) => Err(match close_of(error) {
            Some((code, reason)) => {
                metrics::counter!("muster_violations_total", "kind" => "frame").increment(1);
                End::told(code, reason)
            }
            None => End::gone("connection lost"),
        }),
        None => Err(End::gone("connection lost")),
    }
}

/// A frame that is no message: counted, answered, and the end of the connection.
async fn refused(socket: &mut WebSocket, state: &GatewayState, text: &str, error: &DecodeError) -> End {
    metrics::counter!("muster_violations_total", "kind" => error.label()).increment(1);
    if let DecodeError::UnsupportedVersion { .. } = error {
        // The refusal of a version is typed, so that a machine of another age understands it.
        if let Ok(bye) = encode(&version_refusal(state, text, error)) {
            let write = socket.send(Message::Text(bye.into()));
            if !matches!(tokio::time::timeout(WRITE_WITHIN, write).await, Ok(Ok(()))) {
                return End::gone(error.to_string());
            }
        }
    }
    End::told(error.close_code(), error.to_string())
}

fn version_refusal(state: &GatewayState, text: &str, error: &DecodeError) -> Envelope<ServerMessage> {
    /// Whatever else the message holds.
    #[derive(serde::Deserialize)]
    struct Sender {
        machine_id: Option<MachineId>,
    }
    let sender = serde_json::from_str::<Sender>(text)
        .ok()
        .and_then(|sender| sender.machine_id);
    Envelope {
        machine_id: sender.unwrap_or(MachineId::from_uuid(uuid::Uuid::nil())),
        session: None,
        sequence: SequenceNumber(1),
        record: None,
        timestamp: state.fleet.now().wall,
        traceparent: None,
        message: ServerMessage::Bye(Bye {
            reason: ByeReason::UnsupportedVersion,
            message: error.to_string(),
            retry_after_ms: None,
            supported_versions: (OLDEST_VERSION..=VERSION).collect(),
        }),
    }
}

fn count(frame: &Envelope<MachineMessage>) {
    metrics::counter!("muster_messages_received_total", "type" => frame.message.type_name()).increment(1);
}

/// Says why, or answers the machine's close, and waits a moment for the other end to have read it.
async fn finish(socket: &mut WebSocket, end: End) {
    if end.close.is_none() && !end.answer {
        return;
    }
    let farewell = async {
        let said = match &end.close {
            Some((code, reason)) => {
                let frame = CloseFrame {
                    code: *code,
                    reason: short(reason).into(),
                };
                socket.send(Message::Close(Some(frame))).await
            }
            // The answer was put in line when the close was read.
            None => socket.flush().await,
        };
        if said.is_ok() {
            // What still comes is not looked at; without reading it the close could be lost to a reset.
            let mut answered = end.answer;
            while let Some(Ok(more)) = socket.next().await {
                answered |= matches!(more, Message::Close(_));
            }
            if !answered {
                // After broken bytes nothing can be read any more, and what is unread turns into a reset: give the other
                // end time to have read the close.
                tokio::time::sleep(LINGER).await;
            }
        }
    };
    // A machine that does not answer loses nothing but the courtesy.
    let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
}
