//! The server is killed while machines write: what was acknowledged is there, once, and sessions grow.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::SinkExt;
use muster_fleet::Server;
use muster_runtime::{Clock, Shutdown};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{self, Machine, PATIENCE, Site, hear, id};

const DATA: &str = "MUSTER_TEST_DATA";
const KILLS: u32 = 10;
const MACHINES: u32 = 4;

/// The server of the test below, in a process of its own that can be killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve() {
    let Some(data) = std::env::var_os(DATA) else {
        return;
    };
    let options = harness::options(data.as_ref());
    let server = Server::start(options, Clock::start(), Shutdown::new())
        .await
        .unwrap();
    println!("\nADDRESS {}", server.address());
    server.run().await.unwrap();
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start(data: &std::path::Path) -> (Killed, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::serve", "--exact", "--nocapture"])
        .env(DATA, data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let killed = Killed(child);
    let line = out
        .lines()
        .map(Result::unwrap)
        .find(|line| line.starts_with("ADDRESS "))
        .unwrap();
    (killed, line["ADDRESS ".len()..].parse().unwrap())
}

/// Writes until the connection breaks; gives the session, and the last record that was given a number and acknowledged.
async fn write(address: SocketAddr, number: u32, recorded: u64, acked: u64) -> (u64, u64, u64) {
    let mut machine = Machine::come_back(address, &id(number), acked, recorded).await;
    assert!(machine.acked >= acked, "what was acknowledged is gone");
    assert!(machine.acked <= recorded, "it holds what was never said");
    // What is not acknowledged comes again, under its numbers.
    machine.record = machine.acked;
    loop {
        for _ in 0..5 {
            let text = format!("{}", machine.record + 1);
            let message = machine.message(
                "event",
                true,
                json!({ "kind": "written", "severity": "info", "message": text }),
            );
            if machine
                .socket
                .send(Message::Text(message.to_string().into()))
                .await
                .is_err()
            {
                machine.record -= 1;
                return (machine.session, machine.record.max(recorded), machine.acked);
            }
        }
        match tokio::time::timeout(PATIENCE, hear(&mut machine.socket))
            .await
            .unwrap()
        {
            Ok(message) if message["type"] == "ack" => {
                machine.acked = machine.acked.max(message["payload"]["record"].as_u64().unwrap());
            }
            Ok(message) => panic!("{message}"),
            Err(_) => return (machine.session, machine.record.max(recorded), machine.acked),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    let data = tempfile::tempdir().unwrap();
    // Last session, last number given, last number acknowledged.
    let mut known: BTreeMap<u32, (u64, u64, u64)> =
        (1..=MACHINES).map(|number| (number, (0, 0, 0))).collect();
    for kill in 0..KILLS {
        let (server, address) = start(data.path());
        let writers = known
            .iter()
            .map(|(number, (_, recorded, acked))| write(address, *number, *recorded, *acked));
        // From "hardly begun" to "in full swing".
        let after =
            Duration::from_millis(60 + u64::from(muster_runtime::clock::entropy().unwrap() as u8) * 2);
        let (ended, ()) = tokio::join!(futures_util::future::join_all(writers), async {
            tokio::time::sleep(after).await;
            tokio::task::block_in_place(|| drop(server));
        });
        for ((number, before), now) in known.iter_mut().zip(ended) {
            assert!(
                now.0 > before.0,
                "kill {kill}: session {} of {number} after {}",
                now.0,
                before.0
            );
            assert!(
                now.2 >= before.2,
                "kill {kill}: {number} was acknowledged less than before"
            );
            *before = now;
        }
    }
    let site = Site::start(data.path()).await;
    let mut acknowledged = 0;
    for (number, (_, given, acked)) in &known {
        let path = format!("/api/v1/machines/{}/events?kind=written&limit=1000", id(*number));
        let mut records: Vec<u64> = site
            .all(&path)
            .await
            .iter()
            .map(|event| text(event).parse().unwrap())
            .collect();
        records.reverse();
        let expected: Vec<u64> = (1..=records.len() as u64).collect();
        assert_eq!(records, expected, "in order, without holes, none twice");
        let held = records.len() as u64;
        assert!(
            *acked <= held && held <= *given,
            "{acked} acknowledged, {held} held, {given} given"
        );
        acknowledged += acked;
    }
    assert!(
        acknowledged > 100,
        "too little was written for this to show anything: {acknowledged}"
    );
    println!("{KILLS} kills, {acknowledged} acknowledged records, all there");
    site.stop().await.unwrap();
}

fn text(event: &Value) -> &str {
    event["message"].as_str().unwrap()
}
