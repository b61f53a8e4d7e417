use jiff::tz::{Offset, TimeZone};

use super::*;

/// 2026-11-21 15:00 in a zone one hour ahead of UTC.
fn now() -> Zoned {
    let zone = TimeZone::fixed(Offset::constant(1));
    "2026-11-21T14:00:00Z"
        .parse::<jiff::Timestamp>()
        .expect("moment")
        .to_zoned(zone)
}

#[test]
fn moments_are_understood() {
    let check = |given: &str, expected: &str| {
        let moment = parse_moment(given, &now()).expect(given);
        assert_eq!(moment.to_string(), expected, "{given:?}");
    };
    check("now", "2026-11-21T14:00:00.000Z");
    check("14:03", "2026-11-21T13:03:00.000Z");
    check(" 14:03:22 ", "2026-11-21T13:03:22.000Z");
    check("today 0:30", "2026-11-20T23:30:00.000Z");
    check("yesterday 14:03", "2026-11-20T13:03:00.000Z");
    check("Yesterday", "2026-11-19T23:00:00.000Z");
    check("10m ago", "2026-11-21T13:50:00.000Z");
    check("1h30m ago", "2026-11-21T12:30:00.000Z");
    check("2 h ago", "2026-11-21T12:00:00.000Z");
    check("-10m", "2026-11-21T13:50:00.000Z");
    check("-2d", "2026-11-19T14:00:00.000Z");
    check("-90", "2026-11-21T13:58:30.000Z");
    check("2026-11-21 14:03", "2026-11-21T13:03:00.000Z");
    check("2026-11-21 14:03:22", "2026-11-21T13:03:22.000Z");
    check("2026-11-21T14:03:22", "2026-11-21T13:03:22.000Z");
    check("2026-11-21", "2026-11-20T23:00:00.000Z");
    check("2026-11-21T14:03:22Z", "2026-11-21T14:03:22.000Z");
    check("2026-11-21T14:03:22.123+02:00", "2026-11-21T12:03:22.123Z");
}

#[test]
fn what_is_no_moment_is_refused() {
    for given in [
        "",
        "-",
        "ago",
        "tomorrow",
        "25:00",
        "14:61",
        "10x ago",
        "-0m",
        "2026-13-01",
        "2026-11-21 noon",
        "14",
        "10m",
        "-99999999999999999999d",
    ] {
        assert!(parse_moment(given, &now()).is_err(), "{given:?}");
    }
}

#[test]
fn an_hour_that_the_clock_skips_is_still_a_moment() {
    let Ok(zone) = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3") else {
        panic!("a zone with summer time");
    };
    let day = "2026-03-29T10:00:00Z"
        .parse::<jiff::Timestamp>()
        .expect("moment")
        .to_zoned(zone);
    let moment = parse_moment("02:30", &day).expect("the hour after");
    assert_eq!(moment.to_string(), "2026-03-29T01:30:00.000Z");
}

#[test]
fn lengths_of_time_are_understood() {
    let check = |given: &str, millis: u128| {
        assert_eq!(
            parse_duration(given).expect(given).as_millis(),
            millis,
            "{given:?}"
        );
    };
    check("500ms", 500);
    check("15", 15_000);
    check("15s", 15_000);
    check("1h30m", 5_400_000);
    check("1h 30min", 5_400_000);
    check("1w", 604_800_000);
    for given in ["", "0", "0s", "s", "5 parsecs", "-5s", "1.5h", "99999999999s"] {
        let error = parse_duration(given).expect_err(given);
        assert!(error.contains("write it like"), "{error}");
    }
}

#[test]
fn fuzz_no_text_breaks_moments_and_lengths() {
    let tokens = &[
        "now",
        "ago",
        "-",
        "today ",
        "yesterday ",
        "Today",
        "2026-11-21",
        "T",
        " ",
        ":",
        "Z",
        "ms",
        "min",
        "h",
        "d",
        "w",
        "4294967295",
        "+01:00",
        "[Europe/Oslo]",
    ];
    muster_mutate::Target::new("moment")
        .text()
        .tokens(tokens)
        .check(|data| {
            let Ok(text) = std::str::from_utf8(data) else {
                return false;
            };
            let length = parse_duration(text);
            match &length {
                Ok(length) => assert!(!length.is_zero(), "{text:?}"),
                Err(error) => assert!(!error.is_empty()),
            }
            let now = now();
            let at_now = Timestamp::from_millis(now.timestamp().as_millisecond());
            let moment = parse_moment(text, &now);
            match &moment {
                Ok(moment) => {
                    // Written out it is the same for everybody.
                    assert_eq!(
                        parse_moment(&moment.to_string(), &now).as_ref(),
                        Ok(moment),
                        "{text:?}"
                    );
                    assert_eq!(
                        parse_moment(&format!(" {text}\t"), &now).as_ref(),
                        Ok(moment),
                        "{text:?}"
                    );
                }
                Err(error) => assert!(error.to_string().len() <= 1_000, "{error}"),
            }
            // Words are the same in capitals.
            if text.trim().chars().all(|letter| letter.is_ascii_alphabetic()) {
                assert_eq!(
                    parse_moment(&text.to_ascii_uppercase(), &now).ok(),
                    moment.clone().ok(),
                    "{text:?}"
                );
            }
            let is_length = length.is_ok();
            if let Ok(length) = length {
                for back in [format!("{text} ago"), format!("-{text}")] {
                    match parse_moment(&back, &now) {
                        Ok(past) => assert!(past < at_now, "{back:?} is {past}"),
                        Err(_) => assert!(i64::try_from(length.as_millis()).is_err(), "{back:?}"),
                    }
                }
            }
            moment.is_ok() || is_length
        });
}
