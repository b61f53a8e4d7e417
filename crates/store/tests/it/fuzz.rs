//! Mutated names and cursors: what is stored or handed out is read again as it was written.

use muster_mutate::Target;
use muster_store::{LogCursor, STREAM_NAME_MAX_BYTES, StreamName};

#[test]
fn fuzz_no_text_breaks_the_names_of_streams() {
    let tokens = &["machine/", "fleet", "/", "0192F0C1", "urn:uuid:", "{", "}"];
    Target::new("stream_name").text().tokens(tokens).check(|data| {
        let Ok(text) = std::str::from_utf8(data) else {
            return false;
        };
        match text.parse::<StreamName>() {
            Ok(name) => {
                assert_eq!(name.to_string(), text, "a name and its text are one to one");
                assert!((1..=STREAM_NAME_MAX_BYTES).contains(&text.len()));
                true
            }
            Err(error) => {
                assert!(error.to_string().len() < 1_000);
                false
            }
        }
    });
}

#[test]
fn fuzz_a_cursor_is_accepted_only_as_it_was_given_out() {
    Target::new("log_cursor")
        .text()
        .tokens(&["-", "+", "f", "F", "0"])
        .check(|data| {
            let Ok(text) = std::str::from_utf8(data) else {
                return false;
            };
            match text.parse::<LogCursor>() {
                Ok(cursor) => {
                    assert_eq!(cursor.to_string(), text);
                    true
                }
                Err(error) => {
                    assert_eq!(error.code(), "MST-S051");
                    false
                }
            }
        });
}
