use std::future::Future;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

const MESSAGE_MAX_BYTES: usize = 256 * 1024;

/// A frame as a client sends it. Source: RFC 6455, 5.2.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let (head, length) = frame::head(first, payload.len());
    let mut bytes = head[..length].to_vec();
    bytes[1] |= 0x80;
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

fn pair(buffer_bytes: usize) -> (Wire<DuplexStream>, DuplexStream) {
    let (server, client) = tokio::io::duplex(buffer_bytes);
    (Wire::new(server, &[], MESSAGE_MAX_BYTES), client)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

async fn next(wire: &mut Wire<DuplexStream>) -> Result<String, WireError> {
    wire.next(|incoming| match incoming {
        Incoming::Text(text) => text.to_owned(),
        other => format!("{other:?}"),
    })
    .await
}

/// What comes of these bytes, until the first error.
fn heard(bytes: &[u8]) -> Vec<String> {
    block_on(async {
        let (mut wire, mut client) = pair(1 << 20);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        loop {
            match next(&mut wire).await {
                Ok(text) => heard.push(text),
                Err(WireError::Closed) => return heard,
                Err(error) => {
                    heard.push(format!("{:?}: {error}", error.close_code()));
                    return heard;
                }
            }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_was_written_is_read_however_it_is_cut(
        lengths in proptest::collection::vec(prop_oneof![0usize..300, 60_000usize..140_000], 1..12),
        parts in 1usize..4,
        buffer_bytes in 1usize..5_000,
    ) {
        let texts: Vec<String> = lengths
            .iter()
            .enumerate()
            .map(|(index, length)| char::from(b'a' + (index % 26) as u8).to_string().repeat(*length))
            .collect();
        let mut bytes = Vec::new();
        for text in &texts {
            let size = text.len().div_ceil(parts).max(1);
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let chunks = if chunks.is_empty() { vec![&[][..]] } else { chunks };
            for (index, chunk) in chunks.iter().enumerate() {
                let last = if index + 1 == chunks.len() { 0x80 } else { 0 };
                bytes.extend(masked(last | u8::from(index == 0), chunk));
            }
        }
        block_on(async {
            let (mut wire, mut client) = pair(buffer_bytes);
            let write = async { client.write_all(&bytes).await.unwrap() };
            let read = async {
                for text in &texts {
                    assert_eq!(&next(&mut wire).await.unwrap(), text);
                }
            };
            tokio::join!(write, read);
            assert_eq!(wire.unread.bytes.capacity(), 0, "nothing is held for what was read");
        });
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        heard(&bytes);
    }

    #[test]
    fn a_mutilated_frame_never_panics(at in 0usize..40, bit in 0u8..8, text in "[a-z]{0,30}") {
        let mut bytes = masked(0x81, text.as_bytes());
        bytes.extend(masked(0x88, &1000u16.to_be_bytes()));
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        heard(&bytes);
    }
}

#[test]
fn what_breaks_the_rules_is_refused_with_its_code() {
    let unmasked = [0x81, 0x01, b'a'];
    let lengthy = [0x81, 0x80 | 126, 0, 5, 0, 0, 0, 0];
    let mut endless = vec![0x81, 0x80 | 127];
    endless.extend((MESSAGE_MAX_BYTES as u64 + 1).to_be_bytes());
    let mut negative = vec![0x81, 0x80 | 127];
    negative.extend(u64::MAX.to_be_bytes());
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("reserved bits", masked(0xc1, b"a"), "1002"),
        ("unknown data frame", masked(0x83, b"a"), "1002"),
        ("unknown control frame", masked(0x8b, b"a"), "1002"),
        ("without a mask", unmasked.to_vec(), "1002"),
        ("a length in too many bytes", lengthy.to_vec(), "1002"),
        ("a length beyond all", negative, "1002"),
        ("too long, by its head alone", endless, "1009"),
        ("a ping in parts", masked(0x09, b"a"), "1002"),
        ("a long ping", masked(0x89, &[b'a'; 126]), "1002"),
        ("a part of nothing", masked(0x80, b"a"), "1002"),
        (
            "a message within a message",
            [masked(0x01, b"a"), masked(0x81, b"b")].concat(),
            "1002",
        ),
        ("no UTF-8", masked(0x81, &[0xff, 0xfe]), "1007"),
        (
            "no UTF-8 in parts",
            [masked(0x01, &[0xc3]), masked(0x80, b"(")].concat(),
            "1007",
        ),
        ("half a close code", masked(0x88, &[3]), "1002"),
        ("no UTF-8 in a reason", masked(0x88, &[3, 232, 0xff]), "1007"),
    ];
    for (name, bytes, code) in cases {
        let heard = heard(&bytes);
        assert!(
            heard.len() == 1 && heard[0].starts_with(&format!("Some({code})")),
            "{name}: {heard:?}"
        );
    }
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        let heard = heard(&masked(0x88, &code.to_be_bytes()));
        assert!(heard[0].starts_with("Some(1002)"), "{code}: {heard:?}");
    }
    for code in [1000u16, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
        let heard = heard(&masked(0x88, &code.to_be_bytes()));
        assert_eq!(heard, [format!("Close(Some(({code}, \"\")))")]);
    }
}

#[test]
fn parts_are_put_together_around_control_frames() {
    let bytes = [
        masked(0x01, "gr\u{fc}".as_bytes().split_at(3).0),
        masked(0x89, b"are you there"),
        masked(0x00, "gr\u{fc}".as_bytes().split_at(3).1),
        masked(0x80, "\u{df}e".as_bytes()),
        masked(0x82, &[1, 2, 3]),
    ]
    .concat();
    assert_eq!(heard(&bytes), ["Sign", "gr\u{fc}\u{df}e", "Binary([1, 2, 3])"]);
}

#[test]
fn parts_that_are_too_long_together_are_refused() {
    let part = vec![b'a'; MESSAGE_MAX_BYTES / 2 + 1];
    let heard = heard(&[masked(0x01, &part), masked(0x80, &part)].concat());
    assert!(heard[0].starts_with("Some(1009)"), "{heard:?}");
}

#[test]
fn what_came_with_the_handshake_is_read_first() {
    block_on(async {
        let (server, mut client) = tokio::io::duplex(1_024);
        let second = masked(0x81, b"second");
        let early = [masked(0x81, b"first"), second[..4].to_vec()].concat();
        let mut wire = Wire::new(server, &early, MESSAGE_MAX_BYTES);
        client.write_all(&second[4..]).await.unwrap();
        assert_eq!(next(&mut wire).await.unwrap(), "first");
        assert_eq!(next(&mut wire).await.unwrap(), "second");
    });
}

#[test]
fn frames_that_are_put_together_are_written_together_and_leave_no_buffer() {
    block_on(async {
        let (mut wire, mut client) = pair(4_096);
        for word in ["one", "two", "three"] {
            wire.put_text(word).unwrap();
        }
        let mut bytes = [0; 64];
        let early = tokio::time::timeout(Duration::from_millis(1), client.read(&mut bytes)).await;
        assert!(early.is_err(), "nothing is written before the flush");
        wire.flush().await.unwrap();
        let count = client.read(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..count], b"\x81\x03one\x81\x03two\x81\x05three");
        assert_eq!(wire.unwritten.bytes.capacity(), 0);
    });
}

#[test]
fn a_ping_is_answered_with_what_it_said_by_reading_on() {
    block_on(async {
        let (mut wire, mut client) = pair(4_096);
        client.write_all(&masked(0x89, b"hi")).await.unwrap();
        client.write_all(&masked(0x81, b"after")).await.unwrap();
        assert_eq!(next(&mut wire).await.unwrap(), "Sign");
        assert_eq!(next(&mut wire).await.unwrap(), "after");
        let mut pong = [0; 4];
        client.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong, [0x8a, 2, b'h', b'i']);
    });
}

#[test]
fn a_close_is_answered_once_and_ends_it() {
    block_on(async {
        let (mut wire, mut client) = pair(4_096);
        client
            .write_all(&masked(0x88, &[3, 232, b'b', b'y', b'e']))
            .await
            .unwrap();
        assert_eq!(next(&mut wire).await.unwrap(), "Close(Some((1000, \"bye\")))");
        assert!(matches!(wire.put_text("too late"), Err(WireError::Closed)));
        wire.flush().await.unwrap();
        assert!(matches!(next(&mut wire).await, Err(WireError::Closed)));
        drop(wire);
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, [0x88, 2, 3, 232]);
    });
}

#[test]
fn a_machine_that_takes_nothing_makes_nothing_pile_up() {
    block_on(async {
        let (mut wire, client) = pair(16);
        let text = "x".repeat(64 * 1024);
        let refused = (0..100).find_map(|_| wire.put_text(&text).err());
        assert!(matches!(refused, Some(WireError::NotReading)));
        assert!(wire.unwritten.bytes.len() <= UNWRITTEN_MAX_BYTES + 16);
        drop(client);
    });
}
