//! How long a message may wait in a queue at either end.

/// How much a message presses. Ordered: the most pressing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// 100 ms: stops and what threatens people or hardware.
    Critical,
    /// 500 ms: what keeps the link going.
    High,
    /// 5 s: state and telemetry.
    Normal,
    /// 30 s: logs and bulk.
    Low,
}

impl Priority {
    /// Every priority, the most pressing first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// The time a message may wait in a queue, in milliseconds.
    pub const fn patience_ms(self) -> u64 {
        match self {
            Self::Critical => 100,
            Self::High => 500,
            Self::Normal => 5_000,
            Self::Low => 30_000,
        }
    }

    /// Whether it goes out at once rather than wait for company.
    pub const fn is_urgent(self) -> bool {
        match self {
            Self::Critical | Self::High => true,
            Self::Normal | Self::Low => false,
        }
    }

    /// 0 for the most pressing, 3 for the least.
    pub const fn rank(self) -> usize {
        self as usize
    }
}
