//! Calibrations by way of what is desired.

use muster_client::test_server::machine_id;
use muster_model::calibration::{CalibrationReport, CalibrationSource, DeviceCalibration, Profile};
use serde_json::json;

use super::*;

fn file(value: &serde_json::Value) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(value.to_string().as_bytes()).expect("written");
    file
}

fn profile(factor: f64) -> serde_json::Value {
    json!({ "kind": "sensor", "unit": "V", "input": { "min": 0.0, "max": 10.0 }, "stages": [{ "scale": { "factor": factor } }] })
}

async fn set(server: &TestServer, device: &str, factor: f64, more: &[&str]) -> Result<(), OperatorError> {
    let file = file(&profile(factor));
    let path = file.path().to_str().expect("a path").to_owned();
    let line = [
        "calibration",
        "set",
        "frida",
        device,
        &path,
        "--reason",
        "measured",
    ];
    let line: Vec<&str> = line.into_iter().chain(more.iter().copied()).collect();
    Terminal::new(None).run(server.address(), &line).await
}

/// The scale of each device that is desired.
fn scales(server: &TestServer) -> serde_json::Value {
    let fleet = server.fleet();
    let desired = &fleet.desired[&machine_id(0)];
    let content: serde_json::Value = serde_json::from_str(desired.sections[0].content.0.get()).expect("JSON");
    let scales = content
        .as_object()
        .expect("devices")
        .iter()
        .map(|(device, entry)| {
            let scale = entry["profile"]["stages"][0]["scale"]["factor"].clone();
            (device.clone(), json!([scale, entry["overrule"] == true]))
        });
    scales.collect()
}

#[tokio::test]
async fn one_device_is_changed_and_the_others_stay() {
    let server = server(Fleet::of(1)).await;
    set(&server, "a", 2.0, &[]).await.expect("success");
    set(&server, "b", 3.0, &[]).await.expect("success");
    set(&server, "a", 4.0, &["--overrule"]).await.expect("success");
    assert_eq!(scales(&server), json!({ "a": [4.0, true], "b": [3.0, false] }));
    let line = ["calibration", "rollback", "frida", "a", "--reason", "worse"];
    let terminal = Terminal::new(None);
    terminal.run(server.address(), &line).await.expect("success");
    assert!(
        terminal.notes.text().contains("desired version 2"),
        "{}",
        terminal.notes.text()
    );
    assert_eq!(scales(&server), json!({ "a": [2.0, false], "b": [3.0, false] }));
    let line = [
        "calibration",
        "rollback",
        "frida",
        "a",
        "--to",
        "3",
        "--reason",
        "better after all",
    ];
    terminal.run(server.address(), &line).await.expect("success");
    assert_eq!(scales(&server)["a"], json!([4.0, false]));
    let clear = ["calibration", "clear", "frida", "b", "--reason", "another sensor"];
    terminal.run(server.address(), &clear).await.expect("success");
    assert_eq!(scales(&server), json!({ "a": [4.0, false] }));
    let (report, code) = refused(server.address(), &clear).await;
    assert_eq!(code, 2, "{report}");
    let line = ["calibration", "rollback", "frida", "c", "--reason", "what"];
    let (report, code) = refused(server.address(), &line).await;
    assert_eq!(code, 2, "{report}");
}

#[tokio::test]
async fn what_is_not_in_order_is_not_sent() {
    let server = server(Fleet::of(1)).await;
    let error = set(&server, "a", 0.0, &[]).await.expect_err("refused");
    assert!(
        error.to_string().contains("stages[0].scale.factor: 0 makes"),
        "{error}"
    );
    assert!(server.received().is_empty());
    let wrong = file(&profile(0.0));
    let path = wrong.path().to_str().expect("a path");
    let (report, code) = refused(server.address(), &["calibration", "validate", path]).await;
    assert_eq!(code, 2, "{report}");
    let good = file(&profile(1.0));
    let path = good.path().to_str().expect("a path");
    Terminal::new(None)
        .run(server.address(), &["calibration", "validate", path])
        .await
        .expect("success");
}

#[tokio::test]
async fn what_is_in_force_is_listed_and_compared() {
    let mut fleet = Fleet::of(1);
    let in_force: Profile = serde_json::from_value(profile(2.0)).expect("a profile");
    let report = CalibrationReport {
        devices: vec![DeviceCalibration {
            device: "battery.volts".to_owned(),
            version: 3,
            source: CalibrationSource::Local,
            since: start().plus_millis(-60_000),
            versions: 3,
            drift: Some(
                "version 3 is in force, as somebody at the machine decided; version 2 is desired".to_owned(),
            ),
            profile: Some(in_force),
        }],
    };
    fleet.machines[0].reported.calibration = Some(Arc::new(report));
    let server = server(fleet).await;
    let terminal = Terminal::new(Some(140));
    terminal
        .run(server.address(), &["calibration", "list", "frida"])
        .await
        .expect("success");
    let other = file(&profile(2.5));
    let path = other.path().to_str().expect("a path");
    let line = ["calibration", "compare", "frida", "battery.volts", path];
    terminal.run(server.address(), &line).await.expect("success");
    let line = ["calibration", "show", "frida", "battery.volts"];
    terminal.run(server.address(), &line).await.expect("success");
    golden!("calibration_listed_compared_and_shown", terminal.out.text());
    let (report, code) = refused(server.address(), &["calibration", "show", "frida", "other"]).await;
    assert_eq!(code, 2, "{report}");
}
