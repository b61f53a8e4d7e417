//! Why a machine stands.

use serde::{Deserialize, Serialize};

use super::config::{Action, Config};

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $sort:ident, $kept:literal, $word:literal;)+) => {
        /// One reason for a machine to stand.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $($(#[$doc])* $name),+
        }

        impl Cause {
            /// Every cause.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            const fn bit(self) -> u32 {
                match self { $(Self::$name => 1 << $bit),+ }
            }

            const fn sort(self) -> Sort {
                match self { $(Self::$name => Sort::$sort),+ }
            }

            /// Whether it is still there after the machine was started anew.
            const fn is_kept(self) -> bool {
                match self { $(Self::$name => $kept),+ }
            }

            /// Its word, in events and in the state.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }
    };
}

/// What ends a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// A reset at the machine, and then a resume.
    Estop,
    /// The same.
    Fault,
    /// A resume at the machine.
    Hold,
    /// Its end.
    Passing,
}

causes! {
    /// The circuit of the emergency stop is open, or cannot be read.
    Estop = 0, Estop, true, "estop";
    /// A person at the machine asked for an emergency stop.
    EstopAsked = 1, Estop, true, "estop_asked";
    /// The case was opened.
    Tamper = 2, Estop, true, "tamper";
    /// Something moved faster than it may.
    Runaway = 3, Fault, true, "runaway";
    /// Something moved without power.
    MovedUnpowered = 4, Fault, true, "moved_unpowered";
    /// The outputs could not be set.
    OutputFailed = 5, Fault, true, "output_failed";
    /// A rule that latches.
    RuleLatched = 6, Fault, true, "rule_latched";
    /// The machine was started, and nobody said go.
    Started = 7, Hold, false, "started";
    /// The machine was in service and ended without saying so.
    EndedUnknown = 8, Hold, true, "ended_unknown";
    /// Somebody asked it to stop, here or from afar.
    Asked = 9, Hold, true, "asked";
    /// A latch was reset, and nobody said go.
    NotResumed = 10, Hold, true, "not_resumed";
    /// The safety loop itself was late.
    Late = 11, Hold, true, "late";
    /// A rule holds until a person acknowledges it.
    RuleHeld = 12, Hold, true, "rule_held";
    /// A rule holds for as long as its condition does.
    Rule = 13, Passing, false, "rule";
    /// Motion is not measured, or not lately.
    Unmeasured = 14, Passing, false, "unmeasured";
}

/// A set of causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Causes(u32);

impl Causes {
    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one is among them.
    pub const fn contains(self, cause: Cause) -> bool {
        self.0 & cause.bit() != 0
    }

    /// These, and one more.
    #[must_use]
    pub const fn with(self, cause: Cause) -> Self {
        Self(self.0 | cause.bit())
    }

    /// All of them, the gravest first.
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL
            .iter()
            .copied()
            .filter(move |cause| self.contains(*cause))
    }

    /// As a number, for the disk.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From the disk. A bit that nobody knows any more counts as a failed output, so that a latch of another version
    /// stays one.
    pub fn from_bits(bits: u32) -> Self {
        let known = Cause::ALL.iter().fold(0, |all, cause| all | cause.bit());
        let causes = Self(bits & known);
        if bits & !known == 0 {
            causes
        } else {
            causes.with(Cause::OutputFailed)
        }
    }

    pub(super) fn insert(&mut self, cause: Cause) {
        self.0 |= cause.bit();
    }

    /// Takes in what a step found: what passes by itself stands only as long as it is found.
    pub(super) fn find(&mut self, found: Self) {
        let lasting = self.those_that(|cause| cause.sort() != Sort::Passing);
        *self = Self(lasting.0 | found.0);
    }

    pub(super) fn only_resume_is_missing(self) -> bool {
        self.those_that(|cause| cause.sort() != Sort::Hold).is_empty()
    }

    pub(super) fn set(&mut self, cause: Cause, stands: bool) {
        if stands {
            self.0 |= cause.bit();
        } else {
            self.0 &= !cause.bit();
        }
    }

    pub(super) fn latches(self) -> Self {
        self.those_that(|cause| matches!(cause.sort(), Sort::Estop | Sort::Fault))
    }

    pub(super) fn without_latches(self) -> Self {
        Self(self.0 & !self.latches().0)
    }

    pub(super) fn kept_on_disk(self) -> Self {
        self.those_that(Cause::is_kept)
    }

    pub(super) fn any_estop(self) -> bool {
        !self.those_that(|cause| cause.sort() == Sort::Estop).is_empty()
    }

    pub(super) fn any_fault(self) -> bool {
        !self.those_that(|cause| cause.sort() == Sort::Fault).is_empty()
    }

    pub(super) fn any_hold(self) -> bool {
        !self
            .those_that(|cause| matches!(cause.sort(), Sort::Hold | Sort::Passing))
            .is_empty()
    }

    pub(super) fn clear_latches(&mut self) {
        *self = self.without_latches();
    }

    pub(super) fn clear_by_resume(&mut self) {
        *self = self.those_that(|cause| cause.sort() != Sort::Hold);
    }

    /// What is done for the gravest of them.
    pub(super) fn action(self, config: &Config) -> Action {
        let actions = self.iter().map(|cause| match cause {
            Cause::Estop | Cause::EstopAsked | Cause::Tamper => config.on_estop,
            // Nothing that is driven can be trusted to brake.
            Cause::Runaway
            | Cause::MovedUnpowered
            | Cause::OutputFailed
            | Cause::Unmeasured
            | Cause::Late => Action::PowerOff,
            Cause::Started | Cause::EndedUnknown | Cause::NotResumed | Cause::Asked => Action::ControlledStop,
            // The rules have their own.
            Cause::RuleLatched | Cause::RuleHeld | Cause::Rule => Action::Hold,
        });
        actions.max().unwrap_or(Action::None)
    }

    fn those_that(self, keep: impl Fn(Cause) -> bool) -> Self {
        let kept = self.iter().filter(|cause| keep(*cause));
        Self(kept.fold(0, |bits, cause| bits | cause.bit()))
    }
}
