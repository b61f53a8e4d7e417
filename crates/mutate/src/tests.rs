//! Decoders that lie are caught, and the mutations repeat themselves.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Chance, Target};

/// Whether the law is broken by what is made of this corpus.
fn caught(target: &Target, corpus: &[&[u8]], law: impl FnMut(&[u8]) -> bool) -> bool {
    let corpus: Vec<Vec<u8>> = corpus.iter().map(|bytes| bytes.to_vec()).collect();
    let mut law = law;
    // The corpus itself must not give it away: a mutation has to.
    for bytes in &corpus {
        let _ = law(bytes);
    }
    catch_unwind(AssertUnwindSafe(|| target.run(&corpus, 20_000, 1, law))).is_err()
}

#[test]
fn a_decoder_that_panics_over_a_byte_is_caught() {
    let law = |bytes: &[u8]| bytes.len() < 4 || bytes[3] != 0xff || panic!("as planted");
    assert!(caught(&Target::new("planted"), &[b"abcdefgh"], law));
}

#[test]
fn a_parser_that_recurses_for_every_bracket_is_caught() {
    let law = |bytes: &[u8]| {
        let deepest = bytes
            .iter()
            .fold((0_u32, 0_u32), |(deep, most), byte| match byte {
                b'[' => (deep + 1, most.max(deep + 1)),
                b']' => (deep.saturating_sub(1), most),
                _ => (deep, most),
            });
        assert!(deepest.1 < 100, "as planted");
        true
    };
    assert!(caught(&Target::new("planted").json(), &[b"{\"a\":[1,2,3]}"], law));
}

#[test]
fn a_number_that_wraps_is_caught() {
    let law = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let Some(number) = text.strip_prefix("n=").and_then(|text| text.parse::<u64>().ok()) else {
            return false;
        };
        // Written into 32 bits.
        assert_eq!(u64::from(number as u32), number, "as planted");
        true
    };
    assert!(caught(&Target::new("planted").text(), &[b"n=12"], law));
}

#[test]
fn a_length_that_is_believed_is_caught() {
    let law = |bytes: &[u8]| {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
            return false;
        };
        let room = u32::from_le_bytes(*head) as usize;
        assert!(room <= rest.len() || room < 1 << 20, "as planted");
        room <= rest.len()
    };
    assert!(caught(&Target::new("planted"), &[b"\x02\0\0\0ab"], law));
}

#[test]
fn a_value_that_does_not_come_back_is_caught() {
    let law = |bytes: &[u8]| {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else {
            return false;
        };
        // Forgets a field when it is null.
        let lies = value.get("b").is_some_and(serde_json::Value::is_null);
        assert!(!lies, "as planted");
        true
    };
    assert!(caught(
        &Target::new("planted").json(),
        &[b"{\"a\":1,\"b\":2}"],
        law
    ));
}

#[test]
fn an_honest_decoder_is_not_caught_and_the_same_seed_makes_the_same() {
    let made = |seed| {
        let (mut seen, corpus) = (Vec::new(), [b"{\"a\":[1,\"x\"]}".to_vec()]);
        let figures = Target::new("planted").json().run(&corpus, 500, seed, |bytes| {
            seen.push(bytes.to_vec());
            serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
        });
        assert!(figures.accepted > 100, "{figures:?}: too few get past the parser");
        assert!(figures.accepted < 450, "{figures:?}: too few are refused");
        seen
    };
    assert_eq!(made(1), made(1));
    assert_ne!(made(1), made(2));
    assert_ne!(Chance::new("a", 1).bits(), Chance::new("b", 1).bits());
}
