//! Mutated changes of labels.

use super::*;

#[test]
fn fuzz_a_change_that_is_accepted_is_one_that_the_server_takes() {
    let tokens = &["=", "-", "a", ".", "/", "=-", "\n"];
    muster_mutate::Target::new("label_change")
        .text()
        .tokens(tokens)
        .check(|data| {
            let Ok(text) = std::str::from_utf8(data) else {
                return false;
            };
            match text.parse() {
                Ok(LabelChange::Set { key, value }) => {
                    assert_eq!(format!("{key}={value}"), text);
                    assert!((1..=LABEL_KEY_MAX_CHARS).contains(&key.len()));
                    assert!(value.chars().count() <= LABEL_VALUE_MAX_CHARS);
                    assert!(
                        !value.chars().any(char::is_control),
                        "{value:?} would be refused by the server"
                    );
                    true
                }
                Ok(LabelChange::Remove { key }) => {
                    assert_eq!(format!("{key}-"), text);
                    assert!((1..=LABEL_KEY_MAX_CHARS).contains(&key.len()));
                    true
                }
                Err(error) => {
                    assert!(!error.is_empty());
                    false
                }
            }
        });
}

#[test]
fn fuzz_a_name_that_is_accepted_is_one_that_the_server_takes() {
    muster_mutate::Target::new("display_name").text().check(|data| {
        let Ok(text) = std::str::from_utf8(data) else {
            return false;
        };
        match display_name(text) {
            Ok(name) => {
                assert!((1..=DISPLAY_NAME_MAX_CHARS).contains(&name.chars().count()));
                assert!(
                    !name.chars().any(char::is_control),
                    "{name:?} would be refused by the server"
                );
                true
            }
            Err(error) => {
                assert!(!error.is_empty());
                false
            }
        }
    });
}
