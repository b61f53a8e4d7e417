//! Whole programs under test, on a network that is simulated.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod network;
