//! Compressed messages over real sockets: agreed, refused, damaged.

use futures_util::SinkExt;
use muster_protocol::link::Limits;
use muster_protocol::link::compression::{Compressor, DICTIONARY_ID, pack, unpack};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Machine, Site, dial, end, envelope, hear, hello, id, options, send, soon, state};

/// A machine in session that offered these dictionaries, and the one that was chosen.
async fn offering(site: &Site, number: u32, dictionaries: &[u32]) -> (Machine, Value) {
    let mut socket = dial(site.address).await;
    let mut first = hello(&id(number), 0);
    first["payload"]["dictionaries"] = json!(dictionaries);
    send(&mut socket, &first).await;
    // It is text whatever was offered: only it says what is agreed.
    let welcome = match soon("a welcome", futures_util::StreamExt::next(&mut socket)).await {
        Some(Ok(Message::Text(text))) => serde_json::from_str::<Value>(&text).unwrap(),
        other => panic!("{other:?}"),
    };
    let payload = &welcome["payload"];
    let (session, held) = (
        payload["session"].as_u64().unwrap(),
        payload["highest_record"].as_u64().unwrap(),
    );
    let machine = Machine {
        id: id(number),
        socket,
        session,
        sequence: 1,
        record: held,
        acked: held,
    };
    (machine, payload["dictionary"].clone())
}

async fn say_packed(machine: &mut Machine, kind: &str, durable: bool, payload: Value) {
    let text = machine.message(kind, durable, payload).to_string();
    let frame = pack(&text).expect("it gets shorter");
    machine.socket.send(Message::binary(frame)).await.unwrap();
}

/// The next message, and whether it was compressed.
async fn heard(machine: &mut Machine) -> (Value, bool) {
    loop {
        match soon("a message", futures_util::StreamExt::next(&mut machine.socket)).await {
            Some(Ok(Message::Text(text))) => return (serde_json::from_str(&text).unwrap(), false),
            Some(Ok(Message::Binary(frame))) => {
                let text = unpack(&frame, &Limits::default()).unwrap();
                return (serde_json::from_str(&text).unwrap(), true);
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_both_want_is_compressed_in_both_directions() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let (mut machine, chosen) = offering(&site, 1, &[7, DICTIONARY_ID]).await;
    assert_eq!(chosen, json!(DICTIONARY_ID));
    say_packed(
        &mut machine,
        "state",
        true,
        state("squeezed", "lekiwi", Some("oslo"), Some(61.5)),
    )
    .await;
    let (ack, packed) = heard(&mut machine).await;
    assert_eq!(
        (ack["type"].as_str(), &ack["payload"]["record"]),
        (Some("ack"), &json!(1))
    );
    assert!(packed, "an acknowledgement gets shorter: {ack}");
    // Text is as good as before.
    machine.event("plain", "info", "as text").await;
    assert_eq!(heard(&mut machine).await.0["payload"]["record"], json!(2));
    site.settle().await;
    let shown = site.get(&format!("/api/v1/machines/{}", id(1))).await;
    assert_eq!(shown["summary"]["name"], "squeezed");

    // One that offers nothing, or nothing that is known here, is spoken with in text.
    for dictionaries in [&[][..], &[7, 8]] {
        let (mut machine, chosen) = offering(&site, 2, dictionaries).await;
        assert_eq!(chosen, Value::Null);
        machine.heartbeat().await;
        let (ack, packed) = heard(&mut machine).await;
        assert!(!packed && ack["payload"]["heartbeat"] == 2, "{ack}");
        let text = machine.message("heartbeat", false, json!({})).to_string();
        machine
            .socket
            .send(Message::binary(pack(&text).unwrap()))
            .await
            .unwrap();
        assert_eq!(end(&mut machine.socket).await.code, Some(1003));
    }
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_may_not_compress_chooses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut options = options(data.path());
    options.set_compression(false);
    assert!(!options.compression());
    let site = Site::start_with(options).await;
    let (mut machine, chosen) = offering(&site, 1, &[DICTIONARY_ID]).await;
    assert_eq!(chosen, Value::Null);
    say_packed(
        &mut machine,
        "event",
        true,
        json!({ "kind": "k", "severity": "info", "message": "m" }),
    )
    .await;
    assert_eq!(end(&mut machine.socket).await.code, Some(1003));
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_hold_no_message_end_their_connection_and_no_other() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let (mut good, _) = offering(&site, 2, &[DICTIONARY_ID]).await;
    let fine = pack(&" ".repeat(200)).unwrap();
    let mut by_hand = Compressor::new().unwrap();
    let long = |kind: &str, bytes: usize| {
        let mut text = envelope(&id(1), kind, Some(1), 2, Some(1), json!({})).to_string();
        text.push_str(&" ".repeat(bytes));
        text
    };
    let cases = [
        ("nonsense", b"nonsense".to_vec(), 1007),
        ("nothing", Vec::new(), 1007),
        ("text", b"{\"version\":1}".to_vec(), 1007),
        ("cut", fine[..fine.len() - 1].to_vec(), 1007),
        ("twice", [fine.clone(), fine.clone()].concat(), 1007),
        ("no message inside", fine, 1007),
        (
            "no text inside",
            zstd_frame(Some(DICTIONARY_ID), Some(2), &[0xff, 0xfe]),
            1007,
        ),
        (
            "without a dictionary",
            zstd_frame(None, Some(8), b"{}      "),
            1003,
        ),
        (
            "another dictionary",
            zstd_frame(Some(77), Some(8), b"{}      "),
            1003,
        ),
        (
            "without its length",
            zstd_frame(Some(DICTIONARY_ID), None, b"{}"),
            1008,
        ),
        ("a bomb", by_hand.compress(&" ".repeat(64 << 20)).unwrap(), 1009),
        (
            "a lie about its length",
            zstd_frame(Some(DICTIONARY_ID), Some(1 << 30), b"{}"),
            1009,
        ),
        (
            "beyond what is no state",
            by_hand.compress(&long("event", 70_000)).unwrap(),
            1009,
        ),
        (
            "beyond a state",
            by_hand.compress(&long("state", 270_000)).unwrap(),
            1009,
        ),
    ];
    for (name, frame, code) in cases {
        let (mut machine, _) = offering(&site, 1, &[DICTIONARY_ID]).await;
        machine.socket.send(Message::binary(frame.clone())).await.unwrap();
        assert_eq!(end(&mut machine.socket).await.code, Some(code), "{name}");
        // Before anything was agreed none of them is even looked at.
        let mut socket = dial(site.address).await;
        socket.send(Message::binary(frame)).await.unwrap();
        assert_eq!(hear(&mut socket).await, Err(Some(1003)), "{name}");
    }
    say_packed(
        &mut good,
        "event",
        true,
        json!({ "kind": "k", "severity": "info", "message": "m" }),
    )
    .await;
    assert_eq!(heard(&mut good).await.0["payload"]["record"], json!(1));
    site.stop().await.unwrap();
}

/// A frame whose only block is not compressed. Source: RFC 8878, 3.1.1.
fn zstd_frame(dictionary: Option<u32>, length: Option<u32>, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    let head = match length {
        Some(_) => 0b1010_0000,
        None => 0,
    };
    frame.push(head | if dictionary.is_some() { 0b11 } else { 0 });
    if length.is_none() {
        frame.push(0); // a window of 1 KiB
    }
    frame.extend(dictionary.map(u32::to_le_bytes).into_iter().flatten());
    frame.extend(length.map(u32::to_le_bytes).into_iter().flatten());
    let block = 1 | u32::try_from(content.len()).unwrap() << 3;
    frame.extend(&block.to_le_bytes()[..3]);
    frame.extend(content);
    frame
}
