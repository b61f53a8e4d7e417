//! What must hold, each as a check of its own. It reads what server and machines keep on disk and what the server shows
//! over HTTP, and compares that with the [ledger](super::ledger), which nothing under test writes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use muster_machine::Store;
use muster_machine::store::StoreOptions;
use muster_model::{
    LogPosition, MachineEntry, MachineId, MachineView, Presence, RecordNumber, SessionNumber,
};
use muster_protocol::api;
use muster_protocol::link::MachineMessage;
use muster_runtime::errors::chain;
use muster_store::{DataDirectory, EventLog, LogOptions, SqliteLog};
use serde_json::{Value, json};

use super::ledger::{self, Page, Pages};

/// Records of one machine that are read back at once.
const LOAD_MAX: usize = 200_000;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    /// `muster store verify` finds nothing.
    LogIsSound,
    /// Each record of a machine is in the log once, in order and without a gap; so is each mark.
    OnceAndInOrder,
    /// Every mark is in the log, unless its machine crashed before it was on its disk.
    NothingIsLost,
    /// What a machine took as acknowledged is in the log.
    AcknowledgedIsDurable,
    /// Nothing is written off: no disk was lost, no outbox full.
    NothingIsWrittenOff,
    /// Every session of a machine has a higher number than those before.
    SessionsGrow,
    /// What the server shows is the fold of its log.
    ViewIsFold,
    /// Every machine is shown as online, and knows itself in session.
    Converges,
    /// No connection is left over on either side.
    NothingLeaks,
    /// Who follows the live API over all that happens gets every mark once and in order.
    LiveAgrees,
}

/// Something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) check: Check,
    pub(super) what: String,
}

pub(super) fn violation(check: Check, what: impl Into<String>) -> Violation {
    Violation {
        check,
        what: what.into(),
    }
}

/// The log as it was read, machine by machine.
#[derive(Clone, Default)]
pub(super) struct Reading {
    pub(super) position: LogPosition,
    pub(super) machines: BTreeMap<MachineId, Read>,
}

/// What the log says of one machine.
#[derive(Clone)]
pub(super) struct Read {
    pub(super) view: MachineView,
    pub(super) records: Vec<RecordNumber>,
    pub(super) marks: Vec<u64>,
    pub(super) sessions: Vec<SessionNumber>,
    pub(super) written_off: Vec<String>,
    /// When its presence became what, in virtual wall-clock time.
    pub(super) presences: Vec<(i64, Presence)>,
}

impl Reading {
    /// Reads on, up to a position.
    pub(super) fn advance(&mut self, log: &dyn EventLog, to: LogPosition) {
        let machines = &mut self.machines;
        if self.position >= to {
            return;
        }
        log.scan(self.position.next(), to, &mut |event| {
            let id = event.stream.as_machine().expect("only machines have streams");
            let entry: MachineEntry = serde_json::from_slice(event.body).expect("an entry");
            let read = machines.entry(id).or_insert_with(|| Read {
                view: MachineView::new(id, event.recorded_at),
                records: Vec::new(),
                marks: Vec::new(),
                sessions: Vec::new(),
                written_off: Vec::new(),
                presences: Vec::new(),
            });
            read.view
                .apply(event.position, event.version, event.recorded_at, &entry);
            read.records.extend(entry.record());
            match &entry {
                MachineEntry::EventReported { event, .. } => {
                    read.marks.extend(ledger::number(&event.kind, &event.message));
                }
                MachineEntry::SessionOpened { session, .. } => read.sessions.push(*session),
                MachineEntry::RecordsLost { .. } | MachineEntry::RecordRefused { .. } => {
                    read.written_off.push(format!("{entry:?}"));
                }
                MachineEntry::PresenceChanged { presence, .. } => {
                    read.presences.push((event.recorded_at.as_millis(), *presence));
                }
                MachineEntry::Registered
                | MachineEntry::StateReported { .. }
                | MachineEntry::ResponseReported { .. }
                | MachineEntry::CommandIssued { .. }
                | MachineEntry::Renamed { .. }
                | MachineEntry::DesiredChanged { .. }
                | MachineEntry::IdentityNoted { .. }
                | MachineEntry::Labelled { .. } => {}
            }
            ControlFlow::Continue(())
        })
        .expect("the log can be read");
        self.position = to;
    }

    /// The whole log of a server that does not run.
    pub(super) fn of(data: &Path) -> Result<Self, String> {
        let directory = DataDirectory::open(data).map_err(|error| chain(&error))?;
        let log = SqliteLog::open(&directory, LogOptions::default()).map_err(|error| chain(&error))?;
        let mut reading = Self::default();
        reading.advance(&log, log.head());
        log.close();
        Ok(reading)
    }

    pub(super) fn highest(&self, machine: MachineId) -> RecordNumber {
        let read = self.machines.get(&machine);
        read.and_then(|read| read.records.iter().max().copied())
            .unwrap_or_default()
    }

    /// Which machine has marks that are owed and not in the log, up to so many made.
    pub(super) fn missing(&self, machine: MachineId, page: &Page, made: u64) -> Vec<u64> {
        let known: &[u64] = self.machines.get(&machine).map_or(&[], |read| &read.marks);
        let last = known.last().copied().unwrap_or(0);
        if last >= made && known.len() as u64 == last {
            return Vec::new(); // as it is nearly always: each once, up to the last
        }
        let known: BTreeSet<u64> = known.iter().copied().collect();
        (1..=made)
            .filter(|mark| !known.contains(mark) && !page.excused.contains(mark))
            .collect()
    }
}

/// The log of a server that does not run.
pub(super) fn open_log(data: &Path) -> SqliteLog {
    let directory = DataDirectory::open(data).expect("the server does not run");
    SqliteLog::open(&directory, LogOptions::default()).expect("the log can be opened")
}

/// What one machine's store keeps.
pub(super) struct Kept {
    pub(super) settled: RecordNumber,
    pub(super) marks: Vec<u64>,
}

/// What the store of machines that do not run keeps.
pub(super) fn kept(data: &Path, machines: &[MachineId]) -> BTreeMap<MachineId, Kept> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let began = std::time::Instant::now();
        let store = loop {
            // The thread of who had it before ends in real time.
            match Store::open(data, StoreOptions::default()) {
                Ok(store) => break store,
                Err(error) if began.elapsed().as_secs() >= 10 => panic!("{error}"),
                Err(_) => std::thread::yield_now(),
            }
        };
        let mut all = BTreeMap::new();
        for id in machines {
            let (part, _, opened) = store.machine(*id).await.unwrap();
            let settled = opened.kept.settled;
            let (asked, answer) = part.load(settled.next(), LOAD_MAX);
            part.try_send(asked).expect("nothing else waits");
            let records = answer.await.unwrap();
            let marks = records.iter().filter_map(|stored| match &stored.message {
                MachineMessage::Event(event) => ledger::number(&event.kind, &event.message),
                _ => None,
            });
            let marks = marks.collect();
            all.insert(*id, Kept { settled, marks });
        }
        store.close().await;
        all
    })
}

/// What the log alone tells.
pub(super) fn of_log(data: &Path, reading: &Reading) -> Vec<Violation> {
    let mut found = Vec::new();
    let report = muster_store::verify(data, &mut |_| {}).expect("the log can be verified");
    if !report.is_clean() {
        found.push(violation(Check::LogIsSound, format!("{report:?}")));
    }
    for (id, read) in &reading.machines {
        for (expected, record) in (1..).map(RecordNumber).zip(&read.records) {
            if *record != expected {
                let what = format!("{id}: record {record} stands where {expected} should");
                found.push(violation(Check::OnceAndInOrder, what));
                break;
            }
        }
        if let Some(pair) = read.marks.windows(2).find(|pair| pair[0] >= pair[1]) {
            let what = format!("{id}: mark {} comes after {}", pair[1], pair[0]);
            found.push(violation(Check::OnceAndInOrder, what));
        }
        if let Some(pair) = read.sessions.windows(2).find(|pair| pair[0] >= pair[1]) {
            let what = format!("{id}: session {} comes after {}", pair[1], pair[0]);
            found.push(violation(Check::SessionsGrow, what));
        }
        let written_off = read.written_off.iter();
        found.extend(written_off.map(|what| violation(Check::NothingIsWrittenOff, format!("{id}: {what}"))));
    }
    found
}

/// What a machine's store and the log tell together.
pub(super) fn of_store(reading: &Reading, kept: &BTreeMap<MachineId, Kept>) -> Vec<Violation> {
    let ahead = kept.iter().filter_map(|(id, kept)| {
        let highest = reading.highest(*id);
        (kept.settled > highest).then(|| {
            let what = format!(
                "{id}: took {} as acknowledged, the log ends at {highest}",
                kept.settled
            );
            violation(Check::AcknowledgedIsDurable, what)
        })
    });
    ahead.collect()
}

/// What the ledger and the log tell together, after everything came together.
pub(super) fn of_ledger(reading: &Reading, pages: &Pages) -> Vec<Violation> {
    let lost = pages.machines.iter().filter_map(|(id, page)| {
        let missing = reading.missing(*id, page, page.made);
        let owed: Vec<_> = missing.iter().filter(|mark| page.owed.contains(mark)).collect();
        (!missing.is_empty()).then(|| {
            let what = format!("{id}: marks {missing:?} are not in the log; on disk at a crash: {owed:?}");
            violation(Check::NothingIsLost, what)
        })
    });
    lost.collect()
}

/// Whether what the server shows of a machine over HTTP is the fold of its log up to a position, or to one of those behind
/// it: all up to the position that it names is in what it shows, and newer things may be, too (`state::shown`).
pub(super) fn of_view(log: &Arc<dyn EventLog>, shown: &api::Machine, from: LogPosition) -> Option<Violation> {
    let mut reading = Reading::default();
    reading.advance(log.as_ref(), from);
    let at_first = compare(&reading, shown, from);
    let mut differ = at_first.clone();
    while !differ.is_empty() && reading.position < log.head() {
        let next = reading.position.next();
        reading.advance(log.as_ref(), next);
        differ = compare(&reading, shown, next);
    }
    (!differ.is_empty()).then(|| violation(Check::ViewIsFold, at_first))
}

/// How what is shown differs from the fold of the log up to a position; empty where it does not.
fn compare(reading: &Reading, shown: &api::Machine, at: LogPosition) -> String {
    let id = shown.summary.id;
    let Some(view) = reading.machines.get(&id).map(|read| &read.view) else {
        return format!("{id} is shown and not in the log");
    };
    let folded = json!({
        "reported": view.reported, "state_version": view.state_version, "reported_at": view.reported_at,
        "presence": view.presence, "presence_since": view.presence_since, "session": view.session,
        "boot_id": view.boot_id, "highest_record": view.highest_record, "registered_at": view.registered_at,
        "display_name": view.profile.display_name, "labels": view.profile.labels,
    });
    let seen = json!({
        "reported": shown.reported, "state_version": shown.state_version, "reported_at": shown.summary.reported_at,
        "presence": shown.summary.presence, "presence_since": shown.summary.presence_since, "session": shown.session,
        "boot_id": shown.boot_id, "highest_record": shown.highest_record, "registered_at": shown.registered_at,
        "display_name": shown.display_name, "labels": shown.summary.labels,
    });
    let mut differ = Vec::new();
    differences("", &seen, &folded, &mut differ);
    if differ.is_empty() {
        return String::new();
    }
    format!(
        "{id} at {at}, shown up to {}: {}",
        shown.position,
        differ.join("; ")
    )
}

/// Where two documents differ.
fn differences(place: &str, shown: &Value, folded: &Value, found: &mut Vec<String>) {
    match (shown, folded) {
        (Value::Object(shown), Value::Object(folded)) => {
            let keys: BTreeSet<_> = shown.keys().chain(folded.keys()).collect();
            for key in keys {
                let of = |all: &serde_json::Map<String, Value>| all.get(key).cloned().unwrap_or_default();
                differences(&format!("{place}/{key}"), &of(shown), &of(folded), found);
            }
        }
        _ if shown == folded => {}
        _ => found.push(format!("{place} is shown as {shown} and folded {folded}")),
    }
}

/// Notes what a crash took with it: marks that are on the disk are owed, younger ones excused.
pub(super) fn note_crash(reading: &Reading, kept: &BTreeMap<MachineId, Kept>, pages: &mut Pages) {
    for (id, kept) in kept {
        let page = pages.machines.entry(*id).or_default();
        page.owed.extend(&kept.marks);
        // Marks go to disk in order. Whether all settled ones are in the log is what `AcknowledgedIsDurable` tells, and that
        // none is missing before the youngest, `OnceAndInOrder`.
        let logged = reading.machines.get(id).and_then(|read| read.marks.last());
        let youngest = kept.marks.last().max(logged).copied().unwrap_or(0);
        page.excused.extend(youngest + 1..=page.made);
    }
}
