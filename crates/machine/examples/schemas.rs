//! Prints the schemas of what is said on a machine's bus, as they stand in its recordings.
//!
//! `cargo xtask generate` writes them to `crates/machine/src/recording/schemas.json`.

fn main() {
    println!("{:#}", muster_machine::recording::form::schemas());
}
