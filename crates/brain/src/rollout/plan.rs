//! What a rollout would do: who gets it in which phase, who does not and why, who cannot begin now, and when it would end.
//!
//! [`plan()`] changes nothing. [`entries`] is what puts a plan into the log.

use std::collections::BTreeMap;

use muster_model::release::{ProductName, ProductReport};
use muster_model::rollout::{
    LateJoiners, MACHINES_MAX, PHASES_MAX, PhaseFacts, ReleaseFacts, RolloutEntry, RolloutError, RolloutId,
    RolloutSpec, Stage, Strategy, Window,
};
use muster_model::vocabulary::UpdatePhase;
use muster_model::{Filter, MachineId, MachineView, Timestamp};

use super::{Observation, Rollout, unmet};

/// Machines that one entry names.
const MACHINES_PER_ENTRY: usize = 5_000;
/// Windows that are looked at for the expected end.
const WINDOWS_MAX: usize = 10_000;

/// What is asked of the planner.
pub struct Question<'a> {
    /// The rollout, where it has a name already.
    pub id: &'a RolloutId,
    /// What people ask for.
    pub spec: &'a RolloutSpec,
    /// Of which release.
    pub release: &'a ReleaseFacts,
    /// What time it is.
    pub now: Timestamp,
    /// How many bytes a machine would have to fetch; none where that is not known.
    pub bytes: &'a dyn Fn(&MachineView) -> Option<u64>,
    /// How long one machine takes, by recent updates, in milliseconds; none where nothing is known.
    pub typical_ms: Option<u64>,
}

/// What would happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The phases, in order.
    pub phases: Vec<PlannedPhase>,
    /// Who is meant and does not get it, and why.
    pub left_out: Vec<(MachineId, String)>,
    /// Bytes that all machines together fetch, where each is known.
    pub bytes: Option<u64>,
    /// When it would end, if nobody fails, everybody answers and every approval comes at once.
    pub ends_at: Option<Timestamp>,
}

/// A phase as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPhase {
    /// Its name, its soak, its approval.
    pub facts: PhaseFacts,
    /// Who, the first first.
    pub machines: Vec<PlannedMachine>,
    /// How many have a place at the same time, at most: the parallel limit, or the failure budget and one more.
    pub at_once: usize,
}

/// A machine as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMachine {
    /// Who.
    pub machine: MachineId,
    /// What it would have to fetch.
    pub bytes: Option<u64>,
    /// Why it could not begin now, in words, each thing by itself; empty: it could.
    pub blocked: Vec<String>,
    /// For how long it was not heard of, in milliseconds; none: it is there.
    pub unreachable_ms: Option<i64>,
}

impl Plan {
    /// Machines that would get it.
    pub fn machines(&self) -> usize {
        self.phases.iter().map(|phase| phase.machines.len()).sum()
    }
}

/// Says what would happen with these machines.
///
/// # Errors
///
/// The specification cannot be meant so, or too much would come of it.
pub fn plan<'a>(
    question: &Question<'_>,
    views: impl IntoIterator<Item = &'a MachineView>,
) -> Result<Plan, RolloutError> {
    let spec = question.spec;
    spec.check()?;
    let selection = filter("selection", &spec.selection)?;
    let mut found = Vec::new();
    let mut left_out = Vec::new();
    for view in views {
        if !selection.matches(view) {
            continue;
        }
        match unfit(question.release, view) {
            Some(why) => left_out.push((view.id, why)),
            None => found.push(seen(question, view)),
        }
    }
    if found.len() > MACHINES_MAX {
        return Err(RolloutError::TooManyMachines {
            machines: found.len(),
        });
    }
    let mut phases = match &spec.strategy {
        Strategy::Rolling(rolling) => {
            let sizes = batches(rolling.batch.of(found.len()), rolling.growth, found.len())?;
            let name = |index: usize| format!("batch {}", index + 1);
            split(spec, found, &sizes, name)
        }
        Strategy::Canary(canary) => {
            let first = canary.first.of(found.len()).min(found.len());
            let sizes = [first, found.len() - first];
            split(spec, found, &sizes, |index| ["canary", "rest"][index].to_owned())
        }
        Strategy::Staged(staged) => stages(spec, &staged.phases, found, &mut left_out)?,
    };
    // A phase of nobody has nothing to prove.
    phases.retain(|phase| !phase.machines.is_empty());
    if let Some(first) = phases.first_mut()
        && !matches!(spec.strategy, Strategy::Staged(_))
    {
        first.facts.approval = false;
    }
    left_out.sort_unstable();
    let all = || phases.iter().flat_map(|phase| &phase.machines);
    Ok(Plan {
        bytes: all().map(|machine| machine.bytes).sum(),
        ends_at: ends_at(question, &phases),
        left_out,
        phases,
    })
}

/// A machine, and how it is sorted: who can begin comes first, so that the first phase says something.
struct Found<'a> {
    planned: PlannedMachine,
    view: &'a MachineView,
}

fn seen<'a>(question: &Question<'_>, view: &'a MachineView) -> Found<'a> {
    let product = &question.spec.product;
    let observation = Observation::of(view, product, &Filter::default());
    let mut blocked = observation.hindrances(product, question.id, question.now);
    blocked.extend(unmet(question.release, view));
    if let Some(update) = observation
        .report
        .as_ref()
        .and_then(|report| report.update.as_ref())
        && update.phase == UpdatePhase::Waiting
    {
        for why in &update.why {
            if !blocked.contains(why) {
                blocked.push(why.clone());
            }
        }
    }
    let silent = || question.now.millis_since(view.last_seen).max(0);
    let planned = PlannedMachine {
        machine: view.id,
        bytes: (question.bytes)(view),
        blocked,
        unreachable_ms: (!observation.is_reachable()).then(silent),
    };
    Found { planned, view }
}

/// Why a machine does not get it at all.
fn unfit(release: &ReleaseFacts, view: &MachineView) -> Option<String> {
    if !release.kinds.is_empty() && !release.kinds.iter().any(|kind| kind == view.kind()) {
        let kinds = release.kinds.join(", ");
        return Some(match view.kind() {
            "" => format!("its kind is not known; the release is for {kinds}"),
            kind => format!("it is a {kind}; the release is for {kinds}"),
        });
    }
    if !release.architectures.is_empty() {
        let hardware = view.reported.hardware.as_ref();
        let has = hardware.map_or("", |hardware| &hardware.architecture);
        if !release.architectures.iter().any(|fits| fits == has) {
            let wanted = release.architectures.join(", ");
            return Some(match has {
                "" => format!("its processor is not known; the release is for {wanted}"),
                has => format!("its processor is {has}; the release is for {wanted}"),
            });
        }
    }
    has_it(release, product_of(view, &release.product)?)
}

fn product_of<'a>(view: &'a MachineView, product: &ProductName) -> Option<&'a ProductReport> {
    let updates = view.reported.updates.as_ref()?;
    updates.product(product.as_str())
}

/// Why a machine needs nothing: it has this release, or a newer one.
pub(super) fn has_it(release: &ReleaseFacts, report: &ProductReport) -> Option<String> {
    let running = report.running.as_ref()?;
    let version = &running.release.version;
    if running.release.manifest == release.manifest && running.confirmed {
        return Some(format!("it runs {version} already"));
    }
    (running.release.counter > release.counter).then(|| format!("it runs {version}, which is newer"))
}

/// How large each batch is.
fn batches(first: usize, growth: u32, all: usize) -> Result<Vec<usize>, RolloutError> {
    let mut sizes = Vec::new();
    let (mut size, mut left) = (first, all);
    while left > 0 {
        sizes.push(size.min(left));
        left -= size.min(left);
        size = size.saturating_mul(growth as usize);
        if sizes.len() > PHASES_MAX {
            return Err(RolloutError::TooManyPhases {
                phases: all.div_ceil(first),
            });
        }
    }
    Ok(sizes)
}

fn split(
    spec: &RolloutSpec,
    mut found: Vec<Found<'_>>,
    sizes: &[usize],
    name: impl Fn(usize) -> String,
) -> Vec<PlannedPhase> {
    let key = |found: &Found<'_>| {
        let planned = &found.planned;
        (
            planned.unreachable_ms.is_some(),
            !planned.blocked.is_empty(),
            planned.machine,
        )
    };
    found.sort_by_cached_key(key);
    let mut machines = found.into_iter().map(|found| found.planned);
    let phase = |(index, size): (usize, &usize)| {
        let facts = PhaseFacts {
            name: name(index),
            soak_s: spec.gates.soak_s,
            approval: spec.gates.approval,
        };
        planned(spec, facts, machines.by_ref().take(*size).collect())
    };
    sizes.iter().enumerate().map(phase).collect()
}

fn planned(spec: &RolloutSpec, facts: PhaseFacts, machines: Vec<PlannedMachine>) -> PlannedPhase {
    let reachable = machines.iter().filter(|machine| machine.unreachable_ms.is_none());
    let budget = reachable.count() * usize::from(spec.failure.percent) / 100;
    let parallel = spec.pace.parallel_max as usize;
    PlannedPhase {
        at_once: parallel.min(budget + 1).min(machines.len()),
        facts,
        machines,
    }
}

fn stages(
    spec: &RolloutSpec,
    stages: &[Stage],
    mut found: Vec<Found<'_>>,
    left_out: &mut Vec<(MachineId, String)>,
) -> Result<Vec<PlannedPhase>, RolloutError> {
    let filters = stage_filters(stages)?;
    found.sort_by_key(|found| found.planned.machine);
    let mut machines: Vec<Vec<PlannedMachine>> = stages.iter().map(|_| Vec::new()).collect();
    for found in found {
        match filters.iter().position(|filter| filter.matches(found.view)) {
            Some(index) => machines[index].push(found.planned),
            None => left_out.push((found.planned.machine, "no phase means it".to_owned())),
        }
    }
    let phases = stages.iter().zip(machines).enumerate();
    let phases = phases.map(|(index, (stage, machines))| {
        let facts = PhaseFacts {
            name: stage.name.clone(),
            soak_s: stage.soak_s.unwrap_or(spec.gates.soak_s),
            approval: stage.approval.unwrap_or(spec.gates.approval && index > 0),
        };
        planned(spec, facts, machines)
    });
    Ok(phases.collect())
}

fn stage_filters(stages: &[Stage]) -> Result<Vec<Filter>, RolloutError> {
    let filters = stages.iter().enumerate();
    let parsed = filters.map(|(index, stage)| {
        filter(
            &format!("strategy.staged.phases[{index}].selection"),
            &stage.selection,
        )
    });
    parsed.collect()
}

fn filter(place: &str, text: &str) -> Result<Filter, RolloutError> {
    text.parse().map_err(|source| RolloutError::Filter {
        place: place.to_owned(),
        source,
    })
}

fn ends_at(question: &Question<'_>, phases: &[PlannedPhase]) -> Option<Timestamp> {
    let typical_ms = question.typical_ms?;
    let spec = question.spec;
    let mut at = question.now;
    for phase in phases {
        let reachable = phase
            .machines
            .iter()
            .filter(|machine| machine.unreachable_ms.is_none());
        let reachable = reachable.count() as u64;
        let by_places = reachable
            .div_ceil(phase.at_once.max(1) as u64)
            .saturating_mul(typical_ms);
        let by_rate = spec.pace.starts_per_min.map_or(0, |starts| {
            (reachable.saturating_sub(1) / u64::from(starts)) * 60_000 + typical_ms.min(by_places)
        });
        at = worked(at, by_places.max(by_rate), spec.window)?;
        at = at.plus_millis(i64::from(phase.facts.soak_s) * 1_000);
    }
    Some(at)
}

/// When so much work is done that is only done in the window; none where that is too far away to be said.
fn worked(mut at: Timestamp, work_ms: u64, window: Option<Window>) -> Option<Timestamp> {
    let mut left = i64::try_from(work_ms).ok()?;
    let Some(window) = window else {
        return Some(at.plus_millis(left));
    };
    for _ in 0..WINDOWS_MAX {
        at = window.opens_at(at);
        let open_ms = window.open_until(at)?.millis_since(at);
        if left <= open_ms {
            return Some(at.plus_millis(left));
        }
        left -= open_ms;
        at = at.plus_millis(open_ms);
    }
    None
}

/// The entries that put a plan into the log, the first first. They belong together.
pub fn entries(plan: &Plan, by: &str) -> Vec<RolloutEntry> {
    let mut entries = vec![RolloutEntry::Planned {
        phases: plan.phases.iter().map(|phase| phase.facts.clone()).collect(),
        by: by.to_owned(),
    }];
    for (phase, planned) in (0..).zip(&plan.phases) {
        for machines in planned.machines.chunks(MACHINES_PER_ENTRY) {
            let machines = machines.iter().map(|planned| planned.machine).collect();
            entries.push(RolloutEntry::Placed { phase, machines });
        }
    }
    let mut reasons: BTreeMap<&str, Vec<MachineId>> = BTreeMap::new();
    for (machine, why) in &plan.left_out {
        reasons.entry(why).or_default().push(*machine);
    }
    for (why, machines) in reasons {
        for machines in machines.chunks(MACHINES_PER_ENTRY) {
            entries.push(RolloutEntry::LeftOut {
                why: why.to_owned(),
                machines: machines.to_vec(),
            });
        }
    }
    entries
}

/// Machines that the rollout means and does not know yet, with the phase that their label names, where the strategy has one for them
/// that is still to come; none where late joiners are left out.
pub fn late_joiners<'a>(
    rollout: &Rollout,
    views: impl IntoIterator<Item = &'a MachineView>,
) -> Vec<(MachineId, Option<u32>)> {
    let spec = &rollout.spec;
    let Ok(selection) = spec.selection.parse::<Filter>() else {
        return Vec::new();
    };
    let filters = match &spec.strategy {
        Strategy::Staged(staged) => stage_filters(&staged.phases).unwrap_or_default(),
        Strategy::Rolling(_) | Strategy::Canary(_) => Vec::new(),
    };
    if spec.late_joiners == LateJoiners::Skip {
        return Vec::new();
    }
    let mut late = Vec::new();
    for view in views {
        let is_known = rollout.machines.contains_key(&view.id) || rollout.left_out.contains_key(&view.id);
        if is_known || !selection.matches(view) || unfit(&rollout.release, view).is_some() {
            continue;
        }
        let stage = match &spec.strategy {
            Strategy::Staged(staged) => {
                let index = filters.iter().position(|filter| filter.matches(view));
                let Some(stage) = index.and_then(|index| staged.phases.get(index)) else {
                    continue;
                };
                let named = |phase: &super::Phase| phase.facts.name == stage.name;
                let index = rollout.phases.iter().position(named);
                index.and_then(|index| u32::try_from(index).ok())
            }
            Strategy::Rolling(_) | Strategy::Canary(_) => None,
        };
        late.push((view.id, stage.filter(|stage| *stage > rollout.phase)));
    }
    late
}
