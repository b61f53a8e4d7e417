//! Mutated tags and labels. The fuzz targets of what is public are in `tests/it/fuzz.rs`.

use muster_mutate::Target;

use super::*;

#[test]
fn fuzz_a_tag_is_accepted_only_as_it_was_given_out() {
    Target::new("if_match").check(|data| {
        let Ok(value) = HeaderValue::from_bytes(data) else {
            return false;
        };
        let headers = HeaderMap::from_iter([(header::IF_MATCH, value)]);
        let said = String::from_utf8_lossy(data).trim().to_owned();
        match expected(&headers) {
            Ok(None) => assert_eq!(said, "*"),
            Ok(Some(version)) => assert_eq!(said, format!("\"{version}\"")),
            Err(error) => {
                assert!(format!("{error:?}").contains("MST-A001"));
                return false;
            }
        }
        true
    });
}

#[test]
fn fuzz_labels_that_are_accepted_are_within_their_limits() {
    Target::new("labels").json().check(|data| {
        let Ok(body) = serde_json::from_slice::<Labels>(data) else {
            return false;
        };
        match check_labels(&body.labels) {
            Ok(()) => {
                assert!(body.labels.len() <= LABELS_MAX);
                for (key, value) in &body.labels {
                    assert!((1..=LABEL_KEY_MAX_CHARS).contains(&key.len()), "{key:?}");
                    assert!(
                        !key.contains([' ', ',', '=', '"', '|']),
                        "{key:?} could not be filtered by"
                    );
                    assert!(value.chars().count() <= LABEL_VALUE_MAX_CHARS);
                    let filter = format!("label.{key}=x");
                    assert!(filter.parse::<muster_model::Filter>().is_ok(), "{filter:?}");
                }
                true
            }
            Err(error) => {
                assert!(format!("{error:?}").contains("MST-A002"));
                false
            }
        }
    });
}
