//! A recording while it is written.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mcap::records::{MessageHeader, Metadata};
use mcap::{Compression, WriteOptions, Writer};
use muster_model::{Timestamp, Topic};

use super::reader::Recorded;
use super::{About, MACHINE, RecordingError, SETTINGS, form};
use crate::message::Message;

/// Most bytes of one chunk before it is packed. It bounds what has to be unpacked at once.
const CHUNK_BYTES: u64 = 256 << 10;
/// Nanoseconds of a millisecond.
pub(super) const NS_PER_MS: i64 = 1_000_000;
/// A clock that was put back by more than this begins a new file; less is counted on.
const BACK_MAX_NS: u64 = 1_000_000_000;

/// An MCAP file that is being written.
pub struct Segment {
    writer: Option<Writer<File>>,
    /// The same file, to have it put on the disk.
    file: File,
    path: PathBuf,
    channels: HashMap<Topic, Channel>,
    schemas: BTreeMap<&'static str, u16>,
    /// Channels of what is copied, by topic.
    copied: BTreeMap<String, u16>,
    first_ns: Option<u64>,
    last_ns: u64,
    messages: u64,
    unsynced: bool,
    buffer: Vec<u8>,
}

struct Channel {
    id: u16,
    sequence: u32,
}

/// A file that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// When its first message was said; nothing where it holds none.
    pub span: Option<(Timestamp, Timestamp)>,
    /// How many it holds.
    pub messages: u64,
}

impl Segment {
    /// Begins a file that is not there yet.
    pub fn create(path: PathBuf, about: &About) -> Result<Self, RecordingError> {
        let refused = || RecordingError::io(format!("{} cannot be made", path.display()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(refused())?;
        let same = file.try_clone().map_err(refused())?;
        let options = WriteOptions::new()
            .compression(Some(Compression::Lz4))
            .chunk_size(Some(CHUNK_BYTES))
            .profile("")
            .library(concat!("muster-machine ", env!("CARGO_PKG_VERSION")));
        let mut writer = options.create(file)?;
        for (name, metadata) in [(MACHINE, &about.machine), (SETTINGS, &about.settings)] {
            writer.write_metadata(&Metadata {
                name: name.to_owned(),
                metadata: metadata.clone(),
            })?;
        }
        Ok(Self {
            writer: Some(writer),
            file: same,
            path,
            channels: HashMap::new(),
            schemas: BTreeMap::new(),
            copied: BTreeMap::new(),
            first_ns: None,
            last_ns: 0,
            messages: 0,
            unsynced: true,
            buffer: Vec::new(),
        })
    }

    fn writer(&mut self) -> &mut Writer<File> {
        self.writer
            .as_mut()
            .expect("a segment has its writer until it is finished")
    }

    /// Whether a message of this time belongs to another file, because the clock was put back.
    pub fn is_behind(&self, at: Timestamp) -> bool {
        self.first_ns.is_some() && nanos(at).saturating_add(BACK_MAX_NS) < self.last_ns
    }

    /// Writes a message of the bus. What has no form is an error that leaves the file sound.
    pub fn write(&mut self, message: &Message) -> Result<(), RecordingError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let written = form::write(&message.payload, &mut buffer).and_then(|()| {
            let at = nanos(message.at);
            // The order of the bus is the order of the file, also within a millisecond.
            let log_time = if self.first_ns.is_some() {
                at.max(self.last_ns + 1)
            } else {
                at
            };
            let schema = form::schema_name(&message.payload);
            let publish_time = message.mono_ms.saturating_mul(NS_PER_MS.unsigned_abs());
            self.put(&message.topic, schema, log_time, publish_time, &buffer)
        });
        buffer.shrink_to(64 << 10);
        self.buffer = buffer;
        written
    }

    fn put(
        &mut self,
        topic: &Topic,
        schema: &'static str,
        log_time: u64,
        publish_time: u64,
        data: &[u8],
    ) -> Result<(), RecordingError> {
        if !self.channels.contains_key(topic) {
            let schema_id = match self.schemas.get(schema) {
                Some(id) => *id,
                None => {
                    let text = form::schema(schema).unwrap_or_else(|| "{\"type\":\"object\"}".to_owned());
                    let id = self.writer().add_schema(schema, "jsonschema", text.as_bytes())?;
                    self.schemas.insert(schema, id);
                    id
                }
            };
            let id = self
                .writer()
                .add_channel(schema_id, topic.as_str(), "json", &BTreeMap::new())?;
            self.channels.insert(topic.clone(), Channel { id, sequence: 0 });
        }
        let channel = self.channels.get_mut(topic).expect("it was just put there");
        channel.sequence = channel.sequence.wrapping_add(1);
        let header = MessageHeader {
            channel_id: channel.id,
            sequence: channel.sequence,
            log_time,
            publish_time,
        };
        self.writer().write_to_known_channel(&header, data)?;
        self.note(log_time);
        Ok(())
    }

    fn note(&mut self, log_time: u64) {
        self.first_ns.get_or_insert(log_time);
        self.last_ns = self.last_ns.max(log_time);
        self.messages += 1;
        self.unsynced = true;
    }

    /// Copies a message of another recording.
    pub fn copy(&mut self, message: &Recorded) -> Result<(), RecordingError> {
        let id = match self.copied.get(&message.channel.topic) {
            Some(id) => *id,
            None => {
                let channel = &message.channel;
                let schema_id = match &channel.schema {
                    Some(schema) => self
                        .writer()
                        .add_schema(&schema.name, &schema.encoding, &schema.data)?,
                    None => 0,
                };
                let none = BTreeMap::new();
                let id = self
                    .writer()
                    .add_channel(schema_id, &channel.topic, &channel.encoding, &none)?;
                self.copied.insert(channel.topic.clone(), id);
                id
            }
        };
        let header = MessageHeader {
            channel_id: id,
            ..message.header
        };
        self.writer().write_to_known_channel(&header, &message.data)?;
        self.note(header.log_time);
        Ok(())
    }

    /// Writes something about the file.
    pub fn describe(&mut self, name: &str, metadata: BTreeMap<String, String>) -> Result<(), RecordingError> {
        let name = name.to_owned();
        Ok(self.writer().write_metadata(&Metadata { name, metadata })?)
    }

    /// Has on the disk what was written so far.
    pub fn sync(&mut self) -> Result<(), RecordingError> {
        if !self.unsynced {
            return Ok(());
        }
        self.writer().flush()?;
        self.file
            .sync_data()
            .map_err(self.refused("cannot be put on the disk"))?;
        self.unsynced = false;
        Ok(())
    }

    /// How long the file is; what waits to be packed is not in it yet.
    pub fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// When its first message was said.
    pub fn from(&self) -> Option<Timestamp> {
        self.first_ns.map(at)
    }

    /// When its last message was said.
    pub fn to(&self) -> Option<Timestamp> {
        self.first_ns.map(|_| at(self.last_ns))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the index and the end.
    pub fn finish(mut self) -> Result<Finished, RecordingError> {
        self.writer().finish()?;
        self.file
            .sync_all()
            .map_err(self.refused("cannot be put on the disk"))?;
        Ok(Finished {
            span: self.from().zip(self.to()),
            messages: self.messages,
        })
    }

    fn refused(&self, what: &str) -> impl FnOnce(std::io::Error) -> RecordingError + use<> {
        RecordingError::io(format!("{} {what}", self.path.display()))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // Not finished: what is in the file is read when the recorder begins again. Writing an end to a disk that
            // fails would only fail again.
            drop(writer.into_inner());
        }
    }
}

/// Milliseconds since the epoch as nanoseconds.
pub(super) fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis().saturating_mul(NS_PER_MS)).unwrap_or(0)
}

/// Nanoseconds since the epoch as a moment.
pub fn at(nanos: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(nanos).unwrap_or(i64::MAX) / NS_PER_MS)
}
