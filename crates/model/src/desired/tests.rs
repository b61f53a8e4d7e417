use serde_json::{Value, json};

use super::*;

#[test]
fn names_are_words_of_a_program() {
    for good in [
        "calibration",
        "a",
        "log_level2",
        &"x".repeat(SECTION_NAME_MAX_CHARS),
    ] {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "Calibration",
        "2nd",
        "_x",
        "a-b",
        "a.b",
        "ä",
        "a b",
        &"x".repeat(SECTION_NAME_MAX_CHARS + 1),
    ] {
        assert!(matches!(check_name(bad), Err(DesiredRefusal::Name(_))), "{bad}");
    }
}

/// An object in which nothing but objects are, so many deep.
fn nested(depth: usize) -> Value {
    (1..depth).fold(json!({}), |inner, _| json!({ "a": inner }))
}

#[test]
fn what_a_machine_would_not_take_is_refused() {
    assert_eq!(check_content(&json!([1])), Err(DesiredRefusal::NoObject));
    assert!(check_content(&nested(CONTENT_DEPTH_MAX)).is_ok());
    assert_eq!(
        check_content(&nested(CONTENT_DEPTH_MAX + 1)),
        Err(DesiredRefusal::TooDeep)
    );
    let longest = "x".repeat(CONTENT_STRING_MAX_BYTES);
    assert!(check_content(&json!({ "a": longest })).is_ok());
    let escaped = "\n".repeat(CONTENT_STRING_MAX_BYTES / 2 + 1);
    assert_eq!(
        check_content(&json!({ "a": escaped })),
        Err(DesiredRefusal::StringTooLong(CONTENT_STRING_MAX_BYTES + 2))
    );
    let key = "k".repeat(CONTENT_STRING_MAX_BYTES + 1);
    assert!(matches!(
        check_content(&json!({ key: 1 })),
        Err(DesiredRefusal::StringTooLong(_))
    ));
    let long: Vec<String> = (0..3).map(|_| "x".repeat(12_000)).collect();
    assert!(matches!(
        check_content(&json!({ "a": long })),
        Err(DesiredRefusal::TooLong(_))
    ));
}

#[test]
fn contents_are_counted_with_the_new_one_in_its_place() {
    let section = |text: &str| DesiredSection {
        version: DesiredVersion(1),
        content: check_content(&serde_json::from_str(text).unwrap()).unwrap(),
        issuer: "local".to_owned(),
        reason: "because".to_owned(),
        changed_at: Timestamp::from_millis(0),
    };
    let state = DesiredState {
        version: DesiredVersion(2),
        sections: [
            ("a".to_owned(), section(r#"{"x":1}"#)),
            ("b".to_owned(), section("{}")),
        ]
        .into(),
    };
    let new = check_content(&json!({ "long": 10 })).unwrap();
    assert_eq!(state.contents_bytes_with("a", &new), 2 + new.0.get().len());
    assert_eq!(state.contents_bytes_with("c", &new), 7 + 2 + new.0.get().len());
    let told = state.document().to_json();
    assert_eq!(
        told.0.get(),
        r#"{"a":{"version":1,"content":{"x":1}},"b":{"version":1,"content":{}}}"#
    );
    assert_eq!(
        serde_json::from_str::<DesiredDocument>(told.0.get()).unwrap(),
        state.document()
    );
}
