//! Prints the OpenAPI document, for `cargo xtask generate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match muster_fleet::api::document::text() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the document cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}
