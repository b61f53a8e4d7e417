//! How the server is set up. Everything is checked before a port opens.

use std::net::SocketAddr;
use std::path::PathBuf;

use muster_brain::shard;
use muster_protocol::api::{STOP_LIFETIME_DEFAULT_S, STOP_LIFETIME_MAX_S};
use muster_protocol::link::compression::DICTIONARY_ID;

use crate::access::{AccessMode, provider};

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is kept.
    pub data: PathBuf,
    /// Where machines, dashboards and programs connect.
    pub listen: SocketAddr,
    /// Where health and metrics are asked for; absent: nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// Who is let in.
    pub access: AccessMode,
    /// How many shards the machines are spread over.
    pub shards: usize,
    /// Machines that the fleet may have; those it has already stay, whatever this says.
    pub machines_max: u64,
    /// Threads for machines and shards; zero: they run where the caller of the server does.
    pub machine_threads: usize,
    /// Connections that may stand at once, of machines and people together.
    pub connections_max: usize,
    /// How long a connection may take to become a session.
    pub hello_within_ms: u64,
    /// How often a machine is asked whether it is still there. Nothing heard for three times as long ends its connection,
    /// and a machine gives up after 30 s without anything: so both ends notice within 30 s.
    pub ping_every_ms: u64,
    /// How long a client may take nothing of what it is sent before it is let go.
    pub write_within_ms: u64,
    /// How long a machine may carry out a remote stop, where whoever asks for it does not say: a machine that comes back
    /// later is not told any more.
    pub stop_lifetime_s: u64,
    /// Most bytes of the recordings that machines brought here. None is removed to make room for another.
    pub recordings_max_bytes: u64,
    /// Most bytes of the shorter forms of releases that are kept for machines. The one used longest ago goes first, and is made again.
    pub encoded_max_bytes: u64,
    /// Who machines are, and TLS; nothing: everything is plain, and on loopback only.
    pub identity: Option<crate::identity::Options>,
    /// Where people sign in besides.
    pub provider: Option<provider::settings::Settings>,
    /// How shards behave.
    pub shard: shard::Options,
    /// How the log writes; its failures on demand are for tests.
    #[doc(hidden)]
    pub log: muster_store::LogOptions,
}

/// Why the server cannot be set up like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Connections there are plain, and it is not for this computer alone.
    #[error(
        "{address} can be reached from other computers, and connections there are not encrypted: only addresses of this \
         computer's loopback are accepted for them (127.0.0.1 or [::1])"
    )]
    NotLoopback {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The provider at which people sign in.
    #[error("the provider cannot be used: {0}")]
    Provider(String),
    /// A bound that lets nothing through.
    #[error("{name} is {given}: {accepted} is accepted")]
    OutOfRange {
        /// Which setting.
        name: &'static str,
        /// What was given.
        given: u64,
        /// What is accepted.
        accepted: &'static str,
    },
}

impl OptionsError {
    /// The stable code, with a page in `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotLoopback { .. } => "MST-F001",
            Self::OutOfRange { .. } => "MST-F002",
            Self::Provider(_) => "MST-F020",
        }
    }
}

impl Options {
    /// The defaults, with everything kept in `data`.
    pub fn new(data: PathBuf) -> Self {
        Self {
            data,
            listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            admin_listen: Some(SocketAddr::from(([127, 0, 0, 1], 7701))),
            access: AccessMode::SignIn,
            shards: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            machines_max: 100_000,
            machine_threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            connections_max: 120_000,
            hello_within_ms: 10_000,
            ping_every_ms: 9_000,
            write_within_ms: 60_000,
            stop_lifetime_s: STOP_LIFETIME_DEFAULT_S,
            recordings_max_bytes: 10_000_000_000,
            encoded_max_bytes: 4_000_000_000,
            identity: None,
            provider: None,
            shard: shard::Options {
                dictionaries: vec![DICTIONARY_ID],
                ..shard::Options::default()
            },
            log: muster_store::LogOptions::default(),
        }
    }

    /// Whether machines that offer it are spoken with in compressed messages.
    pub fn compression(&self) -> bool {
        !self.shard.dictionaries.is_empty()
    }

    /// Sets whether machines that offer it are spoken with in compressed messages.
    pub fn set_compression(&mut self, on: bool) {
        self.shard.dictionaries = on.then_some(DICTIONARY_ID).into_iter().collect();
    }

    /// Refuses what cannot work.
    pub fn check(&self) -> Result<(), OptionsError> {
        if let Some(provider) = &self.provider {
            provider.check().map_err(OptionsError::Provider)?;
        }
        // Health and metrics are plain, and for programs on this computer.
        let plain = self.identity.is_none().then_some(self.listen);
        for address in [plain, self.admin_listen].into_iter().flatten() {
            if !address.ip().is_loopback() {
                return Err(OptionsError::NotLoopback { address });
            }
        }
        let lifetime_s = self
            .identity
            .as_ref()
            .map_or(60, |identity| identity.certificate_lifetime_s);
        let bounds = [
            (
                "certificate_lifetime_s",
                u64::from(lifetime_s),
                10,
                63_072_000,
                "10 to 63,072,000",
            ),
            ("shards", self.shards as u64, 1, 256, "1 to 256"),
            (
                "connections_max",
                self.connections_max as u64,
                1,
                1_000_000,
                "1 to 1,000,000",
            ),
            (
                "machines_max",
                self.machines_max,
                1,
                10_000_000,
                "1 to 10,000,000",
            ),
            (
                "hello_within_ms",
                self.hello_within_ms,
                100,
                600_000,
                "100 to 600,000",
            ),
            (
                "ping_every_ms",
                self.ping_every_ms,
                100,
                600_000,
                "100 to 600,000",
            ),
            (
                "write_within_ms",
                self.write_within_ms,
                100,
                600_000,
                "100 to 600,000",
            ),
            (
                "stop_lifetime_s",
                self.stop_lifetime_s,
                1,
                STOP_LIFETIME_MAX_S,
                "1 to 86,400",
            ),
            (
                "messages_per_s",
                u64::from(self.shard.limits.messages_per_s),
                1,
                1_000_000,
                "1 to 1,000,000",
            ),
            (
                "messages_burst",
                u64::from(self.shard.limits.messages_burst),
                1,
                1_000_000,
                "1 to 1,000,000",
            ),
            (
                "sessions_per_s",
                u64::from(self.shard.sessions_per_s),
                1,
                1_000_000,
                "1 to 1,000,000",
            ),
            (
                "sessions_burst",
                u64::from(self.shard.sessions_burst),
                1,
                1_000_000,
                "1 to 1,000,000",
            ),
            (
                "heartbeat_interval_ms",
                u64::from(self.shard.heartbeat_interval_ms),
                1_000,
                3_600_000,
                "1,000 to 3,600,000",
            ),
        ];
        for (name, given, least, most, accepted) in bounds {
            if !(least..=most).contains(&given) {
                return Err(OptionsError::OutOfRange {
                    name,
                    given,
                    accepted,
                });
            }
        }
        Ok(())
    }
}
