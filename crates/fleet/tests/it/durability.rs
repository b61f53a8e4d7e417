//! What happens when the log does not take something: nothing is acknowledged, and nothing is lost that was.

use muster_store::{CommitFailure, LogOptions};
use serde_json::json;

use crate::harness::{Machine, Site, end, id, options, state, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_sends_machines_away_and_their_records_come_again() {
    let data = tempfile::tempdir().unwrap();
    let mut options = options(data.path());
    let fail = LogOptions::default().fail;
    options.log.fail = fail.clone();
    let site = Site::start_with(options).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    machine
        .surely(
            "event",
            json!({ "kind": "one", "severity": "info", "message": "" }),
        )
        .await;
    fail.fail_next_commit(CommitFailure::DiskFull);
    machine.event("two", "info", "").await;
    let ended = end(&mut machine.socket).await;
    let bye = ended.bye.unwrap();
    assert_eq!(bye["reason"], "overloaded");
    assert!(bye["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(ended.code, Some(1013));
    let mut machine = Machine::connect(site.address, &id(1), 1).await;
    assert_eq!(machine.acked, 1, "the welcome says what is held");
    machine.event("two", "info", "").await;
    machine.acknowledged().await;
    let events = site.all("/api/v1/events").await;
    assert_eq!(events.iter().filter(|event| event["kind"] == "two").count(), 1);
    // A change of people's making is refused in words, and can be made again.
    let name = format!("/api/v1/machines/{}/display-name", id(1));
    let put = || {
        site.request("PUT", &name)
            .header("if-match", "*")
            .json(&json!({ "display_name": "frida" }))
    };
    fail.fail_next_commit(CommitFailure::DiskFull);
    let (status, problem) = crate::harness::answer(put()).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (503, Some("MST-A008")),
        "{problem}"
    );
    let (status, _) = crate::harness::answer(put()).await;
    assert_eq!(status, 200);
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_never_reached_the_log_leaves_nothing_behind() {
    let data = tempfile::tempdir().unwrap();
    let mut options = options(data.path());
    let fail = LogOptions::default().fail;
    options.log.fail = fail.clone();
    let site = Site::start_with(options).await;
    fail.fail_next_commit(CommitFailure::DiskFull);
    let mut socket = crate::harness::dial(site.address).await;
    crate::harness::send(&mut socket, &crate::harness::hello(&id(1), 0)).await;
    assert_eq!(end(&mut socket).await.bye.unwrap()["reason"], "overloaded");
    assert_eq!(site.get("/api/v1/machines").await["total"], 0);
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    assert_eq!(machine.session, 1);
    machine.surely("state", state("frida", "car", None, None)).await;
    until("the machine is shown", || async {
        (site.get("/api/v1/machines").await["total"] == 1).then_some(())
    })
    .await;
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_doubt_ends_the_server_without_an_acknowledgement() {
    let data = tempfile::tempdir().unwrap();
    let mut options = options(data.path());
    let fail = LogOptions::default().fail;
    options.log.fail = fail.clone();
    let site = Site::start_with(options).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    fail.fail_next_commit(CommitFailure::Io);
    machine.event("two", "info", "").await;
    while let Ok(message) = crate::harness::hear(&mut machine.socket).await {
        assert_ne!(message["type"], "ack", "{message}");
    }
    let Site {
        run,
        fleet,
        access,
        rollouts,
        releases,
        ..
    } = site;
    drop((fleet, access, rollouts, releases));
    let error = crate::harness::soon("the server ends", run)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.code(), "MST-S024", "{error}");
    assert!(error.to_string().contains("takes nothing any more"), "{error}");
    // Started again it goes on with what was acknowledged.
    let site = Site::start(data.path()).await;
    let machine = Machine::connect(site.address, &id(1), 0).await;
    assert_eq!(machine.session, 2);
    site.stop().await.unwrap();
}
