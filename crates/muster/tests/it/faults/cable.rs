//! The cable of a simulated machine is pulled: what its failsafe table says happens on time, without the server, and stands in the
//! timeline when the cable is back.

use std::path::Path;
use std::time::Duration;

use muster_machine::message::Payload;
use muster_machine::recording::folder;
use muster_machine::recording::reader::Reader;
use muster_machine::replay::{Asked, Node, replay};
use muster_model::vocabulary::Safety;
use rustix::process::Signal;
use serde_json::Value;

use super::kit::{Process, Server, muster, until};

/// Without a link for so long it comes to rest.
const LINK_LOST_AFTER_S: u64 = 3;
/// For so long the cable is out: longer than a link may take to notice (a ping every nine seconds), and to come to rest.
const OUT_S: u64 = 18;
/// A simulated machine looks twice in a second; a computer with a lot to do comes a little later.
const LATE_MS: i64 = 2_500;
/// How long anything may take to come about.
const WITHIN: Duration = Duration::from_secs(60);

/// One of the commands beside the machine; what it says.
fn beside(data: &Path, line: &[&str]) -> Value {
    let mut command = muster();
    command.arg("agent").args(line).args(["--output", "json"]);
    command.arg("--data").arg(data).args(["--machine", "ada"]);
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

fn region(data: &Path) -> String {
    let standing = beside(data, &["safety"]);
    standing["operation"]["safety"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The events of the only robot whose kind begins like this, the oldest first, and when each happened.
fn events(server: &Server, kind: &str) -> Vec<(String, String)> {
    let found = server.get(&format!("/api/v1/events?kind={kind}&limit=100"));
    let items = found["items"].as_array().cloned().unwrap_or_default();
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let of_ada = items.iter().rev().filter(|event| event["machine_name"] == "ada");
    of_ada
        .map(|event| (text(event, "kind"), text(event, "occurred_at")))
        .collect()
}

#[test]
fn a_machine_without_its_cable_does_what_is_configured_on_time_and_tells_of_it_afterwards() {
    let top = tempfile::tempdir().unwrap();
    let server = Server::start(&top.path().join("server"), 0);
    let data = top.path().join("sim");
    let mut command = muster();
    command.args([
        "sim",
        "connect",
        "--machines",
        "1",
        "--record",
        "ada",
        "--start-within",
        "0",
    ]);
    command.args([
        "--link-lost-after",
        &LINK_LOST_AFTER_S.to_string(),
        "--server",
        &server.url(),
    ]);
    let mut simulated = Process::start({
        command.arg("--data").arg(&data);
        command
    });
    until("ada moves", WITHIN, || {
        (region(&data) == "operational").then_some(())
    });
    until("ada is known", WITHIN, || {
        let known = server.get("/api/v1/machines");
        (known["items"][0]["presence"] == "online").then_some(())
    });

    let mut pull = muster();
    pull.args([
        "agent",
        "fault",
        "link_lost",
        "--for",
        &OUT_S.to_string(),
        "--machine",
        "ada",
        "--data",
    ]);
    assert!(pull.arg(&data).output().unwrap().status.success());
    until("ada stands", WITHIN, || {
        (region(&data) == "protective_stop").then_some(())
    });
    let standing = beside(&data, &["safety"]);
    assert_eq!(standing["operation"]["held_by"], serde_json::json!(["link_lost"]));
    assert_eq!(events(&server, "safety"), [], "nobody could tell the server");

    until("ada goes on by itself", WITHIN, || {
        (region(&data) == "operational").then_some(())
    });
    let told = until("what happened is in the timeline", WITHIN, || {
        let told = events(&server, "safety");
        (told.len() >= 2).then_some(told)
    });
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["safety.protective_stop", "safety.operational"]);
    let faults = events(&server, "simulation");
    let kinds: Vec<&str> = faults.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["simulation.fault_began", "simulation.fault_ended"]);
    // Times are written so that they sort.
    assert!(
        faults[0].1 < told[0].1 && told[0].1 < faults[1].1,
        "{faults:?} {told:?}"
    );

    simulated.signal(Signal::TERM);
    simulated.end(WITHIN);
    on_time_and_again(&data.join("recordings/ada"));
}

/// In the recording, from the end of the link to the stop it was as long as configured, and the same is decided again.
fn on_time_and_again(recordings: &Path) {
    let all = folder::list(recordings).unwrap();
    let [entry] = &all[..] else { panic!("{all:?}") };
    let file = recordings.join(&entry.file);
    let (mut connected, mut lost_at, mut stood_after_ms) = (false, None, None);
    for recorded in Reader::open(&file).unwrap() {
        let mono_ms = (recorded.header.publish_time / 1_000_000).cast_signed();
        match recorded.payload().unwrap() {
            Some(Payload::Link(link)) => {
                let is_connected = link.state.as_str() == "connected";
                if connected && !is_connected {
                    lost_at = Some(mono_ms);
                }
                connected = is_connected;
            }
            Some(Payload::Sections(_, patch)) => {
                let operation = patch.operation.as_ref().and_then(Option::as_ref);
                if operation.is_some_and(|operation| operation.safety == Safety::ProtectiveStop)
                    && let Some(lost_at) = lost_at
                {
                    stood_after_ms.get_or_insert(mono_ms - lost_at);
                }
            }
            _ => {}
        }
    }
    let after_ms = stood_after_ms.expect("it lost its link, and stood");
    let configured_ms = (LINK_LOST_AFTER_S * 1_000).cast_signed();
    println!("figure link_lost stood after {after_ms} ms of {configured_ms}");
    assert!(
        (configured_ms..configured_ms + LATE_MS).contains(&after_ms),
        "{after_ms} ms"
    );
    let again = replay(&Asked {
        file,
        from: None,
        to: None,
        nodes: vec![Node::Safety],
    })
    .unwrap();
    assert!(again.steps > 20 && again.differences == 0, "{again:?}");
}
