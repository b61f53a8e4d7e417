//! Follows machines from "asked to stop" to "stands", by the state that they report.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_client::{ITEMS_MAX, MachineQuery};
use muster_model::vocabulary::Presence;
use muster_model::{MachineId, Timestamp};
use muster_protocol::api::{MachineSummary, Stop, StopTold, StopsIssued};
use serde::Serialize;
use tokio::time::Instant;

use crate::operator::error::OperatorError;
use crate::operator::session::Session;
use crate::operator::text::{Cell, Column, Paint, Table, UNKNOWN, local_time};

/// How often it is looked how far the machines are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looking takes at most this share of the time: a fleet of tens of thousands is many pages.
const LOOK_SHARE: u32 = 4;
/// Up to so many machines are looked at by their ids, more by going through the fleet.
const BY_ID_MAX: usize = 20;

/// How far a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It stands, by its reported state.
    Standing,
    /// It stood, and somebody at the machine let it go since.
    Released,
    /// It has the stop and does not stand yet.
    Received,
    /// It was told and has not answered yet.
    Told,
    /// It is away, and told when it comes back.
    Away,
    /// It refused, or the stop came too late.
    Refused,
    /// A newer stop took the place of this one.
    Replaced,
    /// The stop could not be issued.
    NotIssued,
}

/// One machine, as programs read it.
#[derive(Serialize)]
struct Line {
    machine_id: MachineId,
    machine_name: String,
    command_id: Option<String>,
    outcome: Outcome,
    /// From the request to the machine's answer.
    received_ms: Option<i64>,
    /// From the request to the state that shows that it stands.
    standing_ms: Option<i64>,
    /// From the request to the state that shows that nothing moves.
    at_rest_ms: Option<i64>,
    /// Why it does not stand, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip)]
    is_moving: bool,
}

/// What JSON and YAML hold.
#[derive(Serialize)]
struct Followed<'a> {
    issuer: &'a str,
    reason: &'a str,
    standing: usize,
    total: usize,
    machines: &'a [Line],
}

/// Follows the machines until all stand and are at rest as far as they measure it, or the wait is over; then says how
/// far each is.
pub(super) async fn follow(
    issued: StopsIssued,
    wait: Duration,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let until = Instant::now() + wait;
    let mut rows = BTreeMap::new();
    loop {
        let began = Instant::now();
        if !wait.is_zero() {
            rows = look(&issued.stops, session).await?;
        }
        let now = Instant::now();
        let waited_for = |line: &Line| {
            matches!(line.outcome, Outcome::Received | Outcome::Told | Outcome::Away)
                || (line.outcome == Outcome::Standing && line.is_moving)
        };
        let lines = lines(&issued, &rows, session);
        if now >= until || !lines.iter().any(waited_for) {
            return tell(&issued, &lines, session);
        }
        let pause = LOOK_EVERY.max((now - began) * (LOOK_SHARE - 1));
        tokio::time::sleep_until((now + pause).min(until)).await;
    }
}

/// The rows of these machines as they are now.
async fn look(
    stops: &[StopTold],
    session: &Session,
) -> Result<BTreeMap<MachineId, MachineSummary>, OperatorError> {
    let by_id = (stops.len() <= BY_ID_MAX).then(|| {
        let ids: Vec<String> = stops.iter().map(|stop| stop.machine_id.to_string()).collect();
        format!("id={}", ids.join("|"))
    });
    if stops.is_empty() {
        return Ok(BTreeMap::new());
    }
    let query = MachineQuery {
        filter: by_id,
        sort: Some("id".to_owned()),
        ..MachineQuery::default()
    };
    let page = session.client.machines_all(&query, ITEMS_MAX).await?;
    Ok(page.items.into_iter().map(|row| (row.id, row)).collect())
}

fn lines(issued: &StopsIssued, rows: &BTreeMap<MachineId, MachineSummary>, session: &Session) -> Vec<Line> {
    let told = issued
        .stops
        .iter()
        .map(|told| line(told, rows.get(&told.machine_id), session));
    let refused = issued.refused.iter().map(|refused| Line {
        machine_id: refused.machine_id,
        machine_name: String::new(),
        command_id: None,
        outcome: Outcome::NotIssued,
        received_ms: None,
        standing_ms: None,
        at_rest_ms: None,
        why: Some(format!("not issued: {}", refused.detail)),
        is_moving: false,
    });
    let mut lines: Vec<Line> = told.chain(refused).collect();
    lines.sort_by(|a, b| (&a.machine_name, a.machine_id).cmp(&(&b.machine_name, b.machine_id)));
    lines
}

fn line(told: &StopTold, row: Option<&MachineSummary>, session: &Session) -> Line {
    let last = row.and_then(|row| row.last_stop.as_ref());
    let stop = last.filter(|stop| stop.command_id == told.command_id);
    let since = |at: Option<Timestamp>| at.map(|at| at.millis_since(told.issued_at));
    let (outcome, why) = match (stop, last) {
        (None, Some(_)) => (Outcome::Replaced, Some("a newer stop took its place".to_owned())),
        (None, None) => not_yet(told, row, session),
        (Some(stop), _) => how_far(stop, told, row, session),
    };
    Line {
        machine_id: told.machine_id,
        machine_name: row.map_or_else(|| told.machine_name.clone(), |row| row.name.clone()),
        command_id: Some(told.command_id.clone()),
        outcome,
        received_ms: since(
            stop.filter(|stop| stop.is_received())
                .and_then(|stop| stop.answered_at),
        ),
        standing_ms: since(stop.and_then(|stop| stop.standing_at)),
        at_rest_ms: since(stop.and_then(|stop| stop.at_rest_at)),
        why,
        is_moving: stop.is_some_and(|stop| stop.at_rest == Some(false)),
    }
}

fn how_far(
    stop: &Stop,
    told: &StopTold,
    row: Option<&MachineSummary>,
    session: &Session,
) -> (Outcome, Option<String>) {
    if stop.released_at.is_some() {
        let why = "stood, and was let go at the machine since".to_owned();
        return (Outcome::Released, Some(why));
    }
    if stop.standing_at.is_some() {
        return (Outcome::Standing, None);
    }
    match stop.answer.as_deref() {
        None => not_yet(told, row, session),
        Some(_) if stop.is_received() => {
            let why = "has the stop; its state does not show yet that it stands".to_owned();
            (Outcome::Received, Some(why))
        }
        Some(word) => {
            let reason = stop.answer_reason.as_deref().unwrap_or("no reason given");
            (Outcome::Refused, Some(format!("{word} by the machine: {reason}")))
        }
    }
}

fn not_yet(told: &StopTold, row: Option<&MachineSummary>, session: &Session) -> (Outcome, Option<String>) {
    let away = row.map_or(!told.told, |row| row.presence == Presence::Lost);
    if away {
        let until = local_time(told.expires_at, session.zone());
        let why = format!("away: told when it comes back, until {until}");
        return (Outcome::Away, Some(why));
    }
    (Outcome::Told, Some("has not answered yet".to_owned()))
}

fn tell(issued: &StopsIssued, lines: &[Line], session: &mut Session) -> Result<(), OperatorError> {
    let standing = lines
        .iter()
        .filter(|line| line.outcome == Outcome::Standing)
        .count();
    if session.is_table() {
        let mut table = Table::new([
            Column::left("MACHINE", 255),
            Column::right("RECEIVED", 200),
            Column::right("STANDING", 220),
            Column::right("AT REST", 190),
            Column::left("WHY NOT", 210),
        ]);
        let figure =
            |ms: Option<i64>| Cell::new(ms.map_or_else(|| UNKNOWN.to_owned(), |ms| format!("{ms} ms")));
        for line in lines {
            let (sign, paint) = match line.outcome {
                Outcome::Standing => ("■", Paint::Good),
                Outcome::Received | Outcome::Told => ("…", Paint::Busy),
                Outcome::Away => ("○", Paint::Warning),
                Outcome::Released => ("▷", Paint::Warning),
                Outcome::Refused | Outcome::Replaced | Outcome::NotIssued => ("✖", Paint::Bad),
            };
            let id = || line.machine_id.to_string();
            let name = Some(&line.machine_name)
                .filter(|name| !name.is_empty())
                .cloned()
                .unwrap_or_else(id);
            table.push(vec![
                Cell::painted(format!("{sign} {name}"), paint),
                figure(line.received_ms),
                figure(line.standing_ms),
                figure(line.at_rest_ms),
                Cell::new(line.why.as_deref().unwrap_or("")),
            ]);
        }
        let text = table.take_lines(session.look);
        session.print(&text)?;
    } else {
        session.document(&Followed {
            issuer: &issued.issuer,
            reason: &issued.reason,
            standing,
            total: lines.len(),
            machines: lines,
        })?;
    }
    if standing == lines.len() {
        return Ok(());
    }
    Err(OperatorError::NotStanding {
        standing,
        total: lines.len(),
    })
}
