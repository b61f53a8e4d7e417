//! One machine's connection, from its first byte to its last.
//!
//! Begin with [`upgrade`], which makes a WebSocket of a request; [`session`] is the life of one; [`ending`] how it ends.
//! Frames are decoded here, in parallel, and handed to the shard that owns the machine; what the shard says is written
//! here. A machine that sends nonsense, floods, stalls or does not read loses its connection and nobody else notices.

mod ending;
mod session;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use muster_protocol::link::SUBPROTOCOL;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_tungstenite::tungstenite;

use super::GatewayState;
use super::accept::Room;
use super::reading::Reading;
use super::tls::TlsStream;
use super::wire::Wire;
use crate::api::error::ApiError;
use crate::identity::connected::Peer;
use crate::identity::register::Standing;

/// Upgrades a machine.
pub async fn upgrade(State(state): State<GatewayState>, mut request: Request) -> Response {
    let peer = match admitted(&state, &request) {
        Ok(peer) => peer,
        Err(error) => return error.into_response(),
    };
    let mut response = match tungstenite::handshake::server::create_response_with_body(&request, Body::empty)
    {
        Ok(response) => response,
        Err(error) => {
            let detail = format!(
                "machines connect here, with a WebSocket client and the subprotocol {SUBPROTOCOL}: {error}"
            );
            return ApiError::bad_request("MST-G001", detail).into_response();
        }
    };
    if !offers(request.headers(), SUBPROTOCOL) {
        let detail = format!("the subprotocol {SUBPROTOCOL} must be offered: it is the only one spoken here");
        return ApiError::bad_request("MST-G001", detail).into_response();
    }
    response.headers_mut().insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    let room = request.extensions().get::<Room>().cloned();
    let upgraded = hyper::upgrade::on(&mut request);
    // Where it was taken in: another thread would only be one more to wake.
    state.tasks.on(Handle::current()).spawn_small(async move {
        match upgraded.await {
            Ok(upgraded) => speak(upgraded, room, peer, state),
            Err(error) => tracing::debug!(%error, "a connection ended before it was a WebSocket"),
        }
    });
    response
}

/// Who it is, where machines have certificates, if a person let it in.
fn admitted(state: &GatewayState, request: &Request) -> Result<Option<Box<Peer>>, ApiError> {
    let Some(identity) = &state.identity else {
        return Ok(None);
    };
    let peer = request.extensions().get::<Peer>().copied();
    let record = peer.and_then(|peer| identity.register().holder(peer.certificate));
    match record.as_deref().map(|record| &record.standing) {
        Some(Standing::Accepted) => Ok(peer.map(Box::new)),
        Some(Standing::Pending) => Err(ApiError::waits_to_be_accepted()),
        Some(Standing::Revoked { .. }) | None => {
            Err(ApiError::not_this_machine("the certificate is not in force here"))
        }
    }
}

/// Speaks with a machine until its connection ends, on the machines' threads.
fn speak(upgraded: Upgraded, room: Option<Room>, peer: Option<Box<Peer>>, state: GatewayState) {
    let longest = state.options.shard.limits.state_frame_max_bytes;
    let tasks = state.machine_tasks.clone();
    match upgraded.downcast::<TokioIo<Reading<TcpStream>>>() {
        // What HTTP wrapped around the stream is not needed any more, and costs memory.
        Ok(parts) => match parts.io.into_inner().into_inner().into_std() {
            Ok(stream) => tasks.spawn_small(async move {
                let _room = room;
                match move_here(stream, parts.read_buf, longest) {
                    Ok(mut wire) => session::run(&mut wire, &state, peer).await,
                    Err(error) => tracing::warn!(%error, "a machine's connection cannot be waited on"),
                }
            }),
            Err(error) => tracing::warn!(%error, "a machine's connection cannot be moved"),
        },
        Err(upgraded) => match upgraded.downcast::<TokioIo<Reading<TlsStream<TcpStream>>>>() {
            // Hands were shaken at the door; what machines say is for their own threads.
            Ok(parts) => match parts.io.into_inner().into_inner().move_to(TcpStream::into_std) {
                Ok(stream) => tasks.spawn_small(async move {
                    let _room = room;
                    match move_secure_here(stream, parts.read_buf, longest) {
                        Ok(mut wire) => session::run(&mut wire, &state, peer).await,
                        Err(error) => tracing::warn!(%error, "a machine's connection cannot be waited on"),
                    }
                }),
                Err(error) => tracing::warn!(%error, "a machine's connection cannot be moved"),
            },
            // No stream of the system: the network is simulated, and the stream stays where it is.
            Err(upgraded) => tasks.spawn_small(async move {
                let _room = room;
                let mut wire = Wire::new(TokioIo::new(upgraded), &[], longest);
                session::run(&mut wire, &state, peer).await;
            }),
        },
    }
}

/// From here on this thread's runtime waits for the stream. What was read by HTTP is given back here: it holds the whole buffer
/// that it was read into.
fn move_here(
    stream: std::net::TcpStream,
    read: Bytes,
    message_max_bytes: usize,
) -> std::io::Result<Wire<TcpStream>> {
    Ok(Wire::new(TcpStream::from_std(stream)?, &read, message_max_bytes))
}

/// The same for one that is encrypted.
fn move_secure_here(
    stream: TlsStream<std::net::TcpStream>,
    read: Bytes,
    message_max_bytes: usize,
) -> std::io::Result<Wire<TlsStream<TcpStream>>> {
    let stream = stream.move_to(TcpStream::from_std)?;
    Ok(Wire::new(stream, &read, message_max_bytes))
}

fn offers(headers: &HeaderMap, subprotocol: &str) -> bool {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|offered| offered.trim() == subprotocol)
}
