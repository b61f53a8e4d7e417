//! What a machine recorded, for whoever is beside it. The files are its index, so this works without the machine, too.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use muster_model::Timestamp;
use muster_model::recording::Shown;
use muster_runtime::Clock;
use muster_runtime::errors::chain;
use serde::Serialize;

use super::beside::{Failed, Output, Place, carry_out, complain};
use crate::config::{Config, Settings};
use crate::error::MachineError;
use crate::local::recordings::Marked;
use crate::recording::RecordingError;
use crate::recording::folder::{self, Entry};
use crate::recording::reader::{End, Reader};

/// Where the recordings are, and what to do with them.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "Exit codes: 0 done, 64 no such recording or not accepted, 74 the disk refused."
)]
pub(super) struct Flags {
    #[command(subcommand)]
    what: What,
    /// The configuration, a YAML file
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The machine's data directory [default: /var/lib/muster-machine]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<String>,
    /// The recordings' directory, if not that of the configuration
    #[arg(long, value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every recording: from when to when, how large, why it is kept.
    List,
    /// What is in one recording.
    Show {
        /// Its file.
        file: String,
    },
    /// Keep the minutes around now: something happened that the machine does not know of.
    Mark {
        /// Why, for whoever looks at it later
        why: String,
        /// Which machine, where several run there (a simulated fleet)
        #[arg(long, value_name = "NAME")]
        machine: Option<String>,
    },
    /// Keep a recording until somebody removes it.
    Keep {
        /// Its file.
        file: String,
        /// Why, in a word
        #[arg(long)]
        why: Option<String>,
    },
    /// Remove a recording.
    Remove {
        /// Its file.
        file: String,
    },
}

/// What is in a recording.
#[derive(Debug, Serialize)]
struct Inside {
    file: String,
    machine: std::collections::BTreeMap<String, String>,
    kept: Option<std::collections::BTreeMap<String, String>>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    messages: u64,
    topics: std::collections::BTreeMap<String, Topic>,
    broken: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Topic {
    messages: u64,
    bytes: u64,
    schema: String,
}

pub(super) fn run(flags: &Flags) -> ExitCode {
    let directory = match directory(flags) {
        Ok(directory) => directory,
        Err(error) => {
            return not_settled(&error).told();
        }
    };
    let done = match &flags.what {
        What::Mark { why, machine } => return mark(flags, why, machine.clone()),
        What::List => list(&directory, flags.output),
        What::Show { file } => show(&directory, file, flags.output),
        What::Keep { file, why } => {
            folder::pin(&directory, file, why.as_deref()).map(|name| println!("{name}"))
        }
        What::Remove { file } => folder::remove(&directory, file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (RecordingError::Unknown(_) | RecordingError::Refused(_))) => {
            complain(64, &format!("{error} [MST-M042]"))
        }
        Err(error) => complain(74, &format!("{} [MST-M040]", chain(&error))),
    }
}

/// Asks the machine that runs: only it knows the minutes that are not over yet.
fn mark(flags: &Flags, why: &str, machine: Option<String>) -> ExitCode {
    carry_out(async {
        let place = Place {
            data: settings(flags).map_err(|error| not_settled(&error))?.data,
            machine,
        };
        let body = serde_json::json!({ "why": why }).to_string();
        let marked: Marked = place
            .ask(&Method::POST, "/v1/recordings/mark", Some(body))
            .await?;
        println!("the minutes around {} will be kept", marked.at);
        Ok(ExitCode::SUCCESS)
    })
}

fn not_settled(error: &MachineError) -> Failed {
    Failed::new(error.exit_code(), format!("{} [{}]", chain(error), error.code()))
}

fn directory(flags: &Flags) -> Result<PathBuf, MachineError> {
    if let Some(directory) = &flags.directory {
        return Ok(directory.clone());
    }
    let settings = settings(flags)?;
    Ok(settings.recording.directory(&settings.data))
}

fn settings(flags: &Flags) -> Result<Settings, MachineError> {
    let data = flags.data.clone().map(|data| ("data", data));
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Config::load(flags.config.as_deref(), environment, data)?.settings)
}

fn list(directory: &Path, output: Output) -> Result<(), RecordingError> {
    let all: Vec<Shown> = folder::list(directory)?.iter().map(Entry::shown).collect();
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&all)?),
        Output::Text => {
            let now = Timestamp::from_millis(Clock::start().wall_ms());
            for shown in &all {
                let kept = match (&shown.why, shown.pinned) {
                    (None, _) => String::new(),
                    (Some(why), false) => format!("  kept: {why}"),
                    (Some(why), true) => format!("  kept by a person: {why}"),
                };
                println!(
                    "{}  {:>9}  {:>7} s, {} s ago{kept}",
                    shown.file,
                    format!("{:.1} MB", megabytes(shown.bytes)),
                    shown.to.millis_since(shown.from) / 1_000,
                    now.millis_since(shown.to) / 1_000,
                );
            }
            let bytes = all.iter().map(|shown| shown.bytes).sum();
            println!(
                "{} recordings, {:.1} MB in {}",
                all.len(),
                megabytes(bytes),
                directory.display()
            );
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn show(directory: &Path, file: &str, output: Output) -> Result<(), RecordingError> {
    // A recording from elsewhere is looked at as well.
    let path = if file.contains('/') {
        PathBuf::from(file)
    } else {
        folder::path_of(directory, file)?
    };
    let mut reader = Reader::open(&path)?;
    let mut inside = Inside {
        file: file.to_owned(),
        machine: Default::default(),
        kept: None,
        from: None,
        to: None,
        messages: 0,
        topics: Default::default(),
        broken: None,
    };
    for recorded in reader.by_ref() {
        let at = crate::recording::segment::at(recorded.header.log_time);
        inside.from = Some(inside.from.map_or(at, |from: Timestamp| from.min(at)));
        inside.to = Some(inside.to.map_or(at, |to: Timestamp| to.max(at)));
        inside.messages += 1;
        let topic = inside.topics.entry(recorded.channel.topic.clone()).or_default();
        topic.messages += 1;
        topic.bytes += recorded.data.len() as u64;
        if topic.schema.is_empty()
            && let Some(schema) = &recorded.channel.schema
        {
            topic.schema.clone_from(&schema.name);
        }
    }
    inside.machine.clone_from(&reader.about().machine);
    inside.kept = reader.kept().cloned();
    if let Some(End::Broken(why)) = reader.end() {
        inside.broken = Some(why.clone());
    }
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&inside)?),
        Output::Text => tell(&inside),
    }
    Ok(())
}

fn tell(inside: &Inside) {
    println!("{}", inside.file);
    for (name, value) in &inside.machine {
        println!("  {name:<12} {value}");
    }
    if let Some(kept) = &inside.kept {
        let of = |name: &str| kept.get(name).map_or("", String::as_str);
        println!("  kept for     {} at {}: {}", of("why"), of("at"), of("text"));
    }
    if let (Some(from), Some(to)) = (inside.from, inside.to) {
        println!(
            "  time         {from} to {to} ({} s)",
            to.millis_since(from) / 1_000
        );
    }
    println!("  messages     {}", inside.messages);
    for (name, topic) in &inside.topics {
        println!(
            "    {name:<32} {:>9} messages {:>12} bytes  {}",
            topic.messages, topic.bytes, topic.schema
        );
    }
    if let Some(why) = &inside.broken {
        println!("  the file ends early: {why}");
    }
}
