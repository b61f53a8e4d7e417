//! The loop that takes connections in.
//!
//! Its own, because each connection needs a limit on how long its first request may take, small buffers, and admission
//! control before anything is read: a client that stalls costs a little memory for a short while, and blocks nobody.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use muster_protocol::api::SPEAKS_HTTPS;
use muster_runtime::{Shutdown, Tasks};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use super::listener::Listener;
use super::reading::Reading;
use super::tls::TlsStream;
use crate::access;
use crate::identity::Identity;
use crate::identity::connected::Peer;
use crate::identity::tls::Door;

/// How long a client may take for the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Memory for the head of a request.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// How long a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Of what is asked in plain HTTP where TLS is spoken so much is read, and for so long, after the answer.
const PLAIN_READ_MAX_BYTES: u64 = 64 * 1024;
const PLAIN_READ_WITHIN: Duration = Duration::from_secs(1);
/// Pause after a failed accept: it is out of file descriptors, and those do not come back at once.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// What a connection goes through before it speaks HTTP.
#[derive(Clone)]
pub enum Threshold {
    /// Nothing: only programs on this computer come here.
    Plain,
    /// TLS, without a certificate of whoever comes.
    People(Door),
    /// TLS, with a certificate of a machine.
    Machines(Identity),
}

/// Takes connections in until the server ends.
pub async fn run<L: Listener>(
    listener: L,
    threshold: Threshold,
    router: Router,
    connections_max: usize,
    write_within: Duration,
    tasks: Tasks,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let room = Arc::new(Semaphore::new(connections_max));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    metrics::counter!("muster_accept_errors_total").increment(1);
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    continue;
                }
            },
            () = shutdown.requested() => return Ok(()),
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            // Closing at once is the cheapest way to say no, and machines come back with jitter.
            metrics::counter!("muster_connections_refused_full_total").increment(1);
            continue;
        };
        let visit = Visit {
            from: peer,
            machine: None,
            router: router.clone(),
            permit,
            write_within,
            shutdown: shutdown.clone(),
        };
        // What a handshake takes is given back before the first request.
        match threshold.clone() {
            Threshold::Plain => tasks.spawn_small(serve(stream, visit)),
            Threshold::People(door) => tasks.spawn_small(async move {
                if let Some(stream) = Box::pin(greet::<L>(stream, door.config(), peer)).await {
                    Box::pin(serve(stream, visit)).await;
                }
            }),
            Threshold::Machines(identity) => tasks.spawn_small(async move {
                let config = identity.machines().config();
                if let Some(stream) = Box::pin(greet::<L>(stream, config, peer)).await
                    && let Some(machine) = recognise(&stream, &identity)
                {
                    if identity.is_new(&machine) {
                        Box::pin(used(&identity, machine)).await;
                    }
                    let machine = Some(machine);
                    Box::pin(serve(stream, Visit { machine, ..visit })).await;
                }
            }),
        }
    }
}

/// Shakes hands, within its time.
async fn greet<L: Listener>(
    mut stream: L::Stream,
    config: Arc<ServerConfig>,
    from: SocketAddr,
) -> Option<TlsStream<L::Stream>> {
    let shaking = async {
        let first = L::first_byte(&stream).await;
        if first.is_some_and(|first| first.is_ascii_uppercase()) {
            // No record of TLS begins so, and every method of HTTP does.
            say_https(&mut stream).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks plain HTTP"));
        }
        TlsStream::accept(stream, config).await
    };
    let failure = match tokio::time::timeout(HANDSHAKE_WITHIN, shaking).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    metrics::counter!("muster_handshakes_failed_total").increment(1);
    tracing::debug!(%from, %failure, "a handshake failed");
    None
}

/// Tells whoever speaks plain HTTP what is spoken here.
async fn say_https(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let text = format!("{SPEAKS_HTTPS}: write https:// in front of it.\n");
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // What is not read would end the connection before the answer is there.
    let (mut rest, mut nowhere) = (stream.take(PLAIN_READ_MAX_BYTES), tokio::io::sink());
    let reading = tokio::io::copy(&mut rest, &mut nowhere);
    let _ = tokio::time::timeout(PLAIN_READ_WITHIN, reading).await;
    Ok(())
}

/// Which machine it is whose handshake was good. It may have been taken out since.
fn recognise<S>(stream: &TlsStream<S>, identity: &Identity) -> Option<Peer> {
    let certificates = stream.peer_certificates()?;
    identity.peer(certificates.first()?)
}

/// A certificate is used for the first time, and takes the place of those before.
async fn used(identity: &Identity, peer: Peer) {
    let identity = identity.clone();
    let used = tokio::task::spawn_blocking(move || identity.used(&peer)).await;
    if let Ok(Err(error)) = used {
        tracing::error!(machine = %peer.machine, %error, "that a certificate is in use cannot be noted");
    }
}

/// Who comes, and what is needed for it.
struct Visit {
    from: SocketAddr,
    machine: Option<Peer>,
    router: Router,
    permit: OwnedSemaphorePermit,
    write_within: Duration,
    shutdown: Shutdown,
}

async fn serve<S>(stream: S, visit: Visit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Visit {
        from,
        machine,
        router,
        permit,
        write_within,
        shutdown,
    } = visit;
    let stream = Reading::new(stream, write_within);
    let permit = Arc::new(permit);
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        // A connection that becomes a WebSocket outlives this task: the room it takes goes with it.
        let extensions = request.extensions_mut();
        extensions.insert(Room(permit.clone()));
        extensions.insert(access::Peer(from.ip()));
        if let Some(machine) = machine {
            extensions.insert(machine);
        }
        request.map(Body::new)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %from, "a connection ended by an error");
    }
}

/// The room that a connection takes among those allowed, until it is dropped.
#[derive(Clone, Debug)]
pub struct Room(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);
