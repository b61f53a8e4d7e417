//! Bugs put on purpose into what surrounds the pure crates, so that the judge proves that it would notice.

/// A bug in the simulated surroundings of the pure crates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Planted {
    /// The server is told that a batch is durable when it has only been handed in.
    DurableTooEarly,
    /// The server is told that a batch is durable which the log refused.
    FailureHidden,
    /// A restarted server forgets which records it holds.
    DedupForgotten,
    /// A restarted server lacks the last fact of each machine.
    SnapshotStale,
    /// The log writes a batch a second time.
    WrittenTwice,
    /// A machine's disk forgets records as soon as they were sent.
    TrimmedTooEarly,
    /// A machine is told that a record is on disk when it has only been handed in.
    RecordTooEarly,
    /// What an old connection still delivers is passed off as said in the new session.
    StaleSessionRewritten,
    /// The server's clock for presence never ticks.
    PresenceNeverJudged,
    /// State reports reach the log without their last change.
    StateSkipped,
}

impl Planted {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::DurableTooEarly,
        Self::FailureHidden,
        Self::DedupForgotten,
        Self::SnapshotStale,
        Self::WrittenTwice,
        Self::TrimmedTooEarly,
        Self::RecordTooEarly,
        Self::StaleSessionRewritten,
        Self::PresenceNeverJudged,
        Self::StateSkipped,
    ];
}
