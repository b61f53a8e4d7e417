//! Desired state on a whole simulated machine: kept, told to its nodes, reported, and never gone back on.

use std::sync::Arc;
use std::time::Duration;

use muster_machine::bus::Inbox;
use muster_machine::message::Payload;
use muster_model::DesiredVersion;
use muster_model::desired::{DesiredOutcome, DesiredReport, DesiredStatus, HeldDesired};
use muster_model::state::ReportedState;
use muster_protocol::link::{Desired, MachineMessage, ServerMessage};

use crate::machines::{World, options};
use crate::server::{Manner, Server};
use crate::uplink::{events, hellos, state};

fn desired(version: u64, document: &str) -> ServerMessage {
    ServerMessage::Desired(Desired {
        version,
        base: None,
        document: serde_json::from_str(document).unwrap(),
    })
}

fn report(state: &ReportedState) -> Option<&DesiredReport> {
    state.desired.as_deref()
}

async fn until_reported(server: &Server, what: &str, holds: impl Fn(&DesiredReport) -> bool) {
    server
        .until(what, |server| report(&state(server)).is_some_and(&holds))
        .await;
}

/// What the nodes of the machine are told, from the first that holds this on.
async fn told(inbox: &mut Inbox, holds: impl Fn(&HeldDesired) -> bool) -> Arc<HeldDesired> {
    let waiting = async {
        loop {
            let delivery = inbox.next().await;
            if let Payload::Desired(held) = &delivery.message.payload
                && holds(held)
            {
                return held.clone();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .expect("the nodes are told")
}

#[tokio::test]
async fn what_the_server_wants_is_kept_told_and_reported() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let world = World::start(directory.path(), options(&server.url())).await;
    let mut inbox = world.machine.bus().subscribe(["desired".parse().unwrap()], 16);
    server
        .until("a session", |server| !server.heard().is_empty())
        .await;
    server
        .say(desired(4, r#"{"made_up":{"version":4,"content":{"a":1}}}"#))
        .await;
    let held = told(&mut inbox, |held| held.version == DesiredVersion(4)).await;
    assert_eq!(held.document.0["made_up"].content.0.get(), r#"{"a":1}"#);
    // Nobody applies it, and the machine says so, as a problem, too.
    until_reported(&server, "the section refused", |report| {
        report.version == DesiredVersion(4)
            && report.sections.len() == 1
            && report.sections[0].status == DesiredStatus::Refused
    })
    .await;
    server
        .until("the problem", |server| events(server, "desired.refused") == 1)
        .await;

    // Whoever applies it says so.
    world
        .machine
        .bus()
        .publish(Payload::Outcome(Box::new(DesiredOutcome {
            section: "made_up".to_owned(),
            version: DesiredVersion(4),
            status: DesiredStatus::Applied,
            reason: None,
        })));
    until_reported(&server, "the section applied", |report| {
        report.sections[0].status == DesiredStatus::Applied && report.sections[0].reason.is_none()
    })
    .await;
    server
        .until("the end of the problem", |server| {
            events(server, "desired.refused.ended") == 1
        })
        .await;
    world.stop().await;
}

#[tokio::test]
async fn what_is_older_or_no_document_changes_nothing() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("a session", |server| !server.heard().is_empty())
        .await;
    for (version, document) in [
        (7, r#"{"a":{"version":7,"content":{}}}"#),
        (6, r#"{"b":{"version":6,"content":{}}}"#),
        (7, r#"{"c":{"version":7,"content":{}}}"#),
        (8, r#"["no document"]"#),
        (9, r#"{"d":{"version":9,"content":{}}}"#),
    ] {
        server.say(desired(version, document)).await;
    }
    until_reported(&server, "the newest", |report| {
        report.version == DesiredVersion(9)
    })
    .await;
    let names: Vec<String> = report(&state(&server))
        .unwrap()
        .sections
        .iter()
        .map(|section| section.name.clone())
        .collect();
    assert_eq!(names, ["d"]);
    world.stop().await;
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart_and_the_server_is_told_so() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("a session", |server| !server.heard().is_empty())
        .await;
    assert_eq!(hellos(&server)[0].desired_version, 0);
    server
        .say(desired(3, r#"{"made_up":{"version":2,"content":{"a":1}}}"#))
        .await;
    until_reported(&server, "it holds it", |report| {
        report.version == DesiredVersion(3)
    })
    .await;
    world.stop().await;

    let world = World::start(directory.path(), options(&server.url())).await;
    let mut inbox = world.machine.bus().subscribe(["desired".parse().unwrap()], 16);
    let held = told(&mut inbox, |_| true).await;
    assert_eq!(held.version, DesiredVersion(3));
    assert_eq!(held.document.0["made_up"].version, DesiredVersion(2));
    server
        .until("another session", |server| hellos(server).len() >= 2)
        .await;
    assert_eq!(hellos(&server).last().unwrap().desired_version, 3);
    world.stop().await;
}

#[tokio::test]
async fn a_new_session_says_what_is_held_by_then() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let mut world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("a session", |server| !server.heard().is_empty())
        .await;
    server.say(desired(5, "{}")).await;
    until_reported(&server, "it holds it", |report| {
        report.version == DesiredVersion(5)
    })
    .await;
    server.out(crate::server::Out::Cut).await;
    world.until_reason("").await;
    server
        .until("another session", |server| hellos(server).len() >= 2)
        .await;
    assert_eq!(hellos(&server).last().unwrap().desired_version, 5);
    world.stop().await;
}

/// A machine of which nothing was ever desired reports no such section.
#[tokio::test]
async fn a_machine_of_which_nothing_is_desired_says_nothing_of_it() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("a whole state", |server| {
            let state = state(server);
            state.health.is_some() && state.nodes.is_some()
        })
        .await;
    assert!(state(&server).desired.is_none());
    assert!(
        !server
            .heard()
            .iter()
            .any(|envelope| matches!(&envelope.message, MachineMessage::Event(event) if event.kind.starts_with("desired")))
    );
    world.stop().await;
}
