//! Log lines, newest first, from the file and from memory.

use muster_model::{MachineId, Severity, Timestamp};
use rusqlite::{Connection, Row, params};

use super::memory::Numbered;
use super::{Inner, LINES_MAX, LogCursor, LogLine, LogPage, LogQuery, TelemetryError};

pub(super) fn query(inner: &Inner, machine: MachineId, query: &LogQuery) -> Result<LogPage, TelemetryError> {
    let limit = query.limit.min(LINES_MAX);
    // Under the lock: what is in memory, and before which number the file has all the rest.
    let (number, before, mut found) = {
        let memory = inner.shared.memory.lock();
        let Some(number) = memory.known_machine(machine) else {
            return Ok(LogPage::default());
        };
        let mut before = memory.next_line();
        let mut found: Vec<Numbered> = Vec::new();
        for batch in memory.batches() {
            before = before.min(batch.first_line);
            let lines = batch.lines.get(&number).map_or(&[][..], Vec::as_slice);
            found.extend(lines.iter().filter(|line| is_wanted(line, query)).cloned());
        }
        (number, before, found)
    };
    inner
        .readers
        .with(|connection| from_file(connection, number, before, query, limit, &mut found))?;
    found.sort_unstable_by_key(|line| std::cmp::Reverse(place(line)));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(place);
    let lines = found.into_iter().map(|numbered| numbered.line).collect();
    Ok(LogPage { lines, next })
}

fn place(line: &Numbered) -> LogCursor {
    LogCursor {
        at: line.line.at.as_millis(),
        id: line.id,
    }
}

fn is_wanted(line: &Numbered, query: &LogQuery) -> bool {
    (query.from..=query.to).contains(&line.line.at)
        && line.line.severity >= query.severity_min
        && query
            .target
            .as_ref()
            .is_none_or(|target| line.line.target == *target)
        && query.before.is_none_or(|before| place(line) < before)
}

fn from_file(
    connection: &Connection,
    machine: u32,
    before: u64,
    query: &LogQuery,
    limit: usize,
    found: &mut Vec<Numbered>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT id, at_ms, severity, target, message, fields FROM log_lines \
         WHERE machine = ?1 AND at_ms >= ?2 AND at_ms <= ?3 AND (at_ms, id) < (?4, ?5) AND id < ?6 \
         AND severity >= ?7 AND (?8 IS NULL OR target = ?8) ORDER BY at_ms DESC, id DESC LIMIT ?9",
    )?;
    let (cursor_at, cursor_id) = query
        .before
        .map_or((i64::MAX, i64::MAX), |cursor| (cursor.at, cursor.id as i64));
    let parameters = params![
        machine,
        query.from.as_millis(),
        query.to.as_millis().min(cursor_at),
        cursor_at,
        cursor_id,
        before as i64,
        severity_number(query.severity_min),
        query.target,
        // One more, to know whether there is more.
        limit as i64 + 1,
    ];
    for line in statement.query_map(parameters, line)? {
        found.push(line?);
    }
    Ok(())
}

fn line(row: &Row<'_>) -> rusqlite::Result<Numbered> {
    let severity = row.get::<_, i64>(2)?;
    let severity = usize::try_from(severity)
        .ok()
        .and_then(|number| Severity::ALL.get(number));
    Ok(Numbered {
        id: row.get::<_, i64>(0)? as u64,
        line: LogLine {
            at: Timestamp::from_millis(row.get(1)?),
            severity: severity.copied().unwrap_or(Severity::Critical),
            target: row.get(3)?,
            message: row.get(4)?,
            fields: row.get(5)?,
        },
    })
}

/// How a severity is kept: its place among all, least first.
pub(super) fn severity_number(severity: Severity) -> i64 {
    match severity {
        Severity::Debug => 0,
        Severity::Info => 1,
        Severity::Warning => 2,
        Severity::Error => 3,
        Severity::Critical => 4,
    }
}
