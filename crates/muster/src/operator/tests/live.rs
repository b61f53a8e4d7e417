//! What is shown as it happens.

use std::sync::Arc;

use muster_client::test_server::{Step, event, frame, machine};
use muster_model::{LogPosition, Severity, StatusWord};
use muster_protocol::live::{Batch, Item};
use serde::Serialize;

use super::*;

fn batch<T: Serialize>(position: u64, topic: &str, data: &T) -> Batch {
    let text = serde_json::to_string(data).expect("JSON");
    let data = serde_json::value::RawValue::from_string(text).expect("JSON");
    Batch {
        id: "sse".into(),
        position: LogPosition(position),
        server_time: start(),
        items: vec![Item {
            topic: topic.into(),
            data: Arc::from(data),
        }],
        more: false,
    }
}

/// Runs a command that does not end by itself beside what the test does meanwhile.
async fn beside(terminal: &Terminal, server: &TestServer, line: &[&str], test: impl Future<Output = ()>) {
    tokio::select! {
        ended = terminal.run(server.address(), line) => panic!("it ended: {ended:?}"),
        () = test => {}
    }
}

#[tokio::test]
async fn events_are_followed_without_a_gap() {
    let mut fleet = Fleet::of(3);
    fleet.events = vec![event(99, 0, "thermal.high", Severity::Warning, "first")];
    let server = server(fleet).await;
    let terminal = Terminal::new(Some(100));
    let line = ["events", "--follow", "--severity", "warning", "--kind", "thermal"];
    beside(&terminal, &server, &line, async {
        server.streams_opened(1).await;
        let send = |position, kind: &str, severity, message: &str| {
            let event = event(position, 1, kind, severity, message);
            let batch = batch(position, "machine.x.event", &event);
            server.push(Step::Send(frame("update", &batch)));
        };
        send(101, "thermal.high", Severity::Error, "second");
        send(101, "thermal.high", Severity::Error, "the same again");
        send(102, "thermal.high", Severity::Info, "too small");
        send(103, "thermals", Severity::Error, "another kind");
        terminal.out.wait_for("second").await;
        server.push(Step::Cut);
        server.streams_opened(2).await;
        send(104, "thermal", Severity::Critical, "third");
        terminal.out.wait_for("third").await;
    })
    .await;
    golden!("events_are_followed_without_a_gap", terminal.out.text());
    assert!(
        terminal.notes.text().contains("broke off"),
        "{}",
        terminal.notes.text()
    );
    assert!(terminal.notes.text().contains("the server is back"));
    let targets = server.targets();
    assert!(
        targets.iter().any(|target| target.ends_with("&resume_after=100")),
        "{targets:?}"
    );
    assert!(
        targets.iter().any(|target| target.ends_with("&resume_after=103")),
        "{targets:?}"
    );
}

#[tokio::test]
async fn events_are_followed_as_lines_of_json() {
    let server = server(Fleet::of(1)).await;
    let terminal = Terminal::new(None);
    beside(&terminal, &server, &["events", "--follow", "-o", "json"], async {
        server.streams_opened(1).await;
        for position in [101, 102] {
            let event = event(position, 0, "a.b", Severity::Info, "x\ny");
            server.push(Step::Send(frame(
                "update",
                &batch(position, "machine.x.event.a.b", &event),
            )));
        }
        terminal.out.wait_for("102").await;
    })
    .await;
    let text = terminal.out.text();
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        serde_json::from_str::<muster_protocol::api::Event>(line).expect("an event a line");
    }
}

#[tokio::test]
async fn machines_are_watched_line_by_line() {
    let server = server(Fleet::of(3)).await;
    let terminal = Terminal::new(Some(100));
    beside(&terminal, &server, &["machines", "--watch"], async {
        terminal.out.wait_for("hugo").await;
        server.streams_opened(1).await;
        let mut row = machine(1).summary;
        // A figure alone is no news to a person who reads lines.
        row.cpu_percent = Some(99.0);
        server.push(Step::Send(frame("update", &batch(101, "machine.x.state", &row))));
        row.status = StatusWord::Failed;
        server.push(Step::Send(frame("update", &batch(102, "machine.x.state", &row))));
        terminal.out.wait_for("✖ failed").await;
        server.fleet().machines.remove(2);
        terminal.notes.wait_for("hugo is no longer in the list").await;
    })
    .await;
    golden!(
        "machines_are_watched_line_by_line",
        without_seconds(&terminal.out.text())
    );
}

/// Seconds since a machine was seen go by the true clock: how many they are depends on how fast the test is.
fn without_seconds(text: &str) -> String {
    let line = |line: &str| match line.strip_suffix(" s") {
        Some(rest) => format!("{}N s\n", rest.trim_end_matches(|c: char| c.is_ascii_digit())),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn machines_are_watched_as_lines_of_json() {
    let server = server(Fleet::of(2)).await;
    let terminal = Terminal::new(None);
    beside(
        &terminal,
        &server,
        &["machines", "--watch", "-o", "json"],
        async {
            server.streams_opened(1).await;
            let mut row = machine(1).summary;
            row.cpu_percent = Some(98.5);
            server.push(Step::Send(frame("update", &batch(101, "machine.x.state", &row))));
            terminal.out.wait_for("98.5").await;
        },
    )
    .await;
    let text = terminal.out.text();
    let rows = text.lines().map(|line| {
        serde_json::from_str::<muster_protocol::api::MachineSummary>(line).expect("a row a line")
    });
    let names: Vec<String> = rows.map(|row| row.name).collect();
    assert_eq!(names, ["frida", "otto", "otto"]);
}
