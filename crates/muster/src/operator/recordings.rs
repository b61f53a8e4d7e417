//! `muster recordings …`: what machines recorded, had kept, and brought to the server.

pub(super) mod fetch;

use clap::{Args, Subcommand};
use muster_protocol::api::{
    GiveCommand, MachineRecording, MachineRecordings, RecordingTransfer, TransferState,
};
use muster_protocol::link::CommandKind;

use super::command::give;
use super::error::OperatorError;
use super::find::find;
use super::session::Session;
use super::stop::reason;
use super::text::{Cell, Column, Paint, Table, bytes, clean};

/// How long a machine's answer is waited for.
const WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// What machines recorded
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A MACHINE is a name, an id, or the beginning of an id. A FILE is a name as `list` shows it, or
a part of one that only one has. Recordings are MCAP files: Foxglove and other viewers open
them, `muster agent replay FILE` runs one into the same nodes again.")]
pub enum RecordingsCommand {
    /// List what a machine keeps, and what of it is on the server
    #[command(after_help = "Example:\n  muster recordings list frida")]
    List(MachineOptions),
    /// Have the minutes around now kept, by a machine that is connected
    #[command(after_help = "Example:\n  muster recordings mark frida --reason 'it rattles on the ramp'")]
    Mark(MarkOptions),
    /// Bring a recording to the server and download it from there
    Fetch(fetch::FetchOptions),
    /// Remove a recording from the server. What the machine has stays there
    #[command(after_help = "Example:\n  muster recordings remove frida estop_latched")]
    Remove(FileOptions),
}

#[derive(Debug, Args)]
pub struct MachineOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,
}

#[derive(Debug, Args)]
pub struct FileOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Its file, or a part of its name
    #[arg(value_name = "FILE")]
    pub file: String,
}

#[derive(Debug, Args)]
pub struct MarkOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Why: kept in the recording
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

pub(super) async fn run(command: RecordingsCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        RecordingsCommand::List(options) => list(&options, session).await,
        RecordingsCommand::Mark(options) => mark(options, session).await,
        RecordingsCommand::Fetch(options) => fetch::run(options, session).await,
        RecordingsCommand::Remove(options) => remove(&options, session).await,
    }
}

async fn list(options: &MachineOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let all = session.client.recordings(found.id).await?;
    if !session.is_table() {
        return session.document(&all);
    }
    let mut text = String::new();
    if !all.items.is_empty() {
        let mut table = Table::new([
            Column::left("RECORDING", 255),
            Column::right("SECONDS", 254),
            Column::right("SIZE", 254),
            Column::left("KEPT FOR", 250),
            Column::left("WHERE", 253),
        ]);
        for item in &all.items {
            table.push(row(item));
        }
        text.push_str(&table.take_lines(session.look));
    }
    text.push_str(&summary(&all));
    session.print(&text)
}

fn row(item: &MachineRecording) -> Vec<Cell> {
    let why = item
        .why
        .as_deref()
        .unwrap_or("nothing: it goes when room is needed");
    let why = why.replace('_', " ");
    let seconds = item.to.millis_since(item.from) / 1_000;
    vec![
        Cell::new(clean(&item.file)),
        Cell::new(seconds.to_string()),
        Cell::new(if item.bytes == 0 {
            "–".to_owned()
        } else {
            bytes(item.bytes)
        }),
        Cell::new(clean(&why)),
        whereabouts(item),
    ]
}

fn whereabouts(item: &MachineRecording) -> Cell {
    if item.stored.is_some() {
        let text = if item.on_machine {
            "server, machine"
        } else {
            "server"
        };
        return Cell::painted(text, Paint::Good);
    }
    let Some(transfer) = &item.transfer else {
        return Cell::new("machine");
    };
    match transfer.state {
        TransferState::Asked => Cell::new("asked for"),
        TransferState::Accepted => held_up("machine, will bring it".to_owned(), transfer),
        TransferState::Coming => held_up(
            format!("coming, {}", share(transfer.offset, transfer.length)),
            transfer,
        ),
        TransferState::Failed => {
            let why = transfer.detail.as_deref().unwrap_or("why is not known");
            Cell::painted(format!("not brought: {}", clean(why)), Paint::Bad)
        }
    }
}

fn held_up(text: String, transfer: &RecordingTransfer) -> Cell {
    match &transfer.detail {
        Some(detail) => Cell::painted(format!("{text}; held up: {}", clean(detail)), Paint::Bad),
        None => Cell::new(text),
    }
}

/// `42 %`.
fn share(offset: u64, length: Option<u64>) -> String {
    match length {
        Some(length) if length > 0 => format!("{} %", offset.saturating_mul(100) / length),
        Some(_) | None => bytes(offset),
    }
}

fn summary(all: &MachineRecordings) -> String {
    let room = format!(
        "Recordings of all machines take {} of {} on the server.\n",
        bytes(all.used_bytes),
        bytes(all.max_bytes)
    );
    if !all.records {
        return format!("This machine does not record.\n{room}");
    }
    let none = if all.items.is_empty() {
        "Nothing is kept. "
    } else {
        ""
    };
    let rolls = match &all.paused {
        Some(why) => format!("{none}Nothing is recorded now: {}.\n", clean(why)),
        None if all.rolling_s == 0 => format!("{none}Recording has just begun.\n"),
        None => format!(
            "{none}The last {} s ({}) can still be marked.\n",
            all.rolling_s,
            bytes(all.rolling_bytes)
        ),
    };
    format!("{rolls}{room}")
}

async fn mark(options: MarkOptions, session: &mut Session) -> Result<(), OperatorError> {
    let id = find(session, &options.machine, None).await?.id;
    let body = GiveCommand {
        kind: CommandKind::RecordMark.as_str().to_owned(),
        arguments: None,
        reason: options.reason,
        expires_in_s: None,
    };
    give(id, &body, WAIT, session).await?;
    session.note("it is listed when the minutes after this moment are over");
    Ok(())
}

async fn remove(options: &FileOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let all = session.client.recordings(found.id).await?;
    let stored: Vec<&MachineRecording> = all.items.iter().filter(|item| item.stored.is_some()).collect();
    let item = meant(&options.file, &stored, &found.title())?;
    session.client.remove_recording(found.id, &item.file).await?;
    let line = format!("{} is gone from the server\n", clean(&item.file));
    session.print(&line)
}

/// The one recording that is meant by a name or a part of it.
fn meant<'a>(
    given: &str,
    items: &[&'a MachineRecording],
    machine: &str,
) -> Result<&'a MachineRecording, OperatorError> {
    if let Some(item) = items.iter().find(|item| item.file == given) {
        return Ok(item);
    }
    let like: Vec<_> = items.iter().filter(|item| item.file.contains(given)).collect();
    match like.as_slice() {
        [only] => Ok(only),
        [] => Err(OperatorError::Usage {
            what: format!("no recording of {machine} is called {given:?}, or has that in its name"),
            hint: "`muster recordings list` shows which there are".to_owned(),
        }),
        several => Err(OperatorError::Usage {
            what: format!(
                "{given:?} can be any of {} recordings of {machine}",
                several.len()
            ),
            hint: several
                .iter()
                .map(|item| item.file.as_str())
                .collect::<Vec<_>>()
                .join("\n"),
        }),
    }
}
