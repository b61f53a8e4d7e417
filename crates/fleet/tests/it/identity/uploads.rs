//! Recordings come by the certificate of the machine that was asked for them, and by no other.

use muster_protocol::link::upload::{CONTENT_TYPE, DIGEST, LENGTH, OFFSET};
use serde_json::{Value, json};

use super::kit::{Enrolled, Guarded, connect, hear, request_with, say};
use crate::harness;

const FILE: &str = "kept-20261121T070000.000Z-20261121T070230.000Z-estop_latched.mcap";
/// Of `hello world`. Source: `printf 'hello world' | openssl dgst -sha256 -binary | base64`.
const HELLO: &str = "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:";

async fn bring(site: &Guarded, by: &Enrolled, path: &str, bytes: &[u8], digest: bool) -> (u16, Value) {
    let mut stream = connect(site.machines, by.config.clone()).await.unwrap();
    let mut headers = vec![
        ("content-type", CONTENT_TYPE.to_owned()),
        (OFFSET, if digest { "6" } else { "0" }.to_owned()),
        (LENGTH, "11".to_owned()),
    ];
    if digest {
        headers.push((DIGEST, HELLO.to_owned()));
    }
    request_with(&mut stream, "PATCH", path, &headers, bytes)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_taken_from_the_machine_that_was_asked_and_from_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let (machine, other) = (site.machine(json!({})).await, site.machine(json!({})).await);
    let mut socket = machine.dial(site.machines).await.unwrap();
    let mut hello = harness::hello(&machine.id, 0);
    hello["payload"]["minor"] = json!(1);
    hello["payload"]["commands"] = json!(["record.upload"]);
    say(&mut socket, &hello).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "welcome");
    let _other = other.session(site.machines).await;
    site.event(&machine, "identity.enrolled").await;
    let body = json!({ "kind": "record.upload", "reason": "what was it", "arguments": { "file": FILE } });
    let told = site
        .post(&format!("/api/v1/machines/{}/commands", machine.id), body)
        .await;
    let command = told["command"]["command_id"].as_str().unwrap();
    while hear(&mut socket).await.unwrap()["type"] != "command" {}
    let response = json!({ "command_id": command, "outcome": "accepted" });
    say(
        &mut socket,
        &harness::envelope(&machine.id, "response", Some(1), 2, Some(1), response),
    )
    .await;
    while hear(&mut socket).await.unwrap()["type"] != "ack" {}

    let path = format!("/machine/{}/uploads/{command}", machine.id);
    assert_eq!(bring(&site, &machine, &path, b"hello ", false).await.0, 204);
    // Another machine: to this path, and to its own with the command of this one.
    for (path, code) in [
        (path.clone(), "MST-A066"),
        (format!("/machine/{}/uploads/{command}", other.id), "MST-A035"),
    ] {
        for (bytes, digest) in [(b"hello ".as_slice(), false), (b"world".as_slice(), true)] {
            let (status, problem) = bring(&site, &other, &path, bytes, digest).await;
            assert!((400..500).contains(&status), "{status} {problem}");
            assert_eq!(problem["code"], code, "{path}: {problem}");
        }
        assert_ne!(
            other.ask(site.machines, "HEAD", &path, None).await.unwrap().0,
            204
        );
    }
    // Nor does the port of people take any.
    let url = format!("https://{}{path}", site.people);
    let status = site.http.patch(url).body("world").send().await.unwrap().status();
    assert!(status == 404 || status == 405, "{status}");
    // What the machine brings goes on where it was.
    assert_eq!(bring(&site, &machine, &path, b"world", true).await.0, 204);
    let list = site
        .get(&format!("/api/v1/machines/{}/recordings", machine.id))
        .await;
    assert_eq!(list["items"][0]["stored"]["bytes"], 11, "{list}");
    let others = site
        .get(&format!("/api/v1/machines/{}/recordings", other.id))
        .await;
    assert_eq!(others["items"], json!([]));

    // Who is shut out brings nothing more, also by a connection that stands.
    let mut standing = connect(site.machines, machine.config.clone()).await.unwrap();
    let before = request_with(&mut standing, "HEAD", &path, &[], b"")
        .await
        .unwrap();
    assert_eq!(before.0, 204);
    site.revoke(&machine).await;
    let after = request_with(&mut standing, "PATCH", &path, &[], b"").await;
    assert!(
        after.is_err() || after.as_ref().is_ok_and(|(status, _)| *status == 403),
        "{after:?}"
    );
    site.stop().await;
}
