//! A host that passes on what comes, both ways: another path to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_runtime::{Shutdown, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use super::server;

/// Bytes that are passed on at once.
const AT_ONCE_BYTES: usize = 64 * 1024;

/// Passes on for ever, and counts what goes to the server.
pub(super) async fn run(to_server_bytes: Arc<AtomicU64>) -> turmoil::Result {
    let tasks = Tasks::new(Shutdown::new());
    let listener = TcpListener::bind(("0.0.0.0", server::PORT)).await?;
    loop {
        let (from, _) = listener.accept().await?;
        let counted = to_server_bytes.clone();
        tasks.spawn_small(async move {
            let Ok(to) = TcpStream::connect((server::HOST, server::PORT)).await else {
                return; // and whoever asked is told by the end of the connection
            };
            let (from_read, from_write) = from.into_split();
            let (to_read, to_write) = to.into_split();
            let nowhere = AtomicU64::new(0);
            tokio::join!(
                pass(from_read, to_write, &counted),
                pass(to_read, from_write, &nowhere)
            );
        });
    }
}

async fn pass(
    mut from: turmoil::net::tcp::OwnedReadHalf,
    mut to: turmoil::net::tcp::OwnedWriteHalf,
    counted: &AtomicU64,
) {
    let mut bytes = vec![0; AT_ONCE_BYTES];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        counted.fetch_add(count as u64, Ordering::Relaxed);
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    // The end is passed on, too.
    let _ = to.shutdown().await;
}
