//! What every command works with: the client, the two outputs, the clock and the zone.

use std::io::{BufRead, IsTerminal, Write};

use jiff::Zoned;
use jiff::tz::TimeZone;
use muster_client::{Client, ClientOptions};
use muster_model::Timestamp;
use serde::Serialize;

use super::credentials;
use super::error::OperatorError;
use super::moment;
use super::options::{GlobalOptions, OutputFormat};
use super::text::{Look, clean, local_time, span};

/// What every command works with.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) format: OutputFormat,
    /// How wide and how colourful tables are.
    pub(super) look: Look,
    /// Whether the output is a terminal that can be redrawn, and how many lines it has.
    pub(super) screen_lines: Option<u16>,
    /// When the command was given, in the zone of the person who gave it.
    pub(super) now: Zoned,
    pub(super) out: Box<dyn Write + Send>,
    pub(super) notes: Box<dyn Write + Send>,
    /// Where a person answers questions; none where no person sits at a terminal.
    pub(super) answers: Option<Box<dyn BufRead + Send>>,
}

impl Session {
    /// The session of this process.
    pub(super) fn open(options: &GlobalOptions) -> Result<Self, OperatorError> {
        let authorities = options.ca_file.as_deref().map(read_authorities).transpose()?;
        let client = Client::new(
            &options.server,
            ClientOptions {
                request_timeout: options.timeout,
                connect_timeout: options.timeout.min(ClientOptions::default().connect_timeout),
                user_agent: concat!("muster/", env!("CARGO_PKG_VERSION")).to_owned(),
                credential: credentials::for_server(&options.server)?,
                authorities,
                plain_credential: options.allow_plain_http,
                ..ClientOptions::default()
            },
        )?;
        let is_terminal = std::io::stdout().is_terminal();
        let size = terminal_size::terminal_size_of(std::io::stdout()).filter(|_| is_terminal);
        Ok(Self {
            client,
            format: options.output,
            look: Look {
                width: size.map(|(width, _)| width.0),
                colour: options.colour_on_stdout(),
            },
            screen_lines: size.map(|(_, height)| height.0),
            now: Zoned::now(),
            out: Box::new(std::io::stdout()),
            notes: Box::new(std::io::stderr()),
            answers: super::stop::terminal(),
        })
    }

    pub(super) fn zone(&self) -> &TimeZone {
        self.now.time_zone()
    }

    /// Whether people read the output.
    pub(super) fn is_table(&self) -> bool {
        self.format == OutputFormat::Table
    }

    /// Writes text for people.
    pub(super) fn print(&mut self, text: &str) -> Result<(), OperatorError> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        Ok(())
    }

    /// Writes something to standard error that is not data. Nobody may be reading it: that is no error.
    pub(super) fn note(&mut self, text: &str) {
        let _ = writeln!(self.notes, "note: {}", clean(text));
    }

    /// Writes the one document of this command, as JSON or YAML.
    pub(super) fn document<T: Serialize>(&mut self, document: &T) -> Result<(), OperatorError> {
        let text = match self.format {
            OutputFormat::Table | OutputFormat::Json => {
                serde_json::to_string_pretty(document).map_err(|error| not_written("JSON", &error))? + "\n"
            }
            OutputFormat::Yaml => to_yaml(document)?,
        };
        self.print(&text)
    }

    /// Writes one of many documents that follow each other: a line of JSON, or a YAML document with its own start.
    pub(super) fn next_document<T: Serialize>(&mut self, document: &T) -> Result<(), OperatorError> {
        let text = match self.format {
            OutputFormat::Table | OutputFormat::Json => {
                serde_json::to_string(document).map_err(|error| not_written("JSON", &error))? + "\n"
            }
            OutputFormat::Yaml => format!("---\n{}", to_yaml(document)?),
        };
        self.print(&text)
    }

    /// A moment as it was written on the command line.
    pub(super) fn moment(&self, given: Option<&str>) -> Result<Option<Timestamp>, OperatorError> {
        given
            .map(|text| moment::parse_moment(text, &self.now))
            .transpose()
            .map_err(|error| OperatorError::Usage {
                what: error.to_string(),
                hint: moment::ACCEPTED.to_owned(),
            })
    }

    /// A moment of the past as it was written on the command line.
    pub(super) fn past(&self, given: Option<&str>) -> Result<Option<Timestamp>, OperatorError> {
        let at = self.moment(given)?;
        // The server's clock may be ahead of ours by a little.
        let latest = Timestamp::from_millis(self.now.timestamp().as_millisecond()).plus_millis(60_000);
        match at {
            Some(at) if at > latest => Err(OperatorError::Usage {
                what: format!("{} is still to come", local_time(at, self.zone())),
                hint: "an hour of the day means today: write `yesterday 23:00` for the day before".to_owned(),
            }),
            _ => Ok(at),
        }
    }

    /// The line above everything that shows the past; empty for the present. Says it on standard error, too.
    pub(super) fn past_banner(&mut self, past: bool, at: Timestamp) -> String {
        if !past {
            return String::new();
        }
        let now = Timestamp::from_millis(self.now.timestamp().as_millisecond());
        let when = local_time(at, self.zone());
        let ago = span(now.millis_since(at));
        self.note(&format!(
            "this is the past: the fleet as it was at {when}, {ago} ago"
        ));
        let line = format!("THE PAST · as it was at {when} · {ago} ago\n");
        self.look.paint(&line, super::text::Paint::Past) + "\n"
    }
}

fn read_authorities(path: &std::path::Path) -> Result<String, OperatorError> {
    std::fs::read_to_string(path).map_err(|error| OperatorError::Usage {
        what: format!("{} cannot be read: {error}", path.display()),
        hint: "the file with the server's authorities: ca.pem in the folder identity of its data directory"
            .to_owned(),
    })
}

fn not_written(format: &'static str, error: &dyn std::fmt::Display) -> OperatorError {
    let detail = error.to_string();
    OperatorError::Format { format, detail }
}

/// By way of JSON, because JSON that is passed on unread can be written as JSON only. Keeps the order of keys.
fn to_yaml<T: Serialize>(document: &T) -> Result<String, OperatorError> {
    let json = serde_json::to_string(document).map_err(|error| not_written("YAML", &error))?;
    let value: yaml_serde::Value =
        serde_json::from_str(&json).map_err(|error| not_written("YAML", &error))?;
    yaml_serde::to_string(&value).map_err(|error| not_written("YAML", &error))
}
