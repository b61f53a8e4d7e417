//! The runtime of one machine: [`muster_reflex`] on [`muster_metal`], as nodes on a bus under a supervisor.
//!
//! Begin with [`machine`]: [`run`] is a real machine, [`Machine`] one of many simulated ones. Then [`bus`] and
//! [`message`] (what nodes say to each other), [`supervisor`] (what keeps them going), [`nodes`] (what they do),
//! [`store`] (what survives), [`config`] and [`cli`] (what people set).
//!
//! It knows nothing of the server but the protocol, and works without one.

pub mod bus;
pub mod cli;
pub mod config;
pub mod dial;
pub mod error;
pub mod identity;
pub mod keeper;
pub mod local;
pub mod logging;
pub mod machine;
pub mod measure;
pub mod message;
pub mod metals;
pub mod nodes;
pub mod options;
pub mod recording;
pub mod releases;
pub mod replay;
pub mod store;
pub mod supervisor;
mod systemd;

pub use bus::Bus;
pub use cli::main_with_args;
pub use error::MachineError;
pub use machine::{Machine, SharedParts, run};
pub use metals::MetalSource;
pub use options::{Compression, Options, ServerUrl};
pub use store::Store;

/// The version of this runtime.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
