//! A YAML file as a small tree, in which every key and every value knows its line.
//!
//! The parser gives events and nothing is built but what stands in the file, so that the limits here are the limits there are.

use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use yaml_serde::{Mapping, Number, Value};

use super::ConfigError;

/// Longest file that is read.
pub(super) const FILE_MAX_BYTES: u64 = 256 * 1024;
/// Most opening brackets and braces in a file, wherever they stand: what reads YAML takes time by their number.
const BRACKETS_MAX: usize = 1_000;
/// Most aliases, and asterisks that look like one. Each may stand for many others: 2,630 bytes took 20 s.
const ALIASES_MAX: usize = 8;
/// Most keys and values of a file, those counted that aliases stand for.
const NODES_MAX: usize = 20_000;
/// Most keys of one section.
const ENTRIES_MAX: usize = 1_000;
/// How deep lists and sections may lie in one another.
const DEPTH_MAX: usize = 16;

/// Something with a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Where it begins; the first line is 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Text {
        text: String,
        /// Without quotes: it may be a number, or nothing.
        plain: bool,
    },
    List(Vec<Node>),
    Entries(Vec<Entry>),
}

/// A key with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn is_nothing(&self) -> bool {
        match &self.kind {
            Kind::Text { text, plain } => *plain && is_null(text),
            Kind::List(_) | Kind::Entries(_) => false,
        }
    }

    /// What it is as one value, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text { text, .. } => Some(text).filter(|_| !self.is_nothing()).map(String::as_str),
            Kind::List(_) | Kind::Entries(_) => None,
        }
    }

    /// As serde takes it.
    pub(super) fn value(&self) -> Value {
        match &self.kind {
            Kind::Text { text, plain: true } => meant(text),
            Kind::Text { text, plain: false } => Value::String(text.clone()),
            Kind::List(nodes) => Value::Sequence(nodes.iter().map(Self::value).collect()),
            Kind::Entries(entries) => {
                let entries = entries
                    .iter()
                    .map(|entry| (Value::String(entry.key.clone()), entry.node.value()));
                Value::Mapping(entries.collect::<Mapping>())
            }
        }
    }

    /// The line of what stands at this path, or of the nearest thing around it; and the path as it is written.
    pub(super) fn place(&self, path: &[String]) -> (usize, String) {
        let (mut line, mut written, mut here) = (self.line, String::new(), Some(self));
        for name in path {
            let next = here.and_then(|node| node.child(name));
            let in_list = here.is_some_and(|node| matches!(node.kind, Kind::List(_)));
            if in_list {
                written.push_str(&format!("[{name}]"));
            } else {
                let dot = if written.is_empty() { "" } else { "." };
                written.push_str(&format!("{dot}{name}"));
            }
            line = next.map_or(line, |(line, _)| line);
            here = next.map(|(_, node)| node);
        }
        (line, written)
    }

    /// Whether something is written at exactly this path: its line.
    pub(super) fn line_of(&self, path: &[String]) -> Option<usize> {
        let start = Some((self.line, self));
        path.iter()
            .fold(start, |here, name| here.and_then(|(_, node)| node.child(name)))
            .map(|(line, _)| line)
    }

    fn child(&self, name: &str) -> Option<(usize, &Self)> {
        match &self.kind {
            Kind::Text { .. } => None,
            Kind::List(nodes) => nodes
                .get(name.parse::<usize>().ok()?)
                .map(|node| (node.line, node)),
            Kind::Entries(entries) => {
                let entry = entries.iter().find(|entry| entry.key == name)?;
                Some((entry.line, &entry.node))
            }
        }
    }
}

/// What a text without quotes means. Source: YAML 1.2.2, 10.3.2. What begins with a zero and goes on is no number, however: a
/// serial number is meant.
fn meant(text: &str) -> Value {
    let signed = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |radix| {
        let rest = text
            .get(2..)
            .filter(|rest| rest.chars().all(|c| c.is_digit(radix)));
        rest.and_then(|rest| u64::from_str_radix(rest, radix).ok())
    };
    let number = match text {
        _ if is_null(text) => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ if text.starts_with("0x") => digits(16).map(Number::from),
        _ if text.starts_with("0o") => digits(8).map(Number::from),
        _ if !signed.starts_with(|c: char| c.is_ascii_digit() || c == '.') => None,
        _ if signed.len() > 1 && signed.starts_with('0') && !signed.contains('.') => None,
        _ => {
            let whole = text.parse::<u64>().map(Number::from);
            let whole = whole.or_else(|_| text.parse::<i64>().map(Number::from));
            let decimal = || text.parse::<f64>().ok().filter(|value| value.is_finite());
            whole.ok().or_else(|| decimal().map(Number::from))
        }
    };
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// The tree of a text; its root is what the file holds, nothing in an empty one.
pub(super) fn read(path: &Path, text: &str) -> Result<Node, ConfigError> {
    grow(text).map_err(|Wrong { line, message }| ConfigError::Syntax {
        path: path.to_owned(),
        line,
        message,
    })
}

struct Wrong {
    line: usize,
    message: String,
}

fn grow(text: &str) -> Result<Node, Wrong> {
    refuse_bombs(text)?;
    let mut builder = Builder::default();
    // A parser that reads a text has nothing to fetch, and events are looked at one by one: nothing is built beyond the limits.
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| Wrong::of_parser(&error))?;
        builder.take(event, span)?;
    }
    Ok(builder.root.unwrap_or(Node {
        line: 1,
        kind: Kind::Text {
            text: String::new(),
            plain: true,
        },
    }))
}

/// What would take time before the first event comes.
fn refuse_bombs(text: &str) -> Result<(), Wrong> {
    let line_at = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    if let Some(at) = aliases(text).nth(ALIASES_MAX) {
        return Err(Wrong {
            line: line_at(at),
            message: format!("more than {ALIASES_MAX} aliases"),
        });
    }
    let bytes = text.bytes().enumerate();
    let mut brackets = bytes.filter(|(_, byte)| matches!(byte, b'[' | b'{'));
    match brackets.nth(BRACKETS_MAX) {
        Some((at, _)) => Err(Wrong {
            line: line_at(at),
            message: format!("more than {BRACKETS_MAX} brackets and braces"),
        }),
        None => Ok(()),
    }
}

/// Where asterisks stand that may begin an alias. Some stand in texts; those are few.
fn aliases(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let begins = |at: usize| at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
    (0..bytes.len()).filter(move |at| bytes[*at] == b'*' && begins(*at))
}

impl Wrong {
    fn at(span: Span, message: impl Into<String>) -> Self {
        Self {
            line: span.start.line(),
            message: message.into(),
        }
    }

    fn of_parser(error: &ScanError) -> Self {
        Self {
            line: error.marker().line(),
            message: error.info().to_owned(),
        }
    }
}

/// What is being read, the innermost last.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    /// What aliases may stand for, by the parser's number, with how many nodes it has.
    anchors: Vec<(usize, Node)>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
}

struct Open {
    node: Node,
    anchor: usize,
    /// A key whose value comes next.
    key: Option<(String, usize)>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Wrong> {
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Wrong::at(span, "a second document begins, and one is read"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = text_tag(tag.as_deref(), span)?;
                let kind = Kind::Text {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain && !tagged,
                };
                self.closed(Node { line, kind }, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => self.opened(Kind::List(Vec::new()), anchor, &tag, span),
            Event::MappingStart(anchor, tag) => self.opened(Kind::Entries(Vec::new()), anchor, &tag, span),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.closed(open.node, open.anchor, span),
                None => Err(Wrong::at(span, "something ends here that did not begin")),
            },
            Event::Alias(number) => {
                let found = self.anchors.iter().find(|(anchor, _)| *anchor == number);
                let Some((_, node)) = found else {
                    return Err(Wrong::at(span, "an alias stands for itself, or for nothing"));
                };
                let node = node.clone();
                self.count(size(&node), span)?;
                self.closed(node, 0, span)
            }
        }
    }

    fn opened<T>(&mut self, kind: Kind, anchor: usize, tag: &Option<T>, span: Span) -> Result<(), Wrong> {
        if tag.is_some() {
            return Err(Wrong::at(span, "tags are not read"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Wrong::at(span, format!("more than {DEPTH_MAX} levels deep")));
        }
        if let Some(open) = self.open.last()
            && matches!(open.node.kind, Kind::Entries(_))
            && open.key.is_none()
        {
            return Err(Wrong::at(span, "a key is a word, not a list or section"));
        }
        let line = span.start.line();
        self.open.push(Open {
            node: Node { line, kind },
            anchor,
            key: None,
        });
        Ok(())
    }

    /// Something is complete, and takes its place in what is around it.
    fn closed(&mut self, node: Node, anchor: usize, span: Span) -> Result<(), Wrong> {
        self.count(1, span)?;
        if anchor > 0 {
            self.anchors.push((anchor, node.clone()));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.kind, open.key.take()) {
            (Kind::List(nodes), _) => nodes.push(node),
            (Kind::Entries(entries), Some((key, line))) => entries.push(Entry { key, line, node }),
            (Kind::Entries(entries), None) => {
                let Kind::Text { text, .. } = node.kind else {
                    return Err(Wrong::at(span, "a key is a word, not a list or section"));
                };
                if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                    let message = format!(
                        "the key {text:?} stands twice, the first time in line {}",
                        first.line
                    );
                    return Err(Wrong::at(span, message));
                }
                if entries.len() >= ENTRIES_MAX {
                    return Err(Wrong::at(
                        span,
                        format!("more than {ENTRIES_MAX} keys in one section"),
                    ));
                }
                open.key = Some((text, node.line));
            }
            (Kind::Text { .. }, _) => {}
        }
        Ok(())
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Wrong> {
        self.nodes += more;
        if self.nodes > NODES_MAX {
            return Err(Wrong::at(span, format!("more than {NODES_MAX} keys and values")));
        }
        Ok(())
    }
}

/// Whether a tag says that this is a text, whatever it looks like.
fn text_tag(tag: Option<&Tag>, span: Span) -> Result<bool, Wrong> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(true),
        Some(_) => Err(Wrong::at(span, "tags are not read")),
    }
}

fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::Text { .. } => 1,
        Kind::List(nodes) => 1 + nodes.iter().map(size).sum::<usize>(),
        Kind::Entries(entries) => 1 + entries.iter().map(|entry| 1 + size(&entry.node)).sum::<usize>(),
    }
}
