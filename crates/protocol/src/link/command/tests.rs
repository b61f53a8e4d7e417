//! Words and arguments of commands.

use super::*;

fn json(text: &str) -> JsonText {
    JsonText(serde_json::value::RawValue::from_string(text.to_owned()).expect("json"))
}

#[test]
fn each_kind_has_one_word_on_the_wire_and_in_the_log() {
    for kind in CommandKind::ALL {
        let written = serde_json::to_value(kind).expect("json");
        assert_eq!(written.as_str(), Some(kind.as_str()));
        assert_eq!(CommandKind::of(kind.as_str()), Some(*kind));
    }
    assert_eq!(CommandKind::of("resume"), None, "nothing lets a machine move");
    assert_eq!(CommandKind::of("reset"), None);
}

#[test]
fn arguments_are_refused_where_none_are_taken_and_where_they_are_too_long() {
    assert!(CommandKind::Identify.check(None).is_ok());
    let error = CommandKind::Identify
        .check(Some(&json("{}")))
        .expect_err("refused");
    assert!(matches!(error, ArgumentsError::Unwanted));
    let long = |bytes: usize| json(&format!("\"{}\"", "x".repeat(bytes - 2)));
    assert!(
        CommandKind::Reboot
            .check(Some(&long(ARGUMENTS_MAX_BYTES)))
            .is_ok()
    );
    let error = CommandKind::Reboot.check(Some(&long(ARGUMENTS_MAX_BYTES + 1)));
    assert!(matches!(error, Err(ArgumentsError::TooLong(4_097))));
}

#[test]
fn faults_are_read_or_refused_with_the_reason() {
    let read = |text: &str| FaultArguments::read(Some(&json(text))).map_err(|error| error.to_string());
    let runaway = FaultArguments {
        fault: Some(SimulatedFault::RunawayMotor),
        clear: false,
        for_s: Some(30),
    };
    assert_eq!(read(r#"{"fault":"runaway_motor","for_s":30}"#), Ok(runaway));
    assert!(read(r#"{"clear":true}"#).is_ok());
    for (text, says) in [
        (r#"{"fault":"explode"}"#, "unknown variant"),
        (r#"{"fault":"link_lost","for_s":0}"#, "1 to 3600"),
        (r#"{"fault":"link_lost","for_s":3601}"#, "1 to 3600"),
        (r#"{"clear":true,"for_s":1}"#, "no time"),
        ("{}", "say which one"),
        (r#"{"fault":"link_lost","resume":true}"#, "unknown field"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(CommandKind::Fault.check(None).is_err());
}
