//! Calibrations on a whole simulated machine: applied at once, kept, rolled back, and never overwritten unseen.

use std::sync::Arc;

use muster_machine::local::calibration::{Came, Kept, PATH, Wish};
use muster_machine::local::client::{Ask, LocalError, ask};
use muster_machine::local::{self, Door};
use muster_machine::nodes::calibration::Act;
use muster_model::calibration::{CalibrationReport, CalibrationSource, DeviceCalibration, Profile};
use muster_model::desired::DesiredStatus;
use muster_model::state::ReportedState;
use muster_protocol::link::{Desired, ServerMessage};
use serde_json::json;

use crate::machines::{World, options};
use crate::server::{Manner, Server};
use crate::uplink::{events, state};

/// A temperature that every simulated machine has.
const ZONE: &str = "cpu-thermal";

fn profile(add: f64) -> Profile {
    serde_json::from_value(json!({
        "kind": "sensor", "unit": "°C", "input": { "min": -50.0, "max": 150.0 },
        "stages": [{ "offset": { "add": add } }]
    }))
    .unwrap()
}

fn zone(state: &ReportedState) -> Option<f64> {
    let thermal = state.thermal.as_ref()?;
    let zone = thermal.zones.iter().find(|zone| zone.name == ZONE)?;
    Some(zone.celsius)
}

fn device(state: &ReportedState) -> Option<DeviceCalibration> {
    let report = state.calibration.as_ref()?;
    report
        .devices
        .iter()
        .find(|device| device.device == ZONE)
        .cloned()
}

async fn until_device(server: &Server, what: &str, holds: impl Fn(&DeviceCalibration) -> bool) {
    server
        .until(what, |server| {
            device(&state(server)).is_some_and(|device| holds(&device))
        })
        .await;
}

fn desire(version: u64, entries: serde_json::Value) -> ServerMessage {
    let document = json!({ "calibration": { "version": version, "content": entries } });
    ServerMessage::Desired(Desired {
        version,
        base: None,
        document: serde_json::from_str(&document.to_string()).unwrap(),
    })
}

fn section(state: &ReportedState) -> Option<(u64, DesiredStatus)> {
    let report = state.desired.as_ref()?;
    let section = report
        .sections
        .iter()
        .find(|section| section.name == "calibration")?;
    Some((section.version.0, section.status))
}

async fn until_section(server: &Server, version: u64, status: DesiredStatus) {
    server
        .until(&format!("calibration {version} {status}"), |server| {
            section(&state(server)) == Some((version, status))
        })
        .await;
}

#[tokio::test]
async fn a_profile_applies_at_once_and_survives_restarts() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let mut options = options(&server.url());
    options.state.measured_interval_ms = 50;
    let world = World::start(directory.path(), options.clone()).await;
    server
        .until("a temperature", |server| zone(&state(server)).is_some())
        .await;
    assert!(zone(&state(&server)).unwrap() < 100.0);
    assert!(state(&server).calibration.is_none());
    let calibrator = world.machine.calibrator().clone();
    let apply = |add: f64| {
        calibrator.ask(
            ZONE.to_owned(),
            Act::Apply(Box::new(profile(add))),
            "to see".to_owned(),
        )
    };
    assert_eq!(apply(200.0).await, Ok(1));
    // It is told as far as it moved, without a restart.
    server
        .until("the calibrated temperature", |server| {
            zone(&state(server)).is_some_and(|celsius| celsius > 150.0)
        })
        .await;
    let thermal = state(&server).thermal.unwrap();
    assert!(thermal.highest_celsius > 150.0, "{thermal:?}");
    until_device(&server, "version 1", |device| device.version == 1).await;
    assert_eq!(apply(300.0).await, Ok(2));
    let back = calibrator.ask(ZONE.to_owned(), Act::RollBack(None), "worse".to_owned());
    assert_eq!(back.await, Ok(1));
    server
        .until("three changes told", |server| {
            events(server, "calibration.changed") == 3
        })
        .await;
    world.stop().await;

    let world = World::start(directory.path(), options).await;
    until_device(&server, "version 1 after the restart", |device| {
        device.version == 1 && device.versions == 2 && device.profile == Some(profile(200.0))
    })
    .await;
    let mut in_force = world.machine.calibrator().in_force();
    in_force
        .wait_for(|in_force| in_force.of(ZONE).is_some())
        .await
        .unwrap();
    assert_eq!(in_force.borrow().apply(ZONE, 20.0).unwrap().value, 220.0);
    assert_eq!(in_force.borrow().apply("another", 20.0).unwrap().value, 20.0);
    world.stop().await;
}

#[tokio::test]
async fn what_the_server_desires_is_applied_and_never_against_what_was_decided_here_unseen() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("a session", |server| !server.heard().is_empty())
        .await;
    server
        .say(desire(1, json!({ ZONE: { "profile": profile(200.0) } })))
        .await;
    until_section(&server, 1, DesiredStatus::Applied).await;
    until_device(&server, "as desired", |device| {
        device.source == CalibrationSource::Desired
    })
    .await;

    // Somebody at the machine decides otherwise: it stands, and the difference is seen.
    let calibrator = world.machine.calibrator().clone();
    let apply = calibrator.ask(
        ZONE.to_owned(),
        Act::Apply(Box::new(profile(300.0))),
        "measured".to_owned(),
    );
    assert_eq!(apply.await, Ok(2));
    until_section(&server, 1, DesiredStatus::Conflict).await;
    until_device(&server, "the drift", |device| {
        device.drift.is_some() && device.version == 2
    })
    .await;
    server
        .until("the problem", |server| events(server, "desired.conflict") == 1)
        .await;
    server
        .say(desire(2, json!({ ZONE: { "profile": profile(400.0) } })))
        .await;
    until_section(&server, 2, DesiredStatus::Conflict).await;
    assert_eq!(device(&state(&server)).unwrap().version, 2);

    // Until somebody says that it overrules.
    server
        .say(desire(
            3,
            json!({ ZONE: { "profile": profile(400.0), "overrule": true } }),
        ))
        .await;
    until_section(&server, 3, DesiredStatus::Applied).await;
    until_device(&server, "no drift", |device| device.drift.is_none()).await;
    assert_eq!(
        calibrator.in_force().borrow().apply(ZONE, 0.0).unwrap().value,
        400.0
    );

    // What cannot be is refused, and what was in force stays.
    let mut wrong = profile(1.0);
    wrong.input.max = wrong.input.min;
    server.say(desire(4, json!({ ZONE: { "profile": wrong } }))).await;
    until_section(&server, 4, DesiredStatus::Refused).await;
    server.say(desire(5, json!({ ZONE: "what" }))).await;
    until_section(&server, 5, DesiredStatus::Refused).await;
    assert_eq!(
        calibrator.in_force().borrow().apply(ZONE, 0.0).unwrap().value,
        400.0
    );

    // Nothing is desired any more.
    server.say(desire(6, json!({}))).await;
    until_section(&server, 6, DesiredStatus::Applied).await;
    until_device(&server, "no profile", |device| device.version == 0).await;
    world.stop().await;

    // After a restart each is what it was.
    let world = World::start(directory.path(), options(&server.url())).await;
    until_section(&server, 6, DesiredStatus::Applied).await;
    world.stop().await;
}

#[tokio::test]
async fn whoever_is_beside_the_machine_looks_checks_and_changes() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(directory.path(), options("ws://127.0.0.1:9")).await;
    let door = Door {
        recorder: None,
        desk: None,
        services: None,
        faults: None,
        board: None,
        calibrator: world.machine.calibrator().clone(),
        name: "probe".to_owned(),
        panel: world.machine.panel().clone(),
    };
    let listener = local::bind(&directory.path().join(local::SOCKET)).unwrap();
    let doors: Arc<[Door]> = vec![door].into();
    let serving = tokio::task::JoinSet::from_iter([async move { local::accept(&listener, &doors).await }]);
    let data = directory.path();
    let post = |what: &'static str, wish: Wish| async move {
        let body = serde_json::to_string(&wish).unwrap();
        let path = format!("{PATH}/wheel%20left/{what}");
        let asked = Ask {
            method: &http::Method::POST,
            path: &path,
            machine: None,
            body: Some(body),
        };
        ask::<Came>(data, asked).await
    };
    let wish = |profile: Profile| Wish {
        profile: Some(Box::new(profile)),
        reason: "to see".to_owned(),
        to: None,
    };
    let refused = |result: Result<Came, LocalError>| match result {
        Err(LocalError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        post("check", wish(profile(1.0))).await.unwrap(),
        Came { in_force: 0 }
    );
    let mut wrong = profile(1.0);
    wrong.unit.clear();
    assert!(refused(post("check", wish(wrong)).await).starts_with("unit: 1 to 24"));
    let silent = Wish {
        reason: " ".to_owned(),
        ..wish(profile(1.0))
    };
    assert!(refused(post("apply", silent).await).contains("say why"));
    assert_eq!(
        post("apply", wish(profile(1.0))).await.unwrap(),
        Came { in_force: 1 }
    );
    assert_eq!(
        post("apply", wish(profile(2.0))).await.unwrap(),
        Came { in_force: 2 }
    );
    let back = Wish {
        to: Some(1),
        reason: "worse".to_owned(),
        profile: None,
    };
    assert_eq!(post("rollback", back).await.unwrap(), Came { in_force: 1 });
    let follow = Wish {
        reason: "they know".to_owned(),
        ..Wish::default()
    };
    assert!(refused(post("follow", follow).await).contains("desires nothing"));
    let get = |path: String| async move {
        let asked = Ask {
            method: &http::Method::GET,
            path: &path,
            machine: None,
            body: None,
        };
        ask::<serde_json::Value>(data, asked).await
    };
    let report: CalibrationReport = serde_json::from_value(get(PATH.to_owned()).await.unwrap()).unwrap();
    assert_eq!(
        (report.devices[0].device.as_str(), report.devices[0].version),
        ("wheel left", 1)
    );
    let kept: Kept = serde_json::from_value(get(format!("{PATH}/wheel%20left")).await.unwrap()).unwrap();
    assert_eq!((kept.in_force, kept.record.versions.len()), (1, 2));
    assert_eq!(kept.record.versions[0].reason, "to see");
    assert!(matches!(
        get(format!("{PATH}/nothing")).await,
        Err(LocalError::Refused(_))
    ));
    drop(serving);
    world.stop().await;
}
