//! Who did what: written down before it is answered, found again, and not to be taken out unnoticed.

use serde_json::json;

use super::kit::{MUNICH, World};
use crate::harness::id;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_and_refused_is_found_with_who_why_and_by_which_rule() {
    let mut world = World::empty().await;
    world.add("ada", &[("viewer", "*")]).await;
    let path = format!("/api/v1/machines/{}/stop", id(MUNICH));
    let body = json!({ "reason": "smoke in hall 3" });
    assert_eq!(world.ask("root", "POST", &path, Some(body.clone())).await.0, 202);
    assert_eq!(world.ask("ada", "POST", &path, Some(body)).await.0, 403);
    assert_eq!(world.ask("ada", "GET", "/api/v1/people", None).await.0, 403);
    let stops = world.audit("action=machines.stop&order=asc").await;
    let said = |entry: &serde_json::Value| {
        let fields = ["person", "by", "reason", "outcome", "status", "from"];
        fields
            .map(|field| match &entry[field] {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => String::new(),
                other => other.to_string(),
            })
            .join(" | ")
    };
    assert_eq!(
        said(&stops[0]),
        "root | session | smoke in hall 3 | done | 202 | 127.0.0.1"
    );
    assert_eq!(stops[0]["objects"][0]["id"], id(MUNICH));
    assert_eq!(stops[0]["rule"], "root is admin");
    // Refused before its body was read.
    assert_eq!(said(&stops[1]), "ada | token |  | refused | 403 | 127.0.0.1");
    assert!(
        stops[1]["rule"].as_str().unwrap().contains("needs stop"),
        "{}",
        stops[1]
    );
    let refused = world.audit("outcome=refused&person=ada&action=people").await;
    assert_eq!(refused.len(), 1, "reading is written down where it was refused");
    assert!(world.audit(&format!("object={}", id(MUNICH))).await.len() >= 2);
    assert!(world.audit("person=nobody").await.is_empty());
    // Page by page, and from where one left off.
    let first = world.audit("order=asc&limit=2").await;
    let after = first[1]["position"].as_u64().unwrap();
    let rest = world.audit(&format!("order=asc&after={after}")).await;
    assert_eq!(rest[0]["position"].as_u64().unwrap(), after + 1);
    let made = world.audit("action=people.change").await;
    assert!(
        made[0]["detail"].as_str().unwrap().contains("new: viewer"),
        "{}",
        made[0]
    );
    for (format, begins) in [("csv", "position,at,person"), ("jsonl", "{\"position\":1")] {
        let request = world
            .site
            .request("GET", &format!("/api/v1/audit/export?format={format}"));
        let text = request
            .bearer_auth(&world.tokens["root"])
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(text.starts_with(begins), "{text}");
        assert!(text.contains("smoke in hall 3"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_was_taken_out_is_found() {
    let world = World::empty().await;
    let (_, checked) = world.ask("root", "GET", "/api/v1/audit/check", None).await;
    assert_eq!(checked["sound"], true, "{checked}");
    let World { site, data, .. } = world;
    site.stop().await.unwrap();
    let file = data.path().join("audit/log.db");
    let whole = std::fs::read(&file).unwrap();
    // Changed, taken out of the middle, and cut off at the end.
    for (sql, finding) in [
        (
            "UPDATE events SET body = CAST(replace(CAST(body AS TEXT), 'local', 'eve00') AS BLOB) WHERE position = 1",
            "damaged",
        ),
        ("DELETE FROM events WHERE position = 1", "damaged"),
        (
            "DELETE FROM events WHERE position = (SELECT max(position) FROM events)",
            "missing",
        ),
    ] {
        let connection = rusqlite::Connection::open(&file).unwrap();
        assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
        drop(connection);
        let mut options = crate::harness::options(data.path());
        options.access = muster_fleet::access::AccessMode::TrustLoopback;
        // Ending in order does not make the damage the new truth: it is found the second time as well.
        for _ in 0..2 {
            let shutdown = muster_runtime::Shutdown::new();
            let clock = muster_runtime::Clock::start();
            let Ok(server) = muster_fleet::Server::start(options.clone(), clock, shutdown.clone()).await
            else {
                assert_eq!(finding, "damaged", "{sql}: the server does not start");
                continue;
            };
            let checked = server.access().audit().check().unwrap();
            assert!(
                checked.findings.iter().any(|found| found.contains(finding)),
                "{sql}: {checked:?}"
            );
            shutdown.request("the test says so");
            server.run().await.unwrap();
        }
        std::fs::write(&file, &whole).unwrap();
        for rest in ["audit/log.db-wal", "audit/log.db-shm"] {
            let _ = std::fs::remove_file(data.path().join(rest));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_tries_is_written_down_however_long_it_is() {
    let world = World::empty().await;
    let body = json!({ "grants": [], "display_name": "x".repeat(1_200_000), "reason": "y".repeat(700_000) });
    let (status, said) = world.put_new("/api/v1/people/ada", body).await;
    assert_eq!(status, 422, "{said}");
    let written = world.audit("action=people.change").await;
    assert_eq!(written[0]["outcome"], "failed", "{}", written.len());
    assert_eq!(written[0]["objects"][0]["name"].as_str().unwrap().len(), 200);
}
