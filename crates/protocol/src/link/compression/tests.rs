//! What goes in comes out, and what is hostile costs nothing.

use proptest::prelude::*;

use super::*;
use crate::link::encode;
use crate::link::tests::{any_machine_message, any_server_message, envelope};

fn unpacked(frame: &[u8]) -> Result<String, CompressionError> {
    Decompressor::new().unwrap().decompress(frame, &Limits::default())
}

fn packed(text: &str) -> Vec<u8> {
    Compressor::new().unwrap().compress(text).unwrap()
}

/// Compressed by somebody who has the dictionary and no manners.
fn by_hand(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::with_dictionary(LEVEL, DICTIONARY).unwrap();
    compressor.compress(bytes).unwrap()
}

#[test]
fn the_dictionary_is_small_and_has_an_id() {
    assert!(DICTIONARY.len() <= 16 * 1024, "{} bytes", DICTIONARY.len());
    assert_eq!(
        DICTIONARY[..4],
        [0x37, 0xa4, 0x30, 0xec],
        "the magic number of dictionaries"
    );
    assert_ne!(DICTIONARY_ID, 0);
}

#[test]
fn ordinary_messages_become_less_than_half() {
    let message = r#"{"version":1,"type":"heartbeat","machine_id":"5f2b1c9e-8d47-4a06-b3f1-72c0de9a4481","session":88,"sequence":913,"timestamp":"2027-03-02T16:41:07.518Z","payload":{"uptime_s":91834,"link":{"round_trip_ms":41,"connects":3,"outbox":0,"dropped":2},"safety":"operational","authority":"mission","clock":{"offset_ms":-7,"uncertainty_ms":21}}}"#;
    let frame = packed(message);
    assert!(
        frame.len() * 2 < message.len(),
        "{} of {}",
        frame.len(),
        message.len()
    );
}

#[test]
fn a_bomb_is_refused_by_what_it_says() {
    let bomb = by_hand(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 16 * 1024);
    let error = unpacked(&bomb).unwrap_err();
    assert_eq!(
        error,
        CompressionError::TooLarge {
            bytes: 64 << 20,
            limit: 256 * 1024
        }
    );
    assert_eq!(error.close_code(), 1009);
}

#[test]
fn a_frame_that_lies_about_its_length_is_damaged() {
    // Two frames, one behind the other: the second was not spoken of.
    let mut two = packed("{}");
    two.extend(by_hand(&vec![b' '; 1 << 20]));
    assert_eq!(unpacked(&two), Err(CompressionError::Damaged));
}

#[test]
fn a_frame_without_its_length_is_refused() {
    let mut encoder = zstd::stream::Encoder::with_dictionary(Vec::new(), LEVEL, DICTIONARY).unwrap();
    std::io::Write::write_all(&mut encoder, b"{}").unwrap();
    assert_eq!(
        unpacked(&encoder.finish().unwrap()),
        Err(CompressionError::LengthMissing)
    );
}

#[test]
fn another_dictionary_is_refused_by_its_id() {
    let plain = zstd::bulk::compress(b"{}", LEVEL).unwrap();
    let error = unpacked(&plain).unwrap_err();
    assert_eq!(error, CompressionError::Dictionary { given: 0 });
    assert_eq!(error.close_code(), 1003);
}

#[test]
fn what_gains_nothing_stays_text() {
    assert_eq!(pack("{}"), None);
    let short = "x".repeat(COMPRESS_MIN_BYTES - 1);
    assert_eq!(pack(&short), None);
    // Characters that follow no rule: zstd cannot make them shorter.
    let mut chance = 0x6d75_7374_6572_u64;
    let odd = (0..100).map(|_| {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        char::from_u32(0x4e00 + (chance % 20_000) as u32).unwrap()
    });
    assert_eq!(pack(&odd.collect::<String>()), None);
    let frame = pack(&" ".repeat(COMPRESS_MIN_BYTES)).expect("shorter");
    assert_eq!(
        unpack(&frame, &Limits::default()),
        Ok(" ".repeat(COMPRESS_MIN_BYTES))
    );
}

#[test]
fn a_bad_frame_does_not_spoil_the_next() {
    let good = pack(&" ".repeat(1_000)).expect("shorter");
    for bad in [&good[..good.len() - 1], b"nonsense", &good[4..], &[]] {
        assert!(unpack(bad, &Limits::default()).is_err());
        assert_eq!(unpack(&good, &Limits::default()), Ok(" ".repeat(1_000)));
    }
}

#[test]
fn what_is_longer_than_the_limit_says_is_refused() {
    let limits = Limits {
        state_frame_max_bytes: 1_000,
        ..Limits::default()
    };
    assert!(unpack(&packed(&" ".repeat(1_000)), &limits).is_ok());
    let error = unpack(&packed(&" ".repeat(1_001)), &limits).unwrap_err();
    assert_eq!(error.close_code(), 1009);
}

#[test]
fn what_is_no_text_is_refused() {
    assert_eq!(unpacked(&by_hand(&[0xff, 0xfe])), Err(CompressionError::NotText));
    assert_eq!(unpacked(b""), Err(CompressionError::Damaged));
    assert_eq!(unpacked(b"{}"), Err(CompressionError::Damaged));
}

proptest! {
    #[test]
    fn every_machine_message_survives(message in any_machine_message()) {
        let text = encode(&envelope(message, None)).expect("json");
        if let Some(frame) = pack(&text) {
            prop_assert!(frame.len() < text.len());
            prop_assert_eq!(unpack(&frame, &Limits::default()), Ok(text.clone()));
        }
        prop_assert_eq!(unpacked(&packed(&text)), Ok(text));
    }

    #[test]
    fn every_server_message_survives(message in any_server_message()) {
        let text = encode(&envelope(message, None)).expect("json");
        prop_assert_eq!(unpacked(&packed(&text)), Ok(text));
    }

    #[test]
    fn any_text_survives(text in "\\PC{0,2000}") {
        prop_assert_eq!(unpacked(&packed(&text)), Ok(text));
    }

    #[test]
    fn a_damaged_frame_never_panics(message in any_machine_message(), at in 0usize..500, byte: u8, cut in 0usize..500) {
        let text = encode(&envelope(message, None)).expect("json");
        let mut frame = packed(&text);
        let length = frame.len();
        frame[at % length] = byte;
        let _ = unpacked(&frame);
        let _ = unpacked(&frame[..cut % length]);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = unpacked(&bytes);
    }
}
