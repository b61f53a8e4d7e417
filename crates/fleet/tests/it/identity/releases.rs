//! Releases are handed to machines by their own certificates, and to nobody else.

use muster_protocol::link::release::{BLOBS, METADATA, path};
use serde_json::{Value, json};

use super::kit::{Enrolled, Guarded, connect, request};
use muster_release::Sha256Digest;

async fn fetch(site: &Guarded, by: &Enrolled, of: &Enrolled, kind: &str, name: &str) -> (u16, Value) {
    let path = path(of.id.parse().unwrap(), kind, name);
    let mut stream = connect(site.machines, by.config.clone()).await.unwrap();
    request(&mut stream, "GET", &path, None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_handed_to_the_machine_that_the_path_names_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let (machine, other) = (site.machine(json!({})).await, site.machine(json!({})).await);
    let _socket = machine.session(site.machines).await;
    let _other = other.session(site.machines).await;
    // Of two bytes, so that what comes is JSON for the test's own client.
    let content = b"42";
    let digest = Sha256Digest::of(content).to_string();
    let put = site
        .http
        .put(format!("https://{}/api/v1/releases/blobs/{digest}", site.people))
        .body(content.to_vec());
    assert_eq!(put.send().await.unwrap().status(), 201);

    let (status, got) = fetch(&site, &machine, &machine, BLOBS, &digest).await;
    assert_eq!((status, got), (200, json!(42)));
    for (kind, name) in [(BLOBS, digest.as_str()), (METADATA, "timestamp.json")] {
        let (status, said) = fetch(&site, &other, &machine, kind, name).await;
        assert_eq!((status, &said["code"]), (403, &json!("MST-A066")), "{said}");
    }
    // Nor does the port of people hand any out.
    let url = format!(
        "https://{}{}",
        site.people,
        path(machine.id.parse().unwrap(), BLOBS, &digest)
    );
    let foreign = site.http.get(url).send().await.unwrap();
    let said = foreign.bytes().await.unwrap();
    assert_ne!(said, content.as_slice());

    // Who is shut out gets nothing more, also by a connection that stands.
    let path = path(machine.id.parse().unwrap(), BLOBS, &digest);
    let mut standing = connect(site.machines, machine.config.clone()).await.unwrap();
    assert_eq!(request(&mut standing, "GET", &path, None).await.unwrap().0, 200);
    site.revoke(&machine).await;
    let after = request(&mut standing, "GET", &path, None).await;
    assert!(
        after.is_err() || after.as_ref().is_ok_and(|(status, _)| *status == 403),
        "{after:?}"
    );
    site.stop().await;
}
