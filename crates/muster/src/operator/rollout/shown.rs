//! Rollouts as people read them.

use muster_model::rollout::{Counts, MachineStage, RolloutState};
use muster_protocol::api::{
    Rollout, RolloutHistory, RolloutMachine, RolloutPlan, RolloutPlannedMachine, RolloutSummary,
};

use crate::operator::session::Session;
use crate::operator::text::{Cell, Column, Paint, Table, bytes, clean, local_time, span};

/// What a rollout would do.
pub(super) fn plan(plan: &RolloutPlan, session: &Session) -> String {
    let fetched = plan.bytes.map_or_else(
        || "unknown".to_owned(),
        |total| format!("at most {}", bytes(total)),
    );
    let end = plan.ends_at.map_or_else(
        || "unknown: no update of this product was seen yet".to_owned(),
        |at| local_time(at, session.zone()),
    );
    let mut text = format!(
        "{} {} for {}; to fetch: {fetched}; expected end: {end}\n",
        clean(plan.release.product.as_str()),
        clean(&plan.release.version),
        machines_of(plan.machines),
    );
    for (number, phase) in plan.phases.iter().enumerate() {
        let approval = if phase.approval {
            ", waits for approval"
        } else {
            ""
        };
        text.push_str(&format!(
            "\nPhase {} {}: {}, {} at once, soak {}{approval}\n",
            number + 1,
            clean(&phase.name),
            machines_of(phase.machines.len() as u64),
            phase.at_once,
            span(i64::from(phase.soak_s) * 1_000),
        ));
        let mut table = Table::new([
            Column::left("MACHINE", 255),
            Column::left("BYTES", 253),
            Column::left("NOW", 254),
        ]);
        for machine in &phase.machines {
            table.push(planned(machine));
        }
        text.push_str(&table.take_lines(session.look));
    }
    if !plan.left_out.is_empty() {
        text.push_str(&format!("\nLeft out: {}\n", plan.left_out.len()));
        for machine in &plan.left_out {
            text.push_str(&format!("  {}: {}\n", clean(&machine.name), clean(&machine.why)));
        }
    }
    text
}

fn planned(machine: &RolloutPlannedMachine) -> Vec<Cell> {
    let now = match (machine.unreachable_ms, machine.blocked.as_slice()) {
        (Some(ms), _) => Cell::painted(format!("not heard of for {}", span(ms)), Paint::Dim),
        (None, []) => Cell::painted("could begin", Paint::Good),
        (None, blocked) => Cell::painted(format!("waiting: {}", blocked.join(", ")), Paint::Warning),
    };
    vec![
        Cell::new(&machine.name),
        Cell::new(machine.bytes.map(bytes).unwrap_or_default()),
        now,
    ]
}

fn machines_of(count: u64) -> String {
    if count == 1 {
        "1 machine".to_owned()
    } else {
        format!("{count} machines")
    }
}

/// Rollouts, a line each.
pub(super) fn list(rollouts: &[RolloutSummary], session: &Session) -> String {
    let mut table = Table::new([
        Column::left("ID", 255),
        Column::left("RELEASE", 254),
        Column::left("STATE", 253),
        Column::left("PHASE", 250),
        Column::left("MACHINES", 252),
        Column::left("BY", 248),
        Column::left("WHY", 251),
    ]);
    for rollout in rollouts {
        table.push(vec![
            Cell::new(&rollout.id),
            Cell::new(format!("{} {}", rollout.product, rollout.version)),
            state(rollout.state),
            Cell::new(format!(
                "{} of {}",
                (rollout.phase + 1).min(rollout.phases),
                rollout.phases
            )),
            Cell::new(counts(&rollout.counts)),
            Cell::new(&rollout.by),
            Cell::new(&rollout.why),
        ]);
    }
    table.take_lines(session.look)
}

fn state(state: RolloutState) -> Cell {
    let word = state.as_str().replace('_', " ");
    match state {
        RolloutState::Succeeded => Cell::painted(word, Paint::Good),
        RolloutState::Paused
        | RolloutState::RollingBack
        | RolloutState::RolledBack
        | RolloutState::Aborted => Cell::painted(word, Paint::Warning),
        _ => Cell::new(word),
    }
}

/// `3 succeeded, 1 failed`: what is zero is left out.
fn counts(counts: &Counts) -> String {
    let Ok(serde_json::Value::Object(all)) = serde_json::to_value(counts) else {
        return String::new();
    };
    let words = all.iter().filter_map(|(name, count)| {
        let count = count.as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {}", name.replace('_', " ")))
    });
    words.collect::<Vec<_>>().join(", ")
}

/// One rollout, with its machines where they are at hand.
pub(super) fn rollout(rollout: &Rollout, machines: &[RolloutMachine], session: &Session) -> String {
    let summary = &rollout.summary;
    let mut text = list(std::slice::from_ref(summary), session);
    text.push_str(&format!(
        "\nwritten down by {} {}: {}\n",
        clean(&summary.by),
        local_time(summary.created_at, session.zone()),
        clean(&rollout.reason),
    ));
    for decided in &rollout.decisions {
        text.push_str(&format!(
            "{} by {} {}: {}\n",
            clean(&decided.act),
            clean(&decided.by),
            local_time(decided.at, session.zone()),
            clean(&decided.reason),
        ));
    }
    for (number, phase) in rollout.phases.iter().enumerate() {
        let why = if phase.why.is_empty() {
            String::new()
        } else {
            format!(": {}", clean(&phase.why))
        };
        text.push_str(&format!(
            "\nPhase {} {}, {}{why}\n  {}; up to {} may fail\n",
            number + 1,
            clean(&phase.name),
            phase.stage.as_str(),
            counts(&phase.counts),
            phase.failures_max,
        ));
        let of_phase = machines.iter().filter(|machine| machine.phase as usize == number);
        let mut table = Table::new([
            Column::left("MACHINE", 255),
            Column::left("STATE", 254),
            Column::left("SINCE", 250),
            Column::left("WHY", 253),
        ]);
        let mut is_empty = true;
        for machine in of_phase {
            is_empty = false;
            table.push(vec![
                Cell::new(&machine.name),
                stage(machine.stage),
                Cell::new(local_time(machine.since, session.zone())),
                Cell::new(machine.why.join(", ")),
            ]);
        }
        if !is_empty {
            text.push_str(&table.take_lines(session.look));
        }
    }
    for left_out in &rollout.left_out {
        text.push_str(&format!(
            "\nleft out: {}: {}\n",
            machines_of(left_out.machines),
            clean(&left_out.why)
        ));
    }
    text
}

fn stage(stage: MachineStage) -> Cell {
    let word = stage.as_str().replace('_', " ");
    match stage {
        MachineStage::Succeeded => Cell::painted(word, Paint::Good),
        MachineStage::Failed => Cell::painted(word, Paint::Bad),
        MachineStage::Blocked | MachineStage::RolledBack | MachineStage::Unreachable => {
            Cell::painted(word, Paint::Warning)
        }
        _ => Cell::new(word),
    }
}

/// What the log says, a line each.
pub(super) fn history(history: &RolloutHistory, session: &Session) -> String {
    let lines = history
        .items
        .iter()
        .map(|line| format!("{}  {}\n", local_time(line.at, session.zone()), clean(&line.text)));
    lines.collect()
}
