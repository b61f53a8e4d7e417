//! What can end the runtime of a machine, each with a stable code.

use crate::config::ConfigError;
use crate::identity::IdentityError;
use crate::store::StoreError;

/// What can end the runtime of a machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The configuration is not accepted.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The local store cannot be used, or could not write.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no randomness.
    #[error("no identity can be made")]
    Entropy(#[from] muster_runtime::clock::NoEntropy),
    /// The operating system refused what the runtime needs to run.
    #[error("the operating system refused {what}")]
    System {
        /// What it refused.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A node that the machine cannot do without failed too often.
    #[error("the node {node} failed too often: {failure}")]
    NodeFailed {
        /// Which node.
        node: &'static str,
        /// How it failed last.
        failure: String,
    },
    /// The machine's key or certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The folder of releases cannot be used.
    #[error("the releases cannot be used: {0}")]
    Releases(String),
    /// The hardware cannot be listed.
    #[error("the hardware cannot be listed")]
    Probe(#[source] muster_metal::MetalError),
    /// Logging cannot be set up.
    #[error("logging cannot be set up")]
    Logging(#[source] crate::logging::LoggingError),
}

impl MachineError {
    /// The stable code; `docs/errors/` has a page for each.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "MST-M001",
            Self::Store(error) => error.code(),
            Self::Entropy(_) => "MST-M007",
            Self::System { .. } => "MST-M008",
            Self::NodeFailed { .. } => "MST-M009",
            Self::Logging(_) => "MST-M010",
            Self::Probe(_) => "MST-M060",
            Self::Releases(_) => "MST-M068",
            Self::Identity(error) => error.code(),
        }
    }

    /// What the process ends with. Source: sysexits.h.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Logging(_) => 64,
            Self::Store(error) => error.exit_code(),
            Self::Entropy(_) | Self::System { .. } | Self::Probe(_) | Self::Releases(_) => 71,
            Self::NodeFailed { .. } => 70,
            Self::Identity(error) => error.exit_code(),
        }
    }
}
