//! What a rollout looks at of a machine: taken from its view, small enough to be kept for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::release::{DesiredReleases, ManifestDigest, ProductName, ProductReport, SECTION};
use muster_model::rollout::{ReleaseFacts, Requirement, RequirementTest, RolloutId};
use muster_model::vocabulary::UpdatePhase;
use muster_model::{DesiredVersion, Filter, MachineView, Presence, Timestamp};

/// What a rollout sees of one machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// How present it is.
    pub presence: Presence,
    /// Since when.
    pub presence_since: Timestamp,
    /// The version of what is desired of it; zero: nothing ever was.
    pub desired_version: DesiredVersion,
    /// What is desired of its releases, or why that cannot be read.
    pub desired: Result<Arc<DesiredReleases>, String>,
    /// Whether it reports that all updates are stopped.
    pub stopped: bool,
    /// What it reports of the product.
    pub report: Option<ProductReport>,
    /// What it does not pass of what it must pass after the soak.
    pub unhealthy: Vec<String>,
}

impl Observation {
    /// What is seen of a machine.
    pub fn of(view: &MachineView, product: &ProductName, healthy: &Filter) -> Self {
        let section = view
            .desired
            .as_ref()
            .and_then(|desired| desired.sections.get(SECTION));
        let desired = section.map_or_else(
            || Ok(Arc::default()),
            |section| {
                serde_json::from_str(section.content.0.get())
                    .map(Arc::new)
                    .map_err(|error| format!("its desired section {SECTION:?} cannot be read: {error}"))
            },
        );
        let updates = view.reported.updates.as_ref();
        Self {
            presence: view.presence,
            presence_since: view.presence_since,
            desired_version: view
                .desired
                .as_ref()
                .map_or(DesiredVersion::ZERO, |desired| desired.version),
            desired,
            stopped: updates.is_some_and(|updates| updates.stopped),
            report: updates
                .and_then(|updates| updates.product(product.as_str()))
                .cloned(),
            unhealthy: healthy.unmet(view),
        }
    }

    /// Whether it can be reached, as far as is known.
    pub fn is_reachable(&self) -> bool {
        self.presence != Presence::Lost
    }

    /// The start that it reported last.
    pub fn start(&self) -> u64 {
        let running = self.report.as_ref().and_then(|report| report.running.as_ref());
        running.map_or(0, |running| running.start)
    }

    /// Whether this is what it runs, confirmed.
    pub fn runs(&self, manifest: &ManifestDigest) -> bool {
        let running = self.report.as_ref().and_then(|report| report.running.as_ref());
        running.is_some_and(|running| running.confirmed && running.release.manifest == *manifest)
    }

    /// What it runs, in words.
    pub fn running_words(&self) -> String {
        match self.report.as_ref().and_then(|report| report.running.as_ref()) {
            Some(running) => format!("runs {}", running.release.version),
            None => "runs none".to_owned(),
        }
    }

    /// The greatest number that was ever seen of an assignment of the product.
    pub(super) fn number(&self, product: &ProductName) -> u64 {
        let desired = self.desired.as_ref().ok();
        let desired = desired.and_then(|desired| desired.products.get(product));
        let reported = self.report.as_ref().and_then(|report| report.update.as_ref());
        desired
            .map_or(0, |assignment| assignment.number)
            .max(reported.map_or(0, |update| update.number))
    }

    /// The assignment of somebody else that stands in the way, in words.
    fn taken_by(&self, product: &ProductName, id: &RolloutId, now: Timestamp) -> Option<String> {
        let desired = self.desired.as_ref().ok()?;
        let assignment = desired.products.get(product)?;
        if assignment.rollout.as_deref() == Some(id.as_str()) {
            return None;
        }
        let update = self.report.as_ref().and_then(|report| report.update.as_ref());
        let (number, is_end) = update.map_or((0, true), |update| (update.number, update.phase.is_end()));
        let is_over = if number < assignment.number {
            now > assignment.until
        } else {
            is_end
        };
        let whose = match &assignment.rollout {
            Some(rollout) => format!("rollout {rollout}"),
            None => "somebody by hand".to_owned(),
        };
        (!is_over).then(|| {
            let version = &assignment.version;
            format!(
                "is to run {version} by assignment {number}, of {whose}",
                number = assignment.number
            )
        })
    }

    /// Why it cannot be offered a place now, each thing by itself; empty: it can.
    pub fn hindrances(&self, product: &ProductName, id: &RolloutId, now: Timestamp) -> Vec<String> {
        let mut why = Vec::new();
        match &self.desired {
            Ok(desired) => {
                if let Some(reason) = &desired.stopped {
                    why.push(format!("all updates are stopped: {reason}"));
                } else if self.stopped {
                    why.push("all updates are stopped on it".to_owned());
                }
            }
            Err(error) => why.push(error.clone()),
        }
        if let Some(taken) = self.taken_by(product, id, now) {
            why.push(taken);
        }
        let update = self.report.as_ref().and_then(|report| report.update.as_ref());
        if let Some(update) = update
            && is_busy(update.phase)
        {
            why.push(format!("is busy with {}: {}", update.version, update.phase));
        }
        why
    }
}

/// Whether a machine is in the middle of something that must not be disturbed.
pub(super) const fn is_busy(phase: UpdatePhase) -> bool {
    match phase {
        UpdatePhase::Installing | UpdatePhase::Probation => true,
        UpdatePhase::Idle
        | UpdatePhase::Offered
        | UpdatePhase::Fetching
        | UpdatePhase::Verified
        | UpdatePhase::Waiting
        | UpdatePhase::Confirmed
        | UpdatePhase::RolledBack
        | UpdatePhase::Refused => false,
    }
}

/// What of the preconditions does not hold, by what the machine last reported, in words. The machine itself decides; what the server
/// cannot see it leaves to it.
pub fn unmet(release: &ReleaseFacts, view: &MachineView) -> Vec<String> {
    let readings = readings(view);
    let check = |requirement: &Requirement| {
        let Requirement { reading, test } = requirement;
        let value = readings.get(reading.as_str())?;
        let shown = reading.replace('_', " ");
        let unknown = || Some(format!("{shown} is not known"));
        match (test, value) {
            (RequirementTest::AtLeast(least), Reading::Number(number, unit)) => {
                (*number < f64::from(*least)).then(|| format!("{shown} {number:.0}{unit} < {least}{unit}"))
            }
            (RequirementTest::AtMost(most), Reading::Number(number, unit)) => {
                (*number > f64::from(*most)).then(|| format!("{shown} {number:.0}{unit} > {most}{unit}"))
            }
            (RequirementTest::In(words), Reading::Word(word)) => {
                (!words.iter().any(|accepted| accepted == word)).then(|| {
                    let accepted = words.join(" or ");
                    format!("{word}, wanted {accepted}")
                })
            }
            (RequirementTest::AtLeast(_) | RequirementTest::AtMost(_) | RequirementTest::In(_), _) => {
                unknown()
            }
        }
    };
    release.preconditions.iter().filter_map(check).collect()
}

enum Reading<'a> {
    Number(f64, &'static str),
    Word(&'a str),
    Unknown,
}

/// The readings that the server can see too, by the names that manifests use.
fn readings(view: &MachineView) -> BTreeMap<&'static str, Reading<'_>> {
    let number =
        |value: Option<f64>, unit| value.map_or(Reading::Unknown, |value| Reading::Number(value, unit));
    let operation = view.reported.operation.as_ref();
    let word = |word: Option<&'static str>| word.map_or(Reading::Unknown, Reading::Word);
    BTreeMap::from([
        ("battery_percent", number(view.battery_percent(), " %")),
        ("temperature_celsius", number(view.temperature_celsius(), " °C")),
        ("cpu_percent", number(view.cpu_percent(), " %")),
        ("memory_percent", number(view.memory_percent(), " %")),
        ("disk_percent", number(view.disk_percent(), " %")),
        ("mode", word(operation.map(|operation| operation.mode.as_str()))),
        (
            "safety",
            word(operation.map(|operation| operation.safety.as_str())),
        ),
    ])
}
