//! The load speaks what the servers understand.

use muster_protocol::link::{Decoder, MachineMessage};

use super::*;

fn clock() -> Clock {
    Clock::now()
}

#[test]
fn what_a_machine_says_is_of_the_link() {
    let mut text = Text::new(machine_id(7), 12);
    text.sequence = 1;
    for (what, record) in [
        (What::Sample, None),
        (What::Event, Some(1)),
        (What::Event, Some(2)),
    ] {
        let mut out = Vec::new();
        text.write(what, &clock(), &mut out);
        assert!((180..=260).contains(&out.len()), "{} bytes", out.len());
        let frame = Decoder::default()
            .machine(std::str::from_utf8(&out).unwrap())
            .unwrap();
        assert_eq!(frame.session.map(|session| session.0), Some(12));
        assert_eq!(frame.sequence.0, text.sequence);
        assert_eq!(frame.record.map(|record| record.0), record);
        match (what, frame.message) {
            (What::Sample, MachineMessage::Telemetry(telemetry)) => assert_eq!(telemetry.samples.len(), 1),
            (What::Event, MachineMessage::Event(event)) => assert_eq!(event.kind, "bench.event"),
            (_, other) => panic!("{other:?}"),
        }
    }
}

/// What a server would say in this frame.
fn told(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => bytes.push(short as u8),
        long => {
            bytes.push(126);
            bytes.extend((long as u16).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

#[test]
fn frames_survive_any_cut() {
    let long = vec![b'x'; 300];
    let stream = [told(1, b"short"), told(2, &long), told(9, b"")].concat();
    for cut in 0..stream.len() {
        let mut found = Vec::new();
        let mut rest = Vec::new();
        for part in [&stream[..cut], &stream[cut..]] {
            rest.extend_from_slice(part);
            while let Some((opcode, payload, whole)) = websocket::next_frame(&rest).unwrap() {
                found.push((opcode, payload.len()));
                rest.drain(..whole);
            }
        }
        assert_eq!(found, [(1, 5), (2, 300), (9, 0)], "cut at {cut}");
    }
    assert!(
        websocket::next_frame(&[0x81, 0x85]).is_err(),
        "a masked frame of a server"
    );
}

#[test]
fn a_ping_is_answered_and_a_close_told() {
    let mut socket = WebSocket::binary(Mqtt::new(1), "127.0.0.1:1".to_owned(), "/", Some("mqtt"));
    let (mut out, mut heard) = (Vec::new(), Heard::default());
    socket.open(&mut out);
    assert!(String::from_utf8_lossy(&out).contains("Sec-WebSocket-Protocol: mqtt\r\n"));
    out.clear();
    let mut input = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
    input.extend(told(2, &[0x20, 2, 0, 0]));
    input.extend(told(9, b"hi"));
    assert_eq!(socket.hear(&input, &mut out, &mut heard), Ok(input.len()));
    assert!(heard.joined);
    assert!(out.ends_with(&[0x8A, 0x82, 0, 0, 0, 0, b'h', b'i']), "{out:?}");
    let why = socket
        .hear(&told(8, b"\x03\xf0too much"), &mut out, &mut heard)
        .unwrap_err();
    assert_eq!(why, "closed with 1008 too much");
}

#[test]
fn mqtt_counts_what_is_acknowledged() {
    let mut mqtt = Mqtt::new(3);
    let (mut out, mut heard) = (Vec::new(), Heard::default());
    mqtt.open(&mut out);
    assert_eq!(
        &out[..9],
        &[0x10, out.len() as u8 - 2, 0, 4, b'M', b'Q', b'T', b'T', 4]
    );
    let input = [0x20, 2, 0, 0, 0x40, 2, 0, 1, 0x40, 2, 0, 2, 0xD0, 0, 0x40];
    assert_eq!(mqtt.hear(&input, &mut out, &mut heard), Ok(input.len() - 1));
    assert_eq!(
        (heard.joined, heard.acknowledged, heard.answered),
        (true, 2, true)
    );
    assert!(mqtt.hear(&[0x20, 2, 0, 5], &mut out, &mut heard).is_err());

    out.clear();
    mqtt.say(What::Event, &clock(), &mut out);
    // More than 127 bytes: the length takes two groups of seven bits.
    let length = usize::from(out[1] & 0x7f) | usize::from(out[2]) << 7;
    assert_eq!((out[0], length), (0x32, out.len() - 3));
}

#[test]
fn nats_counts_what_is_acknowledged() {
    let mut nats = Nats::new(3, true);
    let (mut out, mut heard) = (Vec::new(), Heard::default());
    nats.open(&mut out);
    let input = b"INFO {}\r\nPONG\r\nMSG _INBOX.3.made 2 2\r\n{}\r\nMSG _INBOX.3 1 4\r\n{\r\n}\r\nPING\r\nMSG _INBOX.3 1 4\r\n{";
    out.clear();
    let taken = nats.hear(input, &mut out, &mut heard).unwrap();
    assert_eq!(&input[taken..], b"MSG _INBOX.3 1 4\r\n{");
    assert_eq!(
        (heard.joined, heard.acknowledged, heard.answered),
        (true, 1, false)
    );
    assert_eq!(out, b"PONG\r\n");
    let refused = b"MSG _INBOX.3 1 30\r\n{\"error\":{\"description\":\"full\"}}\r\n";
    assert!(nats.hear(refused, &mut out, &mut heard).is_err());

    out.clear();
    nats.say(What::Event, &clock(), &mut out);
    let text = String::from_utf8(out).unwrap();
    let (head, body) = text.split_once("\r\n").unwrap();
    let length = body.len() - 2;
    assert_eq!(head, format!("PUB e.3.telemetry _INBOX.3 {length}"));
}

#[test]
fn a_heartbeat_is_of_the_link() {
    let mut out = Vec::new();
    Text::new(machine_id(7), 12).write_heartbeat(&clock(), &mut out);
    let frame = Decoder::default()
        .machine(std::str::from_utf8(&out).unwrap())
        .unwrap();
    assert!(matches!(frame.message, MachineMessage::Heartbeat(_)), "{frame:?}");
    assert_eq!((frame.sequence.0, frame.record), (1, None));
}

#[test]
fn items_of_an_update_are_counted() {
    let text = br#"{"type":"update","id":"all","items":[{"topic":"machine.a.state","data":{"topic":1}},{"topic":"machine.b.state","data":{}}]}"#;
    assert_eq!(live::items(text), 2);
    assert_eq!(live::items(br#"{"type":"update","id":"all","items":[]}"#), 0);
}
