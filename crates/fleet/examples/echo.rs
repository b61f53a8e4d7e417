//! Echoes messages over the server's own end of a WebSocket, for a conformance suite that expects an echo server (RFC 6455).
//!
//! Takes the address to listen on; longer messages than those of a machine's state are refused, as by the server.

use std::error::Error;

use muster_fleet::gateway::wire::{Incoming, Wire, WireError};
use muster_protocol::link::Limits;
use tokio::net::{TcpListener, TcpStream};

/// What is to be echoed.
enum Echo {
    Text(String),
    Binary(Vec<u8>),
    Nothing,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("give an address to listen on")?;
    let listener = TcpListener::bind(&address).await?;
    println!("echoing on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        if let Err(error) = serve(stream).await {
            eprintln!("{error}");
        }
    }
}

/// One connection after the other: that is how suites come.
async fn serve(stream: TcpStream) -> Result<(), Box<dyn Error>> {
    let stream = tokio_tungstenite::accept_async(stream).await?.into_inner();
    let mut wire = Wire::new(stream, &[], Limits::default().state_frame_max_bytes);
    let Err(error) = echo(&mut wire).await else {
        return Ok(());
    };
    if let Some(code) = error.close_code() {
        wire.put_close(code, &error.to_string())?;
        wire.flush().await?;
    }
    Ok(())
}

async fn echo(wire: &mut Wire<TcpStream>) -> Result<(), WireError> {
    loop {
        let heard = wire
            .next(|incoming| match incoming {
                Incoming::Text(text) => Echo::Text(text.to_owned()),
                Incoming::Binary(bytes) => Echo::Binary(bytes.to_owned()),
                Incoming::Sign | Incoming::Close(_) => Echo::Nothing,
            })
            .await?;
        match heard {
            Echo::Text(text) => wire.put_text(&text)?,
            Echo::Binary(bytes) => wire.put_binary(&bytes)?,
            Echo::Nothing => {}
        }
        wire.flush().await?;
    }
}
