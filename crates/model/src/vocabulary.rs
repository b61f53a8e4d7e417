//! The enumerations of the field: severities, and the regions of a machine's state.
//!
//! A machine's state has independent regions rather than one flat list: what safety says, who has authority, how far
//! the mission is and how well the link holds each have their own words.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
        // The generators of schemas do not see a literal that came through this macro, so the words are made by rule;
        // a test holds the two together.
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$vdoc])* $variant),+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire, in the API and on the screen.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::vocabulary::UnknownWord;
            fn from_str(text: &str) -> Result<Self, $crate::vocabulary::UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::vocabulary::UnknownWord { given: text.chars().take(64).collect(), accepted: &[$($word),+] }),
                }
            }
        }
    };
}
pub(crate) use words;

/// A word that is none of the accepted ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not one of {}", accepted.join(", "))]
pub struct UnknownWord {
    /// What was written, cut to 64 characters.
    pub given: String,
    /// What would have been accepted.
    pub accepted: &'static [&'static str],
}

words! {
    /// How much an event matters. Ordered: `Debug` least, `Critical` most.
    Severity {
        /// Of use to a developer only.
        Debug => "debug",
        /// Something ordinary happened.
        Info => "info",
        /// Something needs a look, nothing is broken yet.
        Warning => "warning",
        /// Something is broken.
        Error => "error",
        /// People or hardware may be at risk.
        Critical => "critical",
    }
}

words! {
    /// How present a machine is, as the server judges it from what it hears.
    Presence {
        /// Heard of within the heartbeat interval.
        Online => "online",
        /// A heartbeat is overdue.
        Degraded => "degraded",
        /// Not heard of for longer than the server waits.
        Lost => "lost",
    }
}

words! {
    /// What a machine is doing, in one word, as it says itself.
    Mode {
        /// On, and doing nothing.
        Idle => "idle",
        /// At work on something.
        Working => "working",
        /// Moving from one place to another.
        Driving => "driving",
        /// Standing, secured, not in use.
        Parked => "parked",
        /// Taking on energy.
        Charging => "charging",
        /// Under the hand of a remote operator.
        Teleoperated => "teleoperated",
        /// Being serviced by a person.
        Service => "service",
    }
}

words! {
    /// The safety region. Only the machine's own safety node changes it.
    Safety {
        /// Starting: no actuator may move yet.
        Init => "init",
        /// No limit beyond the configured ones.
        Operational => "operational",
        /// Slower or weaker than usual, for a reason.
        Limited => "limited",
        /// Held still until the cause is gone.
        ProtectiveStop => "protective_stop",
        /// Emergency stop, latched until a person clears it at the machine.
        EstopLatched => "estop_latched",
        /// A fault, latched until a person clears it at the machine.
        FaultLatched => "fault_latched",
    }
}

words! {
    /// An electric contact that is closed while all is well, so that a broken wire looks like a press.
    Contact {
        /// All is well.
        Closed => "closed",
        /// It is not, or the wire is broken.
        Open => "open",
        /// It could not be read, which is no better.
        Unknown => "unknown",
    }
}

words! {
    /// Who may move the machine at this moment.
    Authority {
        /// Nobody.
        None => "none",
        /// The mission that is running.
        Mission => "mission",
        /// A remote operator who holds the lease.
        Teleop => "teleop",
        /// A person at the machine.
        LocalManual => "local_manual",
        /// A person servicing the machine.
        Service => "service",
    }
}

words! {
    /// How far the machine's mission is.
    Mission {
        /// There is none.
        Idle => "idle",
        /// Taken, not begun.
        Accepted => "accepted",
        /// Being carried out.
        Running => "running",
        /// Asked to pause; not yet still.
        Pausing => "pausing",
        /// Measured to be still.
        Paused => "paused",
        /// Asked to go on; not yet going.
        Resuming => "resuming",
        /// Asked to end; not yet ended.
        Cancelling => "cancelling",
        /// Waiting for something that it cannot bring about.
        Blocked => "blocked",
        /// Done.
        Succeeded => "succeeded",
        /// Ended by a fault.
        Failed => "failed",
        /// Ended by request.
        Cancelled => "cancelled",
    }
}

words! {
    /// How a node of the machine's runtime fares.
    NodeStatus {
        /// Being started.
        Starting => "starting",
        /// Running, and giving signs of life.
        Running => "running",
        /// Ended by a panic, an error or a hang; waiting to be started again.
        Restarting => "restarting",
        /// Failed too often: left stopped until the runtime restarts.
        Failed => "failed",
    }
}

words! {
    /// The worst thing a machine has to say about its health.
    Health {
        /// Nothing to complain of.
        Ok => "ok",
        /// Works, with a problem that needs a look.
        Degraded => "degraded",
        /// Does not do its job.
        Failed => "failed",
    }
}

words! {
    /// How far an update on the machine is.
    #[derive(Default)]
    UpdatePhase {
        /// No update is under way.
        #[default]
        Idle => "idle",
        /// Known of, not begun.
        Offered => "offered",
        /// Being downloaded.
        Fetching => "fetching",
        /// Downloaded and found genuine.
        Verified => "verified",
        /// Waiting for a safe moment.
        Waiting => "waiting",
        /// Being written.
        Installing => "installing",
        /// Running, not yet trusted.
        Probation => "probation",
        /// Running and trusted.
        Confirmed => "confirmed",
        /// Undone.
        RolledBack => "rolled_back",
        /// Not taken, for the reason given. Nothing was changed.
        Refused => "refused",
    }
}

impl UpdatePhase {
    /// Nothing more comes of it without a new assignment.
    pub const fn is_end(self) -> bool {
        matches!(
            self,
            Self::Idle | Self::Confirmed | Self::RolledBack | Self::Refused
        )
    }

    /// How much a person looking at the whole machine wants to know of it: more, the greater.
    pub(crate) const fn urgency(self) -> u8 {
        match self {
            Self::Idle => 0,
            Self::Confirmed => 1,
            Self::Offered => 2,
            Self::Refused => 3,
            Self::RolledBack => 4,
            Self::Waiting => 5,
            Self::Fetching => 6,
            Self::Verified => 7,
            Self::Installing => 8,
            Self::Probation => 9,
        }
    }
}

words! {
    /// How far a measurement can be trusted.
    Quality {
        /// Measured as intended.
        Good => "good",
        /// Measured, but doubtful.
        Uncertain => "uncertain",
        /// Not to be used.
        Bad => "bad",
    }
}
