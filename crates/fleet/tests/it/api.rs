//! The REST API: lists, pages, filters, orders, profiles, and how it says no.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Machine, Site, answer, id, now, state, until};

/// Machines with and without every field that can be sorted by.
async fn fleet(site: &Site, count: u32) -> Vec<Machine> {
    let mut machines = Vec::new();
    for number in 1..=count {
        let mut machine = Machine::connect(site.address, &id(number), 0).await;
        if number % 5 != 0 {
            let kind = ["car", "pi", "lekiwi"][number as usize % 3];
            let region = (number % 2 == 0).then_some("münchen");
            let battery = (number % 3 != 0).then_some(f64::from(number));
            machine
                .surely(
                    "state",
                    state(&format!("Machine {}", number % 7), kind, region, battery),
                )
                .await;
        }
        machines.push(machine);
    }
    site.settle().await;
    machines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_is_complete_without_doubles_and_has_the_absent_last() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machines = fleet(&site, 23).await;
    for field in muster_model::filter::FIELD_NAMES
        .iter()
        .copied()
        .chain(["label.line"])
    {
        for sign in ["", "-"] {
            let rows = site
                .all(&format!("/api/v1/machines?sort={sign}{field}&limit=4"))
                .await;
            let ids: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
            assert_eq!((rows.len(), ids.len()), (23, 23), "{sign}{field}");
            let whole = site
                .all(&format!("/api/v1/machines?sort={sign}{field}&limit=1000"))
                .await;
            assert_eq!(rows, whole, "{sign}{field}: pages and the whole");
            if field == "battery" {
                let known: Vec<f64> = rows
                    .iter()
                    .filter_map(|row| row["battery_percent"].as_f64())
                    .collect();
                let mut sorted = known.clone();
                sorted.sort_by(f64::total_cmp);
                if sign == "-" {
                    sorted.reverse();
                }
                assert_eq!(known, sorted);
                let first_absent = rows
                    .iter()
                    .position(|row| row["battery_percent"].is_null())
                    .unwrap();
                assert_eq!(first_absent, known.len(), "the absent come last");
            }
        }
    }
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_let_the_right_ones_through_and_count_them() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machines = fleet(&site, 20).await;
    let labels = format!("/api/v1/machines/{}/labels", id(4));
    let put = site
        .request("PUT", &labels)
        .header("if-match", "*")
        .json(&json!({ "labels": { "line": "3/ä" } }));
    assert_eq!(answer(put).await.0, 200);
    site.settle().await;
    let rows = site.all("/api/v1/machines").await;
    let count = |test: &dyn Fn(&Value) -> bool| rows.iter().filter(|row| test(row)).count();
    for (filter, expected) in [
        ("kind=car", count(&|row| row["kind"] == "car")),
        (
            "kind=car|pi battery<10",
            count(&|row| {
                (row["kind"] == "car" || row["kind"] == "pi")
                    && row["battery_percent"].as_f64().is_some_and(|b| b < 10.0)
            }),
        ),
        ("region=MÜNCHEN", count(&|row| row["region"] == "münchen")),
        ("label.line=3/ä", 1),
        (
            "name~chine",
            count(&|row| row["name"].as_str().unwrap().contains("chine")),
        ),
        ("kind!=car", count(&|row| row["kind"] != "car")),
        ("presence=online", 20),
        ("münchen", count(&|row| row["region"] == "münchen")),
        ("🤖", 0),
    ] {
        let request = site
            .request("GET", "/api/v1/machines")
            .query(&[("filter", filter), ("limit", "2")]);
        let (status, page) = answer(request).await;
        assert_eq!(status, 200, "{filter}: {page}");
        assert_eq!(page["total"], expected, "{filter}");
        assert_eq!(
            page["items"].as_array().unwrap().len(),
            expected.min(2),
            "{filter}"
        );
    }
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_stay_complete_while_machines_change() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machines = fleet(&site, 30).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    let mut round = 0.0;
    loop {
        let page = site
            .get(&format!("/api/v1/machines?sort=kind&limit=3{cursor}"))
            .await;
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        // All that changes is not what is sorted by.
        for machine in machines
            .iter_mut()
            .filter(|machine| machine.record > 0)
            .step_by(3)
        {
            round += 1.0;
            let patch = json!({ "patch": { "base": machine.record, "sections": { "power": { "battery_percent": round, "charging": false, "external_supply": false } } } });
            machine.surely("state", patch).await;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let unique: BTreeSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (30, 30));
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_paged_newest_first_with_their_filters() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machines = vec![
        Machine::connect(site.address, &id(1), 0).await,
        Machine::connect(site.address, &id(2), 0).await,
    ];
    let mut middle = now();
    for round in 0..30 {
        for machine in &mut machines {
            machine
                .surely("state", state(&format!("r{round}"), "car", None, None))
                .await;
            let (kind, severity) = [
                ("thermal.high", "warning"),
                ("thermal", "info"),
                ("thermally", "critical"),
            ][round % 3];
            machine.event(kind, severity, &format!("{round}")).await;
            machine.acknowledged().await;
        }
        if round == 14 {
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
            middle = now();
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    }
    let all = site.all("/api/v1/events?limit=7").await;
    assert_eq!(all.len(), 64);
    assert!(all.is_sorted_by(|a, b| a["position"].as_u64() > b["position"].as_u64()));
    let machine = id(2);
    for (query, expected) in [
        ("kind=thermal".to_owned(), 40),
        ("kind=thermal.high&severity=warning".to_owned(), 20),
        ("severity=critical".to_owned(), 20),
        (format!("machine={machine}"), 32),
        (format!("machine={machine}&kind=thermally"), 10),
        (format!("from={middle}"), 30),
        (format!("to={middle}"), 34),
        (format!("from={middle}&to={middle}"), 0),
        (format!("machine={machine}&from={middle}&severity=warning"), 10),
    ] {
        for limit in [3, 1000] {
            let found = site.all(&format!("/api/v1/events?limit={limit}&{query}")).await;
            assert_eq!(found.len(), expected, "{query} by {limit}");
            let mut oldest_first = site
                .all(&format!("/api/v1/events?order=asc&limit={limit}&{query}"))
                .await;
            oldest_first.reverse();
            assert_eq!(oldest_first, found, "{query} by {limit}, the other way round");
        }
    }
    let mut oldest_first = site
        .all(&format!("/api/v1/machines/{machine}/events?order=asc&limit=5"))
        .await;
    oldest_first.reverse();
    assert_eq!(
        oldest_first,
        site.all(&format!("/api/v1/machines/{machine}/events")).await
    );
    // A cursor goes on in its own order only, and where it points does not matter.
    let page = site.get("/api/v1/events?order=asc&limit=1").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let (status, problem) = site.ask(&format!("/api/v1/events?cursor={cursor}")).await;
    assert_eq!(status, 400, "{problem}");
    assert!(page["position"].as_u64() >= Some(64), "{page}");
    assert_eq!(
        site.all(&format!("/api/v1/machines/{machine}/events?limit=5"))
            .await
            .len(),
        32
    );
    let timeline = site.get("/api/v1/fleet/timeline?buckets=10").await;
    let buckets = timeline["buckets"].as_array().unwrap();
    let sum = |field: &str| {
        buckets
            .iter()
            .map(|bucket| bucket[field].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (buckets.len(), sum("events"), sum("warnings"), sum("errors")),
        (10, 64, 20, 20)
    );
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_are_changed_by_whoever_read_them_last() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    for (path, body, empty) in [
        (
            "labels",
            json!({ "labels": { "line": "3" } }),
            json!({ "labels": {} }),
        ),
        (
            "display-name",
            json!({ "display_name": "Frida" }),
            json!({ "display_name": null }),
        ),
    ] {
        let path = format!("/api/v1/machines/{}/{path}", id(1));
        let read = site.request("GET", &path).send().await.unwrap();
        let tag = read.headers()["etag"].clone();
        let (status, problem) = answer(site.request("PUT", &path).json(&body)).await;
        assert_eq!((status, problem["code"].as_str().unwrap()), (428, "MST-A006"));
        let (status, shown) = answer(site.request("PUT", &path).header("if-match", &tag).json(&body)).await;
        assert_eq!((status, &shown), (200, &body));
        let (status, problem) =
            answer(site.request("PUT", &path).header("if-match", &tag).json(&empty)).await;
        assert_eq!((status, problem["code"].as_str().unwrap()), (412, "MST-A005"));
        assert!(
            problem["errors"][0]["detail"]
                .as_str()
                .unwrap()
                .contains("version"),
            "{problem}"
        );
        let (status, _) = answer(site.request("DELETE", &path)).await;
        assert_eq!(status, 428);
        let (status, shown) = answer(site.request("DELETE", &path).header("if-match", "*")).await;
        assert_eq!((status, &shown), (200, &empty));
        for tag in ["W/\"1\"", "\"x\"", "1", "\"-1\"", "\"99999999999999999999\""] {
            let (status, _) = answer(site.request("PUT", &path).header("if-match", tag).json(&body)).await;
            assert_eq!(status, 400, "{tag}");
        }
    }
    // Many at once: one wins.
    let path = format!("/api/v1/machines/{}/labels", id(1));
    let tag = site.request("GET", &path).send().await.unwrap().headers()["etag"].clone();
    let puts = (0..20).map(|n| {
        answer(
            site.request("PUT", &path)
                .header("if-match", &tag)
                .json(&json!({ "labels": { "n": n.to_string() } })),
        )
    });
    let ended = futures_util::future::join_all(puts).await;
    assert_eq!(ended.iter().filter(|(status, _)| *status == 200).count(), 1);
    assert_eq!(ended.iter().filter(|(status, _)| *status == 412).count(), 19);
    until("the name is seen in the list", || async {
        (site.get("/api/v1/machines").await["items"][0]["labels"]["n"].is_string()).then_some(())
    })
    .await;
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_no_in_problems_with_codes() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    let machine = format!("/api/v1/machines/{}", id(1));
    let foreign = format!("/api/v1/machines/{}", id(2));
    let cases = [
        ("GET", "/api".to_owned(), 404),
        ("GET", "/api/v1/nothing".to_owned(), 404),
        ("GET", "/api/v2/machines".to_owned(), 404),
        ("POST", "/api/v1/machines".to_owned(), 405),
        ("DELETE", machine.clone(), 405),
        ("GET", foreign.clone(), 404),
        ("GET", format!("{foreign}/events"), 404),
        ("GET", format!("{foreign}/telemetry"), 404),
        ("GET", format!("{foreign}/logs"), 404),
        ("GET", format!("{foreign}/labels"), 404),
        ("GET", "/api/v1/machines/x".to_owned(), 400),
        ("GET", "/api/v1/machines/%00".to_owned(), 400),
        ("GET", "/api/v1/machines/..%2f..%2fetc".to_owned(), 400),
        ("GET", "/api/v1/machines/%ff".to_owned(), 404),
        ("GET", "/ws".to_owned(), 400),
        ("GET", "/machine".to_owned(), 400),
        ("GET", format!("{machine}?at=yesterday"), 400),
        ("GET", format!("{machine}?at=1969-12-31T23:59:59Z"), 400),
        ("GET", format!("{machine}?at=9999-12-30T21:59:59Z"), 400),
        ("GET", format!("{machine}?at=10000-01-01T00:00:00Z"), 400),
        ("GET", format!("{machine}?at=1970-01-01T00:00:00Z"), 404),
        ("GET", format!("{machine}?nothing=1"), 400),
        ("GET", format!("{machine}/logs?cursor=zz"), 400),
        ("GET", format!("{machine}/logs?limit=0"), 400),
        (
            "GET",
            format!("{machine}/logs?from=2030-01-01T00:00:00Z&to=2020-01-01T00:00:00Z"),
            400,
        ),
        ("GET", format!("{machine}/telemetry?points=0"), 400),
        ("GET", format!("{machine}/telemetry?points=5001"), 400),
        (
            "GET",
            format!("{machine}/telemetry?from=2030-01-01T00:00:00Z&to=2020-01-01T00:00:00Z"),
            400,
        ),
        (
            "GET",
            format!("{machine}/telemetry?metrics={}", vec!["a"; 65].join(",")),
            400,
        ),
        ("GET", format!("/api/v1/machines?limit={}", u64::MAX), 400),
        ("GET", format!("{machine}/labels?x=1"), 200),
    ];
    for (method, path, expected) in cases {
        let (status, document) = answer(site.request(method, &path)).await;
        assert_eq!(status, expected, "{method} {path}: {document}");
    }
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=4294967296",
        "filter=kind<3",
        "filter=nothing=1",
        "filter=battery<x",
        "filter=kind=",
        "sort=",
        "sort=nothing",
        "sort=label.",
        "cursor=",
        "cursor=zz",
        "cursor=7b7d",
        "at=",
        "limit=1&limit=2",
        "x=1",
    ] {
        let (status, document) = site.ask(&format!("/api/v1/machines?{query}")).await;
        assert_eq!(status, 400, "{query}: {document}");
    }
    let (status, _) = site
        .ask(&format!("/api/v1/machines?filter={}", "a".repeat(2_000)))
        .await;
    assert_eq!(status, 400);
    for query in [
        "from=2030-01-01T00:00:00Z&to=2020-01-01T00:00:00Z",
        "severity=loud",
        "machine=x",
        "limit=0",
        "cursor=5b5d",
    ] {
        let (status, document) = site.ask(&format!("/api/v1/events?{query}")).await;
        assert_eq!(status, 400, "{query}: {document}");
    }
    for query in [
        "buckets=0",
        "buckets=1001",
        "from=2030-01-01T00:00:00Z&to=2030-01-01T00:00:00Z",
    ] {
        let (status, document) = site.ask(&format!("/api/v1/fleet/timeline?{query}")).await;
        assert_eq!(status, 400, "{query}: {document}");
    }
    for query in [
        "",
        "topics=",
        "topics=a..b",
        "topics=>.a",
        "topics=machine.>&machines=x",
        "topics=a&rate=0",
        "topics=a&rate=-1",
        "topics=a&rate=NaN",
        "topics=a&rate=inf",
        "topics=a&strategy=x",
    ] {
        let (status, document) = site.ask(&format!("/api/v1/stream?{query}")).await;
        assert_eq!(status, 400, "{query}: {document}");
    }
    let labels = format!("{machine}/labels");
    for (body, expected) in [
        ("", 400),
        ("[]", 422),
        ("{\"labels\":{\"\":\"x\"}}", 422),
        ("{\"labels\":{\"ä\":\"x\"}}", 422),
        ("{\"labels\":{\"a\":\"\\n\"}}", 422),
        ("{\"labels\":{\"a\":1}}", 422),
        ("{", 400),
    ] {
        let put = site
            .request("PUT", &labels)
            .header("if-match", "*")
            .header("content-type", "application/json")
            .body(body);
        let (status, document) = answer(put).await;
        assert_eq!(status, expected, "{body}: {document}");
    }
    let put = |body: String| {
        site.request("PUT", &labels)
            .header("if-match", "*")
            .header("content-type", "application/json")
            .body(body)
    };
    assert_eq!(
        answer(put(format!("{{\"labels\":{{\"a\":\"{}\"}}}}", "x".repeat(257))))
            .await
            .0,
        422
    );
    // Again and again: an answer that comes while the rest is still being sent could be lost to a reset.
    for _ in 0..20 {
        assert_eq!(answer(put("x".repeat(3 << 20))).await.0, 413);
    }
    let (status, _) = answer(put("[".repeat(100_000))).await;
    assert!(status == 400 || status == 422, "{status}");
    let (status, _) = answer(put(format!("{{\"labels\":{{\"a\":{}", "[".repeat(100_000)))).await;
    assert!(status == 400 || status == 422, "{status}");
    assert_eq!(
        answer(site.request("PUT", &labels).header("if-match", "*").body("{}"))
            .await
            .0,
        415
    );
    let name = format!("{machine}/display-name");
    for body in [
        json!({ "display_name": "" }),
        json!({ "display_name": "  " }),
        json!({ "display_name": "a\u{0}b" }),
        json!({ "display_name": "x".repeat(101) }),
    ] {
        let (status, _) = answer(site.request("PUT", &name).header("if-match", "*").json(&body)).await;
        assert_eq!(status, 422, "{body}");
    }
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extremes_that_are_allowed_are_answered() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    let machine = format!("/api/v1/machines/{}", id(1));
    let (first, last) = ("1970-01-01T00:00:00Z", "9999-12-30T21:59:59.999Z");
    for path in [
        format!("/api/v1/machines?at={first}"),
        format!("/api/v1/events?from={first}&to={last}"),
        format!("/api/v1/events?from={last}"),
        format!("/api/v1/events?to={first}"),
        format!("{machine}/events?from={first}&to={last}&limit=1000"),
        format!("/api/v1/fleet/timeline?from={first}&to={last}&buckets=1000"),
        format!("/api/v1/fleet/timeline?from={first}&to={last}&buckets=1"),
        format!("/api/v1/fleet/timeline?to={first}&from=1970-01-01T00:00:00Z")
            .replace("to=1970-01-01T00:00:00Z", "to=1970-01-01T00:00:00.001Z"),
        format!("{machine}/telemetry?from={first}&to={last}&points=5000"),
        format!("{machine}/telemetry?from={first}&to={last}&points=1"),
        format!("{machine}/logs?from={first}&to={last}&limit=1000"),
        format!("{machine}/logs?cursor=7fffffffffffffff-ffffffffffffffff"),
        format!("{machine}/logs?cursor=-1-0").replace("-1-0", "0-0"),
        "/api/v1/machines?sort=--name".to_owned(),
        format!("/api/v1/machines?sort=label.{}", "x".repeat(500)),
    ] {
        site.get(&path).await;
    }
    site.stop().await.unwrap();
}
