//! TLS of one connection of the load.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConfig, ClientConnection};

/// Where every server of the bench is.
pub(in crate::bench) fn loopback() -> ServerName<'static> {
    ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

/// The client's end. What is said before the handshake is over waits for its end.
pub(super) struct Secure(ClientConnection);

impl Secure {
    pub(super) fn begin(config: Arc<ClientConfig>) -> Result<Self, String> {
        let mut connection = ClientConnection::new(config, loopback()).map_err(|error| error.to_string())?;
        // What the kernel does not take waits here, however much it is, as it does on plain connections.
        connection.set_buffer_limit(None);
        Ok(Self(connection))
    }

    pub(super) fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    /// Takes in what came; gives back what was said by it.
    pub(super) fn decrypt(&mut self, mut input: &[u8]) -> Result<Vec<u8>, String> {
        let mut plain = Vec::new();
        while !input.is_empty() {
            self.0.read_tls(&mut input).map_err(|error| error.to_string())?;
            let state = self.0.process_new_packets().map_err(|error| error.to_string())?;
            let length = plain.len();
            plain.resize(length + state.plaintext_bytes_to_read(), 0);
            self.0
                .reader()
                .read_exact(&mut plain[length..])
                .map_err(|error| error.to_string())?;
        }
        Ok(plain)
    }

    pub(super) fn encrypt(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.0
            .writer()
            .write_all(bytes)
            .map_err(|error| error.to_string())
    }

    /// Writes what the kernel takes.
    pub(super) fn flush(&mut self, stream: &mut TcpStream) -> Result<(), String> {
        while self.0.wants_write() {
            match self.0.write_tls(stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}
