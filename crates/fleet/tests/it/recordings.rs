//! Recordings, from outside: what may be brought, in which form, and what people see of it.

use muster_protocol::link::upload::{CONTENT_TYPE, DIGEST, LENGTH, OFFSET, PIECE_MAX_BYTES};
use serde_json::{Value, json};

use crate::harness::{Machine, Site, answer, hear, hello, id};

const FILE: &str = "kept-20261121T070000.000Z-20261121T070230.000Z-estop_latched.mcap";

/// A machine that was asked for a recording and took that on; and the command's id.
async fn asked(site: &Site) -> (Machine, String) {
    let mut hello = hello(&id(1), 0);
    hello["payload"]["minor"] = json!(1);
    hello["payload"]["commands"] = json!(["record.upload", "record.mark"]);
    let mut machine = Machine::connect_with(site.address, &id(1), hello).await;
    let body = json!({ "kind": "record.upload", "reason": "what was it", "arguments": { "file": FILE } });
    let path = format!("/api/v1/machines/{}/commands", id(1));
    let (status, told) = answer(site.request("POST", &path).json(&body)).await;
    assert_eq!(status, 202, "{told}");
    let command = told["command"]["command_id"].as_str().unwrap().to_owned();
    loop {
        let message = hear(&mut machine.socket).await.unwrap();
        if message["type"] == "command" {
            assert_eq!(message["payload"]["arguments"]["file"], FILE);
            break;
        }
    }
    let accepted = json!({ "command_id": command, "outcome": "accepted" });
    machine.surely("response", accepted).await;
    (machine, command)
}

struct Piece<'a> {
    machine: u32,
    command: &'a str,
    offset: u64,
    length: u64,
    bytes: Vec<u8>,
    digest: Option<&'a str>,
}

async fn bring(site: &Site, piece: Piece<'_>) -> (u16, Option<String>, Value) {
    let path = format!("/machine/{}/uploads/{}", id(piece.machine), piece.command);
    let mut request = site
        .request("PATCH", &path)
        .header("content-type", CONTENT_TYPE)
        .header(OFFSET, piece.offset)
        .header(LENGTH, piece.length)
        .body(piece.bytes);
    if let Some(digest) = piece.digest {
        request = request.header(DIGEST, digest);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let offset = response
        .headers()
        .get(OFFSET)
        .map(|value| value.to_str().unwrap().to_owned());
    let body = response.text().await.unwrap();
    (status, offset, serde_json::from_str(&body).unwrap_or(Value::Null))
}

async fn item(site: &Site) -> Value {
    let list = site.get(&format!("/api/v1/machines/{}/recordings", id(1))).await;
    list["items"][0].clone()
}

/// Of `hello world`. Source: `printf 'hello world' | openssl dgst -sha256 -binary | base64`.
const HELLO: &str = "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:";
const HELLO_HEX: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_comes_in_pieces_is_listed_downloaded_and_removed() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let (_machine, command) = asked(&site).await;
    assert_eq!(item(&site).await["transfer"]["state"], "accepted");
    let piece = |offset, bytes: &[u8], digest| Piece {
        machine: 1,
        command: &command,
        offset,
        length: 11,
        bytes: bytes.to_vec(),
        digest,
    };
    let (status, offset, _) = bring(&site, piece(0, b"hello ", None)).await;
    assert_eq!((status, offset.as_deref()), (204, Some("6")));
    let coming = item(&site).await;
    let transfer = &coming["transfer"];
    assert_eq!(
        (&transfer["state"], &transfer["offset"], &transfer["length"]),
        (&json!("coming"), &json!(6), &json!(11))
    );
    let path = format!("/machine/{}/uploads/{command}", id(1));
    let head = site.request("HEAD", &path).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), head.headers()[OFFSET].to_str().unwrap()),
        (204, "6")
    );
    let (status, _, _) = bring(&site, piece(6, b"world", Some(HELLO))).await;
    assert_eq!(status, 204);
    let head = site.request("HEAD", &path).send().await.unwrap();
    assert_eq!(head.headers()["upload-complete"], "?1", "its answer may be lost");

    let here = item(&site).await;
    assert_eq!(
        (&here["stored"]["sha256"], &here["stored"]["reason"]),
        (&json!(HELLO_HEX), &json!("what was it"))
    );
    assert_eq!(
        (&here["transfer"], &here["on_machine"], &here["why"]),
        (&Value::Null, &json!(false), &json!("estop_latched"))
    );
    let path = format!("/api/v1/machines/{}/recordings/{FILE}", id(1));
    let whole = site.request("GET", &path).send().await.unwrap();
    let disposition = whole.headers()["content-disposition"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(disposition, format!("attachment; filename=\"{FILE}\""));
    assert_eq!(whole.text().await.unwrap(), "hello world");
    let part = site
        .request("GET", &path)
        .header("range", "bytes=6-")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (part.status().as_u16(), part.text().await.unwrap().as_str()),
        (206, "world")
    );
    let (status, _) = answer(site.request("DELETE", &path)).await;
    assert_eq!(status, 204);
    let list = site.get(&format!("/api/v1/machines/{}/recordings", id(1))).await;
    assert_eq!(
        list["items"],
        json!([]),
        "it came and went: nothing is on its way"
    );
    let (status, gone) = answer(site.request("DELETE", &path)).await;
    assert_eq!((status, &gone["code"]), (404, &json!("MST-A034")));
    let (status, gone) = site.ask(&path).await;
    assert_eq!((status, &gone["code"]), (404, &json!("MST-A034")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_not_packed_again_on_its_way() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let (_machine, command) = asked(&site).await;
    let piece = Piece {
        machine: 1,
        command: &command,
        offset: 0,
        length: 4_096,
        bytes: vec![b'a'; 4_096],
        // Source: `head -c 4096 /dev/zero | tr '\0' a | openssl dgst -sha256 -binary | base64`.
        digest: Some("sha-256=:yT7uLQ2wLxCsx0YNlXbhItz4zVPEv438rhs+dOvP/1o=:"),
    };
    assert_eq!(bring(&site, piece).await.0, 204);
    let path = format!("/api/v1/machines/{}/recordings/{FILE}", id(1));
    let packing = site.request("GET", &path).header("accept-encoding", "gzip");
    let headers = packing.send().await.unwrap().headers().clone();
    assert_eq!(
        (&headers["content-length"], headers.get("content-encoding")),
        (&"4096".parse().unwrap(), None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_taken_that_nobody_asked_for_or_that_does_not_fit() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let (_machine, command) = asked(&site).await;
    let _other = Machine::connect_with(site.address, &id(2), hello(&id(2), 0)).await;
    let unknown = "0192f0c1-7b5e-7c3a-9d2f-3f1f6b1c9a10";
    let piece = |offset, length, bytes: &[u8], digest| Piece {
        machine: 1,
        command: &command,
        offset,
        length,
        bytes: bytes.to_vec(),
        digest,
    };
    let hello = b"hello world";
    let refused = [
        (
            "another command",
            Piece {
                command: unknown,
                ..piece(0, 11, hello, Some(HELLO))
            },
            404,
            "MST-A035",
        ),
        (
            "no id",
            Piece {
                command: "..%2f..%2flock",
                ..piece(0, 11, hello, Some(HELLO))
            },
            404,
            "MST-A035",
        ),
        (
            "no text",
            Piece {
                command: "%ff%fe",
                ..piece(0, 11, hello, Some(HELLO))
            },
            404,
            "MST-A035",
        ),
        (
            "another machine",
            Piece {
                machine: 2,
                ..piece(0, 11, hello, Some(HELLO))
            },
            404,
            "MST-A035",
        ),
        (
            "no machine",
            Piece {
                machine: 3,
                ..piece(0, 11, hello, Some(HELLO))
            },
            404,
            "MST-A004",
        ),
        ("a gap", piece(6, 11, b"world", Some(HELLO)), 409, "MST-A036"),
        ("more than its length", piece(0, 5, hello, None), 409, "MST-A036"),
        ("no digest", piece(0, 11, hello, None), 400, "MST-A036"),
        (
            "a digest too early",
            piece(0, 11, b"hello", Some(HELLO)),
            400,
            "MST-A036",
        ),
        (
            "a digest of another make",
            piece(0, 11, hello, Some("md5=:AA==:")),
            400,
            "MST-A036",
        ),
        (
            "another content",
            piece(0, 11, b"hello_world", Some(HELLO)),
            422,
            "MST-A036",
        ),
        (
            "too much at once",
            piece(0, 1 << 20, &vec![0; PIECE_MAX_BYTES + 1], None),
            413,
            "MST-A003",
        ),
        (
            "more than there is room for",
            piece(0, u64::MAX >> 1, b"h", None),
            507,
            "MST-A037",
        ),
    ];
    for (what, piece, status, code) in refused {
        let (answered, _, problem) = bring(&site, piece).await;
        assert_eq!(
            (answered, problem["code"].as_str()),
            (status, Some(code)),
            "{what}: {problem}"
        );
    }
    let path = format!("/machine/{}/uploads/{command}", id(1));
    let (status, problem) = answer(site.request("PATCH", &path).body("x")).await;
    assert_eq!((status, &problem["code"]), (415, &json!("MST-A003")));
    let typed = site.request("PATCH", &path).header("content-type", CONTENT_TYPE);
    let (status, problem) = answer(typed.body("x")).await;
    assert_eq!((status, &problem["code"]), (400, &json!("MST-A036")), "no offset");
    let stored = item(&site).await;
    assert_eq!(stored["stored"], Value::Null, "nothing of all that is here");
    let (status, _, _) = bring(&site, piece(0, 11, hello, Some(HELLO))).await;
    assert_eq!(status, 204, "and nothing is in the way of what was asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_machine_says_of_its_recordings_is_shown() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let (mut machine, command) = asked(&site).await;
    let recordings = json!({
        "paused": "the disk is full", "rolling_s": 300, "rolling_bytes": 1_000,
        "kept": [{ "file": FILE, "bytes": 700 }, { "file": "../../lock", "bytes": 1 }],
        "failed": [{ "command_id": command, "why": "it is gone" }],
    });
    machine
        .surely("state", json!({ "full": { "recordings": recordings } }))
        .await;
    let list = crate::harness::until("it is shown", || async {
        let list = site.get(&format!("/api/v1/machines/{}/recordings", id(1))).await;
        (list["records"] == true).then_some(list)
    })
    .await;
    assert_eq!(
        (&list["paused"], &list["rolling_s"]),
        (&json!("the disk is full"), &json!(300))
    );
    assert_eq!(
        list["items"].as_array().unwrap().len(),
        1,
        "a name that is none is not shown: {list}"
    );
    let transfer = &list["items"][0]["transfer"];
    assert_eq!(
        (&transfer["state"], &transfer["detail"]),
        (&json!("failed"), &json!("it is gone"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_recordings_are_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let (_machine, _) = asked(&site).await;
    for arguments in [
        json!(null),
        json!({}),
        json!({ "file": "../../etc/passwd" }),
        json!({ "file": FILE, "to": "x" }),
    ] {
        let body = json!({ "kind": "record.upload", "reason": "what was it", "arguments": arguments });
        let path = format!("/api/v1/machines/{}/commands", id(1));
        let (status, problem) = answer(site.request("POST", &path).json(&body)).await;
        assert_eq!(
            (status, &problem["code"]),
            (422, &json!("MST-A002")),
            "{arguments}: {problem}"
        );
    }
}
