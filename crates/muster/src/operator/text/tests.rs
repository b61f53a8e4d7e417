use muster_model::{MachineId, Timestamp};

use super::*;

#[test]
fn lengths_of_time() {
    let check = |millis: i64, expected: &str, short: &str| {
        assert_eq!(span(millis), expected, "{millis}");
        let now = Timestamp::from_millis(1_795_262_400_000);
        assert_eq!(age(now.plus_millis(-millis), now), short, "{millis}");
    };
    check(-5, "0 s", "0 s");
    check(59_999, "59 s", "59 s");
    check(60_000, "1 min", "60 s");
    check(125_000, "2 min 5 s", "2 min");
    check(3_600_000, "1 h", "60 min");
    check(7_500_000, "2 h 5 min", "2 h");
    check(180_000_000, "2 d 2 h", "2 d");
}

#[test]
fn figures() {
    assert_eq!(number(Some(-0.04), 1, "m/s"), "0.0 m/s");
    assert_eq!(number(Some(f64::INFINITY), 1, "m/s"), UNKNOWN);
    assert_eq!(percent(Some(19.6)), "20 %");
    assert_eq!(temperature(None), UNKNOWN);
    assert_eq!(bytes(1_023), "1023 B");
    assert_eq!(bytes(1_288_490_189), "1.2 GiB");
    assert_eq!(bytes(u64::MAX), "16384.0 PiB");
    assert_eq!(coordinates(-33.5, -0.25), "33.50000° S, 0.25000° W");
}

#[test]
fn ids_are_as_long_as_tells_them_apart() {
    let ids = |texts: &[&str]| -> usize {
        let ids: Vec<MachineId> = texts.iter().map(|text| text.parse().expect("id")).collect();
        short_id_chars(ids.iter())
    };
    assert_eq!(ids(&[]), 8);
    assert_eq!(ids(&["0190a3b4-0000-7000-8000-000000000001"]), 8);
    assert_eq!(
        ids(&[
            "0190a3b4-0001-7000-8000-000000000001",
            "0190a3b4-0002-7000-8000-000000000001"
        ]),
        13
    );
    let same = "0190a3b4-0001-7000-8000-000000000001";
    assert_eq!(ids(&[same, same]), 36);
}

#[test]
fn text_from_outside_does_not_steer_the_terminal() {
    assert_eq!(clean("a\u{1b}[31mb\nc\u{9b}d"), "a\u{fffd}[31mb c\u{fffd}d");
    assert_eq!(clean("user\u{202e}txt"), "user\u{fffd}txt");
    assert_eq!(clean("Käthe 🤖"), "Käthe 🤖");
}
