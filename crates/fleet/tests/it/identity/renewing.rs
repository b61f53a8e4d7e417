//! How often a machine may renew its certificate.

use serde_json::{Value, json};

use super::kit::{Enrolled, Guarded, Key};

async fn ask(machine: &Enrolled, site: &Guarded) -> (u16, Value) {
    let path = format!("/machine/{}/certificate", machine.id);
    let body = json!({ "csr": Key::new().csr() });
    machine
        .ask(site.machines, "POST", &path, Some(body))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_renews_a_few_times_of_its_own_and_whenever_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({})).await;
    let mut renewed = 0;
    let refused = loop {
        match ask(&machine, &site).await {
            (200, _) => renewed += 1,
            refused => break refused,
        }
    };
    assert_eq!(renewed, 6);
    assert_eq!(
        (refused.0, &refused.1["code"]),
        (429, &json!("MST-A090")),
        "{}",
        refused.1
    );
    // Asked by a person: once.
    site.post(&format!("/api/v1/identities/{}/renew", machine.id), json!({}))
        .await;
    assert_eq!(ask(&machine, &site).await.0, 200);
    assert_eq!(ask(&machine, &site).await.0, 429);
    // A further authority is a reason for who has the newest certificate, and none for renewing without end.
    site.post(&format!("/api/v1/identities/{}/renew", machine.id), json!({}))
        .await;
    let newest = machine.renew(site.machines).await;
    site.post("/api/v1/certificate-authorities", json!({})).await;
    assert_eq!(ask(&newest, &site).await.0, 200);
    assert_eq!(ask(&newest, &site).await.0, 429);
    // Nobody else waits for it.
    let other = site.machine(json!({})).await;
    assert_eq!(ask(&other, &site).await.0, 200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_waits_to_be_let_in_renews_when_it_is_time() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({ "policy": "pending" })).await;
    let (status, said) = ask(&machine, &site).await;
    assert_eq!((status, &said["code"]), (429, &json!("MST-A090")), "{said}");
    site.post(&format!("/api/v1/identities/{}/accept", machine.id), json!({}))
        .await;
    assert_eq!(ask(&machine, &site).await.0, 200);
    site.stop().await;
}
