//! The live API over a WebSocket, at `/ws`.
//!
//! What is published is taken in whether the client reads or not; only its own writes wait for it. So a slow client
//! holds on to nothing but what waits for it and what is being written, and both have bounds.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use muster_brain::live::PIECE_MAX_BYTES;
use muster_protocol::link::TokenBucket;
use muster_store::Bus;

use super::session::Session;
use crate::access::caller::Caller;
use crate::api::error::ApiError;
use crate::gateway::GatewayState;
use crate::gateway::accept::Room;
use crate::gateway::closing::{close_of, short};
use crate::state::Fleet;

/// Longest message a client may send, in bytes.
const MESSAGE_MAX_BYTES: usize = 64 * 1024;
/// How often the client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a connection stands after it was closed for an error.
const LINGER: Duration = Duration::from_millis(300);
/// How long the answer to a close may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// How long a client that is let go may take to read why.
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);
/// Most publications that are taken in before something else has its turn.
const OFFERED_AT_ONCE: usize = 64;
/// Messages a second that a client may send for long: each may cost a look at the whole fleet.
const MESSAGES_PER_S: u32 = 20;
/// Messages that a client may send at once: all its subscriptions, taken back and made anew.
const MESSAGES_BURST: u32 = 1_000;

/// What whoever may not listen any more is told.
const OVER: &str = "the session is over, or what you may do was changed: connect again";

/// Upgrades a client.
pub async fn upgrade(State(state): State<GatewayState>, request: axum::extract::Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let room = parts.extensions.get::<Room>().cloned();
    let caller = match Caller::from_request_parts(&mut parts, &()).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(_) => {
            let detail =
                "this is a WebSocket: connect with a WebSocket client, or use /api/v1/stream".to_owned();
            return ApiError::bad_request("MST-A013", detail).into_response();
        }
    };
    upgrade
        .read_buffer_size(4 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(MESSAGE_MAX_BYTES)
        .max_frame_size(MESSAGE_MAX_BYTES)
        .on_upgrade(move |socket| {
            Box::pin(async move {
                let _room = room;
                run(socket, state, caller).await;
            })
        })
}

async fn run(socket: WebSocket, state: GatewayState, caller: Caller) {
    let _counted = state.live_clients.enter();
    let fleet: Fleet = state.fleet.clone();
    let mut bus = fleet.bus().subscribe();
    let mut session = Session::new(fleet.clone(), caller.eyes());
    let (mut sink, mut stream) = socket.split();
    // At most one write is under way. While it is, publications are still taken in.
    let mut outgoing: Vec<Message> = Vec::new();
    let mut changes = state.access.changes();
    let mut lost = 0;
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.tick().await;
    let mut unanswered = 0;
    let write_within = Duration::from_millis(state.options.write_within_ms);
    let mut bucket = TokenBucket::new(MESSAGES_PER_S, MESSAGES_BURST, fleet.now().mono_ms);
    loop {
        // Before anything is handed out: what comes behind a gap must not be told without the gap, or the client would
        // resume behind it.
        let dropped = bus.dropped();
        if dropped > lost {
            session.missed_some(dropped - lost);
            lost = dropped;
        }
        // Made when it can be written, and not before.
        let mut bytes = 0;
        while bytes < PIECE_MAX_BYTES
            && let Some(message) = session.next().await
        {
            // What the server says is words, finite numbers and JSON that was read before: it can always be written.
            if let Ok(text) = serde_json::to_string(&message) {
                bytes += text.len();
                outgoing.push(Message::Text(text.into()));
            }
        }
        if !outgoing.is_empty() {
            let messages = std::mem::take(&mut outgoing);
            let write = async {
                for message in messages {
                    sink.feed(message).await?;
                }
                sink.flush().await
            };
            tokio::pin!(write);
            let deadline = tokio::time::sleep(write_within);
            tokio::pin!(deadline);
            let written = loop {
                tokio::select! {
                    result = &mut write => break result.is_ok(),
                    () = &mut deadline => break false,
                    // What waits to be written must not be read by whoever may not any more.
                    _ = changes.changed() => if !state.access.still(&caller) {
                        break false;
                    },
                    published = bus.next() => match published {
                        Some(published) => session.offer(&published),
                        None => break false,
                    },
                }
            };
            if !written {
                break;
            }
            continue;
        }
        let due = session.due_at_ms();
        let clock = fleet.now().mono_ms;
        let wait = Duration::from_millis(due.map_or(0, |due| due.saturating_sub(clock)));
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(_)) if !bucket.take(fleet.now().mono_ms) => {
                    metrics::counter!("muster_live_floods_total").increment(1);
                    let reason = format!("more than {MESSAGES_PER_S} messages a second after a burst of {MESSAGES_BURST}");
                    let farewell = async {
                        if sink.send(close(1008, &reason)).await.is_ok() {
                            // Without reading what still comes the close could be lost to a reset.
                            while let Some(Ok(_)) = stream.next().await {}
                        }
                    };
                    // A client that does not answer loses nothing but the courtesy.
                    let _ = tokio::time::timeout(FAREWELL_WITHIN, farewell).await;
                    break;
                }
                Some(Ok(Message::Text(text))) => session.take(&text),
                Some(Ok(Message::Pong(_))) => unanswered = 0,
                Some(Ok(Message::Ping(_))) => {}
                Some(Ok(Message::Binary(_))) => {
                    outgoing.push(close(1003, "text is spoken here"));
                }
                Some(Ok(Message::Close(_))) => {
                    // The answer was put in line when the close was read.
                    let _ = tokio::time::timeout(CLOSE_WITHIN, sink.flush()).await;
                    break;
                }
                None => break,
                Some(Err(error)) => {
                    if let Some((code, reason)) = close_of(error) {
                        let _ = sink.send(close(code, &reason)).await;
                        // What is unread here turns into a reset: give the other end time to have read the close.
                        tokio::time::sleep(LINGER).await;
                    }
                    break;
                }
            },
            published = bus.next() => match published {
                Some(published) => {
                    session.offer(&published);
                    // What else is there costs no turn of its own.
                    for published in std::iter::from_fn(|| bus.try_next()).take(OFFERED_AT_ONCE) {
                        session.offer(&published);
                    }
                }
                None => break,
            },
            () = tokio::time::sleep(wait), if due.is_some() => {}
            _ = changes.changed() => {
                if !state.access.still(&caller) {
                    let _ = sink.send(close(1008, OVER)).await;
                    break;
                }
            }
            _ = ping.tick() => {
                // Sessions also end by themselves.
                if !state.access.still(&caller) {
                    let _ = sink.send(close(1008, OVER)).await;
                    break;
                }
                if unanswered >= 2 {
                    break;
                }
                unanswered += 1;
                outgoing.push(Message::Ping(Default::default()));
            }
            () = state.shutdown.requested() => {
                let _ = sink.send(close(1001, "the server is being stopped")).await;
                break;
            }
        }
    }
}

fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: short(reason).into(),
    }))
}
