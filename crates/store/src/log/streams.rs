//! Where every stream ends, and the plan of what a commit will change about that.
//!
//! Both implementations of the log use it, so that they decide alike.

use std::collections::HashMap;
use std::sync::Arc;

use muster_model::{LogPosition, StreamVersion, Timestamp};

use super::error::LogError;
use super::types::{Append, Expected, Placed, StreamHead, StreamName};

/// One stream.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Its number in the database: the first is 1, without holes.
    pub(super) id: u32,
    /// Its name as text, kept because every hash needs it.
    pub(super) text: Arc<str>,
    pub(super) head: StreamHead,
}

/// All streams, as of the last commit.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_name: HashMap<StreamName, Stream>,
    names: Vec<StreamName>,
    pub(super) position: LogPosition,
    pub(super) recorded_at: Timestamp,
}

impl Streams {
    pub(super) fn get(&self, name: &StreamName) -> Option<&Stream> {
        self.by_name.get(name)
    }

    /// The name of a stream, by its number.
    pub(super) fn name(&self, id: u32) -> Option<&StreamName> {
        self.names.get((id as usize).checked_sub(1)?)
    }

    /// How many streams there are.
    pub(super) fn count(&self) -> u32 {
        self.names.len() as u32
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.names.iter().filter_map(|name| self.by_name.get(name))
    }

    /// Adds the next stream, which has no events yet. Streams are added in the order of their numbers.
    pub(super) fn add(&mut self, name: StreamName) {
        let stream = Stream {
            id: self.count() + 1,
            text: name.to_string().into(),
            head: StreamHead {
                version: StreamVersion::ZERO,
                position: LogPosition::ZERO,
            },
        };
        self.names.push(name.clone());
        self.by_name.insert(name, stream);
    }

    /// Moves a stream's end.
    pub(super) fn set_head(&mut self, id: u32, head: StreamHead) {
        let Some(name) = self.name(id).cloned() else {
            return;
        };
        if let Some(stream) = self.by_name.get_mut(&name) {
            stream.head = head;
        }
    }

    /// Takes over what was committed.
    pub(super) fn commit(&mut self, plan: Plan) {
        self.position = plan.position;
        self.recorded_at = plan.recorded_at;
        self.names.extend(plan.created);
        self.by_name.extend(plan.changed);
    }
}

/// What one commit will change. Dropping it changes nothing.
#[derive(Debug)]
pub(super) struct Plan {
    changed: HashMap<StreamName, Stream>,
    /// Streams that are new, in the order of their numbers.
    pub(super) created: Vec<StreamName>,
    position: LogPosition,
    recorded_at: Timestamp,
}

/// One event with its place.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) placed: Placed,
    pub(super) previous: LogPosition,
    pub(super) stream: u32,
    pub(super) text: Arc<str>,
}

impl Plan {
    pub(super) fn new(streams: &Streams) -> Self {
        Self {
            changed: HashMap::new(),
            created: Vec::new(),
            position: streams.position,
            recorded_at: streams.recorded_at,
        }
    }

    /// Gives every event of a batch its place, or changes nothing.
    pub(super) fn place(&mut self, streams: &Streams, batch: &[Append]) -> Result<Vec<Planned>, LogError> {
        let before = (self.position, self.recorded_at, self.created.len());
        let mut undo: Vec<(StreamName, Option<Stream>)> = Vec::with_capacity(batch.len());
        let mut places = Vec::with_capacity(batch.len());
        for append in batch {
            match self.place_one(streams, append, &mut undo) {
                Ok(planned) => places.push(planned),
                Err(error) => {
                    for (name, stream) in undo.into_iter().rev() {
                        match stream {
                            Some(stream) => self.changed.insert(name, stream),
                            None => self.changed.remove(&name),
                        };
                    }
                    (self.position, self.recorded_at) = (before.0, before.1);
                    self.created.truncate(before.2);
                    return Err(error);
                }
            }
        }
        Ok(places)
    }

    fn place_one(
        &mut self,
        streams: &Streams,
        append: &Append,
        undo: &mut Vec<(StreamName, Option<Stream>)>,
    ) -> Result<Planned, LogError> {
        let name = &append.stream;
        let planned = self.changed.get(name);
        let known = planned.or_else(|| streams.get(name));
        let actual = known.map_or(StreamVersion::ZERO, |stream| stream.head.version);
        match append.expected {
            Expected::Version(expected) if expected != actual => {
                let stream = name.clone();
                return Err(LogError::Conflict {
                    stream,
                    expected,
                    actual,
                });
            }
            Expected::Version(_) | Expected::Any => {}
        }
        undo.push((name.clone(), planned.cloned()));
        let (id, text, previous) = match known {
            Some(stream) => (stream.id, Arc::clone(&stream.text), stream.head.position),
            None => {
                self.created.push(name.clone());
                let id = streams.count() + self.created.len() as u32;
                (id, name.to_string().into(), LogPosition::ZERO)
            }
        };
        self.position = self.position.next();
        self.recorded_at = self.recorded_at.max(append.recorded_at);
        let head = StreamHead {
            version: actual.next(),
            position: self.position,
        };
        let stream = Stream {
            id,
            text: Arc::clone(&text),
            head,
        };
        self.changed.insert(name.clone(), stream);
        Ok(Planned {
            placed: Placed {
                position: head.position,
                version: head.version,
                recorded_at: self.recorded_at,
            },
            previous,
            stream: id,
            text,
        })
    }
}
