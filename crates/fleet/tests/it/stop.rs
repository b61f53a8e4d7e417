//! Remote stop from outside: by the API in, over real sockets to machines, and back by what they report.

use serde_json::{Value, json};

use crate::harness::{Live, Machine, Site, answer, hear, id, until};

async fn post(site: &Site, path: &str, body: Value) -> (u16, Value) {
    answer(site.request("POST", path).json(&body)).await
}

async fn stop(site: &Site, number: u32, more: Value) -> Value {
    let mut body = json!({ "reason": "smoke" });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    let (status, issued) = post(site, &format!("/api/v1/machines/{}/stop", id(number)), body).await;
    assert_eq!(status, 202, "{issued}");
    issued
}

async fn last_stop(site: &Site, number: u32) -> Value {
    let machine = site.get(&format!("/api/v1/machines/{}", id(number))).await;
    machine["summary"]["last_stop"].clone()
}

/// Waits until the machine's last stop has this.
async fn shows(site: &Site, number: u32, what: &str) -> Value {
    until(what, || async {
        let stop = last_stop(site, number).await;
        (!stop[what].is_null()).then_some(stop)
    })
    .await
}

/// The next command that the machine is told.
async fn told(machine: &mut Machine) -> Value {
    loop {
        let message = hear(&mut machine.socket).await.unwrap();
        match message["type"].as_str() {
            Some("command") => return message["payload"].clone(),
            Some("ack") => {}
            _ => panic!("{message}"),
        }
    }
}

/// Fails if the machine was told anything: a heartbeat's answer comes behind whatever was said before.
async fn told_nothing(machine: &mut Machine) {
    machine.heartbeat().await;
    let message = hear(&mut machine.socket).await.unwrap();
    assert_eq!(message["type"], "ack", "{message}");
}

fn regions(safety: &str, at_rest: Option<bool>) -> Value {
    let mut operation =
        json!({ "mode": "driving", "safety": safety, "authority": "none", "mission": "idle" });
    if let Some(at_rest) = at_rest {
        operation["at_rest"] = json!(at_rest);
    }
    json!({ "full": { "operation": operation } })
}

fn accepts(command: &Value) -> Value {
    json!({ "command_id": command["id"], "outcome": "accepted" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_told_and_followed_to_its_end() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    assert_eq!(last_stop(&site, 1).await, Value::Null);
    let mut live = Live::connect(site.address).await;
    let topic = format!("machine.{}.event.>", id(1));
    live.subscribe("a", &[&topic], json!({})).await;
    live.next_of("snapshot").await;

    let issued = stop(&site, 1, json!({})).await;
    assert_eq!(
        (&issued["issuer"], &issued["reason"]),
        (&json!("local"), &json!("smoke"))
    );
    assert_eq!(issued["refused"], json!([]));
    let line = &issued["stops"][0];
    assert_eq!(
        (&line["machine_id"], &line["told"]),
        (&json!(id(1)), &json!(true))
    );
    let asked = last_stop(&site, 1).await;
    assert_eq!(
        asked["command_id"], line["command_id"],
        "who asked sees it in the next answer"
    );
    assert_eq!(asked["answer"], Value::Null);

    let command = told(&mut machine).await;
    assert_eq!(
        (&command["id"], &command["kind"]),
        (&line["command_id"], &json!("stop"))
    );
    assert_eq!(
        (&command["issuer"], &command["reason"]),
        (&json!("local"), &json!("smoke"))
    );
    assert_eq!(
        (&command["issued"], &command["expires"]),
        (&line["issued_at"], &line["expires_at"])
    );

    machine.surely("response", accepts(&command)).await;
    let stop = shows(&site, 1, "answered_at").await;
    assert_eq!(
        (&stop["answer"], &stop["standing_at"]),
        (&json!("accepted"), &Value::Null)
    );
    machine
        .surely("state", regions("protective_stop", Some(false)))
        .await;
    let stop = shows(&site, 1, "standing_at").await;
    assert_eq!(
        (&stop["at_rest"], &stop["at_rest_at"]),
        (&json!(false), &Value::Null)
    );
    machine
        .surely("state", regions("protective_stop", Some(true)))
        .await;
    let stop = shows(&site, 1, "at_rest_at").await;
    assert_eq!(
        (&stop["at_rest"], &stop["released_at"]),
        (&json!(true), &Value::Null)
    );
    machine.surely("state", regions("operational", Some(true))).await;
    shows(&site, 1, "released_at").await;

    let events = live.events(2).await;
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["machine.stop_requested", "command.accepted"]);
    assert_eq!(events[0]["severity"], "warning");
    assert_eq!(events[0]["message"], "Remote stop asked for by local: smoke");
    assert_eq!(events[0]["correlation_id"], line["command_id"]);
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_away_is_told_when_it_comes_back_also_by_a_restarted_server() {
    let data = tempfile::tempdir().unwrap();
    let mut options = crate::harness::options(data.path());
    options.shard.reconnect_grace_ms = 50;
    let site = Site::start_with(options).await;
    for number in 1..=3 {
        drop(Machine::connect(site.address, &id(number), 0).await);
    }
    until("everybody is away", || async {
        let fleet = site.get("/api/v1/fleet/summary").await;
        (fleet["by_presence"]["lost"] == 3).then_some(())
    })
    .await;
    let issued = stop(&site, 1, json!({})).await;
    assert_eq!(issued["stops"][0]["told"], false);
    stop(&site, 2, json!({ "expires_in_s": 1 })).await;
    let wanted = issued["stops"][0]["command_id"].clone();
    let mut first = Machine::connect(site.address, &id(1), 0).await;
    assert_eq!(told(&mut first).await["id"], wanted);
    // It vanishes without having answered.
    drop(first);
    site.stop().await.unwrap();

    let site = Site::start(data.path()).await;
    let over = until("the short one is over", || async {
        let stop = last_stop(&site, 2).await;
        let now = serde_json::to_value(crate::harness::now()).unwrap();
        (stop["expires_at"].as_str() < now.as_str()).then_some(stop)
    })
    .await;
    let mut first = Machine::connect(site.address, &id(1), 0).await;
    let command = told(&mut first).await;
    assert_eq!(command["id"], wanted, "it never answered");
    first
        .surely(
            "response",
            json!({ "command_id": command["id"], "outcome": "duplicate" }),
        )
        .await;
    drop(first);
    let mut first = Machine::connect(site.address, &id(1), 1).await;
    told_nothing(&mut first).await;
    let mut second = Machine::connect(site.address, &id(2), 0).await;
    told_nothing(&mut second).await;
    assert_eq!(over["answer"], Value::Null);
    assert_eq!(last_stop(&site, 2).await["answer"], Value::Null);
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_and_all_are_stopped_and_nobody_else() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machines = Vec::new();
    for number in 1..=6 {
        let mut machine = Machine::connect(site.address, &id(number), 0).await;
        let kind = if number <= 4 { "car" } else { "pi" };
        let full = crate::harness::state(&format!("m{number}"), kind, None, None);
        machine.surely("state", full).await;
        machines.push(machine);
    }
    site.settle().await;
    let stopped = |issued: &Value| {
        let mut names: Vec<String> = issued["stops"]
            .as_array()
            .unwrap()
            .iter()
            .map(|stop| stop["machine_name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.join(" ")
    };
    let unknown = id(99);
    let named = json!({ "machines": [id(1), id(5), id(5), unknown], "reason": "drill" });
    let (status, issued) = post(&site, "/api/v1/stop", named).await;
    assert_eq!((status, stopped(&issued).as_str()), (202, "m1 m5"));
    let refused = json!([{ "machine_id": unknown, "told": false, "detail": "there is no such machine" }]);
    assert_eq!(issued["refused"], refused);
    let cars = json!({ "filter": "kind=car", "reason": "drill" });
    let (_, issued) = post(&site, "/api/v1/stop", cars).await;
    assert_eq!(stopped(&issued), "m1 m2 m3 m4");
    let (_, issued) = post(&site, "/api/v1/stop", json!({ "all": true, "reason": "drill" })).await;
    assert_eq!(stopped(&issued), "m1 m2 m3 m4 m5 m6");
    for (machine, times) in machines.iter_mut().zip([3, 2, 2, 2, 2, 1]) {
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..times {
            assert!(
                ids.insert(told(machine).await["id"].to_string()),
                "each is another command"
            );
        }
        told_nothing(machine).await;
    }
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_keeps_no_machine_from_standing_and_nothing_is_called_issued() {
    let data = tempfile::tempdir().unwrap();
    let mut options = crate::harness::options(data.path());
    let fail = muster_store::LogOptions::default().fail;
    options.log.fail = fail.clone();
    let site = Site::start_with(options).await;
    let mut here = Machine::connect(site.address, &id(1), 0).await;
    drop(Machine::connect(site.address, &id(2), 0).await);
    site.settle().await;
    until("the second has left", || async {
        let machine = site.get(&format!("/api/v1/machines/{}", id(2))).await;
        (machine["summary"]["presence"] == "lost").then_some(())
    })
    .await;

    let one = |number: u32| format!("/api/v1/machines/{}/stop", id(number));
    fail.fail_next_commit(muster_store::CommitFailure::DiskFull);
    let (status, problem) = post(&site, &one(1), json!({ "reason": "smoke" })).await;
    assert_eq!(
        (status, problem["code"].as_str().unwrap()),
        (503, "MST-A033"),
        "{problem}"
    );
    assert_eq!(
        problem["title"],
        "The machine was told, the log has no record of it"
    );
    let command = told(&mut here).await;
    assert_eq!(
        (&command["kind"], &command["reason"]),
        (&json!("stop"), &json!("smoke"))
    );
    assert_eq!(
        last_stop(&site, 1).await,
        Value::Null,
        "nothing is shown that is not in the log"
    );

    // One that is away is not told, and that is what is said.
    fail.fail_next_commit(muster_store::CommitFailure::DiskFull);
    let (status, problem) = post(&site, &one(2), json!({ "reason": "smoke" })).await;
    assert_eq!(
        (status, problem["code"].as_str().unwrap()),
        (503, "MST-A008"),
        "{problem}"
    );
    let metrics = site.metrics().await;
    assert!(
        metrics.contains("muster_stops_without_record_total 1"),
        "{metrics}"
    );

    // The machine comes back, as it was sent away, and the next stop goes its usual way.
    let mut here = Machine::connect(site.address, &id(1), 0).await;
    stop(&site, 1, json!({})).await;
    told(&mut here).await;
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_meant_is_refused_and_stops_nobody() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let nobody = json!({ "all": true, "reason": "drill" });
    let (status, problem) = post(&site, "/api/v1/stop", nobody).await;
    assert_eq!((status, problem["code"].as_str().unwrap()), (422, "MST-A019"));
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    site.settle().await;
    let one = format!("/api/v1/machines/{}/stop", id(1));
    let check = async |path: &str, body: Value, status: u16, code: &str, says: &str| {
        let (got, problem) = post(&site, path, body.clone()).await;
        assert_eq!(
            (got, problem["code"].as_str().unwrap()),
            (status, code),
            "{body}: {problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(says),
            "{body}: {problem}"
        );
    };
    let long = "x".repeat(501);
    for reason in ["", "   ", "a\nb", long.as_str()] {
        check(
            &one,
            json!({ "reason": reason }),
            422,
            "MST-A002",
            "1 to 500 characters",
        )
        .await;
        check(
            "/api/v1/stop",
            json!({ "all": true, "reason": reason }),
            422,
            "MST-A002",
            "reason",
        )
        .await;
    }
    for seconds in [0, 86_401] {
        let body = json!({ "reason": "x", "expires_in_s": seconds });
        check(&one, body, 422, "MST-A002", "1 to 86400 seconds").await;
    }
    check(&one, json!({}), 422, "MST-A003", "reason").await;
    check(
        &one,
        json!({ "reason": "x", "resume": true }),
        422,
        "MST-A003",
        "resume",
    )
    .await;
    let unknown = format!("/api/v1/machines/{}/stop", id(9));
    check(
        &unknown,
        json!({ "reason": "x" }),
        404,
        "MST-A004",
        "does not know",
    )
    .await;
    check(
        "/api/v1/machines/frida/stop",
        json!({ "reason": "x" }),
        400,
        "MST-A001",
        "UUID",
    )
    .await;

    let several = async |selection: Value, status: u16, code: &str, says: &str| {
        let mut body = selection;
        body["reason"] = json!("x");
        check("/api/v1/stop", body, status, code, says).await;
    };
    several(json!({}), 422, "MST-A002", "exactly one").await;
    several(
        json!({ "all": true, "filter": "kind=car" }),
        422,
        "MST-A002",
        "exactly one",
    )
    .await;
    several(
        json!({ "machines": [id(1)], "all": true }),
        422,
        "MST-A002",
        "exactly one",
    )
    .await;
    several(json!({ "all": false }), 422, "MST-A002", "only true").await;
    several(json!({ "machines": [] }), 422, "MST-A019", "empty").await;
    several(json!({ "machines": [id(9)] }), 404, "MST-A004", "does not know").await;
    several(json!({ "filter": " " }), 422, "MST-A002", "all").await;
    several(json!({ "filter": "kind=" }), 422, "MST-A002", "filter").await;
    several(
        json!({ "filter": "kind=boat" }),
        422,
        "MST-A019",
        "no machine passes",
    )
    .await;
    let many: Vec<String> = (0..10_001).map(id).collect();
    several(json!({ "machines": many }), 422, "MST-A002", "10001 are named").await;
    let (status, _) = answer(site.request("DELETE", &one)).await;
    assert_eq!(status, 405, "there is no way to take a stop back");
    told_nothing(&mut machine).await;
    assert_eq!(last_stop(&site, 1).await, Value::Null);
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_of_more_than_a_piece_is_stopped_whole() {
    let data = tempfile::tempdir().unwrap();
    let pieces = muster_fleet::state::stops::STOP_PIECE_MAX as u32;
    let mut options = crate::harness::options(data.path());
    options.shards = 1;
    let site = Site::start_with(options).await;
    let machines: Vec<String> = (1..=pieces + 7).map(id).collect();
    // They join and go: what is asked of machines that are away takes the same way through the log.
    for chunk in machines.chunks(100) {
        let joins = chunk.iter().map(|id| Machine::connect(site.address, id, 0));
        drop(futures_util::future::join_all(joins).await);
    }
    site.settle().await;
    let (status, issued) = post(&site, "/api/v1/stop", json!({ "all": true, "reason": "drill" })).await;
    assert_eq!(status, 202);
    assert_eq!(issued["stops"].as_array().unwrap().len(), machines.len());
    let mut last = Machine::connect(site.address, &id(pieces + 7), 0).await;
    assert_eq!(told(&mut last).await["reason"], "drill");
    site.stop().await.unwrap();
}
