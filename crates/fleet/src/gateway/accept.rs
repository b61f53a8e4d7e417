//! The loop that takes connections in.
//!
//! Its own, because each connection needs a limit on how long its first request may take, small buffers, and admission
//! control before anything is read: a client that stalls costs a little memory for a short while, and blocks nobody.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use muster_runtime::{Shutdown, Tasks};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use super::listener::Listener;
use super::reading::Reading;
use crate::access::Peer;

/// How long a client may take for the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Memory for the head of a request.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Pause after a failed accept: it is out of file descriptors, and those do not come back at once.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Takes connections in until the server ends.
pub async fn run<L: Listener>(
    listener: L,
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
        let (router, shutdown) = (router.clone(), shutdown.clone());
        let stream = Reading::new(stream, write_within);
        tasks.spawn_small(serve(stream, peer, router, permit, shutdown));
    }
}

async fn serve<S>(
    stream: Reading<S>,
    peer: SocketAddr,
    router: Router,
    permit: OwnedSemaphorePermit,
    shutdown: Shutdown,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let permit = Arc::new(permit);
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        // A connection that becomes a WebSocket outlives this task: the room it takes goes with it.
        request.extensions_mut().insert(Room(permit.clone()));
        request.extensions_mut().insert(Peer(peer.ip()));
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
        tracing::debug!(%error, %peer, "a connection ended by an error");
    }
}

/// The room that a connection takes among those allowed, until it is dropped.
#[derive(Clone, Debug)]
pub struct Room(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);
