//! Which form of a content a machine gets, and which part of it.

use std::ops::Range;
use std::time::Duration;

use muster_protocol::link::release::{DCZ, ZSTD};
use muster_release::Sha256Digest;

use super::Releases;
use super::encodings::{Encoded, Form};

/// How long a machine waits for a shorter form before it gets what is at hand: it gives up after 60 s.
const WAIT: Duration = Duration::from_secs(40);

/// What a machine can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    /// zstd.
    pub zstd: bool,
    /// A patch on this content.
    pub dcz: Option<Sha256Digest>,
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The content as it is.
    Plain,
    /// In a shorter form.
    Encoded(&'static str, Encoded),
}

impl Sent {
    /// The word of its coding, for metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Encoded(word, _) => word,
        }
    }

    /// Its strong tag: the SHA-256 of what is sent.
    pub fn tag(&self, content: Sha256Digest) -> String {
        match self {
            Self::Plain => format!("\"{content}\""),
            Self::Encoded(_, encoded) => format!("\"{}\"", encoded.sha256),
        }
    }

    /// How long all of it is.
    pub const fn bytes(&self, length: u64) -> u64 {
        match self {
            Self::Plain => length,
            Self::Encoded(_, encoded) => encoded.bytes,
        }
    }
}

impl Releases {
    /// The shortest form of a content that a machine can read; the one with this tag, where the machine has some of it already.
    pub async fn best(
        &self,
        content: Sha256Digest,
        length: u64,
        readable: Readable,
        tag: Option<&str>,
    ) -> Sent {
        let mut forms = Vec::new();
        if readable.zstd {
            let dictionary = None;
            forms.push((ZSTD, Form { content, dictionary }));
        }
        if let Some(dictionary) = readable.dcz {
            let dictionary = Some(dictionary);
            forms.push((DCZ, Form { content, dictionary }));
        }
        let making = forms.iter().map(|(_, form)| self.encodings().of(*form, length));
        let making = futures_util::future::join_all(making);
        let made = match tokio::time::timeout(WAIT, making).await {
            Ok(made) => made,
            Err(_) => {
                metrics::counter!("muster_release_encodings_late_total").increment(1);
                let at_hand = forms.iter().map(|(_, form)| self.encodings().at_hand(*form));
                at_hand.map(Option::flatten).collect()
            }
        };
        let mut found = vec![Sent::Plain];
        for ((word, _), made) in forms.iter().zip(made) {
            found.extend(made.map(|encoded| Sent::Encoded(word, encoded)));
        }
        let begun = tag.and_then(|tag| found.iter().position(|sent| sent.tag(content) == tag));
        let shortest = (0..found.len()).min_by_key(|index| found[*index].bytes(length));
        found.swap_remove(begun.or(shortest).unwrap_or(0))
    }
}

/// What of a body is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// These bytes.
    Range(Range<u64>),
    /// Nothing that there is.
    Beyond,
}

impl Part {
    /// What `Range` asks for of so many bytes. What is no single range of bytes asks for nothing. Source: RFC 9110, 14.1.2 and 14.2.
    pub fn of(range: Option<&str>, bytes: u64) -> Self {
        let Some((first, last)) = range
            .and_then(|range| range.trim().strip_prefix("bytes="))
            .and_then(|range| range.trim().split_once('-'))
        else {
            return Self::Whole;
        };
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(first) || !is_number(last) || first.is_empty() && last.is_empty() {
            return Self::Whole;
        }
        // A number beyond all numbers is beyond the end.
        let number = |text: &str| text.parse().unwrap_or(u64::MAX);
        let range = if first.is_empty() {
            bytes.saturating_sub(number(last))..bytes
        } else if last.is_empty() {
            number(first)..bytes
        } else if number(last) < number(first) {
            return Self::Whole;
        } else {
            number(first)..bytes.min(number(last).saturating_add(1))
        };
        if range.is_empty() {
            Self::Beyond
        } else {
            Self::Range(range)
        }
    }
}
