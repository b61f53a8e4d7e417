//! What every implementation of the store's traits must do, and what the files must survive.

#![allow(clippy::unwrap_used, missing_docs)]

mod bus;
mod contract;
mod crash;
mod damage;
mod directory;
mod documents;
mod failure;
mod fuzz;
mod kit;
mod migration;
mod model;
mod packing;
mod snapshots;
mod telemetry;
