//! Where connections come in: one port for machines, people's programs and the dashboard.
//!
//! Begin with [`accept`], the loop that takes connections in; then [`machine`], one machine's WebSocket from its first
//! byte to its last, over a [`wire`].

pub mod accept;
pub mod certificate;
pub mod closing;
pub mod counter;
pub mod enrol;
pub mod figures;
pub mod headers;
pub mod line;
pub mod listener;
pub mod machine;
pub mod origin;
pub mod reading;
pub mod releases;
pub mod threads;
pub mod tls;
pub mod uploads;
pub mod wire;

use std::sync::Arc;

use muster_runtime::{Shutdown, Tasks};
use muster_store::Recordings;

use crate::access::Access;
use crate::identity::Identity;
use crate::options::Options;
use crate::releases::Releases;
use crate::rollout::Rollouts;
use crate::state::Fleet;
use counter::Counter;

/// What every handler needs. Each connection holds it: cheap to clone, and small.
pub type GatewayState = Arc<Gateway>;

/// What every handler needs.
pub struct Gateway {
    /// What the fleet knows.
    pub fleet: Fleet,
    /// How the server is set up.
    pub options: Arc<Options>,
    /// Comes when everything is to end.
    pub shutdown: Shutdown,
    /// Where connections of people run.
    pub tasks: Tasks,
    /// Where those of machines run.
    pub machine_tasks: Tasks,
    /// How many machines are connected.
    pub machines: Counter,
    /// How many live clients are connected.
    pub live_clients: Counter,
    /// What machines recorded and brought here.
    pub recordings: Arc<Recordings>,
    /// What machines are to run.
    pub releases: Releases,
    /// Who asks, and whether they may.
    pub access: Arc<Access>,
    /// Who machines are; nothing where they need no certificate.
    pub identity: Option<Identity>,
    /// What is rolled out.
    pub rollouts: Rollouts,
    /// What is counted for every message.
    pub figures: figures::Figures,
}
