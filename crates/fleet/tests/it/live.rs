//! The live API: snapshot, updates, throttles, filters, order, resuming, and readers that are too slow.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::harness::{Live, Machine, Site, id, options, soon, state};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_comes_first_and_then_what_changes() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    let mut other = Machine::connect(site.address, &id(2), 0).await;
    machine.surely("state", state("one", "car", None, None)).await;
    other.surely("state", state("two", "pi", None, None)).await;
    site.settle().await;
    let mut live = Live::connect(site.address).await;
    live.subscribe("all", &["robot.*.state"], json!({})).await;
    live.subscribe(
        "cars",
        &["machine.*.state"],
        json!({ "filters": { "kinds": ["car"] } }),
    )
    .await;
    live.subscribe(
        "second",
        &["machine.>"],
        json!({ "filters": { "machines": [id(2)] } }),
    )
    .await;
    live.subscribe("summary", &["fleet.summary"], json!({})).await;
    for (name, count) in [("all", 2), ("cars", 1), ("second", 1), ("summary", 1)] {
        let snapshot = live.next_of("snapshot").await;
        assert_eq!(snapshot["id"], name);
        assert_eq!(snapshot["items"].as_array().unwrap().len(), count, "{snapshot}");
    }
    machine.surely("state", state("renamed", "car", None, None)).await;
    let mut told = std::collections::BTreeSet::new();
    while told.len() < 2 {
        let update = live.next_of("update").await;
        let name = update["id"].as_str().unwrap().to_owned();
        assert_ne!(name, "second", "{update}");
        if update["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|item| item["data"]["name"] == "renamed")
        {
            told.insert(name);
        }
    }
    live.say(json!({ "type": "unsubscribe", "id": "all" })).await;
    live.next_of("unsubscribed").await;
    other
        .say(
            "telemetry",
            json!({ "samples": [{ "metric": "cpu.percent", "value": 5 }] }),
        )
        .await;
    other
        .say(
            "log",
            json!({ "lines": [{ "severity": "info", "target": "t", "message": "line" }] }),
        )
        .await;
    other.event("thermal.high", "warning", "hot").await;
    let mut topics = std::collections::BTreeSet::new();
    while topics.len() < 5 {
        let update = live.next_of("update").await;
        assert_ne!(update["id"], "all");
        if update["id"] == "second" {
            for item in update["items"].as_array().unwrap() {
                topics.insert(
                    item["topic"]
                        .as_str()
                        .unwrap()
                        .split_once(&id(2))
                        .unwrap()
                        .1
                        .to_owned(),
                );
            }
        }
    }
    let expected = [
        ".event.thermal.high",
        ".heartbeat",
        ".log",
        ".state",
        ".telemetry",
    ];
    assert_eq!(topics, expected.map(str::to_owned).into());
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_is_said_and_the_connection_stays() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut live = Live::connect(site.address).await;
    for message in [
        json!({}),
        json!({ "type": "dance" }),
        json!({ "type": "subscribe", "id": "", "topics": ["a"] }),
        json!({ "type": "subscribe", "id": "x".repeat(65), "topics": ["a"] }),
        json!({ "type": "subscribe", "id": "x", "topics": [] }),
        json!({ "type": "subscribe", "id": "x", "topics": vec!["a"; 65] }),
        json!({ "type": "subscribe", "id": "x", "topics": ["a..b"] }),
        json!({ "type": "subscribe", "id": "x", "topics": [vec!["a"; 17].join(".")] }),
        json!({ "type": "subscribe", "id": "x", "topics": ["a".repeat(257)] }),
        json!({ "type": "subscribe", "id": "x", "topics": ["a"], "throttle": { "rate_per_s": 0 } }),
        json!({ "type": "subscribe", "id": "x", "topics": ["a"], "throttle": { "rate_per_s": 51 } }),
        json!({ "type": "subscribe", "id": "x", "topics": ["a"], "filters": { "machines": vec![id(1); 1_001] } }),
        json!({ "type": "subscribe", "id": "x", "topics": ["a"], "filters": { "kinds": vec!["k"; 1_001] } }),
        json!({ "type": "subscribe", "id": "x", "topics": ["a"], "filters": { "event_types": vec!["k"; 1_001] } }),
        json!({ "type": "subscribe", "id": "x", "topics": ["a"], "nothing": 1 }),
        json!({ "type": "unsubscribe", "id": "x" }),
        json!([[[[]]]]),
    ] {
        live.say(message.clone()).await;
        let answer = live.next().await;
        assert_eq!(answer["type"], "error", "{message}: {answer}");
        assert!(
            answer["problem"]["code"].as_str().unwrap().starts_with("MST-A01"),
            "{answer}"
        );
    }
    for number in 0..32 {
        live.subscribe(&number.to_string(), &["a"], json!({})).await;
        live.next_of("snapshot").await;
    }
    live.subscribe("one too many", &["a"], json!({})).await;
    assert_eq!(live.next().await["problem"]["code"], "MST-A012");
    live.subscribe("7", &["b"], json!({})).await;
    live.next_of("snapshot").await;
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttle_holds_and_aggregates() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    let mut live = Live::connect(site.address).await;
    let throttle = json!({ "throttle": { "rate_per_s": 4, "strategy": "aggregate" } });
    live.subscribe("t", &["machine.*.telemetry"], throttle).await;
    live.next_of("snapshot").await;
    let started = Instant::now();
    for value in 0..60 {
        machine
            .say(
                "telemetry",
                json!({ "samples": [{ "metric": "cpu.percent", "value": value }] }),
            )
            .await;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let (mut messages, mut count) = (0, 0);
    while count < 60 {
        let update = live.next_of("update").await;
        messages += 1;
        for sample in update["items"][0]["data"]["samples"].as_array().unwrap() {
            count += sample["count"].as_u64().unwrap();
            assert!(
                sample["min"].as_f64() <= sample["value"].as_f64()
                    && sample["value"].as_f64() <= sample["max"].as_f64()
            );
        }
    }
    let allowed = started.elapsed().as_millis() / 250 + 2;
    assert!(messages <= allowed, "{messages} messages, {allowed} allowed");
    assert_eq!(count, 60, "every sample is in one aggregate");
    site.stop().await.unwrap();
}

/// Writes events from machines of both shards, at once.
async fn write(site: &Site, rounds: usize) -> Vec<Machine> {
    let writers = (1..=6).map(|number| async move {
        let mut machine = Machine::connect(site.address, &id(number), 0).await;
        for round in 0..rounds {
            machine
                .surely(
                    "event",
                    json!({ "kind": "written", "severity": "info", "message": round.to_string() }),
                )
                .await;
        }
        machine
    });
    futures_util::future::join_all(writers).await
}

fn positions(events: &[Value]) -> Vec<u64> {
    events
        .iter()
        .map(|event| event["position"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_in_the_order_of_the_log_and_a_resume_gives_exactly_the_missed() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut live = Live::connect(site.address).await;
    let filter = json!({ "filters": { "event_types": ["written"] }, "throttle": { "rate_per_s": 50 } });
    live.subscribe("e", &["machine.*.event.>"], filter.clone()).await;
    live.next_of("snapshot").await;
    let (machines, seen) = tokio::join!(write(&site, 40), live.events(240));
    let seen = positions(&seen);
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    let mut logged = positions(&site.all("/api/v1/events?kind=written&limit=1000").await);
    logged.reverse();
    assert_eq!(seen, logged);
    // Cut off in the middle, and back with more written meanwhile, and while it comes back.
    drop(live);
    drop(machines);
    for after in [0, seen[17], seen[200], *seen.last().unwrap(), u64::MAX] {
        let mut live = Live::connect(site.address).await;
        let mut resume = filter.clone();
        resume["resume_after"] = json!(after);
        let expected = logged.iter().filter(|position| **position > after).count();
        live.subscribe("e", &["robot.*.event.>"], resume).await;
        let missed = positions(&live.events(expected).await);
        assert_eq!(missed, logged[logged.len() - expected..], "after {after}");
        live.next_of("snapshot").await;
    }
    let mut live = Live::connect(site.address).await;
    let mut resume = filter.clone();
    resume["resume_after"] = json!(seen[100]);
    let follow = async {
        live.subscribe("e", &["machine.*.event.>"], resume).await;
        positions(&live.events(139 + 120).await)
    };
    let (_machines, followed) = tokio::join!(write(&site, 20), follow);
    let mut logged = positions(&site.all("/api/v1/events?kind=written&limit=1000").await);
    logged.reverse();
    assert_eq!(
        followed,
        logged[101..],
        "without a gap and without doubles, also while it is written"
    );
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_comes_as_server_sent_events() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    machine.surely("state", state("one", "car", None, None)).await;
    site.settle().await;
    let path = "/api/v1/stream?topics=machine.*.state,machine.*.event.>&kinds=car&severity=warning";
    let response = site.request("GET", path).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    let mut read_until = async |text: &mut String, wanted: &str| {
        soon(wanted, async {
            while !text.contains(wanted) {
                text.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
            }
        })
        .await;
    };
    read_until(&mut text, "event: snapshot").await;
    read_until(&mut text, "\"name\":\"one\"").await;
    machine.event("quiet", "info", "not told").await;
    machine.event("loud", "error", "first").await;
    machine.acknowledged().await;
    read_until(&mut text, "loud").await;
    assert!(!text.contains("quiet"), "{text}");
    let last = text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .next_back()
        .unwrap()
        .to_owned();
    machine.event("loud", "error", "second").await;
    machine.acknowledged().await;
    // Back with the last id.
    let response = site
        .request("GET", path)
        .header("last-event-id", last)
        .send()
        .await
        .unwrap();
    let mut stream = response.bytes_stream();
    let mut again = String::new();
    soon("the snapshot", async {
        while !again.contains("event: snapshot") {
            again.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
        }
    })
    .await;
    assert!(again.contains("second") && !again.contains("first"), "{again}");
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_too_slow_is_told_where_to_go_on_and_misses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut options = options(data.path());
    options.shard.limits.messages_burst = 10_000;
    let site = Site::start_with(options).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    let mut live = Live::connect(site.address).await;
    // The first update is sent at once, the next a while later: everything waits, and no more than a thousand events may.
    live.subscribe(
        "e",
        &["machine.*.event.>"],
        json!({ "throttle": { "rate_per_s": 0.3 } }),
    )
    .await;
    live.next_of("snapshot").await;
    machine
        .surely(
            "event",
            json!({ "kind": "written", "severity": "info", "message": "0" }),
        )
        .await;
    live.events(1).await;
    let mut sent = 1;
    while sent < 1_300 {
        for _ in 0..50 {
            machine.event("written", "info", &sent.to_string()).await;
            sent += 1;
        }
        machine.acknowledged().await;
    }
    let lagged = live.next_of("lagged").await;
    assert!(lagged["dropped"].as_u64().unwrap() >= 1, "{lagged}");
    let after = lagged["resume_after"].as_u64().unwrap();
    let first = positions(&site.all("/api/v1/events?kind=written&limit=1000").await)
        .into_iter()
        .min()
        .unwrap();
    assert_eq!(after, first, "everything up to the first gap was told");
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_that_say_much_of_themselves_do_not_keep_the_snapshot_from_anyone() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let long = "x".repeat(16_000);
    for number in 1..=40 {
        let mut machine = Machine::connect(site.address, &id(number), 0).await;
        machine
            .surely("state", state(&long, &long, Some(&long), None))
            .await;
    }
    site.settle().await;
    let mut live = Live::connect(site.address).await;
    live.subscribe("s", &["machine.*.state"], json!({})).await;
    let mut told = std::collections::BTreeSet::new();
    while told.len() < 40 {
        let message = live.next().await;
        for item in message["items"].as_array().unwrap() {
            told.insert(item["topic"].to_string());
        }
    }
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_never_goes_back_behind_what_was_told() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    machine
        .surely("event", json!({ "kind": "k", "severity": "info", "message": "" }))
        .await;
    let mut live = Live::connect(site.address).await;
    // States are entries, and no events: the log grows, and nothing of it is published as an event.
    for number in 0..5 {
        machine
            .surely("state", state(&format!("{number}"), "car", None, None))
            .await;
    }
    live.subscribe("s", &["machine.>"], json!({ "resume_after": 0 }))
        .await;
    let snapshot = live.next_of("snapshot").await["position"].as_u64().unwrap();
    machine.heartbeat().await;
    let update = live.next_of("update").await["position"].as_u64().unwrap();
    assert!(update >= snapshot, "{update} after {snapshot}");
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_and_never_reads_is_let_go() {
    use tokio::io::AsyncWriteExt;

    let data = tempfile::tempdir().unwrap();
    let mut options = options(data.path());
    options.write_within_ms = 500;
    options.shard.limits.messages_burst = 10_000;
    options.shard.limits.messages_per_s = 10_000;
    let site = Site::start_with(options).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    let paths = ["/api/v1/stream?topics=%3E", "/api/v1/events?limit=1000"];
    let mut deaf = Vec::new();
    for path in paths {
        // A small window, so that little fits on the way.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(site.address).await.unwrap();
        // Asked for again and again over one connection, so that the answers do not fit on the way.
        let count = if path.contains("stream") { 1 } else { 200 };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", site.address);
        stream.write_all(request.repeat(count).as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    let let_go = async || {
        let metrics = site.metrics().await;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("muster_clients_not_reading_total"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    soon("both are let go", async {
        while let_go().await != Some(paths.len() as u64) {
            // Something to tell the stream, and more to list for whoever asks.
            for _ in 0..50 {
                let event =
                    json!({ "kind": "k", "severity": "info", "message": "", "data": "x".repeat(4_000) });
                machine.surely("event", event).await;
            }
            machine.acknowledged().await;
        }
    })
    .await;
    assert!(site.metrics().await.contains("muster_live_clients 0"));
    drop(deaf);
    site.stop().await.unwrap();
}
