//! A recording read again, message by message, in the order of the file.
//!
//! A file that nobody finished is read as far as it is sound; [`Reader::end`] says so. Memory goes with the largest chunk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use mcap::records::{MessageHeader, Record};
use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::{About, KEPT, MACHINE, RecordingError, SETTINGS, form};
use crate::message::Payload;

/// No record of a recording is longer.
const RECORD_MAX_BYTES: usize = 64 << 20;

/// Reads one file.
pub struct Reader {
    file: File,
    records: LinearReader,
    schemas: BTreeMap<u16, Arc<Schema>>,
    channels: BTreeMap<u16, Arc<Channel>>,
    about: About,
    kept: Option<BTreeMap<String, String>>,
    end: Option<End>,
}

/// How a file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Finished,
    /// Whoever wrote it did not finish it, or it is damaged from here.
    Broken(String),
}

/// The schema of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// In which language it is.
    pub encoding: String,
    /// Its text.
    pub data: Vec<u8>,
}

/// What messages of one topic have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The topic.
    pub topic: String,
    /// How messages are written.
    pub encoding: String,
    /// Their schema.
    pub schema: Option<Arc<Schema>>,
}

/// A message of a recording.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its channel.
    pub channel: Arc<Channel>,
    /// When it was recorded, and what place it has.
    pub header: MessageHeader,
    /// What was said.
    pub data: Vec<u8>,
}

impl Recorded {
    /// What was said, as the bus knows it; nothing where nobody here knows its schema.
    pub fn payload(&self) -> Result<Option<Payload>, RecordingError> {
        match &self.channel.schema {
            Some(schema) if self.channel.encoding == "json" => form::read(&schema.name, &self.data),
            Some(_) | None => Ok(None),
        }
    }
}

impl Reader {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let file =
            File::open(path).map_err(RecordingError::io(format!("{} cannot be read", path.display())))?;
        let options = LinearReaderOptions::default()
            .with_prevalidate_chunk_crcs(true)
            .with_record_length_limit(RECORD_MAX_BYTES);
        Ok(Self {
            file,
            records: LinearReader::new_with_options(options),
            schemas: BTreeMap::new(),
            channels: BTreeMap::new(),
            about: About::default(),
            kept: None,
            end: None,
        })
    }

    /// What the file says of itself, as far as it was read: all of ours say it before the first message.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Why it was kept, as far as it was read.
    pub fn kept(&self) -> Option<&BTreeMap<String, String>> {
        self.kept.as_ref()
    }

    /// How it ended; nothing before it was read to its end.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    fn turn(&mut self) -> Result<Option<Recorded>, RecordingError> {
        let record = match self.records.next_event() {
            None => {
                self.end = Some(End::Finished);
                return Ok(None);
            }
            Some(event) => match event? {
                LinearReadEvent::ReadRequest(need) => {
                    let read = self.file.read(self.records.insert(need));
                    self.records
                        .notify_read(read.map_err(RecordingError::io("it cannot be read"))?);
                    return Ok(None);
                }
                LinearReadEvent::Record { data, opcode } => mcap::parse_record(opcode, data)?,
            },
        };
        match record {
            Record::Schema { header, data } => {
                let schema = Schema {
                    name: header.name,
                    encoding: header.encoding,
                    data: data.into_owned(),
                };
                self.schemas.insert(header.id, Arc::new(schema));
            }
            Record::Channel(channel) => {
                let schema = self.schemas.get(&channel.schema_id).cloned();
                let told = Channel {
                    topic: channel.topic,
                    encoding: channel.message_encoding,
                    schema,
                };
                self.channels.entry(channel.id).or_insert_with(|| Arc::new(told));
            }
            Record::Metadata(metadata) => match metadata.name.as_str() {
                MACHINE => self.about.machine = metadata.metadata,
                SETTINGS => self.about.settings = metadata.metadata,
                KEPT => self.kept = Some(metadata.metadata),
                _ => {}
            },
            Record::Message { header, data } => {
                let Some(channel) = self.channels.get(&header.channel_id) else {
                    let text = format!(
                        "a message of channel {}, which is not described",
                        header.channel_id
                    );
                    return Err(RecordingError::Refused(text));
                };
                return Ok(Some(Recorded {
                    channel: channel.clone(),
                    header,
                    data: data.into_owned(),
                }));
            }
            _ => {}
        }
        Ok(None)
    }
}

impl Iterator for Reader {
    type Item = Recorded;

    fn next(&mut self) -> Option<Recorded> {
        while self.end.is_none() {
            match self.turn() {
                Ok(Some(recorded)) => return Some(recorded),
                Ok(None) => {}
                Err(error) => self.end = Some(End::Broken(error.to_string())),
            }
        }
        None
    }
}
