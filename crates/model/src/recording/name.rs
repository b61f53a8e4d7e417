//! What a recording's file name says: what it is, from when to when, and why it is kept.
//!
//! `rolling-FROM.mcap.part` is being written, `rolling-FROM-TO.mcap` is done and goes when there is need of room,
//! `kept-FROM-TO-WHY.mcap` is kept by itself, `pinned-FROM-TO-WHY.mcap` by a person. So a directory is its own index, on the
//! machine and on the server.

use crate::time::Timestamp;

/// What is behind the name of a file that is being written.
pub const PART: &str = ".mcap.part";
const DONE: &str = ".mcap";
/// Most letters of a reason.
const WHY_MAX: usize = 64;

/// A recording, as its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// What becomes of it.
    pub kind: Kind,
    /// When its first message was said.
    pub from: Timestamp,
    /// When its last was.
    pub to: Timestamp,
}

/// What becomes of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes when there is need of room.
    Rolling,
    /// It is kept for what happened.
    Kept(String),
    /// A person keeps it.
    Pinned(String),
}

impl Name {
    /// The name of a file.
    pub fn file(&self) -> String {
        let (from, to) = (moment(self.from), moment(self.to));
        match &self.kind {
            Kind::Rolling => format!("rolling-{from}-{to}{DONE}"),
            Kind::Kept(why) => format!("kept-{from}-{to}-{}{DONE}", word(why)),
            Kind::Pinned(why) => format!("pinned-{from}-{to}-{}{DONE}", word(why)),
        }
    }

    /// What a file's name says; nothing if it is none of ours. So what has a name is a file in its directory and nowhere else,
    /// whoever said it.
    pub fn of(file: &str) -> Option<Self> {
        let mut parts = file.strip_suffix(DONE)?.splitn(4, '-');
        let kind = parts.next()?;
        let (from, to) = (read(parts.next()?)?, read(parts.next()?)?);
        let why = parts.next();
        let kind = match (kind, why) {
            ("rolling", None) => Kind::Rolling,
            ("kept", Some(why)) => Kind::Kept(why.to_owned()),
            ("pinned", Some(why)) => Kind::Pinned(why.to_owned()),
            _ => return None,
        };
        let name = Self { kind, from, to };
        (name.file() == file).then_some(name)
    }
}

/// The name of a file that is begun now.
pub fn begun(from: Timestamp) -> String {
    format!("rolling-{}{PART}", moment(from))
}

/// A reason as it stands in a name.
pub fn word(why: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let word: String = why
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .take(WHY_MAX)
        .collect();
    if word.is_empty() {
        "unnamed".to_owned()
    } else {
        word
    }
}

/// `20261121T070000.123Z`.
pub fn moment(at: Timestamp) -> String {
    at.to_string()
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .collect()
}

fn read(text: &str) -> Option<Timestamp> {
    if text.len() != 20 || !text.is_ascii() {
        return None;
    }
    let (date, time) = (text.get(..8)?, text.get(9..)?);
    format!(
        "{}-{}-{}T{}:{}:{}",
        date.get(..4)?,
        date.get(4..6)?,
        date.get(6..)?,
        time.get(..2)?,
        time.get(2..4)?,
        time.get(4..)?
    )
    .parse()
    .ok()
}

#[cfg(test)]
mod tests;
