//! How releases come to the server.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{made, noise, publish, put_as, put_content, put_manifest};
use crate::access::kit::World;
use crate::harness::{Machine, Site, answer, id, soon};
use muster_release::Sha256Digest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_published_contents_first_listed_shown_and_there_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let (app, notes) = (noise(1, 300_000), b"notes".repeat(100));
    let release = made("1.0.0", 3, &[("app", &app), ("notes", &notes), ("same", &notes)]);
    let wanted: Vec<Value> = release
        .contents
        .iter()
        .map(|(digest, bytes)| json!({ "sha256": digest, "bytes": bytes.len() }))
        .collect();
    let missing = site
        .request("POST", "/api/v1/releases/missing")
        .json(&json!({ "contents": wanted }));
    let (_, said) = answer(missing).await;
    assert_eq!(said["contents"].as_array().unwrap().len(), 2, "{said}");

    // The manifest before its contents, with one of them, and with all.
    let (status, said) = put_manifest(&site, &release).await;
    assert_eq!((status, &said["code"]), (409, &json!("MST-A102")), "{said}");
    assert!(said["detail"].as_str().unwrap().contains("2 contents"), "{said}");
    assert_eq!(put_content(&site, &app).await.0, 201);
    let (status, said) = put_manifest(&site, &release).await;
    assert_eq!((status, &said["code"]), (409, &json!("MST-A102")), "{said}");
    assert_eq!(put_content(&site, &notes).await.0, 201);
    assert_eq!(put_content(&site, &notes).await.0, 200, "it is here");
    let missing = site
        .request("POST", "/api/v1/releases/missing")
        .json(&json!({ "contents": wanted }));
    assert_eq!(answer(missing).await.1["contents"], json!([]));
    let (status, said) = put_manifest(&site, &release).await;
    assert_eq!((status, &said["is_new"]), (201, &json!(true)), "{said}");
    let (status, said) = put_manifest(&site, &release).await;
    assert_eq!((status, &said["is_new"]), (200, &json!(false)), "{said}");

    let newer = made("1.1.0", 4, &[("app", &app)]);
    assert_eq!(put_manifest(&site, &newer).await.0, 201);
    let before = site.all("/api/v1/releases?limit=1").await;
    let titles: Vec<_> = before.iter().map(|item| item["version"].clone()).collect();
    assert_eq!(titles, ["1.1.0", "1.0.0"]);
    assert_eq!(
        site.get("/api/v1/releases?product=other").await["items"],
        json!([])
    );
    site.stop().await.unwrap();

    let site = Site::start(data.path()).await;
    assert_eq!(site.all("/api/v1/releases").await, before);
    let shown = site.get(&release.path()).await;
    assert_eq!(
        (
            &shown["files"],
            &shown["contents"],
            &shown["counter"],
            &shown["manifest"]
        ),
        (&json!(3), &json!(2), &json!(3), &json!(release.digest())),
        "{shown}"
    );
    assert_eq!(shown["health"]["checks"], json!(["port=8080"]));
    assert_eq!(shown["fits"]["kinds"], json!(["car"]));
    assert_eq!(
        shown["running"],
        json!({ "machines": 0, "confirmed": 0, "some": [] })
    );
    let manifest = site
        .request("GET", &format!("{}/manifest", release.path()))
        .send()
        .await
        .unwrap();
    assert_eq!(manifest.bytes().await.unwrap(), release.bytes);
    assert_eq!(
        put_manifest(&site, &release).await.0,
        200,
        "its contents are looked at again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_what_it_is_said_to_be_is_refused_and_nothing_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let content = noise(2, 100_000);
    let other = Sha256Digest::of(b"other");
    let (status, said) = put_as(&site, other, &content).await;
    assert_eq!((status, &said["code"]), (422, &json!("MST-A105")), "{said}");
    let (status, said) = answer(site.request("PUT", "/api/v1/releases/blobs/xyz").body("x")).await;
    assert_eq!((status, &said["code"]), (422, &json!("MST-A105")), "{said}");

    // Cut off in the middle; without a length; too long.
    let digest = Sha256Digest::of(&content);
    let path = format!("/api/v1/releases/blobs/{digest}");
    let head = |length: &str| format!("PUT {path} HTTP/1.1\r\nhost: {}\r\n{length}\r\n", site.address);
    let said = ask(
        site.address,
        head("content-length: 100000\r\n"),
        &content[..50_000],
    )
    .await;
    assert_eq!(said, "", "nobody is there to be answered");
    let said = ask(
        site.address,
        head("transfer-encoding: chunked\r\n"),
        b"1\r\nx\r\n0\r\n\r\n",
    )
    .await;
    assert!(
        said.starts_with("HTTP/1.1 411") && said.contains("MST-A105"),
        "{said}"
    );
    let said = ask(site.address, head("content-length: 5000000000\r\n"), b"").await;
    assert!(
        said.starts_with("HTTP/1.1 413") && said.contains("MST-A105"),
        "{said}"
    );
    for digest in [digest, other] {
        let wanted = json!({ "contents": [{ "sha256": digest, "bytes": content.len() }] });
        let (_, said) = answer(site.request("POST", "/api/v1/releases/missing").json(&wanted)).await;
        assert_eq!(said, wanted, "nothing of it is here");
    }
    // It comes again, whole.
    assert_eq!(put_content(&site, &content).await.0, 201);
}

/// Sends something, and nothing more; the answer, if there is one.
async fn ask(address: SocketAddr, head: String, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    // The server may close before all is sent.
    let _ = soon("an answer", stream.read_to_end(&mut said)).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    if said.starts_with("HTTP/1.1 400") {
        return String::new();
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_given_once_and_counters_grow() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    publish(&site, &made("1.1.0", 7, &[("app", b"one")])).await;
    assert_eq!(put_content(&site, b"two").await.0, 201);
    let refused = [
        (
            made("1.1.0", 8, &[("app", b"two")]),
            409,
            "MST-A103",
            "given once",
        ),
        (
            made("1.0.0", 6, &[("app", b"two")]),
            409,
            "MST-A104",
            "8 to 9007199254740991 are accepted",
        ),
        (
            made("1.2.0", 7, &[("app", b"two")]),
            409,
            "MST-A104",
            "1.1.0 has 7",
        ),
    ];
    for (release, status, code, says) in refused {
        let (answered, said) = put_manifest(&site, &release).await;
        assert_eq!((answered, &said["code"]), (status, &json!(code)), "{said}");
        assert!(said["detail"].as_str().unwrap().contains(says), "{said}");
    }
    // Under another name than its own; no manifest.
    let release = made("1.2.0", 8, &[("app", b"two")]);
    let elsewhere = site
        .request("PUT", "/api/v1/releases/car-app/9.9.9")
        .body(release.bytes.clone());
    let (status, said) = answer(elsewhere).await;
    assert_eq!((status, &said["code"]), (422, &json!("MST-A101")), "{said}");
    let (status, said) = answer(site.request("PUT", &release.path()).body("{}")).await;
    assert_eq!((status, &said["code"]), (422, &json!("MST-A101")), "{said}");
    assert_eq!(site.all("/api/v1/releases").await.len(), 1);
    let (status, said) = site.ask("/api/v1/releases/car-app/1.2.0").await;
    assert_eq!((status, &said["code"]), (404, &json!("MST-A100")), "{said}");
    assert_eq!(put_manifest(&site, &release).await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_content_is_found_when_it_is_published_and_can_come_again() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let content = noise(3, 10_000);
    assert_eq!(put_content(&site, &content).await.0, 201);
    site.stop().await.unwrap();
    let name = Sha256Digest::of(&content).to_string();
    let file = data.path().join("releases").join(&name[..2]).join(&name);
    let mut damaged = content.clone();
    damaged[77] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    let site = Site::start(data.path()).await;
    let release = made("1.0.0", 1, &[("app", &content)]);
    let (status, said) = put_manifest(&site, &release).await;
    assert_eq!((status, &said["code"]), (409, &json!("MST-A102")), "{said}");
    let wanted = json!({ "contents": [{ "sha256": name, "bytes": content.len() }] });
    let (_, said) = answer(site.request("POST", "/api/v1/releases/missing").json(&wanted)).await;
    assert_eq!(said, wanted);
    assert_eq!(put_content(&site, &content).await.0, 201);
    assert_eq!(put_manifest(&site, &release).await.0, 201);
    assert_eq!(std::fs::read(file).unwrap(), content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_runs_a_release_is_counted_as_far_as_one_may_see() {
    let world = World::of_all().await;
    let release = made("1.0.0", 1, &[("app", b"one")]);
    let token = &world.tokens["engineer"];
    let put = |path: String, body: Vec<u8>| {
        let request = world.site.request("PUT", &path).bearer_auth(token);
        answer(request.body(body))
    };
    let path = format!("/api/v1/releases/blobs/{}", Sha256Digest::of(b"one"));
    assert_eq!(put(path, b"one".to_vec()).await.0, 201);
    assert_eq!(put(release.path(), release.bytes.clone()).await.0, 201);
    let audit = world.audit("action=releases.publish").await;
    assert_eq!(
        (&audit[0]["person"], &audit[0]["objects"][0]["id"]),
        (&json!("engineer"), &json!("car-app/1.0.0")),
        "{audit:?}"
    );
    let data = world.data.path().to_owned();
    world.site.stop().await.unwrap();

    // Machines say so where nobody has to sign in.
    let site = Site::start(&data).await;
    for (number, confirmed) in [(1, true), (2, false)] {
        let mut machine = Machine::connect(site.address, &id(number), 2).await;
        let running = json!({
            "version": "1.0.0", "counter": 1, "manifest": release.digest(), "confirmed": confirmed, "start": 1,
        });
        let updates = json!({ "products": [{ "product": "car-app", "running": running }] });
        machine
            .surely("state", json!({ "full": { "updates": updates } }))
            .await;
    }
    site.settle().await;
    let shown = site.get(&release.path()).await;
    assert_eq!(
        (&shown["running"]["machines"], &shown["running"]["confirmed"]),
        (&json!(2), &json!(1)),
        "{shown}"
    );
    site.stop().await.unwrap();
    let mut options = crate::harness::options(&data);
    options.access = muster_fleet::access::AccessMode::SignIn;
    let site = Site::start_with(options).await;
    let request = site.request("GET", &release.path());
    let (status, shown) = answer(request.bearer_auth(&world.tokens["viewer-munich"])).await;
    assert_eq!(
        (status, &shown["running"]["some"]),
        (200, &json!([id(1)])),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_taken_by_its_name_and_given_out_byte_for_byte() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    let root = r#"{ "signatures": [], "signed": { "_type": "root", "version": 1 }   }"#;
    let put = |name: &str, body: &str| {
        let path = format!("/api/v1/releases/metadata/{name}");
        answer(site.request("PUT", &path).body(body.to_owned()))
    };
    assert_eq!(put("1.root.json", root).await.0, 201);
    assert_eq!(put("1.root.json", root).await.0, 204);
    let (status, said) = put("1.root.json", &root.replace("   ", "")).await;
    assert_eq!((status, &said["code"]), (409, &json!("MST-A110")), "{said}");
    let (status, said) = put("2.root.json", root).await;
    assert_eq!((status, &said["code"]), (422, &json!("MST-A110")), "{said}");
    let (status, said) = put("passwd", root).await;
    assert_eq!((status, &said["code"]), (422, &json!("MST-A110")), "{said}");
    let path = format!("/machine/{}/releases/metadata/1.root.json", id(1));
    let got = site.request("GET", &path).send().await.unwrap();
    let tag = got.headers()["etag"].clone();
    assert_eq!(got.text().await.unwrap(), root);
    let known = site.request("GET", &path).header("if-none-match", tag);
    assert_eq!(known.send().await.unwrap().status(), 304);
    for name in ["2.root.json", "timestamp.json"] {
        let (status, said) = site
            .ask(&format!("/machine/{}/releases/metadata/{name}", id(1)))
            .await;
        assert_eq!((status, &said["code"]), (404, &json!("MST-A107")), "{said}");
    }
}
