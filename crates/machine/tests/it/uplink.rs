//! A whole simulated machine against a small server, in good and bad manners.

use std::time::Duration;

use muster_machine::Compression;
use muster_model::state::ReportedState;
use muster_model::vocabulary::{Authority, NodeStatus, Safety};
use muster_model::{RecordNumber, SequenceNumber, Severity, Timestamp};
use muster_protocol::link::compression::{self, DICTIONARY_ID};
use muster_protocol::link::{
    Bye, ByeReason, Command, CommandKind, Hello, MachineMessage, Outcome, ServerMessage, StateReport,
};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::machines::{World, options};
use crate::server::{Manner, Out, Server};

pub(crate) fn state(server: &Server) -> ReportedState {
    let mut state = ReportedState::default();
    for envelope in server.heard() {
        match envelope.message {
            MachineMessage::State(StateReport::Full(full)) => state = *full,
            MachineMessage::State(StateReport::Patch { sections, .. }) => state.apply(&sections),
            _ => {}
        }
    }
    state
}

pub(crate) fn events(server: &Server, kind: &str) -> usize {
    let heard = server.heard();
    let of_kind = heard
        .iter()
        .filter(|envelope| matches!(&envelope.message, MachineMessage::Event(event) if event.kind == kind));
    let mut records: Vec<_> = of_kind.map(|envelope| envelope.record).collect();
    records.sort();
    records.dedup();
    records.len()
}

pub(crate) fn hellos(server: &Server) -> Vec<Hello> {
    let heard = server.heard().into_iter();
    heard
        .filter_map(|envelope| match envelope.message {
            MachineMessage::Hello(hello) => Some(*hello),
            _ => None,
        })
        .collect()
}

fn heard(server: &Server, kind: &str) -> bool {
    server
        .heard()
        .iter()
        .any(|envelope| envelope.message.type_name() == kind)
}

fn command(id: &str, kind: CommandKind) -> ServerMessage {
    ServerMessage::Command(Box::new(Command {
        id: id.into(),
        kind,
        arguments: None,
        issuer: "tester".into(),
        reason: "to see".into(),
        authority: Authority::None,
        issued: Timestamp::from_millis(0),
        expires: Timestamp::from_millis(i64::MAX),
    }))
}

fn outcomes(server: &Server, id: &str) -> Vec<(Outcome, Option<String>)> {
    let heard = server.heard().into_iter();
    heard
        .filter_map(|envelope| match envelope.message {
            MachineMessage::Response(response) if response.command_id == id => {
                Some((response.outcome, response.reason))
            }
            _ => None,
        })
        .collect()
}

/// Sections that a simulated robot has no reason to report.
const NOT_HERE: &[&str] = &[
    "devices",
    "desired",
    "calibration",
    "simulation",
    "workloads",
    "updates",
    "recordings",
    "services",
    // It has no actuators.
    "gate",
];

fn lacks(state: &ReportedState) -> Vec<&'static str> {
    let json = serde_json::to_value(state).unwrap();
    let sections = ReportedState::SECTIONS.iter().copied();
    sections.filter(|section| json.get(section).is_none()).collect()
}

#[tokio::test]
async fn a_machine_reports_itself_in_order_and_without_holes() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("a whole state, telemetry and the start", |server| {
            let state = state(server);
            heard(server, "telemetry")
                && events(server, "runtime.started") == 1
                && lacks(&state).iter().all(|section| NOT_HERE.contains(section))
                && state.nodes.as_ref().is_some_and(|nodes| {
                    nodes.nodes.len() == 8
                        && nodes.nodes.iter().all(|node| node.status == NodeStatus::Running)
                })
        })
        .await;
    let state = state(&server);
    let identity = state.identity.unwrap();
    assert_eq!(
        (identity.name.as_str(), identity.kind.as_str()),
        ("probe", "lekiwi")
    );
    assert_eq!(identity.region.as_deref(), Some("munich"));
    let operation = state.operation.unwrap();
    assert_eq!(
        (operation.safety, operation.authority),
        (Safety::Operational, Authority::None),
        "nothing of it moves"
    );
    world.stop().await;
    server
        .until("the last words", |server| events(server, "runtime.stopped") == 1)
        .await;
    server
        .until("an orderly close", |server| server.closes() == [Some(1000)])
        .await;
    let heard = server.heard();
    for (envelope, sequence) in heard.iter().zip(1..) {
        assert_eq!(envelope.sequence, SequenceNumber(sequence));
    }
    let records: Vec<_> = heard.iter().filter_map(|envelope| envelope.record).collect();
    let expected: Vec<_> = (1..=records.len() as u64).map(RecordNumber).collect();
    assert_eq!(records, expected);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_what_was_is_forgotten() {
    let (directory, server) = (
        tempfile::tempdir().unwrap(),
        Server::start(Manner::Forgetful).await,
    );
    let world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("some records", |server| {
            heard(server, "state") && heard(server, "event")
        })
        .await;
    server.behave(Manner::Polite);
    server.out(Out::Cut).await;
    server
        .until("a second session", |server| hellos(server).len() == 2)
        .await;
    let offered = hellos(&server).remove(1).records.expect("it holds records");
    assert_eq!(offered.first, RecordNumber(1));
    server
        .until("the same records again", |server| {
            let heard = server.heard();
            let first = |record| {
                heard
                    .iter()
                    .filter(move |envelope| envelope.record == Some(RecordNumber(record)))
            };
            (1..=offered.last.0).all(|record| {
                let said: Vec<_> = first(record).map(|envelope| &envelope.message).collect();
                said.len() == 2 && said[0] == said[1]
            })
        })
        .await;
    // Orderly: all is acknowledged before it ends, and the next start has nothing to offer.
    world.stop().await;
    let world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("a third session", |server| hellos(server).len() == 3)
        .await;
    let hello = &hellos(&server)[2];
    assert!(hello.highest_record > offered.last);
    assert_eq!(hello.last_session.0, 2);
    let held = hello
        .records
        .as_ref()
        .map_or(0, |range| range.last.0 - range.first.0 + 1);
    assert!(held <= 2, "at most what the new start had to tell: {held}");
    world.stop().await;
}

#[tokio::test]
async fn a_command_is_carried_out_once_even_across_a_restart() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let world = World::start(directory.path(), options(&server.url())).await;
    server.until("a session", |server| heard(server, "state")).await;
    server.say(command("c1", CommandKind::Identify)).await;
    server
        .until("it was done", |server| events(server, "machine.identified") == 1)
        .await;
    server.say(command("c1", CommandKind::Identify)).await;
    server
        .until("a second receipt", |server| outcomes(server, "c1").len() == 2)
        .await;
    assert_eq!(
        outcomes(&server, "c1"),
        [(Outcome::Accepted, None), (Outcome::Duplicate, None)]
    );
    server.say(command("c2", CommandKind::Reboot)).await;
    server
        .until("a refusal", |server| outcomes(server, "c2").len() == 1)
        .await;
    let (outcome, reason) = outcomes(&server, "c2").remove(0);
    assert_eq!(outcome, Outcome::Refused);
    assert!(reason.unwrap().contains("does not carry out"));
    world.stop().await;
    let world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("a new session", |server| {
            hellos(server).len() == 2 && server.heard().len() > 5
        })
        .await;
    server.say(command("c1", CommandKind::Identify)).await;
    server
        .until("a third receipt", |server| outcomes(server, "c1").len() >= 3)
        .await;
    assert_eq!(outcomes(&server, "c1")[2].0, Outcome::Duplicate);
    assert_eq!(events(&server, "machine.identified"), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_close_with_a_reason_is_told_and_survived() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let mut world = World::start(directory.path(), options(&server.url())).await;
    server.until("a session", |server| heard(server, "state")).await;
    for code in [1008, 1009, 1011, 1012] {
        let before = hellos(&server).len();
        let frame = CloseFrame {
            code: code.into(),
            reason: format!("because of {code}").into(),
        };
        server.out(Out::Raw(Message::Close(Some(frame)))).await;
        world
            .until_reason(&format!("closed the connection with {code}: because of {code}"))
            .await;
        server
            .until("a new session", |server| hellos(server).len() > before)
            .await;
        world.until_reason("welcomed").await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_bye_is_obeyed() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let mut world = World::start(directory.path(), options(&server.url())).await;
    let bye = |reason, retry_after_ms| {
        ServerMessage::Bye(Bye {
            reason,
            message: "go".into(),
            retry_after_ms,
            supported_versions: Vec::new(),
        })
    };
    server.until("a session", |server| heard(server, "state")).await;
    server.say(bye(ByeReason::Drain, Some(30))).await;
    server
        .until("a second session", |server| hellos(server).len() == 2)
        .await;
    world.until_reason("welcomed").await;
    server.say(bye(ByeReason::Revoked, None)).await;
    world.until_reason("the server said bye: go").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(hellos(&server).len(), 2, "it does not come back");
    world.stop().await;
}

#[tokio::test]
async fn a_ping_is_answered() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let world = World::start(directory.path(), options(&server.url())).await;
    server.until("a session", |server| heard(server, "state")).await;
    server.out(Out::Raw(Message::Ping(vec![1, 2, 3].into()))).await;
    server.until("a pong", |server| server.pongs() == 1).await;
    world.stop().await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_and_pings_keep_it_alive() {
    let (directory, server) = (
        tempfile::tempdir().unwrap(),
        Server::start(Manner::Forgetful).await,
    );
    let mut options = options(&server.url());
    options.link.silence_max_ms = 300;
    let mut world = World::start(directory.path(), options).await;
    server.until("a session", |server| heard(server, "state")).await;
    for _ in 0..20 {
        server.out(Out::Raw(Message::Ping(Vec::new().into()))).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert_eq!(server.connections(), 1, "pings are signs of life");
    world.until_reason("nothing heard of the server").await;
    server
        .until("another try", |server| server.connections() >= 2)
        .await;
    world.stop().await;
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_given_up() {
    for (manner, reason) in [
        (Manner::Mute, "no connection within"),
        (Manner::Unwelcoming, "no welcome in time"),
    ] {
        let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(manner).await);
        let mut options = options(&server.url());
        options.connect_timeout = Duration::from_millis(150);
        options.link.register_within_ms = 150;
        let mut world = World::start(directory.path(), options).await;
        world.until_reason(reason).await;
        server
            .until("another try", |server| server.connections() >= 2)
            .await;
        server.behave(Manner::Polite);
        server
            .until("a session at last", |server| heard(server, "state"))
            .await;
        world.stop().await;
    }
}

#[tokio::test]
async fn garbage_is_refused_with_its_code_and_the_machine_comes_back() {
    let id = uuid::Uuid::from_u128(42);
    let foreign = format!(
        r#"{{"version":9,"type":"welcome","machine_id":"{id}","sequence":1,"timestamp":"2026-01-01T00:00:00Z","payload":{{}}}}"#
    );
    let cases = [
        (vec![Message::text("no json")], Some(1007)),
        (vec![Message::text(foreign)], Some(1008)),
        (
            vec![Message::text(format!("\"{}\"", "x".repeat(20_000)))],
            Some(1009),
        ),
        (vec![Message::text("[".repeat(100_000))], Some(1009)),
        (vec![Message::binary(vec![1, 2, 3])], Some(1003)),
        (vec![Message::text("x".repeat(300_000))], None),
    ];
    for (frames, code) in cases {
        let (directory, server) = (
            tempfile::tempdir().unwrap(),
            Server::start(Manner::Babbling(frames)).await,
        );
        let world = World::start(directory.path(), options(&server.url())).await;
        server
            .until("another try", |server| server.connections() >= 2)
            .await;
        if let Some(code) = code {
            server
                .until("a close with its code", |server| {
                    server.closes().contains(&Some(code))
                })
                .await;
        }
        server.behave(Manner::Polite);
        server
            .until("a session at last", |server| heard(server, "telemetry"))
            .await;
        world.stop().await;
    }
}

#[tokio::test]
async fn both_ends_compress_once_a_dictionary_is_agreed() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Terse).await);
    let world = World::start(directory.path(), options(&server.url())).await;
    // Records are forgotten only when their acknowledgement was understood.
    server
        .until("an answered heartbeat and acknowledged records", |server| {
            server.heard().len() > 20 && heard(server, "heartbeat")
        })
        .await;
    let MachineMessage::Hello(hello) = server.heard().remove(0).message else {
        panic!("hello comes first");
    };
    assert_eq!(hello.dictionaries, [DICTIONARY_ID]);
    let (binary, text) = server.frames();
    assert_eq!(text, 1, "hello is text, and everything after it gets shorter");
    assert!(binary >= 20);
    // What is no message in a binary frame is refused with its code, and the machine comes back.
    for (frame, code) in [
        (vec![1, 2, 3], 1007),
        (zstd_bomb(), 1009),
        (compression::pack(&" ".repeat(1_000)).unwrap(), 1007),
    ] {
        let before = server.connections();
        server.out(Out::Raw(Message::binary(frame))).await;
        server
            .until("a close with its code", |server| {
                server.closes().last() == Some(&Some(code)) && server.connections() > before
            })
            .await;
        server
            .until("a session again", |server| {
                let heard = server.heard();
                let hello = heard.iter().rposition(|envelope| envelope.session.is_none());
                let told = hello.is_some_and(|hello| heard.len() > hello + 1);
                told && hellos(server).len() as u64 == server.connections()
            })
            .await;
    }
    assert_eq!(server.connections(), 4, "one connection for each refusal");
    world.stop().await;
}

#[tokio::test]
async fn a_machine_that_may_not_compress_offers_nothing() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let mut options = options(&server.url());
    options.compression = Compression::Off;
    let world = World::start(directory.path(), options).await;
    server
        .until("a session", |server| heard(server, "telemetry"))
        .await;
    let MachineMessage::Hello(hello) = server.heard().remove(0).message else {
        panic!("hello comes first");
    };
    assert!(hello.dictionaries.is_empty());
    assert_eq!(server.frames().0, 0);
    // A server that chooses one all the same is not believed.
    server.behave(Manner::Terse);
    server.out(Out::Cut).await;
    server
        .until("tries that come to nothing", |server| server.connections() >= 4)
        .await;
    assert_eq!(server.frames().0, 0);
    world.stop().await;
}

/// A frame that says that it holds much more than any message may. Source: RFC 8878, 3.1.1.
fn zstd_bomb() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    // Four bytes of dictionary, a single segment, four bytes of length; then one block that repeats a space.
    frame.push(0b1010_0011);
    frame.extend(DICTIONARY_ID.to_le_bytes());
    frame.extend((1_u32 << 20).to_le_bytes());
    frame.extend([0x03, 0x00, 0x80, b' ']);
    frame
}

#[tokio::test]
async fn a_machine_without_a_server_works_keeps_and_tells_later() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(Manner::Polite).await;
    let (address, url) = (server.address, server.url());
    server.stop();
    let mut world = World::start(directory.path(), options(&url)).await;
    let mut states = world.machine.bus().subscribe(["state".parse().unwrap()], 10);
    states.next().await;
    world.until_reason("no connection to").await;
    let server = Server::start_at(Manner::Polite, address).await;
    server
        .until("it told", |server| {
            heard(server, "state") && events(server, "runtime.started") == 1
        })
        .await;
    world.stop().await;
}

#[tokio::test]
async fn a_line_of_the_log_reaches_the_server() {
    use muster_machine::logging::LogTap;
    use tracing_subscriber::layer::SubscriberExt;
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let tap = LogTap::new(muster_runtime::Clock::start(), tracing::Level::WARN);
    let mut options = options(&server.url());
    options.log_tap = Some(tap.clone());
    let world = World::start(directory.path(), options).await;
    server.until("a session", |server| heard(server, "state")).await;
    tracing::subscriber::with_default(tracing_subscriber::registry().with(tap.layer()), || {
        tracing::warn!(wheel = 3, name = "left", "squeaks");
        tracing::info!("not worth it");
        for _ in 0..200 {
            tracing::error!("flood");
        }
    });
    server.until("the lines", |server| heard(server, "log")).await;
    let heard = server.heard();
    let lines: Vec<_> = heard
        .iter()
        .filter_map(|envelope| match &envelope.message {
            MachineMessage::Log(log) => Some(&log.lines),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(
        (lines[0].severity, lines[0].message.as_str()),
        (Severity::Warning, "squeaks")
    );
    assert!(lines[0].target.starts_with("it::uplink"), "{}", lines[0].target);
    assert_eq!(
        lines[0].fields.as_ref().unwrap().0.get(),
        r#"{"name":"left","wheel":3}"#
    );
    assert_eq!(lines[1].message, "flood");
    assert!(
        lines.len() <= 101 && lines.iter().any(|line| line.message.contains("left out")),
        "{}",
        lines.len()
    );
    world.stop().await;
}
