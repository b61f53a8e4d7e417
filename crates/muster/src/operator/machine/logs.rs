//! `muster machine logs`: what a machine wrote into its log.

use clap::Args;
use muster_client::LogQuery;
use muster_model::Severity;

use crate::operator::error::OperatorError;
use crate::operator::events::severity_text;
use crate::operator::find::find;
use crate::operator::session::Session;
use crate::operator::text::{Cell, Column, Paint, Table, local_time, severity_paint};

#[derive(Debug, Args)]
pub struct LogsOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Lines of this severity or worse: debug, info, warning, error, critical
    #[arg(long, short, value_name = "SEVERITY")]
    pub severity: Option<Severity>,

    /// Lines of this part alone, by its whole name: workload.camera
    #[arg(long, value_name = "PART")]
    pub part: Option<String>,

    /// Lines from this moment on: 14:03, `yesterday 14:03`, `10m ago`, `2026-11-21 14:03`, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,

    /// Lines before this moment
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,

    /// Show at most so many of the newest
    #[arg(long, short, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

pub(in crate::operator) async fn run(
    options: LogsOptions,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let query = LogQuery {
        severity: options.severity,
        target: options.part,
        from: session.moment(options.from.as_deref())?,
        to: session.moment(options.to.as_deref())?,
        ..LogQuery::default()
    };
    let found = find(session, &options.machine, None).await?;
    let limit = options.limit as usize;
    let page = session.client.machine_logs_all(found.id, &query, limit).await?;
    if !session.is_table() {
        return session.document(&page);
    }
    if page.items.is_empty() {
        session.note(&format!("the server holds no such lines of {}", found.title()));
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("TIME", 200),
        Column::left("SEVERITY", 210),
        Column::left("PART", 100),
        Column::left("MESSAGE", u8::MAX),
    ]);
    // The newest last, as in any log.
    for line in page.items.iter().rev() {
        let paint = severity_paint(line.severity);
        let fields = line.fields.as_ref().map(|fields| format!("  {}", fields.0.get()));
        let message = format!("{}{}", line.message, fields.unwrap_or_default());
        table.push(vec![
            Cell::painted(local_time(line.at, session.zone()), Paint::Dim),
            Cell::painted(severity_text(line.severity), paint),
            Cell::painted(&line.target, Paint::Dim),
            Cell::painted(message, paint),
        ]);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)?;
    if page.next_cursor.is_some() {
        session.note(&format!("there are older ones: --limit shows more than {limit}"));
    }
    Ok(())
}
