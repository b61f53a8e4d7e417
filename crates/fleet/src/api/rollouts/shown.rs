//! Rollouts as people see them.

use std::collections::BTreeMap;

use muster_brain::rollout::{MachineProgress, Plan, Rollout};
use muster_model::rollout::{ReleaseFacts, RolloutId};
use muster_model::{MachineId, MachineView};
use muster_protocol::api;

use crate::gateway::Gateway;
use crate::rollout::Summary;

pub(super) fn summary(id: &RolloutId, summary: &Summary) -> api::RolloutSummary {
    let Summary {
        name,
        product,
        version,
        by,
        created_at,
        state,
        why,
        changed_at,
        phase,
        phases,
        counts,
        typical_ms: _,
        is_over: _,
        entries: _,
    } = summary.clone();
    api::RolloutSummary {
        id: id.to_string(),
        name,
        product,
        version,
        by,
        created_at,
        state,
        why,
        changed_at,
        phase,
        phases,
        counts,
    }
}

pub(super) fn rollout(id: &RolloutId, rollout: &Rollout) -> api::Rollout {
    let phases = (0..)
        .zip(&rollout.phases)
        .map(|(index, phase)| api::RolloutPhase {
            name: phase.facts.name.clone(),
            stage: phase.stage,
            why: phase.why.clone(),
            since: phase.since,
            soak_s: phase.facts.soak_s,
            approval: phase.facts.approval,
            is_approved: phase.is_approved,
            failures_max: rollout.budget(index),
            counts: phase.counts,
        });
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for why in rollout.left_out.values() {
        *reasons.entry(why).or_default() += 1;
    }
    let left_out = reasons.into_iter().map(|(why, machines)| api::RolloutLeftOut {
        why: why.to_owned(),
        machines,
    });
    let decisions = rollout.decisions.iter().map(|decided| api::RolloutDecided {
        at: decided.at,
        by: decided.by.clone(),
        act: decided.act.as_str().to_owned(),
        reason: decided.reason.clone(),
    });
    api::Rollout {
        summary: summary(id, &Summary::of(rollout, false)),
        reason: rollout.reason.clone(),
        spec: (*rollout.spec).clone(),
        release: (*rollout.release).clone(),
        phases: phases.collect(),
        left_out: left_out.collect(),
        decisions: decisions.collect(),
    }
}

pub(super) fn machine(view: &MachineView, progress: &MachineProgress) -> api::RolloutMachine {
    api::RolloutMachine {
        machine_id: view.id,
        name: view.name(),
        phase: progress.phase,
        stage: progress.stage,
        why: progress.why.clone(),
        cause: progress.cause,
        since: progress.since,
        offers: progress.offers,
    }
}

pub(super) fn plan(state: &Gateway, release: ReleaseFacts, plan: Plan) -> api::RolloutPlan {
    let name = |machine: MachineId| {
        state
            .fleet
            .view(machine)
            .map(|view| view.name())
            .unwrap_or_default()
    };
    let machines = plan.machines() as u64;
    let Plan {
        phases,
        left_out,
        bytes,
        ends_at,
    } = plan;
    let phases = phases.into_iter().map(|phase| api::RolloutPlannedPhase {
        name: phase.facts.name,
        soak_s: phase.facts.soak_s,
        approval: phase.facts.approval,
        at_once: phase.at_once as u64,
        machines: phase
            .machines
            .into_iter()
            .map(|planned| api::RolloutPlannedMachine {
                machine_id: planned.machine,
                name: name(planned.machine),
                bytes: planned.bytes,
                blocked: planned.blocked,
                unreachable_ms: planned.unreachable_ms,
            })
            .collect(),
    });
    let left_out = left_out.into_iter().map(|(machine, why)| api::RolloutNotMeant {
        machine_id: machine,
        name: name(machine),
        why,
    });
    api::RolloutPlan {
        release,
        phases: phases.collect(),
        left_out: left_out.collect(),
        machines,
        bytes,
        ends_at,
    }
}
