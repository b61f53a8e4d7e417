//! The client against a real HTTP server.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod requests;
mod stream;
