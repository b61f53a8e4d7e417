//! `muster audit`: who did what.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use muster_client::AuditQuery;
use muster_protocol::api::access::{AuditEntry, AuditOutcome};

use super::error::OperatorError;
use super::session::Session;
use super::text::{Cell, Column, Paint, Table, local_time};

/// Entries that are shown where no number is asked for.
const LIMIT_DEFAULT: usize = 50;
/// Entries that are asked for at once while following.
const FOLLOWED_AT_ONCE: usize = 1_000;
/// How often it is asked whether there is more.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
In the table the newest come last. Reading is written down only where it was refused.

Examples:
  muster audit --outcome refused --from yesterday
  muster audit --action machines.stop --person ada
  muster audit --follow --output json
  muster audit check"
)]
pub struct AuditOptions {
    #[command(subcommand)]
    pub command: Option<AuditCommand>,

    /// Only what this person did
    #[arg(long, short, value_name = "NAME")]
    pub person: Option<String>,

    /// Only this, or what is below it: `machines` takes in `machines.stop`
    #[arg(long, short, value_name = "ACTION")]
    pub action: Option<String>,

    /// Only what was done to this machine, person, token …, by its id
    #[arg(long, value_name = "ID")]
    pub object: Option<String>,

    /// Only what ended like this
    #[arg(long, value_enum, value_name = "OUTCOME")]
    pub outcome: Option<Outcome>,

    /// From this moment on: 14:03, `yesterday 14:03`, `10m ago`, `2026-11-21 14:03`, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,

    /// Before this moment
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "follow"
    )]
    pub to: Option<String>,

    /// Keep showing what is done
    #[arg(long)]
    pub follow: bool,

    /// Show at most so many, the newest
    #[arg(long, short, value_name = "N", default_value_t = LIMIT_DEFAULT)]
    pub limit: usize,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no entry is missing or changed
    Check,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Outcome {
    /// It was done
    Done,
    /// They may not
    Refused,
    /// They may, and it could not be done
    Failed,
    /// They may, and it waits for a second person
    Proposed,
}

pub(super) async fn run(options: AuditOptions, session: &mut Session) -> Result<(), OperatorError> {
    if let Some(AuditCommand::Check) = options.command {
        return check(session).await;
    }
    let mut query = AuditQuery {
        person: options.person,
        action: options.action,
        object: options.object,
        outcome: options.outcome.map(|outcome| match outcome {
            Outcome::Done => AuditOutcome::Done,
            Outcome::Refused => AuditOutcome::Refused,
            Outcome::Failed => AuditOutcome::Failed,
            Outcome::Proposed => AuditOutcome::Proposed,
        }),
        from: session.moment(options.from.as_deref())?,
        to: session.moment(options.to.as_deref())?,
        after: None,
    };
    let page = session.client.audit(&query, options.limit).await?;
    if !options.follow && !session.is_table() {
        return session.document(&page);
    }
    let mut table = Table::new([
        Column::left("TIME", 255).room(19),
        Column::left("WHO", 254).room(12),
        Column::left("WHAT", 254).room(18),
        Column::left("TO", 252).room(16),
        Column::left("OUTCOME", 253).room(8),
        Column::left("WHY", 251).room(20),
        Column::left("FROM", 249).room(9),
    ]);
    if options.follow {
        table = table.going_on();
    } else if page.items.is_empty() {
        session.note("nothing of that kind is written down");
        return Ok(());
    }
    for entry in page.items.iter().rev() {
        write(entry, &mut table, session)?;
    }
    let lines = table.take_lines(session.look);
    if session.is_table() {
        session.print(&lines)?;
    }
    query.after = Some(page.head);
    if !options.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let more = session.client.audit(&query, FOLLOWED_AT_ONCE).await?;
        query.after = more.items.last().map_or(query.after, |last| Some(last.position));
        for entry in &more.items {
            write(entry, &mut table, session)?;
        }
        let lines = table.take_lines(session.look);
        if session.is_table() && !more.items.is_empty() {
            session.print(&lines)?;
        }
    }
}

fn write(entry: &AuditEntry, table: &mut Table, session: &mut Session) -> Result<(), OperatorError> {
    if !session.is_table() {
        return session.next_document(entry);
    }
    let (word, paint) = match entry.outcome {
        AuditOutcome::Done => ("done", Paint::Plain),
        AuditOutcome::Refused => ("refused", Paint::Bad),
        AuditOutcome::Failed => ("failed", Paint::Warning),
        AuditOutcome::Proposed => ("proposed", Paint::Warning),
    };
    let who = match (entry.person.as_str(), entry.by.as_str()) {
        ("", _) => "nobody".to_owned(),
        (person, "token") => format!("{person} (token)"),
        (person, _) if !entry.second_person.is_empty() => format!("{person} with {}", entry.second_person),
        (person, _) => person.to_owned(),
    };
    let to = match entry.objects.as_slice() {
        [] => String::new(),
        [one] => named(&one.name, &one.id),
        [one, rest @ ..] => {
            let all = entry.objects_in_all.unwrap_or(rest.len() as u64 + 1);
            format!("{} and {} more", named(&one.name, &one.id), all - 1)
        }
    };
    // A refusal is explained by its rule, everything else by what was said or changed.
    let why = match entry.outcome {
        AuditOutcome::Refused | AuditOutcome::Failed => entry.detail.clone(),
        AuditOutcome::Done | AuditOutcome::Proposed if entry.reason.is_empty() => entry.detail.clone(),
        AuditOutcome::Done | AuditOutcome::Proposed => entry.reason.clone(),
    };
    table.push(vec![
        Cell::new(local_time(entry.at, session.zone())),
        Cell::new(who),
        Cell::new(&entry.action),
        Cell::new(to),
        Cell::painted(word, paint),
        Cell::new(why),
        Cell::painted(&entry.from, Paint::Dim),
    ]);
    Ok(())
}

fn named(name: &str, id: &str) -> String {
    if name.is_empty() {
        id.to_owned()
    } else {
        name.to_owned()
    }
}

async fn check(session: &mut Session) -> Result<(), OperatorError> {
    let checked = session.client.check_audit().await?;
    if !session.is_table() {
        session.document(&checked)?;
    } else if checked.sound {
        let text = format!(
            "The audit log is whole: {} entries, each fits to the one before.\nThe last has the hash {}\n",
            checked.entries, checked.head_hash
        );
        session.print(&text)?;
    }
    if checked.sound {
        return Ok(());
    }
    Err(OperatorError::NotWhole {
        findings: checked.findings.join("; "),
    })
}
