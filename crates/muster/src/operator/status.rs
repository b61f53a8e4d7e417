//! `muster status`: the fleet in figures.

use clap::Args;
use muster_protocol::api::FleetSummary;

use super::error::OperatorError;
use super::session::Session;
use super::text::{Cell, Column, Paint, Table, local_time, span, status_sign, word_or_unknown};

/// Most lines of one group; the rest is summed up.
const GROUP_MAX_LINES: usize = 12;
/// Columns that one group takes.
const GROUP_WIDTH: u16 = 24;
/// How wide the output is where there is no terminal.
const WIDTH_WITHOUT_TERMINAL: u16 = 100;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  muster status
  muster status --at 14:03
  muster status --output json | jq .by_status.failed")]
pub struct StatusOptions {
    /// Show the fleet as it was at this moment: 14:03, `yesterday 14:03`, `10m ago`, `2026-11-21 14:03`, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
}

pub(super) async fn run(options: StatusOptions, session: &mut Session) -> Result<(), OperatorError> {
    let at = session.past(options.at.as_deref())?;
    let summary = session.client.fleet_summary(at).await?;
    let banner = session.past_banner(summary.past, summary.at);
    if !session.is_table() {
        return session.document(&summary);
    }
    let text = banner + &render(&summary, session);
    session.print(&text)
}

fn render(summary: &FleetSummary, session: &Session) -> String {
    let look = session.look;
    let zone = session.zone();
    let mut text = String::new();
    let machines = if summary.total == 1 { "machine" } else { "machines" };
    let total = look.paint(&format!("{} {machines}", summary.total), Paint::Heading);
    let battery = match summary.low_battery {
        0 => String::new(),
        low => {
            let words = format!("{low} with less than 20 % of charge");
            format!(" · {}", look.paint(&words, Paint::Warning))
        }
    };
    text.push_str(&format!("{total}{battery}\n\n"));
    text.push_str(&groups(summary, session));
    if summary.total == 0 {
        text.push_str("No machine has joined yet: `muster demo` starts a fleet to look at.\n\n");
    }
    let history = summary.history_from.map_or_else(
        || "none yet".to_owned(),
        |from| {
            let length = span(summary.server_time.millis_since(from));
            format!("since {} ({length})", local_time(from, zone))
        },
    );
    let server = format!(
        "Muster {} at {}",
        summary.server_version,
        session.client.address()
    );
    let clock = local_time(summary.server_time, zone);
    let lines = [("Server", server), ("Its clock", clock), ("History", history)];
    for (name, value) in lines {
        let name = look.paint(&format!("{name:<10}"), Paint::Dim);
        text.push_str(&format!("{name}{value}\n"));
    }
    text
}

struct Group {
    title: &'static str,
    lines: Vec<(String, u64, Paint)>,
}

/// The figures side by side, as many groups as there is room for.
fn groups(summary: &FleetSummary, session: &Session) -> String {
    let width = session.look.width.unwrap_or(WIDTH_WITHOUT_TERMINAL);
    let side_by_side = usize::from((width / GROUP_WIDTH).max(1));
    let mut text = String::new();
    for groups in gather(summary).chunks(side_by_side) {
        let columns: Vec<Column> = groups
            .iter()
            .flat_map(|group| [Column::left(group.title, u8::MAX), Column::right("", u8::MAX)])
            .collect();
        let mut table = Table::new(columns);
        let height = groups.iter().map(|group| group.lines.len()).max().unwrap_or(0);
        for line in 0..height {
            let cells = groups.iter().flat_map(|group| match group.lines.get(line) {
                Some((label, count, paint)) => [
                    Cell::painted(label, *paint),
                    Cell::painted(
                        format!("{count}  "),
                        if *count == 0 { Paint::Dim } else { Paint::Plain },
                    ),
                ],
                None => [Cell::new(""), Cell::new("")],
            });
            table.push(cells.collect());
        }
        text.push_str(&table.take_lines(session.look));
        text.push('\n');
    }
    text
}

fn gather(summary: &FleetSummary) -> Vec<Group> {
    let status = summary.by_status.iter().map(|(word, count)| {
        let (sign, paint) = status_sign(*word);
        let paint = if *count == 0 { Paint::Dim } else { paint };
        (format!("{sign} {word}"), *count, paint)
    });
    let presence = summary.by_presence.iter().map(|(word, count)| {
        let paint = if *count == 0 { Paint::Dim } else { Paint::Plain };
        (word.to_string(), *count, paint)
    });
    let mode = summary
        .by_mode
        .iter()
        .map(|(word, count)| (word.to_string(), *count, Paint::Plain));
    let group = |title, lines| Group { title, lines };
    let groups = [
        group("STATUS", status.collect()),
        group("PRESENCE", presence.collect()),
        group("KIND", most(summary.by_kind.iter())),
        group("REGION", most(summary.by_region.iter())),
        group("MODE", mode.collect()),
        group("VERSION", most(summary.by_version.iter())),
    ];
    groups
        .into_iter()
        .filter(|group| !group.lines.is_empty())
        .collect()
}

/// The largest counts first, and the sum of those for which there is no line.
fn most<'a>(counts: impl Iterator<Item = (&'a String, &'a u64)>) -> Vec<(String, u64, Paint)> {
    let mut lines: Vec<(String, u64, Paint)> = counts
        .map(|(word, count)| (word_or_unknown(word), *count, Paint::Plain))
        .collect();
    lines.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if lines.len() > GROUP_MAX_LINES {
        let rest = lines.split_off(GROUP_MAX_LINES - 1);
        let sum = rest.iter().map(|line| line.1).sum();
        lines.push((format!("{} others", rest.len()), sum, Paint::Dim));
    }
    lines
}
