//! Health checks: whether a workload does what it is there for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use muster_model::workload::{HealthCheck, HealthKind};

use super::runner::{Runner, run};
use crate::keeper::files::{Directory, Launch};

/// Longest first line of an answer.
const ANSWER_MAX_BYTES: usize = 256;

/// Nothing, or what is wrong.
pub(super) fn check(
    runner: &dyn Runner,
    files: &Directory,
    launch: &Launch,
    check: &HealthCheck,
) -> Option<String> {
    let within = Duration::from_secs(check.timeout_s.into());
    let done = match check.kind {
        HealthKind::Alive => match runner.lives(files, launch) {
            Ok(true) => Ok(()),
            Ok(false) => Err("it does not live".to_owned()),
            Err(error) => Err(error.to_string()),
        },
        HealthKind::Http => http(check.port.unwrap_or(0), &check.path, within),
        HealthKind::Command => command(runner, files, launch, &check.command, within),
    };
    done.err()
}

fn command(
    runner: &dyn Runner,
    files: &Directory,
    launch: &Launch,
    words: &[String],
    within: Duration,
) -> Result<(), String> {
    let command = runner
        .check(files, launch, words)
        .map_err(|error| error.to_string())?;
    match run(command, within) {
        Ok((true, _)) => Ok(()),
        Ok((false, said)) => {
            let last = said
                .lines()
                .rfind(|line| !line.trim().is_empty())
                .unwrap_or("it failed");
            Err(last.chars().take(200).collect())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn http(port: u16, path: &str, within: Duration) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, within).map_err(words)?;
    stream.set_read_timeout(Some(within)).map_err(words)?;
    stream.set_write_timeout(Some(within)).map_err(words)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nUser-Agent: muster\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(words)?;
    let mut answer = Vec::new();
    while answer.len() < ANSWER_MAX_BYTES && !answer.contains(&b'\n') {
        let mut buffer = [0; ANSWER_MAX_BYTES];
        match stream.read(&mut buffer).map_err(words)? {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let line = answer.lines().next().unwrap_or("").trim();
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
    match status {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("HTTP status {status}")),
        None => Err(format!(
            "no HTTP answer: {:?}",
            line.chars().take(80).collect::<String>()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn said(answer: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"GET /health HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let result = http(port, "/health", Duration::from_secs(5));
        server.join().unwrap();
        result
    }

    #[test]
    fn http_answers_are_judged_by_their_status() {
        assert_eq!(said("HTTP/1.1 204 No Content\r\n\r\n"), Ok(()));
        assert_eq!(
            said("HTTP/1.0 503 Busy\r\n\r\n"),
            Err("HTTP status 503".to_owned())
        );
        assert!(said("SSH-2.0\r\n").unwrap_err().contains("no HTTP answer"));
        assert!(said("").unwrap_err().contains("no HTTP answer"));
        let closed = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        assert!(http(closed, "/", Duration::from_secs(1)).is_err());
    }
}
