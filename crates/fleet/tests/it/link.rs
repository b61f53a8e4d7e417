//! A machine's connection: hello, welcome, records, what is refused, and what others notice of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Machine, Site, dial, end, hear, hello, id, options, send, state, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_welcomed_once_its_session_is_in_the_log() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let machine = Machine::connect(site.address, &id(1), 0).await;
    // No waiting here: at the moment of the welcome the log holds it.
    let kinds: Vec<Value> = site
        .all("/api/v1/events")
        .await
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["machine.connected", "machine.registered"]);
    assert_eq!(machine.session, 1);
    drop(machine);
    let again = Machine::connect(site.address, &id(1), 0).await;
    assert_eq!(again.session, 2);
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_machine_says_is_taken_in_acknowledged_and_shown() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    machine
        .surely("state", state("frida", "car", Some("oslo"), Some(71.5)))
        .await;
    machine.surely("event", json!({ "kind": "thermal.high", "severity": "warning", "message": "80 °C", "data": { "zone": "cpu" } })).await;
    machine
        .say("telemetry", json!({ "samples": [{ "metric": "cpu.percent", "value": 12.5 }, { "metric": "own.metric", "value": -3, "unit": "lx" }] }))
        .await;
    machine.say("log", json!({ "lines": [{ "severity": "error", "target": "drive", "message": "stuck", "fields": { "wheel": 3 } }] })).await;
    machine
        .say(
            "response",
            json!({ "command_id": "c-1", "outcome": "refused", "reason": "busy" }),
        )
        .await;
    machine.acknowledged().await;
    let path = format!("/api/v1/machines/{}", id(1));
    let shown = until("the row is shown", || async {
        let shown = site.get(&path).await;
        (shown["summary"]["cpu_percent"] == 12.5 && shown["highest_record"] == 3).then_some(shown)
    })
    .await;
    assert_eq!(shown["summary"]["name"], "frida");
    assert_eq!(shown["summary"]["battery_percent"], 71.5);
    assert_eq!(shown["summary"]["presence"], "online");
    assert_eq!(shown["highest_record"], 3);
    assert_eq!(shown["state_version"], 1);
    let events = site.all(&format!("{path}/events")).await;
    assert_eq!(events[0]["kind"], "command.refused");
    assert_eq!(events[1]["kind"], "thermal.high");
    assert_eq!(events[1]["data"]["zone"], "cpu");
    let telemetry = site.get(&format!("{path}/telemetry")).await;
    let series = telemetry["series"].as_array().unwrap();
    assert_eq!(series.len(), 2, "{telemetry}");
    assert_eq!(series[1]["points"][0]["mean"], -3.0);
    let lines = site.get(&format!("{path}/logs")).await;
    assert_eq!(lines["items"][0]["message"], "stuck");
    assert_eq!(lines["items"][0]["fields"]["wheel"], 3);
    let target = lines["items"][0]["target"].as_str().unwrap();
    let of_it = site.get(&format!("{path}/logs?target={target}")).await;
    assert_eq!(of_it["items"], lines["items"]);
    let of_others = site.get(&format!("{path}/logs?target={target}x")).await;
    assert_eq!(of_others["items"], json!([]));
    // A heartbeat is answered, and says how far the log is.
    machine.heartbeat().await;
    let answer = hear(&mut machine.socket).await.unwrap();
    assert_eq!(
        answer["payload"],
        json!({ "record": 3, "heartbeat": machine.sequence })
    );
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_record_is_taken_once_and_a_hole_is_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    machine
        .surely(
            "event",
            json!({ "kind": "one", "severity": "info", "message": "" }),
        )
        .await;
    // The same record again, in a message of its own.
    machine.record -= 1;
    machine.event("one", "info", "").await;
    machine.record += 1;
    machine.event("three", "info", "").await;
    let resync = hear(&mut machine.socket).await.unwrap();
    assert_eq!(resync["type"], "resync");
    assert_eq!(resync["payload"]["next_record"], 2);
    machine.record = 1;
    machine.event("two", "info", "").await;
    machine.event("three", "info", "").await;
    machine.acknowledged().await;
    // A message that went missing on the way.
    machine.sequence += 1;
    machine.event("four", "info", "").await;
    let resync = hear(&mut machine.socket).await.unwrap();
    assert_eq!(resync["type"], "resync");
    let kinds: Vec<Value> = site
        .all("/api/v1/events")
        .await
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["one", "machine.connected", "machine.registered"]
    );
    assert_eq!(kinds.iter().filter(|kind| **kind == "one").count(), 1);
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_connection_fences_the_older() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut older = Machine::connect(site.address, &id(1), 0).await;
    let mut newer = Machine::connect(site.address, &id(1), 0).await;
    let ended = end(&mut older.socket).await;
    assert_eq!(ended.bye.unwrap()["reason"], "fenced");
    assert_eq!(ended.code, Some(1008));
    newer
        .surely("event", json!({ "kind": "k", "severity": "info", "message": "" }))
        .await;
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_no_hello_is_let_go() {
    let data = tempfile::tempdir().unwrap();
    let mut options = options(data.path());
    options.hello_within_ms = 200;
    let site = Site::start_with(options).await;
    let mut silent = dial(site.address).await;
    assert_eq!(end(&mut silent).await.code, Some(1008));
    // Another connection goes on: the time counts only until hello.
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    machine
        .surely("event", json!({ "kind": "k", "severity": "info", "message": "" }))
        .await;
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_version_is_refused_in_words_that_another_age_understands() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    for version in [0, 2, 65_535] {
        let mut socket = dial(site.address).await;
        let mut message = hello(&id(1), 0);
        message["version"] = json!(version);
        send(&mut socket, &message).await;
        let ended = end(&mut socket).await;
        let bye = ended.bye.unwrap();
        assert_eq!(bye["reason"], "unsupported_version");
        assert_eq!(bye["supported_versions"], json!([1]));
        assert_eq!(ended.code, Some(1008));
    }
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_welcomed_can_be_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    for number in 1..=20 {
        let _machine = Machine::connect(site.address, &id(number), 0).await;
        site.get(&format!("/api/v1/machines/{}/labels", id(number))).await;
    }
    site.stop().await.unwrap();
}
