//! Single words: times, topics, ids, and the words of the vocabulary.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use muster_model::topic::{TOPIC_MAX_BYTES, TOPIC_MAX_TOKENS};
use muster_model::vocabulary::{Mode, Safety};
use muster_model::{BootId, MachineId, Presence, Severity, StatusWord, Timestamp, Topic, TopicPattern};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest text of an error that a word brings about.
const ERROR_MAX_BYTES: usize = 2_048;

/// A text that might be any of them.
pub fn words(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let is_word = [
        word::<Severity>(text).is_some(),
        word::<Presence>(text).is_some(),
        word::<Mode>(text).is_some(),
        word::<Safety>(text).is_some(),
        word::<StatusWord>(text).is_some(),
    ];
    for id in [
        word::<MachineId>(text).map(|id| id.to_string()),
        word::<BootId>(text).map(|id| id.to_string()),
    ] {
        assert!(
            id.is_none_or(|id| id.len() == 36 && id == id.to_lowercase()),
            "{text:?}"
        );
    }
    is_word.contains(&true) || word::<MachineId>(text).is_some() || time(text).is_some() || topics(text)
}

/// A time is what any reader of RFC 3339 takes it for, and within the years that can be written.
fn time(text: &str) -> Option<Timestamp> {
    let found = word::<Timestamp>(text);
    if let Some(time) = found {
        let written = time.to_string();
        assert!(
            written.len() == 24 && written.ends_with('Z'),
            "{text:?} became {written:?}"
        );
        assert_eq!(Timestamp::from_millis(time.as_millis()), time);
        let other: jiff::Timestamp = text.parse().expect("jiff reads all that is accepted");
        assert_eq!(other.as_millisecond(), time.as_millis(), "{text:?}");
    }
    found
}

/// Topics and patterns: within their limits, and a pattern matches what its definition says.
fn topics(text: &str) -> bool {
    let (topic, pattern) = (word::<Topic>(text), word::<TopicPattern>(text));
    if let Some(topic) = &topic {
        let pattern = pattern.as_ref().expect("every topic is a pattern, too");
        assert!(pattern.matches(topic.as_str()), "{topic} does not match itself");
        within(topic.as_str());
    }
    if let Some(pattern) = &pattern {
        within(pattern.as_str());
        // Against what the text itself begins with, and one token more or less.
        let of_text = text.replace(['*', '>'], "x");
        let shorter = of_text.rsplit_once('.').map_or("", |(shorter, _)| shorter);
        for topic in [
            &*of_text,
            shorter,
            &format!("{of_text}.y"),
            &format!("machine.{of_text}"),
        ] {
            let tokens: Vec<&str> = topic.split('.').collect();
            let wanted: Vec<&str> = pattern.as_str().split('.').collect();
            assert_eq!(
                pattern.matches(topic),
                matches(&wanted, &tokens),
                "{pattern} and {topic}"
            );
        }
    }
    pattern.is_some()
}

fn within(topic: &str) {
    assert!(
        topic.len() <= TOPIC_MAX_BYTES,
        "{topic} has {} bytes",
        topic.len()
    );
    assert!(topic.split('.').count() <= TOPIC_MAX_TOKENS, "{topic}");
}

/// The definition, word by word.
fn matches(wanted: &[&str], given: &[&str]) -> bool {
    match (wanted, given) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        ([first, wanted @ ..], [other, given @ ..]) => {
            (*first == "*" || first == other) && matches(wanted, given)
        }
        _ => false,
    }
}

/// What is accepted is the same when it is written and read again, also in JSON; what is not, is refused in words.
fn word<T>(text: &str) -> Option<T>
where
    T: FromStr + Display + Debug + PartialEq + Serialize + DeserializeOwned,
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(value) => {
            let written = value.to_string();
            assert_eq!(
                written.parse::<T>().ok().as_ref(),
                Some(&value),
                "{text:?} became {written:?}"
            );
            let json = serde_json::to_string(&value).expect("a word can be written");
            assert_eq!(
                serde_json::from_str::<T>(&json).ok().as_ref(),
                Some(&value),
                "{json}"
            );
            Some(value)
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty());
            assert!(
                said.len() <= ERROR_MAX_BYTES,
                "{} bytes are said about a text: {said}",
                said.len()
            );
            None
        }
    }
}
