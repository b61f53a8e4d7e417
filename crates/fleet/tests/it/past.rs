//! Restarts, checkpoints and time travel: what was shown once is shown again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use muster_fleet::state::checkpoint::Checkpoints;
use muster_fleet::state::recovery::Fold;
use muster_model::{LogPosition, MachineView, Timestamp};
use serde_json::{Value, json};

use crate::harness::{Machine, Site, id, now, state};

/// All rows by id, without what only memory knows: when a machine was last heard of.
async fn rows(site: &Site, at: Option<Timestamp>) -> BTreeMap<String, Value> {
    let path = match at {
        Some(at) => format!("/api/v1/machines?limit=7&at={at}"),
        None => "/api/v1/machines?limit=7".to_owned(),
    };
    let rows = site.all(&path).await.into_iter().map(|mut row| {
        row["last_seen"] = Value::Null;
        (row["id"].as_str().unwrap().to_owned(), row)
    });
    rows.collect()
}

/// Remembers what is shown now, with a moment at which nothing else happens.
async fn remember(site: &Site, moments: &mut Vec<(Timestamp, BTreeMap<String, Value>)>) {
    site.settle().await;
    moments.push((now(), rows(site, None).await));
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
}

async fn checkpoint(site: &Site) {
    Checkpoints::new(site.fleet.clone(), LogPosition::ZERO, [])
        .make()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_is_shown_as_it_was_also_across_checkpoints_and_restarts() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut moments = Vec::new();
    let mut machines = Vec::new();
    for number in 1..=6 {
        machines.push(Machine::connect(site.address, &id(number), 0).await);
        machines
            .last_mut()
            .unwrap()
            .surely("state", state(&format!("m{number}"), "car", None, Some(50.0)))
            .await;
    }
    remember(&site, &mut moments).await;
    for (index, machine) in machines.iter_mut().enumerate() {
        let patch = json!({ "patch": { "base": 1, "sections": { "power": { "battery_percent": index, "charging": true, "external_supply": true } } } });
        machine.surely("state", patch).await;
    }
    remember(&site, &mut moments).await;
    checkpoint(&site).await;
    remember(&site, &mut moments).await;
    let name = format!("/api/v1/machines/{}/display-name", id(3));
    let named = site
        .request("PUT", &name)
        .header("if-match", "*")
        .json(&json!({ "display_name": "Frida" }))
        .send()
        .await;
    assert_eq!(named.unwrap().status(), 200);
    machines[1]
        .surely(
            "state",
            json!({ "patch": { "base": 2, "sections": { "power": null } } }),
        )
        .await;
    machines.push(Machine::connect(site.address, &id(7), 0).await);
    remember(&site, &mut moments).await;
    site.stop().await.unwrap();

    let site = Site::start(data.path()).await;
    site.settle().await;
    assert_eq!(
        rows(&site, None).await,
        moments.last().unwrap().1,
        "a restart keeps what is shown"
    );
    let mut machine = Machine::connect(site.address, &id(2), 0).await;
    assert_eq!(machine.session, 2);
    machine
        .surely("state", state("other", "pi", Some("berlin"), None))
        .await;
    remember(&site, &mut moments).await;
    for (at, shown) in moments.iter().rev().chain(&moments) {
        assert_eq!(rows(&site, Some(*at)).await, *shown, "at {at}");
        let one = site.ask(&format!("/api/v1/machines/{}?at={at}", id(7))).await;
        assert_eq!(one.0, if shown.contains_key(&id(7)) { 200 } else { 404 });
        let summary = site.get(&format!("/api/v1/fleet/summary?at={at}")).await;
        assert_eq!(summary["total"], shown.len());
        assert_eq!(summary["past"], true);
    }
    let first = moments[0].0;
    assert!(rows(&site, Some(Timestamp::EPOCH)).await.is_empty());
    assert_eq!(
        site.get("/api/v1/fleet/summary").await["history_from"]
            .as_str()
            .unwrap()
            .cmp(&first.to_string()),
        std::cmp::Ordering::Less
    );
    site.stop().await.unwrap();
}

/// A view without what only memory knows.
fn logged(view: &MachineView) -> MachineView {
    MachineView {
        last_seen: Timestamp::EPOCH,
        ..view.clone()
    }
}

fn from_scratch(site: &Site, position: LogPosition) -> Fold {
    let mut fold = Fold::default();
    fold.advance(&**site.fleet.log(), position).unwrap();
    fold
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordered_end_leaves_nothing_to_be_folded() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machines = Vec::new();
    for number in 1..=4 {
        let mut machine = Machine::connect(site.address, &id(number), 0).await;
        machine
            .surely("state", state(&format!("m{number}"), "car", None, None))
            .await;
        machines.push(machine);
    }
    site.settle().await;
    let before = rows(&site, None).await;
    site.stop().await.unwrap();
    let site = Site::start(data.path()).await;
    let log = site.fleet.log();
    assert_eq!(
        log.load_snapshots(log.head()).unwrap().checkpoint,
        log.head(),
        "only the checkpoint is needed"
    );
    assert_eq!(rows(&site, None).await, before);
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_made_while_machines_write_is_of_one_moment() {
    const MACHINES: u32 = 24;
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let ended = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let writers = (1..=MACHINES).map(|number| {
        let (ended, written, address) = (ended.clone(), written.clone(), site.address);
        async move {
            let mut machine = Machine::connect(address, &id(number), 0).await;
            let mut round = 0u64;
            while !ended.load(Ordering::Relaxed) {
                // Only what stands for itself: a snapshot that is too new shows the future.
                machine
                    .surely(
                        "state",
                        state(&format!("round {round}"), "car", None, Some((round % 100) as f64)),
                    )
                    .await;
                written.fetch_add(1, Ordering::Relaxed);
                round += 1;
            }
        }
    });
    let checkpoints = async {
        let mut checkpoints = Checkpoints::new(site.fleet.clone(), LogPosition::ZERO, []);
        let mut made = Vec::new();
        while made.len() < 40 {
            checkpoints.make().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            let at = site
                .fleet
                .log()
                .load_snapshots(site.fleet.position())
                .unwrap()
                .checkpoint;
            if made.last() != Some(&at) {
                made.push(at);
            }
        }
        ended.store(true, Ordering::Relaxed);
        made
    };
    let (made, _) = tokio::join!(checkpoints, futures_util::future::join_all(writers));
    let head = site.fleet.position();
    for position in made.into_iter().chain([head]) {
        let (kept, whole) = (
            Fold::at(&**site.fleet.log(), position).unwrap(),
            from_scratch(&site, position),
        );
        assert_eq!(kept.views.len(), whole.views.len(), "at {position}");
        for (kept, whole) in kept.views.values().zip(whole.views.values()) {
            assert_eq!(logged(kept), logged(whole), "at {position}");
        }
    }
    println!(
        "40 checkpoints while {} states were written",
        written.load(Ordering::Relaxed)
    );
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_knows_nothing_of_what_was_heard_later() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    machine.surely("state", state("frida", "car", None, None)).await;
    site.settle().await;
    let at = now();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    // Heard of later, and then a checkpoint of the same position.
    machine.heartbeat().await;
    site.settle().await;
    checkpoint(&site).await;
    let page = site.get(&format!("/api/v1/machines?at={at}")).await;
    let last_seen: Timestamp = page["items"][0]["last_seen"].as_str().unwrap().parse().unwrap();
    assert!(last_seen <= at, "last seen at {last_seen}, as it was at {at}");
    site.stop().await.unwrap();
}
