//! Dotted topics, and patterns over them: `*` stands for one token, `>` for one or more at the end.
//!
//! The machine's own bus and the fleet's live API use the same rules.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest topic or pattern, in bytes.
pub const TOPIC_MAX_BYTES: usize = 256;
/// Most tokens in a topic or pattern.
pub const TOPIC_MAX_TOKENS: usize = 16;

/// Why a text is no topic or pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Nothing between two dots, or nothing at all.
    #[error("a topic needs something between its dots: {0:?}")]
    EmptyToken(String),
    /// A character that tokens do not have.
    #[error("{character:?} is not accepted in the topic {topic:?}: letters, digits, '_' and '-' are")]
    Character {
        /// The one that is not accepted.
        character: char,
        /// Where it stood.
        topic: String,
    },
    /// `>` stands only at the end.
    #[error("'>' is accepted only as the last token: {0:?}")]
    TailNotLast(String),
    /// Too long.
    #[error("a topic has at most {TOPIC_MAX_BYTES} bytes and {TOPIC_MAX_TOKENS} tokens")]
    TooLong,
}

/// The name under which something is published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(Box<str>);

/// Which topics a subscriber wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPattern(Box<str>);

impl Topic {
    /// The topic as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TopicPattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a topic is one of those the pattern stands for.
    ///
    /// Asked for everything that is published, once for everybody who listens.
    pub fn matches(&self, topic: &str) -> bool {
        let (mut wanted, mut given) = (self.0.as_bytes(), topic.as_bytes());
        // Topics differ in their ends more than in their beginnings.
        if let Some(last) = wanted.last()
            && !matches!(last, b'*' | b'>')
            && given.last() != Some(last)
        {
            return false;
        }
        loop {
            // Both stand at the beginning of a token.
            match wanted {
                b">" => return true,
                [b'*', rest @ ..] => {
                    wanted = rest;
                    given = &given[token(given)..];
                }
                _ => {
                    let (literal, rest) = wanted.split_at(token(wanted));
                    let Some(left) = given.strip_prefix(literal) else {
                        return false;
                    };
                    (wanted, given) = (rest, left);
                }
            }
            match (wanted, given) {
                ([], []) => return true,
                ([b'.', rest @ ..], [b'.', left @ ..]) => (wanted, given) = (rest, left),
                _ => return false,
            }
        }
    }
}

/// The length of the token that this begins with.
fn token(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'.').unwrap_or(text.len())
}

fn check(text: &str, wildcards: bool) -> Result<(), TopicError> {
    if text.len() > TOPIC_MAX_BYTES || text.split('.').count() > TOPIC_MAX_TOKENS {
        return Err(TopicError::TooLong);
    }
    let mut tokens = text.split('.').peekable();
    while let Some(token) = tokens.next() {
        match token {
            "" => return Err(TopicError::EmptyToken(text.to_owned())),
            "*" if wildcards => {}
            ">" if wildcards => {
                if tokens.peek().is_some() {
                    return Err(TopicError::TailNotLast(text.to_owned()));
                }
            }
            _ => {
                let odd = token
                    .chars()
                    .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
                if let Some(character) = odd {
                    return Err(TopicError::Character {
                        character,
                        topic: text.to_owned(),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Source 5 speaks of robots; its topics are accepted as aliases of ours.
fn unalias(text: &str) -> Cow<'_, str> {
    match text.strip_prefix("robot.") {
        Some(rest) => format!("machine.{rest}").into(),
        None => text.into(),
    }
}

macro_rules! texts {
    ($name:ident, $wildcards:literal) => {
        impl FromStr for $name {
            type Err = TopicError;
            fn from_str(text: &str) -> Result<Self, TopicError> {
                // The limits hold for what it becomes: an alias is shorter.
                let text = unalias(text);
                check(&text, $wildcards)?;
                Ok(Self(text.into()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = TopicError;
            fn try_from(text: String) -> Result<Self, TopicError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(topic: $name) -> String {
                topic.0.into_string()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "maxLength": TOPIC_MAX_BYTES })
            }
        }
        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .max_length(Some(TOPIC_MAX_BYTES))
                    .build()
                    .into()
            }
        }
        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {}
    };
}

texts!(Topic, false);
texts!(TopicPattern, true);
