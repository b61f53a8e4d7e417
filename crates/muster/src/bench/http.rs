//! A client of the API with one connection that it keeps: the least that measures an answer's time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::enrolled::Enrolled;
use super::error::{BenchError, Result};
use super::load::loopback;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// One kept connection.
pub(super) struct Http {
    address: SocketAddr,
    stream: BufReader<Box<dyn Stream>>,
    /// Who asks, where that matters.
    authorization: String,
}

/// A connection, encrypted or not.
pub(super) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// A connection whose reads end after a while; encrypted, if something is said how.
pub(super) fn connect(
    address: SocketAddr,
    read_within: Duration,
    secured_by: Option<Arc<ClientConfig>>,
) -> std::io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(read_within))?;
    let Some(config) = secured_by else {
        return Ok(Box::new(stream));
    };
    let connection = ClientConnection::new(config, loopback()).map_err(std::io::Error::other)?;
    Ok(Box::new(StreamOwned::new(connection, stream)))
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// From the request's first byte to the answer's last.
    pub(super) took: Duration,
}

impl Http {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        Self::connect_by(address, None)
    }

    /// An admin of a server with certificates.
    pub(super) fn sign_in(address: SocketAddr, enrolled: &Enrolled) -> Result<Self> {
        let mut http = Self::connect_by(address, Some(enrolled.person()))?;
        http.authorization = format!("Authorization: Bearer {}\r\n", enrolled.admin());
        Ok(http)
    }

    fn connect_by(address: SocketAddr, secured_by: Option<Arc<ClientConfig>>) -> Result<Self> {
        let stream = connect(address, ANSWER_WITHIN, secured_by)
            .map_err(BenchError::system("the API cannot be reached"))?;
        Ok(Self {
            address,
            stream: BufReader::new(stream),
            authorization: String::new(),
        })
    }

    /// Asks and reads the whole answer.
    pub(super) fn get(&mut self, path: &str) -> Result<Answer> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{}Accept: application/json\r\n\r\n",
            self.address, self.authorization
        );
        let began = Instant::now();
        self.exchange(request.as_bytes())
            .map(|(status, body)| Answer {
                status,
                body,
                took: began.elapsed(),
            })
            .map_err(BenchError::system("the API does not answer"))
    }

    /// Says something in JSON and reads the whole answer.
    pub(super) fn post(&mut self, path: &str, body: &str) -> Result<Answer> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.authorization,
            body.len()
        );
        let began = Instant::now();
        self.exchange(request.as_bytes())
            .map(|(status, body)| Answer {
                status,
                body,
                took: began.elapsed(),
            })
            .map_err(BenchError::system("the API does not answer"))
    }

    /// The answer as JSON, if it is one that was hoped for.
    pub(super) fn json(&mut self, path: &str) -> Result<serde_json::Value> {
        let answer = self.get(path)?.expect_ok(path)?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| BenchError::Load(format!("GET {path} is no JSON: {error}")))
    }

    fn exchange(&mut self, request: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        self.stream.get_mut().write_all(request)?;
        let strange = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
        let (mut status, mut length, mut chunked) = (None, None, false);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(strange("the connection ended"));
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
                continue;
            }
            if let Some((name, value)) = line.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().ok(),
                    "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                    _ => {}
                }
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let mut line = String::new();
                self.stream.read_line(&mut line)?;
                let size =
                    usize::from_str_radix(line.trim(), 16).map_err(|_| strange("a chunk without a size"))?;
                let start = body.len();
                body.resize(start + size + 2, 0);
                self.stream.read_exact(&mut body[start..])?;
                body.truncate(start + size);
                if size == 0 {
                    break;
                }
            }
        } else {
            body.resize(length.unwrap_or(0), 0);
            self.stream.read_exact(&mut body)?;
        }
        Ok((status.ok_or_else(|| strange("no status"))?, body))
    }
}

impl Answer {
    /// The answer, if it is one that was hoped for.
    pub(super) fn expect_ok(self, path: &str) -> Result<Self> {
        self.expect(200, path)
    }

    /// The answer, if it has this status.
    pub(super) fn expect(self, status: u16, path: &str) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]).into_owned();
        Err(BenchError::Load(format!(
            "{path} was answered with {}: {text}",
            self.status
        )))
    }
}
