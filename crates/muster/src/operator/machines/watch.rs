//! `muster machines --watch`: the table as it changes.
//!
//! The live stream says that something changed and, without a filter, what. Which machines belong in the table and in
//! which order is the server's to say: the list is asked for again a moment after a change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use muster_client::{Client, LiveEvent, LiveStream, MachineQuery, Subscription};
use muster_model::{MachineId, Timestamp};
use muster_protocol::api::{MachinePage, MachineSummary};
use muster_protocol::live::{Batch, Strategy};
use tokio::time::{Duration, Instant, MissedTickBehavior};

use super::columns::{ColumnName, MachineTable};
use crate::operator::error::OperatorError;
use crate::operator::session::Session;
use crate::operator::text::{Paint, clean, local_time};

/// How often the table is written again, so that ages grow.
const REDRAW_EVERY: Duration = Duration::from_secs(1);
/// How long after a change the list is asked for again, at least.
const REFRESH_AFTER_CHANGE: Duration = Duration::from_secs(2);
/// How long it is not asked for where nothing changes.
const REFRESH_AT_LEAST: Duration = Duration::from_secs(10);
/// Most machines that are asked for where only a screen of them is shown.
const SCREEN_ROWS_MAX: usize = 300;
/// Updates a second.
const RATE_PER_S: f64 = 4.0;

pub(super) async fn run(
    query: MachineQuery,
    limit: usize,
    columns: Vec<ColumnName>,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let screen_lines = session.screen_lines.filter(|_| session.is_table());
    let limit = screen_lines.map_or(limit, |_| limit.min(SCREEN_ROWS_MAX));
    let page = session.client.machines_all(&query, limit).await?;
    let topics = vec!["machine.*.state".parse().map_err(|error| OperatorError::Usage {
        what: format!("the topic is none: {error}"),
        hint: String::new(),
    })?];
    let stream = session.client.stream(Subscription {
        topics,
        rate_per_s: Some(RATE_PER_S),
        strategy: Some(Strategy::Latest),
        ..Subscription::default()
    });
    let watch = Watch {
        query,
        limit,
        page,
        asked_at: Instant::now(),
        changed: false,
        connected: false,
        trouble: None,
    };
    match screen_lines {
        Some(lines) => {
            let _screen = Screen::enter()?;
            let mut drawing = Drawing { columns, lines };
            let drawn = watch.follow(stream, session, &mut drawing);
            // A person ends it with Ctrl-C: the screen is given back first.
            tokio::select! {
                ended = drawn => ended,
                () = asked_to_end() => Ok(()),
            }
        }
        None => {
            let table = MachineTable::new(columns, &watch.page.items).going_on();
            let mut lines = Lines {
                table,
                told: BTreeMap::new(),
            };
            watch.follow(stream, session, &mut lines).await
        }
    }
}

/// Waits until somebody asks this process to end.
async fn asked_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    if let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = interrupted => {}
            _ = terminated.recv() => {}
        }
        return;
    }
    let _ = interrupted.await;
}

struct Watch {
    query: MachineQuery,
    limit: usize,
    page: MachinePage,
    asked_at: Instant,
    /// Whether the list may no longer be what is shown.
    changed: bool,
    connected: bool,
    trouble: Option<String>,
}

/// Where changes are shown.
trait Show {
    fn show(&mut self, watch: &Watch, session: &mut Session) -> Result<(), OperatorError>;
}

impl Watch {
    async fn follow(
        mut self,
        mut stream: LiveStream,
        session: &mut Session,
        show: &mut impl Show,
    ) -> Result<(), OperatorError> {
        let mut tick = tokio::time::interval(REDRAW_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = stream.next() => match event {
                    Some(event) => self.take(event?, session),
                    None => return Ok(()),
                },
                _ = tick.tick() => {
                    // The clock goes on while nothing is heard.
                    self.page.at = self.page.at.plus_millis(REDRAW_EVERY.as_millis() as i64);
                    self.refresh(&session.client).await?;
                }
            }
            show.show(&self, session)?;
        }
    }

    fn take(&mut self, event: LiveEvent, session: &mut Session) {
        match event {
            LiveEvent::Connected { .. } => {
                if self.trouble.take().is_some() {
                    self.say(session, "the server is back");
                }
                self.connected = true;
                self.changed = true;
            }
            LiveEvent::Snapshot(batch) | LiveEvent::Update(batch) => self.take_batch(&batch),
            LiveEvent::Lagged { .. } => self.changed = true,
            LiveEvent::Problem(problem) => self.say(session, &problem.detail),
            LiveEvent::Disconnected { reason, .. } => {
                if self.trouble.is_none() {
                    self.say(session, &format!("{reason}; trying again"));
                }
                self.trouble = Some(reason.to_string());
                self.connected = false;
            }
        }
    }

    /// A redrawn screen has a line of its own for this.
    fn say(&self, session: &mut Session, text: &str) {
        if session.screen_lines.is_none() || !session.is_table() {
            session.note(text);
        }
    }

    fn take_batch(&mut self, batch: &Batch) {
        self.page.at = self.page.at.max(batch.server_time);
        self.page.position = self.page.position.max(batch.position);
        let is_filtered = self.query.filter.is_some();
        for item in &batch.items {
            let Ok(row) = serde_json::from_str::<MachineSummary>(item.data.get()) else {
                continue;
            };
            self.changed = true;
            // Whether it still passes a filter is for the server to say.
            if !is_filtered && let Some(held) = self.page.items.iter_mut().find(|held| held.id == row.id) {
                *held = row;
            }
        }
    }

    /// Asks for the list again where that is due. A server that is away is waited for: the stream tells of it.
    async fn refresh(&mut self, client: &Client) -> Result<(), OperatorError> {
        let since = self.asked_at.elapsed();
        let is_due = (self.changed && since >= REFRESH_AFTER_CHANGE) || since >= REFRESH_AT_LEAST;
        if !self.connected || !is_due {
            return Ok(());
        }
        self.asked_at = Instant::now();
        match client.machines_all(&self.query, self.limit).await {
            Ok(page) => {
                self.page = page;
                self.changed = false;
                Ok(())
            }
            Err(error) if error.is_transient() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The table, drawn over and over on a terminal.
struct Drawing {
    columns: Vec<ColumnName>,
    lines: u16,
}

impl Show for Drawing {
    fn show(&mut self, watch: &Watch, session: &mut Session) -> Result<(), OperatorError> {
        if let Some((width, height)) = terminal_size::terminal_size_of(std::io::stdout()) {
            // The window may have another size by now.
            session.look.width = session.look.width.map(|_| width.0);
            self.lines = height.0;
        }
        let look = session.look;
        let rows = &watch.page.items;
        // Head, blank line and the table's own head.
        let room = usize::from(self.lines.saturating_sub(4)).max(1);
        let shown = &rows[..rows.len().min(room)];
        let mut table = MachineTable::new(self.columns.clone(), rows);
        for row in shown {
            table.push(row, watch.page.at);
        }
        let when = local_time(watch.page.at, session.zone());
        let mut text = format!("{} machines · {when} · Ctrl-C ends\n", watch.page.total);
        match &watch.trouble {
            Some(trouble) => {
                let line = format!("NOT LIVE: {}", clean(trouble));
                text.push_str(&look.paint(&cut(&line, look.width), Paint::Bad));
                text.push('\n');
            }
            None => text.push('\n'),
        }
        text.push_str(&table.take_lines(look));
        let hidden = watch.page.total.saturating_sub(shown.len() as u64);
        if hidden > 0 {
            text.push_str(&look.paint(&format!("… and {hidden} more"), Paint::Dim));
        }
        // Home, each line with what was right of it erased, then everything below.
        let text = text.trim_end().replace('\n', "\x1b[K\r\n");
        session.print(&format!("\x1b[H{text}\x1b[K\x1b[J"))
    }
}

fn cut(line: &str, width: Option<u16>) -> String {
    line.chars().take(width.map_or(usize::MAX, usize::from)).collect()
}

/// The terminal's other screen, for as long as this lives.
struct Screen;

impl Screen {
    fn enter() -> Result<Self, OperatorError> {
        let mut out = std::io::stdout();
        out.write_all(b"\x1b[?1049h\x1b[?25l\x1b[2J")?;
        out.flush()?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = std::io::stdout();
        let _ = out.write_all(b"\x1b[?25h\x1b[?1049l");
        let _ = out.flush();
    }
}

/// One line, or one document, for each machine that changed.
struct Lines {
    table: MachineTable,
    told: BTreeMap<MachineId, MachineSummary>,
}

impl Show for Lines {
    fn show(&mut self, watch: &Watch, session: &mut Session) -> Result<(), OperatorError> {
        let at = watch.page.at;
        let is_table = session.is_table();
        let mut present = BTreeSet::new();
        for row in &watch.page.items {
            present.insert(row.id);
            let news = if is_table {
                words_only(row)
            } else {
                without_age(row)
            };
            if self.told.get(&row.id) == Some(&news) {
                continue;
            }
            self.told.insert(row.id, news);
            if is_table {
                self.table.push(row, at);
            } else {
                session.next_document(row)?;
            }
        }
        let lines = if is_table {
            self.table.take_lines(session.look)
        } else {
            String::new()
        };
        if !lines.is_empty() {
            session.print(&lines)?;
        }
        let mut left = Vec::new();
        self.told.retain(|id, row| {
            let stays = present.contains(id);
            if !stays {
                left.push(row.name.clone());
            }
            stays
        });
        for name in left {
            session.note(&format!("{name} is no longer in the list"));
        }
        Ok(())
    }
}

/// A row without the moment at which the machine was last heard of: that alone is no news.
fn without_age(row: &MachineSummary) -> MachineSummary {
    MachineSummary {
        last_seen: Timestamp::EPOCH,
        ..row.clone()
    }
}

/// A row without its figures: a person reading line after line wants to know what turned into something else.
fn words_only(row: &MachineSummary) -> MachineSummary {
    MachineSummary {
        battery_percent: None,
        temperature_celsius: None,
        cpu_percent: None,
        memory_percent: None,
        disk_percent: None,
        speed_m_per_s: None,
        latitude_degrees: None,
        longitude_degrees: None,
        reported_at: None,
        last_stop: None,
        ..without_age(row)
    }
}
