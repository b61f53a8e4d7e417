//! `muster machines`: the table of machines, now, in the past, or live.

mod columns;
mod watch;

use clap::Args;
use muster_client::{ITEMS_MAX, MachineQuery};
use muster_protocol::api::MachinePage;

use super::error::OperatorError;
use super::session::Session;
use columns::{ColumnName, MachineTable};

#[derive(Debug, Args)]
#[command(after_help = "\
Filters are terms that must all hold: FIELD OPERATOR VALUE, or a word to look for.
  Fields     id name kind region status presence mode safety version battery temperature
             cpu memory disk last_seen label.KEY
  Operators  = != ~ (contains) < <= > >=, and | between values of which one must hold

Signs of the status: ● ok  ◐ attention  ✖ failed  ○ lost  ◌ updating  ▢ parked  ? unknown

Examples:
  muster machines
  muster machines --filter 'kind=car region=munich|berlin battery<20'
  muster machines --filter 'status=failed|attention' --sort last_seen --watch
  muster machines --at 'yesterday 14:03' --wide
  muster machines --columns name,status,reason,memory
  muster machines --output json | jq -r '.items[].name'")]
pub struct MachinesOptions {
    /// Only machines that pass: 'kind=car battery<20'
    #[arg(long, short, value_name = "FILTER")]
    pub filter: Option<String>,

    /// Sort by this field; with - in front the greatest come first: -battery
    #[arg(long, short, value_name = "FIELD", allow_hyphen_values = true)]
    pub sort: Option<String>,

    /// Show the fleet as it was at this moment: 14:03, `yesterday 14:03`, `10m ago`, `2026-11-21 14:03`, RFC 3339
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "watch"
    )]
    pub at: Option<String>,

    /// Keep showing how it changes; where the output is no terminal, one line for each change
    #[arg(long, short)]
    pub watch: bool,

    /// Show these columns, in this order
    #[arg(
        long,
        short,
        value_enum,
        value_name = "COLUMN,…",
        value_delimiter = ',',
        conflicts_with = "wide"
    )]
    pub columns: Vec<ColumnName>,

    /// Show more columns, whatever the width of the terminal
    #[arg(long)]
    pub wide: bool,

    /// Show at most so many machines
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

pub(super) async fn run(options: MachinesOptions, session: &mut Session) -> Result<(), OperatorError> {
    let query = MachineQuery {
        at: session.past(options.at.as_deref())?,
        filter: options.filter.clone(),
        sort: options.sort.clone(),
        ..MachineQuery::default()
    };
    let limit = options.limit.map_or(ITEMS_MAX, |limit| limit as usize);
    let columns = columns::chosen(&options.columns, options.wide);
    if options.wide || !options.columns.is_empty() {
        // What was asked for is not taken away again: lines that are too long are the terminal's to wrap.
        session.look.width = None;
    }
    if options.watch {
        return watch::run(query, limit, columns, session).await;
    }
    let page = session.client.machines_all(&query, limit).await?;
    let banner = session.past_banner(page.past, page.at);
    if !session.is_table() {
        return session.document(&page);
    }
    let text = banner + &render(&page, columns, session);
    session.print(&text)?;
    if page.items.is_empty() {
        session.note(if query.filter.is_some() {
            "no machine passes the filter"
        } else {
            "there are no machines"
        });
    } else if page.total > page.items.len() as u64 {
        let shown = page.items.len();
        session.note(&format!("{shown} of {} machines are shown", page.total));
    }
    Ok(())
}

fn render(page: &MachinePage, columns: Vec<ColumnName>, session: &Session) -> String {
    let mut table = MachineTable::new(columns, &page.items);
    for row in &page.items {
        table.push(row, page.at);
    }
    table.take_lines(session.look)
}
