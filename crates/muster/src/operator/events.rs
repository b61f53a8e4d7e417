//! `muster events`: what happened in the fleet, and what happens.

use clap::Args;
use muster_client::{EventQuery, LiveEvent, Subscription};
use muster_model::{MachineId, Severity, TopicPattern};
use muster_protocol::api::{Event, Order};

use super::error::OperatorError;
use super::find::find;
use super::session::Session;
use super::text::{Cell, Column, Paint, Table, local_time, severity_paint};

/// Events that are shown where no number is asked for.
const LIMIT_DEFAULT: u32 = 50;

/// Which events.
#[derive(Debug, Args)]
pub struct EventSelection {
    /// Keep showing what happens
    #[arg(long)]
    pub follow: bool,

    /// Events of this severity or worse: debug, info, warning, error, critical
    #[arg(long, short, value_name = "SEVERITY")]
    pub severity: Option<Severity>,

    /// Events of this kind, or of kinds below it: `thermal` takes in `thermal.high`
    #[arg(long, short, value_name = "KIND")]
    pub kind: Option<String>,

    /// Events from this moment on: 14:03, `yesterday 14:03`, `10m ago`, `2026-11-21 14:03`, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,

    /// Events before this moment
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "follow"
    )]
    pub to: Option<String>,

    /// Which come first. `asc` begins with the oldest of those that were asked for, `desc` with the newest
    #[arg(long, value_name = "ORDER", default_value = "desc", value_parser = order, conflicts_with = "follow")]
    pub order: Order,

    /// Show at most so many: the newest, or with `--order asc` the oldest
    #[arg(long, short, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// The order that a word names.
fn order(word: &str) -> Result<Order, String> {
    [Order::Asc, Order::Desc]
        .into_iter()
        .find(|order| order.as_str() == word)
        .ok_or_else(|| "accepted are asc and desc".to_owned())
}

#[derive(Debug, Args)]
#[command(after_help = "\
In the table the newest always come last, so that what follows continues the list. JSON and YAML documents hold them in the
order that is asked for: the newest first, or with --order asc the oldest.

Examples:
  muster events
  muster events --order asc --from '10m ago'
  muster events --follow --severity warning
  muster events --kind presence --machine frida --from yesterday
  muster events --follow --output json | jq -r .message")]
pub struct EventsOptions {
    #[command(flatten)]
    pub selection: EventSelection,

    /// Events of this machine: name, id, or the beginning of an id
    #[arg(long, short, value_name = "MACHINE")]
    pub machine: Option<String>,
}

pub(super) async fn run(options: EventsOptions, session: &mut Session) -> Result<(), OperatorError> {
    let machine = match &options.machine {
        Some(given) => Some(find(session, given, None).await?.id),
        None => None,
    };
    show(options.selection, machine, false, session).await
}

/// Lists events, of the fleet or of one machine.
pub(super) async fn show(
    selection: EventSelection,
    machine: Option<MachineId>,
    of_one: bool,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let query = EventQuery {
        severity: selection.severity,
        kind: selection.kind.clone(),
        machine,
        from: session.moment(selection.from.as_deref())?,
        to: session.moment(selection.to.as_deref())?,
        order: Some(selection.order).filter(|order| *order != Order::default()),
        ..EventQuery::default()
    };
    let subscription = if selection.follow {
        Some(subscription(&query)?)
    } else {
        None
    };
    let limit = selection.limit as usize;
    let page = match machine.filter(|_| of_one) {
        Some(id) => session.client.machine_events_all(id, &query, limit).await?,
        None => session.client.events_all(&query, limit).await?,
    };
    let mut table = event_table(of_one);
    if selection.follow {
        table = table.going_on();
    }
    if subscription.is_none() && !session.is_table() {
        return session.document(&page);
    }
    let mut in_time: Vec<&Event> = page.items.iter().collect();
    if selection.order == Order::Desc {
        in_time.reverse();
    }
    for event in in_time {
        write(event, &mut table, of_one, session)?;
    }
    let lines = table.take_lines(session.look);
    if session.is_table() && !(page.items.is_empty() && subscription.is_none()) {
        session.print(&lines)?;
    }
    match subscription {
        Some(subscription) => {
            // What happens after the list is followed, so that nothing is lost between list and stream.
            let subscription = Subscription {
                resume_after: Some(page.position),
                ..subscription
            };
            follow(subscription, &query, table, of_one, session).await
        }
        None => {
            if page.items.is_empty() {
                let reached = local_time(page.searched_to, session.zone());
                session.note(&match selection.order {
                    Order::Desc => format!("there are no such events since {reached}"),
                    Order::Asc => format!("there are no such events until {reached}"),
                });
            } else if page.next_cursor.is_some() {
                session.note(&match selection.order {
                    Order::Desc => {
                        format!(
                            "there are older ones: --limit shows more than {limit}, --to goes further back"
                        )
                    }
                    Order::Asc => {
                        format!("there are newer ones: --limit shows more than {limit}, --from begins later")
                    }
                });
            }
            Ok(())
        }
    }
}

async fn follow(
    subscription: Subscription,
    query: &EventQuery,
    mut table: Table,
    of_one: bool,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let mut last = subscription.resume_after.unwrap_or_default();
    let mut stream = session.client.stream(subscription);
    let mut is_away = false;
    while let Some(told) = stream.next().await {
        let batch = match told? {
            LiveEvent::Snapshot(batch) | LiveEvent::Update(batch) => batch,
            LiveEvent::Connected { .. } => {
                if std::mem::take(&mut is_away) {
                    session.note("the server is back");
                }
                continue;
            }
            LiveEvent::Disconnected { reason, .. } => {
                if !std::mem::replace(&mut is_away, true) {
                    session.note(&format!("{reason}; trying again"));
                }
                continue;
            }
            LiveEvent::Lagged {
                dropped,
                is_asked_again,
            } => {
                session.note(&if is_asked_again {
                    format!("{dropped} messages came too fast and are asked for again")
                } else {
                    format!("{dropped} events are missing here: list them with `muster events --from …`")
                });
                continue;
            }
            LiveEvent::Problem(problem) => {
                session.note(&problem.detail);
                continue;
            }
        };
        let mut events = Vec::new();
        for item in &batch.items {
            match serde_json::from_str::<Event>(item.data.get()) {
                Ok(event) => events.push(event),
                Err(error) => session.note(&format!("{} cannot be read: {error}", item.topic)),
            }
        }
        events.sort_by_key(|event| event.position);
        for event in events {
            // After a cut the same one can come twice.
            if event.position > last && passes(&event, query) {
                last = event.position;
                write(&event, &mut table, of_one, session)?;
            }
        }
        let lines = table.take_lines(session.look);
        if !lines.is_empty() {
            session.print(&lines)?;
        }
    }
    Ok(())
}

fn subscription(query: &EventQuery) -> Result<Subscription, OperatorError> {
    let machine = query.machine.map_or_else(|| "*".to_owned(), |id| id.to_string());
    let names = match &query.kind {
        Some(kind) => vec![
            format!("machine.{machine}.event.{kind}"),
            format!("machine.{machine}.event.{kind}.>"),
        ],
        None => vec![format!("machine.{machine}.event.>")],
    };
    let topics: Result<Vec<TopicPattern>, _> = names.iter().map(|name| name.parse()).collect();
    Ok(Subscription {
        topics: topics.map_err(|error| OperatorError::Usage {
            what: format!("there is no such kind of event: {error}"),
            hint: "a kind is dotted words, such as `thermal.high` or `presence`".to_owned(),
        })?,
        machines: query.machine.into_iter().collect(),
        severity: query.severity,
        ..Subscription::default()
    })
}

/// The stream filters as well; a server that knows a filter less must not make us show what was not asked for.
fn passes(event: &Event, query: &EventQuery) -> bool {
    let is_kind = query.kind.as_ref().is_none_or(|kind| {
        let rest = event.kind.strip_prefix(kind.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    is_kind
        && query.severity.is_none_or(|least| event.severity >= least)
        && query.machine.is_none_or(|id| event.machine_id == id)
        && query.from.is_none_or(|from| event.occurred_at >= from)
}

fn event_table(of_one: bool) -> Table {
    let mut columns = vec![Column::left("TIME", 200), Column::left("SEVERITY", 210).room(10)];
    if !of_one {
        columns.push(Column::left("MACHINE", 220).room(12));
    }
    columns.extend([
        Column::left("KIND", 100).room(18),
        Column::left("MESSAGE", u8::MAX),
    ]);
    Table::new(columns)
}

/// A row of the table, or a document of its own.
fn write(event: &Event, table: &mut Table, of_one: bool, session: &mut Session) -> Result<(), OperatorError> {
    if !session.is_table() {
        return session.next_document(event);
    }
    let paint = severity_paint(event.severity);
    let mut row = vec![
        Cell::painted(local_time(event.occurred_at, session.zone()), Paint::Dim),
        Cell::painted(severity_text(event.severity), paint),
    ];
    if !of_one {
        row.push(Cell::new(&event.machine_name));
    }
    row.extend([
        Cell::painted(&event.kind, Paint::Dim),
        Cell::painted(&event.message, paint),
    ]);
    table.push(row);
    Ok(())
}

/// With a sign for those that matter, so that colour is not needed.
pub(super) fn severity_text(severity: Severity) -> String {
    let sign = match severity {
        Severity::Debug | Severity::Info => " ",
        Severity::Warning => "!",
        Severity::Error | Severity::Critical => "✖",
    };
    format!("{sign} {severity}")
}
