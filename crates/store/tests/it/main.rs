//! What every implementation of the store's traits must do, and what the files must survive.

#![allow(clippy::unwrap_used, missing_docs)]

mod contract;
mod crash;
mod damage;
mod directory;
mod failure;
mod kit;
mod model;
mod snapshots;
