//! A server that takes everything and says what it hears: to try and measure a machine by hand.
//!
//! `cargo run -p muster-machine --example dummy_server -- 127.0.0.1:7700`

#[path = "../tests/it/server.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared with the tests, which use more of it"
)]
mod server;

use server::{Manner, Server};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:7700".to_owned());
    let address = address.parse().expect("an address like 127.0.0.1:7700");
    let server = Server::start_at(Manner::Polite, address).await;
    let mut said = 0;
    loop {
        let heard = server.heard();
        for envelope in &heard[said..] {
            println!(
                "{} {:?} {}",
                envelope.timestamp,
                envelope.record,
                envelope.message.type_name()
            );
        }
        said = heard.len();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}
