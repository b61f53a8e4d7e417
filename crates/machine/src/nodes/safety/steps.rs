//! Every step of the safety region, in a form that can be kept and taken again.
//!
//! [`Writer`] is shown each step and gives out [`Steps`] now and then: what changed in the sample, when each step was, and
//! what was decided where that changed. [`Replay`] takes the same steps with the same code and compares every verdict.
//! Neither knows who carries the packs; while nobody does, the writer does nothing.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use muster_model::vocabulary::Safety as Region;
use muster_reflex::safety::{
    Asks, Claims, Command, Drive, Measured, Outputs, RemoteAsks, Safety, Sample, Told, Verdict,
};
use serde::{Deserialize, Serialize};

/// A pack is given out at the latest after this.
const PACK_EVERY_US: u64 = 200_000;
/// Most entries of a pack.
const PACK_ENTRIES_MAX: usize = 512;
/// How often it is worth asking whether anybody listens.
const ASK_EVERY_MS: u64 = 200;
/// How often a pack says where the region stands in full, so that a recording can be entered there.
pub(super) const KEY_EVERY_US: u64 = 5_000_000;

/// Steps that follow each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Steps {
    /// One more than that of the pack before; zero where a safety node begins.
    pub number: u64,
    /// Where the machine stands after them, for people.
    pub region: Region,
    /// Why, for people.
    pub held_by: Vec<String>,
    /// The time from which the first step counts, in microseconds of the safety node's clock.
    pub start_us: u64,
    /// Where everything stood before the first of them; now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")
    )]
    pub key: Option<Box<Key>>,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Steps {
    /// When the last of them was, in microseconds of the safety node's clock.
    pub fn end_us(&self) -> u64 {
        let passed = self
            .steps
            .iter()
            .map(|step| step.dt_us.saturating_mul(u64::from(step.again) + 1));
        passed.fold(self.start_us, u64::saturating_add)
    }
}

/// Where everything stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// What decides, with its configuration and all that it remembers.
    pub safety: Safety,
    /// What it was told before.
    pub sample: Sample,
}

/// One step, or several that are alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Step {
    /// Time since the step before.
    pub dt_us: u64,
    /// How many such steps follow each other, beyond the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
    /// What it was told that it was not told before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")
    )]
    pub told: Option<Box<Change>>,
    /// What it decided, if that is not what it decided before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")
    )]
    pub decided: Option<Box<Decided>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// All of it.
    Verdict(Verdict),
    /// As before but for what these actuators do.
    Drives(Vec<(u8, Drive)>),
}

macro_rules! changes {
    (plain { $($plain:ident: $plain_type:ty),+ $(,)? } places { $($place:ident: $place_type:ty),+ $(,)? }) => {
        /// What of a sample is not as it was.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Change {
            $(#[doc = "As in the sample."] #[serde(skip_serializing_if = "Option::is_none")] pub $plain: Option<$plain_type>,)+
            $(#[doc = "As in the sample, with their places."] #[serde(skip_serializing_if = "Vec::is_empty")]
              pub $place: Vec<(u8, $place_type)>,)+
        }

        impl Change {
            /// What is in the second sample and not in the first.
            fn between(before: &Sample, now: &Sample) -> Option<Box<Self>> {
                // Named one by one: a sample that grows must not lose what is new here.
                let Sample { $($plain,)+ $($place,)+ } = now;
                let mut change = Self::default();
                $(if before.$plain != *$plain { change.$plain = Some(*$plain); })+
                $(for (place, value) in (0u8..).zip($place) {
                    if before.$place[usize::from(place)] != *value { change.$place.push((place, *value)); }
                })+
                (change != Self::default()).then(|| Box::new(change))
            }

            /// Makes the first sample the second.
            fn apply(&self, sample: &mut Sample) {
                $(if let Some(value) = self.$plain { sample.$plain = value; })+
                $(for (place, value) in &self.$place {
                    if let Some(kept) = sample.$place.get_mut(usize::from(*place)) { *kept = *value; }
                })+
            }
        }
    };
}

changes! {
    plain {
        estop: muster_model::vocabulary::Contact,
        tamper: muster_model::vocabulary::Contact,
        outputs_failed: bool,
        asks: Asks,
        remote: RemoteAsks,
        claims: Claims,
        kept: u64,
        ending: bool,
    }
    places { motion: Option<Measured>, conditions: Told, commands: Option<Command> }
}

/// Makes packs of the steps that it is shown.
#[derive(Debug, Default)]
pub struct Writer {
    listened: bool,
    asked_ms: Option<u64>,
    number: u64,
    /// When a pack that says everything is due.
    key_due_us: u64,
    key: Option<Box<Key>>,
    start_us: u64,
    stepped_us: u64,
    told: Sample,
    decided: Option<Verdict>,
    steps: Vec<Step>,
    /// Packs that were not taken yet.
    waiting: VecDeque<Steps>,
    /// Something changed that whoever listens should see now.
    pressing: bool,
}

impl Writer {
    /// Whether it is time to ask who listens.
    pub fn asks_at(&mut self, now_ms: u64) -> bool {
        let due = self
            .asked_ms
            .is_none_or(|asked| now_ms.saturating_sub(asked) >= ASK_EVERY_MS);
        if due {
            self.asked_ms = Some(now_ms);
        }
        due
    }

    /// Whether anybody listens: without, the writer does nothing.
    pub fn listen(&mut self, listened: bool) {
        if listened != self.listened {
            self.listened = listened;
            self.steps = Vec::new();
            self.waiting = VecDeque::new();
            self.key = None;
            self.decided = None;
            self.key_due_us = 0;
            self.pressing = false;
            self.lost();
        }
    }

    /// Steps are missing: what comes next does not follow what was before.
    pub fn lost(&mut self) {
        self.number += u64::from(self.number > 0);
    }

    /// Whether anybody listens.
    pub fn is_listened(&self) -> bool {
        self.listened
    }

    /// Whether it is time to say where everything stands, before the step of this moment.
    pub fn wants_key(&self, now_us: u64) -> bool {
        self.listened && now_us >= self.key_due_us
    }

    /// Where everything stands before the step of this moment.
    pub fn key(&mut self, now_us: u64, safety: Safety) {
        if !self.listened {
            return;
        }
        self.key_due_us = now_us.saturating_add(KEY_EVERY_US);
        // A pack begins with it.
        if let Some(pack) = self.pack() {
            self.waiting.push_back(pack);
        }
        self.key = Some(Box::new(Key {
            safety,
            sample: self.told,
        }));
        // Whoever enters here has seen nothing before.
        self.decided = None;
    }

    /// A step was taken: with this sample, deciding this. Without a key before it the first is of no use.
    pub fn push(&mut self, now_us: u64, sample: &Sample, verdict: &Verdict) {
        if !self.listened {
            return;
        }
        if self.steps.is_empty() {
            self.start_us = if self.key.is_some() {
                now_us
            } else {
                self.stepped_us
            };
            self.stepped_us = self.start_us;
        }
        let dt_us = now_us.saturating_sub(self.stepped_us);
        self.stepped_us = now_us;
        let told = Change::between(&self.told, sample);
        self.told = *sample;
        let decided = self.news(verdict);
        self.decided = Some(*verdict);
        match self.steps.last_mut() {
            Some(last)
                if told.is_none()
                    && decided.is_none()
                    && last.told.is_none()
                    && last.decided.is_none()
                    && last.dt_us == dt_us =>
            {
                last.again += 1;
            }
            _ => self.steps.push(Step {
                dt_us,
                again: 0,
                told,
                decided,
            }),
        }
        let waited_us = self.stepped_us.saturating_sub(self.start_us);
        if self.pressing || waited_us >= PACK_EVERY_US || self.steps.len() >= PACK_ENTRIES_MAX {
            let pack = self.pack();
            self.waiting.extend(pack);
        }
    }

    fn news(&mut self, verdict: &Verdict) -> Option<Box<Decided>> {
        let Some(before) = &self.decided else {
            self.pressing = true;
            return Some(Box::new(Decided::Verdict(*verdict)));
        };
        if before == verdict {
            return None;
        }
        let with_these_drives = Verdict {
            outputs: Outputs {
                drives: verdict.outputs.drives,
                ..before.outputs
            },
            ..*before
        };
        if with_these_drives != *verdict {
            // A command that passes is no reason to hurry.
            self.pressing |= (before.region, before.causes, before.action, before.outputs.enable)
                != (
                    verdict.region,
                    verdict.causes,
                    verdict.action,
                    verdict.outputs.enable,
                );
            return Some(Box::new(Decided::Verdict(*verdict)));
        }
        let drives = (0u8..).zip(verdict.outputs.drives);
        let moved = drives.filter(|(place, drive)| before.outputs.drives[usize::from(*place)] != *drive);
        Some(Box::new(Decided::Drives(moved.collect())))
    }

    /// A pack, if one is due.
    pub fn take(&mut self) -> Option<Steps> {
        self.waiting.pop_front()
    }

    /// What was not packed yet.
    fn pack(&mut self) -> Option<Steps> {
        let verdict = self.decided.as_ref()?;
        if self.steps.is_empty() {
            return None;
        }
        self.pressing = false;
        let number = self.number;
        self.number += 1;
        let words = verdict.causes.iter().map(|cause| cause.as_str().to_owned());
        Some(Steps {
            number,
            region: verdict.region,
            held_by: words.collect(),
            start_us: self.start_us,
            key: self.key.take(),
            steps: std::mem::take(&mut self.steps),
        })
    }
}

/// Takes recorded steps again.
#[derive(Debug, Default)]
pub struct Replay {
    at: Option<At>,
    /// What was taken and found so far.
    pub counted: Counted,
}

/// Where a replay stands.
#[derive(Debug)]
struct At {
    next: u64,
    safety: Safety,
    sample: Sample,
    now_us: u64,
    /// What was decided last when it was recorded.
    decided: Option<Verdict>,
}

/// What a replay took and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Steps that were taken again.
    pub steps: u64,
    /// Decisions among them: steps that decided something else than the one before.
    pub decisions: u64,
    /// Packs that could not be taken, because what was before them is not in the recording.
    pub skipped_packs: u64,
    /// Places where packs are missing.
    pub gaps: u64,
}

/// A step that did not decide what it had decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// It decided something else.
    Verdict {
        /// When, in microseconds of the safety node's clock.
        at_us: u64,
        /// What was recorded.
        expected: Box<Verdict>,
        /// What was decided now.
        got: Box<Verdict>,
    },
    /// It remembers something else, though it decided the same.
    Memory {
        /// When, in microseconds of the safety node's clock.
        at_us: u64,
        /// What was recorded.
        expected: Box<Safety>,
        /// What it is now.
        got: Box<Safety>,
    },
}

impl Replay {
    /// Takes the steps of one pack; says each step that decides something else. After one it goes on from what it decided
    /// itself, until the recording says anew where everything stood.
    pub fn take(&mut self, pack: &Steps, mut differs: impl FnMut(Difference)) {
        let follows = self.at.as_ref().is_some_and(|at| at.next == pack.number);
        if !follows && self.at.take().is_some() && pack.number != 0 {
            self.counted.gaps += 1;
        }
        if let Some(key) = &pack.key {
            if let Some(at) = &self.at
                && at.safety != key.safety
            {
                differs(Difference::Memory {
                    at_us: pack.start_us,
                    expected: Box::new(key.safety.clone()),
                    got: Box::new(at.safety.clone()),
                });
            }
            self.at = Some(At {
                next: pack.number,
                safety: key.safety.clone(),
                sample: key.sample,
                now_us: pack.start_us,
                decided: None,
            });
        }
        let Some(at) = &mut self.at else {
            self.counted.skipped_packs += 1;
            return;
        };
        at.next = pack.number + 1;
        at.now_us = pack.start_us;
        for step in &pack.steps {
            at.take(step, &mut self.counted, &mut differs);
        }
    }
}

impl At {
    fn take(&mut self, step: &Step, counted: &mut Counted, differs: &mut impl FnMut(Difference)) {
        if let Some(change) = &step.told {
            change.apply(&mut self.sample);
        }
        for _ in 0..=step.again {
            self.now_us = self.now_us.saturating_add(step.dt_us);
            let got = self.safety.step(self.now_us, &self.sample);
            counted.steps += 1;
            match (step.decided.as_deref(), &mut self.decided) {
                (Some(Decided::Verdict(verdict)), decided) => *decided = Some(*verdict),
                (Some(Decided::Drives(drives)), Some(decided)) => {
                    for (place, drive) in drives {
                        if let Some(kept) = decided.outputs.drives.get_mut(usize::from(*place)) {
                            *kept = *drive;
                        }
                    }
                }
                (Some(Decided::Drives(_)) | None, _) => {}
            }
            counted.decisions += u64::from(step.decided.is_some());
            let Some(expected) = self.decided else { continue };
            if expected != got {
                differs(Difference::Verdict {
                    at_us: self.now_us,
                    expected: Box::new(expected),
                    got: Box::new(got),
                });
            }
        }
    }
}
