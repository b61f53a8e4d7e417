//! The host of the server: the real one, on a port of the simulated network.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use muster_fleet::access::AccessMode;
use muster_fleet::gateway::listener::Listener;
use muster_fleet::{Options, Server};
use muster_runtime::{Clock, Shutdown, Tasks};
use muster_store::EventLog;
use turmoil::net::TcpListener;

use super::counted::{Count, Counted};
use super::liar;
use super::world::wall_now_ms;

pub(super) const HOST: &str = "server";
pub(super) const PORT: u16 = 7700;

/// What the test sees of the server from outside the network.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) data: PathBuf,
    /// Its log, for as long as it runs: held here it would not be closed by a crash.
    log: Arc<Mutex<Option<Weak<dyn EventLog>>>>,
    /// The connections it holds.
    pub(super) connections: Count,
    tasks: Arc<Mutex<Option<Tasks>>>,
    /// A planted fault: what is started next takes everything and keeps nothing.
    pub(super) lies: Arc<AtomicBool>,
}

impl Place {
    pub(super) fn new(data: PathBuf) -> Self {
        Self {
            data,
            log: Arc::default(),
            connections: Count::default(),
            tasks: Arc::default(),
            lies: Arc::default(),
        }
    }

    /// The log of the server that runs.
    pub(super) fn log(&self) -> Option<Arc<dyn EventLog>> {
        self.log.lock().unwrap().as_ref()?.upgrade()
    }

    /// How many tasks run for it.
    pub(super) fn tasks(&self) -> usize {
        self.tasks.lock().unwrap().as_ref().map_or(0, Tasks::count)
    }

    /// Whether everything that was handed to the log is answered.
    pub(super) fn is_settled(&self) -> bool {
        self.log().is_none_or(|log| log.stats().unanswered == 0)
    }
}

/// Runs the server until its host crashes.
pub(super) async fn run(place: Place) -> turmoil::Result {
    if place.lies.load(Ordering::Relaxed) {
        return liar::run().await;
    }
    let clock = Clock::simulated(wall_now_ms());
    let options = Options {
        // Everything runs where turmoil's host does.
        machine_threads: 0,
        shards: 2,
        admin_listen: None,
        access: AccessMode::TrustLoopback,
        ..Options::new(place.data.clone())
    };
    let listener = Port {
        listener: TcpListener::bind(("0.0.0.0", PORT)).await?,
        connections: place.connections.clone(),
    };
    let server = Server::start_on(listener, None, options, clock, Shutdown::new()).await?;
    *place.log.lock().unwrap() = Some(Arc::downgrade(server.fleet().log()));
    *place.tasks.lock().unwrap() = Some(server.tasks().clone());
    server.run().await?;
    Ok(())
}

struct Port {
    listener: TcpListener,
    connections: Count,
}

impl Listener for Port {
    type Stream = Counted;

    async fn accept(&self) -> io::Result<(Counted, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        Ok((self.connections.count(stream), peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
