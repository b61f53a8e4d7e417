//! Whether a rollout can be meant so.

use super::{
    Amount, GROWTH_MAX, ID_MAX_CHARS, LEASE_MIN_S, MACHINES_MAX, MINUTES_OF_DAY, NAME_MAX_CHARS, OFFERS_MAX,
    PARALLEL_MAX, PHASES_MAX, RolloutSpec, STAGES_MAX, Strategy, TIME_MAX_S,
};
use crate::filter::{Filter, FilterError};
use crate::release::VERSION_MAX_CHARS;

/// Why a rollout cannot be meant so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolloutError {
    /// An id that is none.
    #[error(
        "{0:?} is no id of a rollout: 1 to {ID_MAX_CHARS} lower-case letters, digits and dashes are accepted"
    )]
    Id(String),
    /// A text that is too long or empty.
    #[error("{place}: {chars} characters: {least} to {most} are accepted")]
    Text {
        /// Which.
        place: String,
        /// How long it is.
        chars: usize,
        /// How long it must be.
        least: usize,
        /// How long it may be.
        most: usize,
    },
    /// A number out of its bounds.
    #[error("{place}: {given}: {least} to {most} are accepted")]
    Number {
        /// Which.
        place: String,
        /// What was given.
        given: u32,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// A filter that is none.
    #[error("{place}")]
    Filter {
        /// Where.
        place: String,
        /// What is wrong with it.
        #[source]
        source: FilterError,
    },
    /// A window of no length.
    #[error("window: from_min and to_min are the same: leave the window out if it is always open")]
    NoWindow,
    /// Two phases of the same name.
    #[error("strategy.staged.phases: two are called {0:?}: each needs a name of its own")]
    SameName(String),
    /// Too many phases come of it.
    #[error("{phases} phases would come of it, at most {PHASES_MAX} are accepted: make the batches larger")]
    TooManyPhases {
        /// So many.
        phases: usize,
    },
    /// Too many machines are meant.
    #[error("{machines} machines are meant, at most {MACHINES_MAX} are accepted: make two rollouts of it")]
    TooManyMachines {
        /// So many.
        machines: usize,
    },
}

impl RolloutSpec {
    /// Whether it can be meant so, as far as that can be said without machines.
    ///
    /// # Errors
    ///
    /// [`RolloutError`] with what is wrong first.
    pub fn check(&self) -> Result<(), RolloutError> {
        text("name", &self.name, 0, NAME_MAX_CHARS)?;
        text("version", &self.version, 1, VERSION_MAX_CHARS)?;
        filter("selection", &self.selection)?;
        filter("gates.healthy", &self.gates.healthy)?;
        let pace = &self.pace;
        number("pace.parallel_max", pace.parallel_max, 1, PARALLEL_MAX)?;
        if let Some(starts) = pace.starts_per_min {
            number("pace.starts_per_min", starts, 1, PARALLEL_MAX)?;
        }
        number("pace.lease_s", pace.lease_s, LEASE_MIN_S, TIME_MAX_S)?;
        number("pace.offers_max", pace.offers_max, 1, OFFERS_MAX)?;
        percent("gates.success_percent", self.gates.success_percent, 0)?;
        percent("gates.answered_percent", self.gates.answered_percent, 0)?;
        number("gates.soak_s", self.gates.soak_s, 0, TIME_MAX_S)?;
        percent("failure.percent", self.failure.percent, 0)?;
        if let Some(window) = self.window {
            let last = u32::from(MINUTES_OF_DAY) - 1;
            number("window.from_min", window.from_min.into(), 0, last)?;
            number("window.to_min", window.to_min.into(), 0, last)?;
            if window.from_min == window.to_min {
                return Err(RolloutError::NoWindow);
            }
        }
        self.check_strategy()
    }

    fn check_strategy(&self) -> Result<(), RolloutError> {
        match &self.strategy {
            Strategy::Rolling(rolling) => {
                amount("strategy.rolling.batch", rolling.batch)?;
                number("strategy.rolling.growth", rolling.growth, 1, GROWTH_MAX)
            }
            Strategy::Canary(canary) => amount("strategy.canary.first", canary.first),
            Strategy::Staged(staged) => {
                let phases = staged.phases.len();
                if !(1..=STAGES_MAX).contains(&phases) {
                    return Err(RolloutError::Number {
                        place: "strategy.staged.phases".to_owned(),
                        given: u32::try_from(phases).unwrap_or(u32::MAX),
                        least: 1,
                        most: STAGES_MAX as u32,
                    });
                }
                for (index, stage) in staged.phases.iter().enumerate() {
                    let place = format!("strategy.staged.phases[{index}]");
                    text(&format!("{place}.name"), &stage.name, 1, NAME_MAX_CHARS)?;
                    filter(&format!("{place}.selection"), &stage.selection)?;
                    if let Some(soak_s) = stage.soak_s {
                        number(&format!("{place}.soak_s"), soak_s, 0, TIME_MAX_S)?;
                    }
                    if staged.phases[..index]
                        .iter()
                        .any(|other| other.name == stage.name)
                    {
                        return Err(RolloutError::SameName(stage.name.clone()));
                    }
                }
                Ok(())
            }
        }
    }

    /// The name to be shown.
    pub fn shown_name(&self) -> String {
        if self.name.is_empty() {
            format!("{} {}", self.product, self.version)
        } else {
            self.name.clone()
        }
    }
}

fn text(place: &str, text: &str, least: usize, most: usize) -> Result<(), RolloutError> {
    match text.chars().count() {
        chars if (least..=most).contains(&chars) => Ok(()),
        chars => Err(RolloutError::Text {
            place: place.to_owned(),
            chars,
            least,
            most,
        }),
    }
}

fn number(place: &str, given: u32, least: u32, most: u32) -> Result<(), RolloutError> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(RolloutError::Number {
        place: place.to_owned(),
        given,
        least,
        most,
    })
}

fn percent(place: &str, given: u8, least: u32) -> Result<(), RolloutError> {
    number(place, given.into(), least, 100)
}

fn amount(place: &str, amount: Amount) -> Result<(), RolloutError> {
    match amount {
        Amount::Machines(machines) => number(&format!("{place}.machines"), machines, 1, MACHINES_MAX as u32),
        Amount::Percent(share) => percent(&format!("{place}.percent"), share, 1),
    }
}

fn filter(place: &str, text: &str) -> Result<(), RolloutError> {
    text.parse::<Filter>()
        .map(drop)
        .map_err(|source| RolloutError::Filter {
            place: place.to_owned(),
            source,
        })
}
