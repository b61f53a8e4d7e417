//! The fleet server: one process that machines connect to and people look through.
//!
//! Begin with [`Server`]: it opens the store, rebuilds the fleet, opens the ports and runs until it is asked to end.
//! Then follow a message: [`gateway`] takes it off the socket and decodes it → [`state`] has the shard that owns the
//! machine decide → the store takes it → the shard folds it, acknowledges, and shows it to [`api`] and [`live`].
//!
//! Decisions are not made here but in `muster-brain`. Nothing here knows what a machine's runtime is made of.

pub mod access;
pub mod admin;
pub mod api;
pub mod assets;
pub mod gateway;
pub mod identity;
pub mod live;
pub mod options;
pub mod releases;
pub mod rollout;
pub mod series;
pub mod server;
pub mod state;

pub use options::{Options, OptionsError};
pub use server::{Server, ServerError};
