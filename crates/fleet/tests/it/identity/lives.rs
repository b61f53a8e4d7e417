//! Certificates over time: shut out, ended, renewed, exchanged, copied. What is promised within 5 s is measured.

use std::time::{Duration, Instant};

use serde_json::json;

use super::kit::{Enrolled, Guarded, Key, connect, end, hear, options, request, say};
use crate::harness::{self, until};

/// What reliability asks for. Source: docs/reliability.md, rows 24 to 27.
const WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn who_is_shut_out_is_cut_and_stays_out_also_with_a_session_to_resume() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({ "labels": { "site": "munich" } })).await;
    let other = site.machine(json!({})).await;
    let mut others = other.session(site.machines).await;
    let mut socket = machine.session(site.machines).await;
    site.event(&machine, "identity.enrolled").await;
    // A connection for requests stands as well; this client keeps whatever it could resume by.
    let mut open = connect(site.machines, machine.config.clone()).await.unwrap();
    let path = format!("/machine/{}/certificate", machine.id);
    assert_eq!(request(&mut open, "GET", &path, None).await.unwrap().0, 200);
    assert_eq!(
        open.get_ref().1.handshake_kind(),
        Some(rustls::HandshakeKind::Full)
    );

    let asked = Instant::now();
    let revoked = site.revoke(&machine).await;
    assert_eq!(revoked["standing"], "revoked");
    let (bye, code) = end(&mut socket).await;
    let took = asked.elapsed();
    println!(
        "figure row 24: a revoked machine was cut after {} ms",
        took.as_millis()
    );
    assert!(took < WITHIN, "{took:?}");
    let bye = bye.unwrap();
    assert_eq!((bye["reason"].as_str(), code), (Some("revoked"), Some(1008)));
    assert!(bye["message"].as_str().unwrap().contains("stolen"), "{bye}");
    assert!(bye["retry_after_ms"].is_null(), "{bye}");

    let (status, problem) = request(&mut open, "GET", &path, None).await.unwrap();
    assert_eq!((status, problem["code"].as_str()), (403, Some("MST-A066")));
    for _ in 0..3 {
        let refused = machine.knock(site.machines).await.unwrap_err();
        assert!(refused.to_string().contains("CertificateRevoked"), "{refused}");
    }
    site.event(&machine, "identity.revoked").await;
    // Nobody else noticed.
    say(&mut others, &event(&other, 1)).await;
    assert_eq!(hear(&mut others).await.unwrap()["type"], "ack");

    // It comes back by a token that is for it alone, as the same machine; what it had before stays out.
    let made = site
        .post(&format!("/api/v1/identities/{}/enrolment", machine.id), json!({}))
        .await;
    let key = Key::new();
    let (status, issued) = site.enrol(made["token"].as_str().unwrap(), &key.csr()).await;
    assert_eq!(status, 200, "{issued}");
    let back = Enrolled::new(&key, &issued);
    assert_eq!(back.id, machine.id);
    back.session(site.machines).await;
    let refused = machine.knock(site.machines).await.unwrap_err();
    assert!(refused.to_string().contains("CertificateRevoked"), "{refused}");
    site.stop().await;
}

fn event(machine: &Enrolled, record: u64) -> serde_json::Value {
    harness::envelope(
        &machine.id,
        "event",
        Some(1),
        record + 1,
        Some(record),
        json!({ "kind": "x.y", "severity": "info", "message": "here" }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_takes_its_connection_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    if let Some(identity) = &mut options.identity {
        identity.certificate_lifetime_s = 10;
    }
    let site = Guarded::start_with(options).await;
    let began = Instant::now();
    let machine = site.machine(json!({})).await;
    let mut socket = machine.session(site.machines).await;
    // The connection is idle: nothing that the machine does brings its end about.
    let (bye, code) = end(&mut socket).await;
    let late = began.elapsed().saturating_sub(Duration::from_secs(10));
    println!(
        "figure row 24: an expired machine was cut {} ms after its certificate ended",
        late.as_millis()
    );
    assert!(
        began.elapsed() > Duration::from_secs(9) && late < WITHIN,
        "{late:?}"
    );
    let bye = bye.unwrap();
    assert_eq!((bye["reason"].as_str(), code), (Some("overloaded"), Some(1008)));
    assert!(bye["retry_after_ms"].as_u64().is_some(), "{bye}");
    // A certificate knows whole seconds only: within its last one the register refuses what the handshake does not.
    let refused = until("the handshake is refused", || async {
        match machine.knock(site.machines).await {
            Ok((status, problem)) => {
                assert_eq!(status, 403, "{problem}");
                None
            }
            Err(refused) => Some(refused),
        }
    })
    .await;
    assert!(refused.to_string().contains("CertificateExpired"), "{refused}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_certificate_is_good_until_the_new_one_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({})).await;
    let (_, status) = machine.knock(site.machines).await.unwrap();
    assert_eq!(status["renew"], false, "{status}");
    site.post(&format!("/api/v1/identities/{}/renew", machine.id), json!({}))
        .await;
    let (_, status) = machine.knock(site.machines).await.unwrap();
    assert_eq!(status["renew"], true, "{status}");
    let newer = machine.renew(site.machines).await;
    let mut socket = machine.session(site.machines).await;
    assert_eq!(machine.knock(site.machines).await.unwrap().0, 200);
    // Asked for once.
    let (_, status) = machine.knock(site.machines).await.unwrap();
    assert_eq!(status["renew"], false, "{status}");

    assert_eq!(newer.knock(site.machines).await.unwrap().0, 200);
    let refused = machine.knock(site.machines).await.unwrap_err();
    assert!(refused.to_string().contains("CertificateRevoked"), "{refused}");
    // Whoever is in session with the old one has a while to come with the new one.
    say(&mut socket, &event(&machine, 1)).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "ack");
    let identity = site.identity_of(&machine).await;
    let certificates = identity["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 2, "{identity}");
    assert!(certificates[0]["superseded_at"].is_null(), "{identity}");
    assert!(!certificates[1]["superseded_at"].is_null(), "{identity}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_overlap_and_nobody_is_disconnected() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({})).await;
    let slow = site.machine(json!({})).await;
    let mut socket = machine.session(site.machines).await;
    assert_eq!(slow.knock(site.machines).await.unwrap().0, 200);

    let rotated = site.post("/api/v1/certificate-authorities", json!({})).await;
    let generations = |list: &serde_json::Value| -> Vec<u64> {
        let items = list["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["generation"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(generations(&rotated), [2, 1], "{rotated}");
    // Those of before still get in, and believe the server; both are told to renew.
    let (_, status) = machine.knock(site.machines).await.unwrap();
    assert_eq!(status["renew"], true, "{status}");
    let newer = machine.renew(site.machines).await;
    assert_eq!(newer.authorities.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(newer.knock(site.machines).await.unwrap().0, 200);
    assert_eq!(slow.knock(site.machines).await.unwrap().0, 200);
    assert_eq!(
        generations(&site.get("/api/v1/certificate-authorities").await),
        [2, 1]
    );

    // With the last certificate of the old one it leaves, and its key.
    let newest = slow.renew(site.machines).await;
    assert_eq!(newest.knock(site.machines).await.unwrap().0, 200);
    // `machine` had another certificate of the old authority, which the newer one took the place of.
    until("the old authority leaves", || async {
        (generations(&site.get("/api/v1/certificate-authorities").await) == [2]).then_some(())
    })
    .await;
    assert!(!folder.path().join("identity/ca-1.key").exists());
    assert_eq!(newer.knock(site.machines).await.unwrap().0, 200);
    let distrusts = slow.knock(site.machines).await.unwrap_err();
    assert!(distrusts.to_string().contains("UnknownIssuer"), "{distrusts}");
    // The session of before all this never ended.
    say(&mut socket, &event(&machine, 1)).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "ack");
    site.stop().await;

    // All of it is there after a restart.
    let site = Guarded::start(folder.path()).await;
    assert_eq!(
        generations(&site.get("/api/v1/certificate-authorities").await),
        [2]
    );
    assert_eq!(newer.knock(site.machines).await.unwrap().0, 200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_holder_of_a_key_is_fenced_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({})).await;
    let mut first = machine.session(site.machines).await;
    site.event(&machine, "identity.enrolled").await;
    let came = Instant::now();
    let mut second = machine.session(site.machines).await;
    // It is alive, and answers the close: that is what a machine which came back never does.
    let (bye, code) = end(&mut first).await;
    assert_eq!(
        (bye.unwrap()["reason"].as_str(), code),
        (Some("fenced"), Some(1008))
    );
    let _ = futures_util::StreamExt::next(&mut first).await;
    let told = site.event(&machine, "identity.cloned").await;
    println!(
        "figure row 26: a clone was told of after {} ms",
        came.elapsed().as_millis()
    );
    assert!(came.elapsed() < WITHIN, "{:?}", came.elapsed());
    assert_eq!(told["severity"], "critical", "{told}");
    assert!(!site.identity_of(&machine).await["cloned_at"].is_null());
    say(&mut second, &event(&machine, 1)).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_lost_its_connection_is_no_clone_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({})).await;
    // One that is gone without a word: half open, as the server sees it.
    let silent = machine.session(site.machines).await;
    let back = machine.session(site.machines).await;
    drop(silent);
    // One that closes first, and comes back at once.
    let mut closing = machine.session(site.machines).await;
    drop(back);
    closing.close(None).await.unwrap();
    let mut last = machine.session(site.machines).await;
    say(&mut last, &event(&machine, 1)).await;
    // Longer than a farewell may take: what is not told by then is not told.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(site.identity_of(&machine).await["cloned_at"].is_null());
    site.stop().await;
}
