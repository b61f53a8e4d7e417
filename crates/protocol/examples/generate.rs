//! Prints the documents that describe the sockets: `generate asyncapi` or `generate machine-link`.
//!
//! `cargo xtask generate` writes them to `openapi/`.

#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a generator prints; the crate itself does not"
)]

fn main() -> Result<(), String> {
    let document = match std::env::args().nth(1).as_deref() {
        Some("asyncapi") => muster_protocol::link::schema::asyncapi(),
        Some("machine-link") => muster_protocol::link::schema::machine_link(),
        other => return Err(format!("{other:?}: asyncapi and machine-link are accepted")),
    };
    // A `Value` can always be written.
    println!("{document:#}");
    Ok(())
}
