//! The scenarios: their names, and what each is about.

use clap::ValueEnum;

use super::context::Context;
use super::error::Result;
use super::run;

/// One kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// Machines that are connected and idle: how soon they are in session, and the memory that each takes
    Connections,
    /// The same, each machine with a certificate of its own
    ConnectionsTls,
    /// Every machine sends ten measurements a second, one a write: processor time of each message
    FleetIngest,
    /// Few connections send all that is taken, 64 messages a write: messages for each second of a core
    Pipelined,
    /// Events that are acknowledged after they are on disk, 64 on the way on each connection
    DurableEvents,
    /// All machines connect at the same moment: time until all are in session, and the most memory held
    Storm,
    /// The server is killed, and all machines connect at the same moment, each with a certificate of its own, while people stop one of them
    StormTls,
    /// A heartbeat of any machine while the fleet sends five messages a second of each: how soon it is answered
    Heartbeat,
    /// A remote stop of one machine while the fleet sends five messages a second of each: how soon it is there
    RemoteStop,
    /// One machine's state and a filtered list by the API while the fleet sends
    Api,
    /// Knowing who asks and whether they may: what it adds to a request, and to a message that somebody is told
    Authorisation,
    /// People who look at all machines: processor time of everything that reaches them
    FanOut,
    /// A server with a million events in its log starts again: how soon it answers
    Restart,
    /// The server is killed among events: how soon all machines are back, with nothing lost
    Recovery,
    /// The runtime of a machine that has nothing to do: memory, processor and network
    Agent,
    /// What a machine leaves on the server's disk in a month
    Storage,
}

impl Scenario {
    /// As on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsTls => "connections-tls",
            Self::FleetIngest => "fleet-ingest",
            Self::Pipelined => "pipelined",
            Self::DurableEvents => "durable-events",
            Self::Storm => "storm",
            Self::StormTls => "storm-tls",
            Self::Api => "api",
            Self::Authorisation => "authorisation",
            Self::Heartbeat => "heartbeat",
            Self::RemoteStop => "remote-stop",
            Self::FanOut => "fan-out",
            Self::Restart => "restart",
            Self::Recovery => "recovery",
            Self::Agent => "agent",
            Self::Storage => "storage",
        }
    }

    /// What it is about, as in the help.
    pub(super) fn about(self) -> String {
        let value = self.to_possible_value();
        value
            .and_then(|value| value.get_help().map(ToString::to_string))
            .unwrap_or_default()
    }

    /// How its figures are taken.
    pub(super) const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Connections => &[run::connections::JOIN_METHOD, run::connections::MEMORY_METHOD],
            Self::ConnectionsTls => &[run::connections::TLS_JOIN_METHOD, run::connections::MEMORY_METHOD],
            Self::FleetIngest => &[run::ingest::METHOD],
            Self::Pipelined => &[run::pipelined::METHOD],
            Self::DurableEvents => &[run::durable::METHOD],
            Self::Storm => &[run::storm::METHOD],
            Self::StormTls => &[run::storm_tls::METHOD, run::storm_tls::STOP_METHOD],
            Self::Api => &[run::api::METHOD],
            Self::Authorisation => &[run::authorisation::METHOD],
            Self::Heartbeat => &[run::heartbeat::METHOD],
            Self::RemoteStop => &[run::stop::METHOD],
            Self::FanOut => &[run::fanout::METHOD],
            Self::Restart => &[run::restart::METHOD],
            Self::Recovery => &[run::recovery::METHOD],
            Self::Agent => &[run::agent::METHOD, run::agent::TLS_METHOD],
            Self::Storage => &[run::storage::METHOD],
        }
    }

    /// Takes its figures.
    pub(super) fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Connections => run::connections::run(context),
            Self::ConnectionsTls => run::connections::run_secured(context),
            Self::FleetIngest => run::ingest::run(context),
            Self::Pipelined => run::pipelined::run(context),
            Self::DurableEvents => run::durable::run(context),
            Self::Storm => run::storm::run(context),
            Self::StormTls => run::storm_tls::run(context),
            Self::Api => run::api::run(context),
            Self::Authorisation => run::authorisation::run(context),
            Self::Heartbeat => run::heartbeat::run(context),
            Self::RemoteStop => run::stop::run(context),
            Self::FanOut => run::fanout::run(context),
            Self::Restart => run::restart::run(context),
            Self::Recovery => run::recovery::run(context),
            Self::Agent => run::agent::run(context),
            Self::Storage => run::storage::run(context),
        }
    }
}
