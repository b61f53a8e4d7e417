//! Starting, refusing to start, limits on connections, and the end.

use std::net::SocketAddr;

use muster_fleet::{Server, ServerError};
use muster_runtime::{Clock, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Live, Machine, Site, dial, end, hear, id, options, soon, until};

async fn refused(options: muster_fleet::Options) -> ServerError {
    match Server::start(options, Clock::start(), Shutdown::new()).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_listens_on_loopback_only() {
    let data = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7700"] {
        let mut listen = options(data.path());
        listen.listen = address.parse().unwrap();
        let error = refused(listen).await;
        assert_eq!(error.code(), "MST-F001");
        assert!(error.to_string().contains("loopback"), "{error}");
        let mut admin = options(data.path());
        admin.admin_listen = Some(address.parse().unwrap());
        assert_eq!(refused(admin).await.code(), "MST-F001");
    }
    let mut six = options(data.path());
    six.listen = "[::1]:0".parse().unwrap();
    if let Ok(server) = Server::start(six, Clock::start(), Shutdown::new()).await {
        assert!(server.address().is_ipv6());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_or_a_directory_in_use_is_said_and_nothing_is_touched() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let other = tempfile::tempdir().unwrap();
    let mut taken = options(other.path());
    taken.listen = site.address;
    let error = refused(taken).await;
    assert_eq!(error.code(), "MST-F004");
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
    let error = refused(options(data.path())).await;
    assert!(matches!(error, ServerError::Open(_)), "{error}");
    assert!(error.code().starts_with("MST-S"), "{error}");
    // Who was there goes on.
    Machine::connect(site.address, &id(1), 0).await;
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_and_readers_are_told_when_the_server_ends() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    let mut live = Live::connect(site.address).await;
    live.subscribe("s", &["fleet.summary"], serde_json::json!({}))
        .await;
    live.next_of("snapshot").await;
    let mut silent = dial(site.address).await;
    let stream = site
        .request("GET", "/api/v1/stream?topics=machine.*.state")
        .send()
        .await
        .unwrap();
    let (stopped, ended, followed, streamed) = tokio::join!(
        site.stop(),
        end(&mut machine.socket),
        end(&mut live.0),
        soon("the stream ends", stream.bytes())
    );
    stopped.unwrap();
    let bye = ended.bye.unwrap();
    assert_eq!(bye["reason"], "drain");
    assert!(bye["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(ended.code, Some(1001));
    assert_eq!(followed.code, Some(1001));
    assert!(streamed.is_ok(), "the stream ends as a stream does");
    assert_eq!(end(&mut silent).await.code, Some(1001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_reads_nothing_does_not_hold_up_the_end() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    let started = std::time::Instant::now();
    site.stop().await.unwrap();
    assert!(started.elapsed().as_secs() < 8, "{:?}", started.elapsed());
}

/// Whether a new connection is served.
async fn is_served(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let asked = stream
        .write_all(b"GET /api/v1/fleet/summary HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await;
    let mut answer = Vec::new();
    asked.is_ok() && stream.read_to_end(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stall_block_nobody() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut stalled = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream
            .write_all(b"GET /api/v1/machines HTTP/1.1\r\nHost: local")
            .await
            .unwrap();
        stalled.push(stream);
    }
    let started = std::time::Instant::now();
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    machine
        .surely(
            "event",
            serde_json::json!({ "kind": "k", "severity": "info", "message": "" }),
        )
        .await;
    site.get("/api/v1/machines").await;
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
    // They are let go in the end.
    let mut rest = Vec::new();
    soon("a stalled client is let go", stalled[0].read_to_end(&mut rest))
        .await
        .ok();
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_readiness_are_told_beside_the_fleet() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    for (path, text) in [("healthz", "ok\n"), ("readyz", "ready\n")] {
        let answer = reqwest::get(format!("http://{}/{path}", site.admin))
            .await
            .unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
            (200, text)
        );
        // Not on the port of the fleet.
        let elsewhere = reqwest::get(site.url(&format!("/{path}")))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert_ne!(elsewhere, text);
    }
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_allowed_are_refused_and_the_others_stay() {
    let data = tempfile::tempdir().unwrap();
    let mut options = options(data.path());
    options.connections_max = 4;
    let site = Site::start_with(options).await;
    let mut machines = Vec::new();
    for number in 1..=3 {
        machines.push(Machine::connect(site.address, &id(number), 0).await);
    }
    let mut live = Live::connect(site.address).await;
    assert!(
        !soon("an answer", is_served(site.address)).await,
        "live clients count as well"
    );
    machines[0].heartbeat().await;
    assert_eq!(hear(&mut machines[0].socket).await.unwrap()["type"], "ack");
    live.say(serde_json::json!({ "type": "ping" })).await;
    live.next_of("pong").await;
    drop(live);
    until("there is room again", || async {
        is_served(site.address).await.then_some(())
    })
    .await;
    site.stop().await.unwrap();
}
