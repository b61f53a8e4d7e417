//! `muster recordings fetch`: asks the machine for a recording, follows it to the server, and downloads it from there.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use muster_model::entry::JsonText;
use muster_protocol::api::{GiveCommand, MachineRecording, StoredRecording, TransferState};
use muster_protocol::link::{CommandKind, UploadArguments};
use sha2::{Digest, Sha256};

use super::super::error::OperatorError;
use super::super::find::{Found, find};
use super::super::session::Session;
use super::super::stop::reason;
use super::super::text::{bytes, clean};
use super::{meant, share};

/// How often it is looked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(after_help = "\
The machine brings the recording to the server, at a pace that leaves the line to control; a
machine that is away does so when it is back, within a day. Ask again at any time: what is there
is not brought twice.

Exit codes:
  0  it is here
  1  it cannot be had
  3  it is asked for, but not there yet
  others as for all commands

Examples:
  muster recordings fetch frida estop_latched
  muster recordings fetch frida kept-20261121T070000.000Z-20261121T070230.000Z-estop_latched.mcap --to /tmp/frida.mcap
  muster recordings fetch frida marked --wait 0")]
pub struct FetchOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Its file, or a part of its name
    #[arg(value_name = "FILE")]
    pub file: String,

    /// Where to: a file or a directory [default: the current directory, with the recording's name]
    #[arg(long, value_name = "PATH")]
    pub to: Option<PathBuf>,

    /// Leave it on the server
    #[arg(long, conflicts_with = "to")]
    pub no_download: bool,

    /// Wait at most so many seconds until it is on the server; 0: ask only
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub wait: u64,

    /// Why: kept with it
    #[arg(long, short, value_name = "TEXT", value_parser = reason, default_value = "to be looked at")]
    pub reason: String,
}

pub(super) async fn run(options: FetchOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let all = session.client.recordings(found.id).await?;
    let items: Vec<&MachineRecording> = all.items.iter().collect();
    let item = meant(&options.file, &items, &found.title())?;
    // Before anything is asked of anybody: what cannot be written is known now.
    let target = if options.no_download {
        None
    } else {
        Some(Target::new(options.to.as_deref(), &item.file)?)
    };
    let stored = match &item.stored {
        Some(stored) => stored.clone(),
        None => {
            if !is_coming(item) {
                ask(&found, item, &options.reason, session).await?;
            }
            follow(&found, &item.file, Duration::from_secs(options.wait), session).await?
        }
    };
    match target {
        Some(target) => download(&found, &item.file, &stored, target, session).await,
        None => say(&item.file, &stored, None, session),
    }
}

fn is_coming(item: &MachineRecording) -> bool {
    let transfer = item.transfer.as_ref();
    transfer.is_some_and(|transfer| transfer.state != TransferState::Failed)
}

async fn ask(
    found: &Found,
    item: &MachineRecording,
    reason: &str,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let arguments = UploadArguments {
        file: item.file.clone(),
    };
    let arguments = serde_json::value::to_raw_value(&arguments).map_err(|error| OperatorError::Format {
        format: "JSON",
        detail: error.to_string(),
    })?;
    let body = GiveCommand {
        kind: CommandKind::RecordUpload.as_str().to_owned(),
        arguments: Some(JsonText(arguments)),
        reason: reason.to_owned(),
        expires_in_s: Some(24 * 3_600),
    };
    let told = session.client.give_command(found.id, &body).await?;
    if !told.told {
        session.note("the machine is away: it is told when it comes, within a day");
    }
    Ok(())
}

/// Waits until it is on the server.
async fn follow(
    found: &Found,
    file: &str,
    wait: Duration,
    session: &mut Session,
) -> Result<StoredRecording, OperatorError> {
    let until = tokio::time::Instant::now() + wait;
    let mut progress = Progress::default();
    loop {
        let all = session.client.recordings(found.id).await?;
        let item = all.items.into_iter().find(|item| item.file == file);
        let transfer = item.as_ref().and_then(|item| item.transfer.as_ref());
        if let Some(transfer) = transfer.filter(|transfer| transfer.state == TransferState::Failed) {
            progress.end();
            let why = transfer.detail.as_deref().unwrap_or("why is not known");
            return Err(OperatorError::NotTaken {
                what: format!("{} does not bring {file}: {why}", found.title()),
            });
        }
        if let Some(stored) = item.as_ref().and_then(|item| item.stored.clone()) {
            progress.end();
            return Ok(stored);
        }
        if let Some(transfer) = transfer {
            let length = transfer.length.unwrap_or(0);
            progress.show(&format!(
                "{} of {} ({})",
                bytes(transfer.offset),
                bytes(length),
                share(transfer.offset, transfer.length)
            ));
        }
        if tokio::time::Instant::now() + LOOK_EVERY > until {
            progress.end();
            return Err(OperatorError::NotAnswered {
                machine: found.title(),
                kind: format!("{}: {file} is not on the server yet", CommandKind::RecordUpload),
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// One line on a terminal that says how far it is.
#[derive(Default)]
pub(in crate::operator) struct Progress(bool);

impl Progress {
    pub(in crate::operator) fn show(&mut self, text: &str) {
        let mut terminal = std::io::stderr().lock();
        if terminal.is_terminal() {
            // Whoever cannot see it misses nothing.
            let _ = write!(terminal, "\r\x1b[K{text}").and_then(|()| terminal.flush());
            self.0 = true;
        }
    }

    pub(in crate::operator) fn end(&mut self) {
        if std::mem::take(&mut self.0) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// A file that gets its name when all of it is there.
struct Target {
    path: PathBuf,
    part: PathBuf,
    file: File,
    hash: Sha256,
}

impl Target {
    fn new(to: Option<&Path>, name: &str) -> Result<Self, OperatorError> {
        let path = match to {
            Some(to) if to.is_dir() => to.join(name),
            Some(to) => to.to_owned(),
            None => PathBuf::from(name),
        };
        let refused = |what: String| OperatorError::Usage {
            what,
            hint: "--to says where it shall be".to_owned(),
        };
        if path.exists() {
            return Err(refused(format!("{} is there already", path.display())));
        }
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&part);
        let file = file.map_err(|error| refused(format!("{} cannot be written: {error}", part.display())))?;
        Ok(Self {
            path,
            part,
            file,
            hash: Sha256::new(),
        })
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), OperatorError> {
        self.hash.update(piece);
        self.file.write_all(piece).map_err(OperatorError::Output)
    }

    fn finish(self, stored: &StoredRecording) -> Result<PathBuf, OperatorError> {
        let hex: Vec<String> = self
            .hash
            .clone()
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if hex.concat() != stored.sha256 {
            return Err(OperatorError::NotTaken {
                what: "what was downloaded is not what the machine sent: try again".to_owned(),
            });
        }
        self.file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.part, &self.path))
            .map_err(OperatorError::Output)?;
        Ok(self.path.clone())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Gone by then, if it got its name.
        let _ = std::fs::remove_file(&self.part);
    }
}

async fn download(
    found: &Found,
    file: &str,
    stored: &StoredRecording,
    mut target: Target,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let client = session.client.clone();
    client
        .download_recording(found.id, file, |piece| target.take(piece))
        .await?;
    let path = target.finish(stored)?;
    say(file, stored, Some(&path), session)
}

fn say(
    file: &str,
    stored: &StoredRecording,
    path: Option<&Path>,
    session: &mut Session,
) -> Result<(), OperatorError> {
    if !session.is_table() {
        return session.document(stored);
    }
    let place = path.map_or_else(
        || format!("{} is on the server", clean(file)),
        |path| path.display().to_string(),
    );
    session.print(&format!("{place}, {}\n", bytes(stored.bytes)))
}
