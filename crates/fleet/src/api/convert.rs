//! Where the domain becomes a document. Nothing else here knows both.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::vocabulary::{Mode, Presence};
use muster_model::{LogPosition, MachineEvent, MachineId, MachineView, StatusWord, Timestamp};
use muster_protocol::api::{Event, FleetSummary, GivenCommand, Machine, MachineSummary, Stop};

/// Below this charge a machine that is not charging is counted as low, in percent.
const LOW_BATTERY_PERCENT: f64 = 20.0;

/// A row of the table.
pub fn summary(view: &MachineView) -> MachineSummary {
    let status = view.status();
    let operation = view.reported.operation.as_ref();
    let location = view.reported.location.as_ref();
    let speed = view.vitals.speed_m_per_s.map(f64::from);
    MachineSummary {
        id: view.id,
        name: view.name(),
        kind: view.kind().to_owned(),
        region: view.region().to_owned(),
        labels: view.profile.labels.clone(),
        status: status.word,
        status_reason: status.reason,
        presence: view.presence,
        presence_since: view.presence_since,
        mode: operation.map(|operation| operation.mode),
        safety: operation.map(|operation| operation.safety),
        battery_percent: view.battery_percent(),
        charging: view.reported.power.as_ref().map(|power| power.charging),
        temperature_celsius: view.temperature_celsius(),
        cpu_percent: view.cpu_percent(),
        memory_percent: view.memory_percent(),
        disk_percent: view.disk_percent(),
        speed_m_per_s: speed.or_else(|| location.map(|location| location.speed_m_per_s)),
        latitude_degrees: location.map(|location| location.latitude_degrees),
        longitude_degrees: location.map(|location| location.longitude_degrees),
        version: view.agent_version().to_owned(),
        last_seen: view.last_seen,
        reported_at: view.reported_at,
        last_stop: last_stop(view),
    }
}

/// How far the last stop that was asked of a machine got.
fn last_stop(view: &MachineView) -> Option<Stop> {
    let stop = view.last_stop.as_ref()?;
    let answer = stop.answer.as_ref();
    Some(Stop {
        command_id: stop.command_id.clone(),
        issuer: stop.issuer.clone(),
        reason: stop.reason.clone(),
        issued_at: stop.issued,
        expires_at: stop.expires,
        answer: answer.map(|answer| answer.outcome.clone()),
        answer_reason: answer.and_then(|answer| answer.reason.clone()),
        answered_at: answer.map(|answer| answer.at),
        standing_at: stop.standing_at,
        at_rest_at: stop.at_rest_at,
        released_at: stop.released_at,
        at_rest: view
            .reported
            .operation
            .as_ref()
            .and_then(|operation| operation.at_rest),
    })
}

/// A command that was given to a machine.
pub fn command(given: &muster_model::GivenCommand) -> GivenCommand {
    let answer = given.answer.as_ref();
    GivenCommand {
        command_id: given.command_id.clone(),
        kind: given.kind.clone(),
        arguments: given.arguments.clone(),
        issuer: given.issuer.clone(),
        reason: given.reason.clone(),
        issued_at: given.issued,
        expires_at: given.expires,
        answer: answer.map(|answer| answer.outcome.clone()),
        answer_reason: answer.and_then(|answer| answer.reason.clone()),
        answered_at: answer.map(|answer| answer.at),
    }
}

/// The whole of one machine.
pub fn machine(view: &MachineView, at: Timestamp, past: bool, position: LogPosition) -> Machine {
    Machine {
        summary: summary(view),
        reported: view.reported.clone(),
        sections_reported_at: (*view.sections_at).clone(),
        state_version: view.state_version,
        display_name: view.profile.display_name.clone(),
        profile_version: view.profile.version.0,
        presence_reason: view.presence_reason.to_string(),
        registered_at: view.registered_at,
        accepts: view.accepts.iter().map(str::to_owned).collect(),
        session: view.session,
        boot_id: view.boot_id,
        highest_record: view.highest_record,
        at,
        past,
        position,
    }
}

/// An event.
pub fn event(
    position: LogPosition,
    machine_id: MachineId,
    machine_name: String,
    recorded_at: Timestamp,
    event: MachineEvent,
) -> Event {
    Event {
        position,
        machine_id,
        machine_name,
        kind: event.kind,
        severity: event.severity,
        message: event.message,
        occurred_at: event.at,
        recorded_at,
        data: event.data,
        correlation_id: event.correlation_id,
        causation_id: event.causation_id,
    }
}

/// The fleet in figures. `history_from` is left for whoever knows the log.
pub fn fleet_summary(
    views: &[Arc<MachineView>],
    at: Timestamp,
    server_time: Timestamp,
    past: bool,
    position: LogPosition,
) -> FleetSummary {
    let mut by_status: BTreeMap<StatusWord, u64> = StatusWord::ALL.iter().map(|word| (*word, 0)).collect();
    let mut by_presence: BTreeMap<Presence, u64> = Presence::ALL.iter().map(|word| (*word, 0)).collect();
    let (mut by_kind, mut by_region, mut by_version) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut by_mode: BTreeMap<Mode, u64> = BTreeMap::new();
    let mut low_battery = 0;
    for view in views {
        *by_status.entry(view.status().word).or_default() += 1;
        *by_presence.entry(view.presence).or_default() += 1;
        count(&mut by_kind, view.kind());
        count(&mut by_region, view.region());
        count(&mut by_version, view.agent_version());
        if let Some(operation) = &view.reported.operation {
            *by_mode.entry(operation.mode).or_default() += 1;
        }
        let charging = view.reported.power.as_ref().is_some_and(|power| power.charging);
        if !charging
            && view
                .battery_percent()
                .is_some_and(|percent| percent < LOW_BATTERY_PERCENT)
        {
            low_battery += 1;
        }
    }
    FleetSummary {
        total: views.len() as u64,
        by_status,
        by_presence,
        by_kind,
        by_region,
        by_mode,
        by_version,
        low_battery,
        at,
        past,
        position,
        history_from: None,
        server_time,
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn count(counts: &mut BTreeMap<String, u64>, word: &str) {
    match counts.get_mut(word) {
        Some(count) => *count += 1,
        None => {
            counts.insert(word.to_owned(), 1);
        }
    }
}
