//! Real processes, real sockets, real files. Each scenario has a short form, which every run of the tests takes, and a
//! long one: `MUSTER_PROVE_ROUNDS` says how often (`cargo xtask prove` sets it). What was measured is printed as lines
//! that begin with `figure`.

mod audit;
mod cable;
mod clock;
mod disk;
mod hardware;
mod kill;
pub(crate) mod kit;
mod network;
mod proxy;
mod shim;
mod writer;
