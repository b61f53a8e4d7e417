//! What somebody sees of a fleet of which they may see a part: lists, figures, the past, what happens live – and nothing of the rest.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::kit::{BERLIN, MUNICH, World};
use crate::harness::{Live, answer, id, soon};

async fn world() -> World {
    let mut world = World::empty().await;
    world.add("ada", &[("viewer", "label.site=munich")]).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_figures_and_the_past_are_of_what_may_be_seen() {
    let world = world().await;
    let get = |path: String| {
        let world = &world;
        async move {
            let (status, said) = world.ask("ada", "GET", &path, None).await;
            assert_eq!(status, 200, "{path}: {said}");
            assert!(!said.to_string().contains("berlin"), "{path}: {said}");
            assert!(!said.to_string().contains(&id(BERLIN)), "{path}: {said}");
            said
        }
    };
    let list = get("/api/v1/machines?limit=1".to_owned()).await;
    assert_eq!(
        (&list["total"], &list["next_cursor"]),
        (&json!(1), &Value::Null),
        "{list}"
    );
    let nothing = get("/api/v1/machines?filter=label.site%3Dberlin".to_owned()).await;
    assert_eq!(nothing["total"], 0);
    let summary = get("/api/v1/fleet/summary".to_owned()).await;
    assert_eq!(summary["total"], 1, "{summary}");
    let now = summary["at"].as_str().unwrap().to_owned();
    assert_eq!(get(format!("/api/v1/fleet/summary?at={now}")).await["total"], 1);
    assert_eq!(get(format!("/api/v1/machines?at={now}")).await["total"], 1);
    for order in ["asc", "desc"] {
        let events = get(format!("/api/v1/events?order={order}&kind=door")).await;
        assert_eq!(events["items"].as_array().unwrap().len(), 1, "{events}");
    }
    let (_, all) = world.ask("root", "GET", "/api/v1/fleet/timeline", None).await;
    let mine = get("/api/v1/fleet/timeline".to_owned()).await;
    let count = |timeline: &Value| -> u64 {
        timeline["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bucket| bucket["events"].as_u64().unwrap())
            .sum()
    };
    assert!(
        count(&mine) > 0 && count(&mine) * 2 == count(&all),
        "{} of {}",
        count(&mine),
        count(&all)
    );
    // What may not be seen is not there: word for word as what does not exist.
    for path in [
        "",
        "/events",
        "/labels",
        "/telemetry",
        "/commands",
        "/recordings",
        "/desired",
    ] {
        let of = |machine: String| {
            format!("/api/v1/machines/{machine}{path}?metric=cpu.percent").replace(
                "?metric=cpu.percent",
                if path == "/telemetry" {
                    "?metric=cpu.percent"
                } else {
                    ""
                },
            )
        };
        let (hidden, said) = world.ask("ada", "GET", &of(id(BERLIN)), None).await;
        let (missing, other) = world.ask("ada", "GET", &of(id(77)), None).await;
        assert_eq!((hidden, missing), (404, 404), "{path}: {said}");
        assert_eq!(
            said.to_string().replace(&id(BERLIN), "ID"),
            other.to_string().replace(&id(77), "ID"),
            "{path}"
        );
    }
    let at = format!("/api/v1/machines/{}?at={now}", id(BERLIN));
    let (_, hidden) = world.ask("ada", "GET", &at, None).await;
    let (_, missing) = world
        .ask("ada", "GET", &at.replace(&id(BERLIN), &id(77)), None)
        .await;
    assert_eq!(
        hidden.to_string().replace(&id(BERLIN), "ID"),
        missing.to_string().replace(&id(77), "ID")
    );
    let path = format!("/api/v1/events?machine={}", id(BERLIN));
    assert_eq!(world.ask("ada", "GET", &path, None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_of_many_leaks_nothing_and_names_what_is_refused_only_if_it_may_be_seen() {
    let mut world = World::empty().await;
    world.add("olga", &[("operator", "label.site=munich")]).await;
    world
        .add("mixed", &[("viewer", "*"), ("operator", "label.site=berlin")])
        .await;
    let stop = |who: &'static str, mut body: Value| {
        body["reason"] = json!("a test");
        let world = &world;
        async move { world.ask(who, "POST", "/api/v1/stop", Some(body)).await }
    };
    let both = json!({ "machines": [id(MUNICH), id(BERLIN), id(77)] });
    let (status, said) = stop("olga", both.clone()).await;
    assert_eq!(status, 202, "{said}");
    assert_eq!(said["stops"].as_array().unwrap().len(), 1, "{said}");
    let refused = said["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 2, "{said}");
    assert_eq!(
        refused[0]["detail"], refused[1]["detail"],
        "what may not be seen is as what does not exist"
    );
    for selection in [json!({ "all": true }), json!({ "filter": "kind=car" })] {
        let (status, said) = stop("olga", selection).await;
        assert_eq!(
            (
                status,
                said["stops"].as_array().unwrap().len(),
                said["refused"].as_array().unwrap().len()
            ),
            (202, 1, 0),
            "{said}"
        );
        assert!(!said.to_string().contains("berlin"), "{said}");
    }
    let (status, said) = stop("mixed", both).await;
    assert_eq!(status, 202, "{said}");
    let rules: Vec<&str> = said["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["detail"].as_str().unwrap())
        .collect();
    assert!(rules.iter().any(|rule| rule.contains("needs stop")), "{rules:?}");
    let (status, said) = stop("mixed", json!({ "filter": "label.site=munich" })).await;
    assert_eq!((status, &said["code"]), (403, &json!("MST-A045")), "{said}");
    let (status, _) = stop("olga", json!({ "machines": [id(BERLIN)] })).await;
    assert_eq!(status, 404);
    // What was done to whom, and what was refused, is written down.
    let entries = world.audit("action=machines.stop&person=mixed&order=asc").await;
    assert_eq!(
        entries[0]["objects"].as_array().unwrap().len(),
        1,
        "{}",
        entries[0]
    );
    assert_eq!(
        (&entries[0]["reason"], &entries[0]["outcome"]),
        (&json!("a test"), &json!("done"))
    );
    assert!(
        entries[0]["detail"].as_str().unwrap().contains("2 were refused"),
        "{}",
        entries[0]
    );
    assert_eq!(entries[1]["outcome"], "refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_api_tells_of_nothing_else() {
    let world = world().await;
    let mut live = Live::connect_as(world.site.address, &world.tokens["ada"]).await;
    live.subscribe("all", &[">"], json!({ "resume_after": 0 })).await;
    live.subscribe(
        "theirs",
        &["machine.>"],
        json!({ "filters": { "machines": [id(BERLIN)] } }),
    )
    .await;
    let mut snapshots = Vec::new();
    while snapshots.len() < 2 {
        snapshots.push(live.next_of("snapshot").await);
    }
    for snapshot in &snapshots {
        assert!(!snapshot.to_string().contains(&id(BERLIN)), "{snapshot}");
        for item in snapshot["items"].as_array().unwrap() {
            if item["topic"] == "fleet.summary" {
                assert_eq!(item["data"]["total"], 1, "{item}");
            }
        }
    }
    // Something happens to both; only the one is told of.
    for number in [BERLIN, MUNICH] {
        let path = format!("/api/v1/machines/{}/display-name", id(number));
        let body = json!({ "display_name": format!("renamed {number}") });
        let request = world
            .site
            .request("PUT", &path)
            .header("If-Match", "*")
            .json(&body);
        assert_eq!(answer(request.bearer_auth(&world.tokens["root"])).await.0, 200);
    }
    let told = soon("the change of Munich", async {
        let mut told = String::new();
        while !told.contains("renamed 1") {
            told.push_str(&live.next().await.to_string());
        }
        told
    })
    .await;
    assert!(
        !told.contains("renamed 2") && !told.contains(&id(BERLIN)),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_connected_ends_with_the_right_to_it() {
    let world = world().await;
    let token = &world.tokens["ada"];
    let mut live = Live::connect_as(world.site.address, token).await;
    live.subscribe("all", &["machine.>"], json!({})).await;
    live.next_of("snapshot").await;
    let path = "/api/v1/stream?topics=machine.%3E";
    let stream = world
        .site
        .request("GET", path)
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(stream.status(), 200);
    let (_, tokens) = world.ask("root", "GET", "/api/v1/tokens?person=ada", None).await;
    let path = format!("/api/v1/tokens/{}", tokens["items"][0]["id"].as_str().unwrap());
    let revoked = Instant::now();
    assert_eq!(world.ask("root", "DELETE", &path, None).await.0, 204);
    let ended = soon("the close", crate::harness::end(&mut live.0)).await;
    assert_eq!(ended.code, Some(1008), "{ended:?}");
    let bytes = stream.bytes_stream().fold(
        0,
        |sum, part| async move { sum + part.map_or(0, |part| part.len()) },
    );
    assert!(soon("the end of the stream", bytes).await > 0);
    let took = revoked.elapsed();
    println!("cut after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}
