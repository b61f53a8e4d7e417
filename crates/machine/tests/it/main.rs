//! The machine from outside: its bus, its uplink against a small server, its executable.

#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared with the example, which uses less of it"
)]
mod server;
