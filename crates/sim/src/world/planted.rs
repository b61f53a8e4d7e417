//! Bugs put on purpose into what surrounds the pure crates, so that the judge proves that it would notice.

/// A bug in the simulated surroundings of the pure crates. Seen from outside, links and shards have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Planted {
    /// The server is told that a batch is durable when it has only been handed in, and acknowledges it.
    AcknowledgeBeforeCommit,
    /// What an old connection still delivers is taken as said in the session in force.
    StaleSessionAccepted,
    /// A restarted server forgets which records it holds.
    DedupForgotten,
    /// Where messages are missing, the server takes what comes next as if nothing were.
    GapSkipped,
    /// A machine's disk forgets records as soon as they were sent.
    OutboxTrimmedEarly,
    /// A restarted server shows what was on its way to the log and never got there.
    SnapshotAhead,
    /// The server's clock for presence never ticks.
    PresenceNeverExpires,
    /// A connection that a newer one took over from is not ended where it still delivers.
    FenceMissing,
    /// The server is told that a batch is durable which the log refused.
    FailureHidden,
    /// A restarted server lacks the last fact of each machine.
    SnapshotBehind,
    /// The log writes a batch a second time.
    WrittenTwice,
    /// A machine is told that a record is on disk when it has only been handed in.
    SentBeforeKept,
    /// State reports reach the log without their last change.
    StateSkipped,
    /// A machine that comes back is not told of the stop that it missed.
    StopNotSaidAgain,
    /// A machine that comes back is not told of what changed meanwhile in what it should become.
    DesiredNotSaidAgain,
    /// A machine becomes what it should before its disk holds that.
    DesiredBeforeKept,
    /// A machine in session is told of a stop only if the log has it already.
    StopWaitsForLog,
    /// A motor goes on with what it was told when its command is over.
    CommandHeld,
    /// A machine starts without looking what was latched.
    LatchForgotten,
    /// The link is taken for somebody who says go.
    LinkResumes,
    /// What has no power is said to be at rest.
    RestAssumed,
    /// Nobody looks whether the contactor follows.
    FeedbackIgnored,
    /// What must outlive the power is called kept, and is not.
    ServiceNotKept,
}

impl Planted {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::AcknowledgeBeforeCommit,
        Self::StaleSessionAccepted,
        Self::DedupForgotten,
        Self::GapSkipped,
        Self::OutboxTrimmedEarly,
        Self::SnapshotAhead,
        Self::PresenceNeverExpires,
        Self::FenceMissing,
        Self::FailureHidden,
        Self::SnapshotBehind,
        Self::WrittenTwice,
        Self::SentBeforeKept,
        Self::StateSkipped,
        Self::StopNotSaidAgain,
        Self::DesiredNotSaidAgain,
        Self::DesiredBeforeKept,
        Self::StopWaitsForLog,
        Self::CommandHeld,
        Self::LatchForgotten,
        Self::LinkResumes,
        Self::RestAssumed,
        Self::FeedbackIgnored,
        Self::ServiceNotKept,
    ];

    /// Whether it shows itself only where machines move.
    pub fn is_of_what_moves(self) -> bool {
        matches!(
            self,
            Self::CommandHeld
                | Self::LatchForgotten
                | Self::LinkResumes
                | Self::RestAssumed
                | Self::FeedbackIgnored
                | Self::ServiceNotKept
        )
    }

    /// Its name on a command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::AcknowledgeBeforeCommit => "acknowledge-before-commit",
            Self::StaleSessionAccepted => "stale-session-accepted",
            Self::DedupForgotten => "dedup-forgotten-after-restart",
            Self::GapSkipped => "gap-skipped",
            Self::OutboxTrimmedEarly => "outbox-trimmed-early",
            Self::SnapshotAhead => "snapshot-ahead-of-log",
            Self::PresenceNeverExpires => "presence-never-expiring",
            Self::FenceMissing => "fence-missing-on-one-path",
            Self::FailureHidden => "failed-commit-hidden",
            Self::SnapshotBehind => "snapshot-behind-log",
            Self::WrittenTwice => "batch-written-twice",
            Self::SentBeforeKept => "sent-before-kept",
            Self::StateSkipped => "state-change-skipped",
            Self::StopNotSaidAgain => "stop-not-said-again",
            Self::DesiredNotSaidAgain => "desired-not-said-again",
            Self::DesiredBeforeKept => "desired-before-kept",
            Self::StopWaitsForLog => "stop-waits-for-log",
            Self::CommandHeld => "command-held-too-long",
            Self::LatchForgotten => "latch-forgotten-at-start",
            Self::LinkResumes => "link-resumes",
            Self::RestAssumed => "rest-assumed",
            Self::FeedbackIgnored => "feedback-ignored",
            Self::ServiceNotKept => "service-not-kept",
        }
    }

    /// The bug of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|planted| planted.name() == name)
    }
}
