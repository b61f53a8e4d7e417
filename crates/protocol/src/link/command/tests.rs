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
