//! Whether somebody can decide something about a rollout now.

use muster_model::rollout::{MACHINES_MAX, PhaseStage, RolloutAct, RolloutState};

use super::Rollout;
use super::fold::may_be_retried;

/// Why somebody's decision is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// The rollout is not in the state for that.
    #[error("the rollout is {state}: {act} is for one that is {accepted}")]
    NotNow {
        /// What was asked for.
        act: &'static str,
        /// How far the rollout is.
        state: RolloutState,
        /// How far it must be.
        accepted: &'static str,
    },
    /// There is no such phase.
    #[error("there is no phase {phase}: the rollout has {phases}")]
    NoPhase {
        /// Which was named, from zero.
        phase: u32,
        /// How many there are.
        phases: usize,
    },
    /// The phase does not wait for anybody.
    #[error("phase {name} is {stage} and waits for nobody's approval")]
    NotWaiting {
        /// Which.
        name: String,
        /// How far it is.
        stage: PhaseStage,
    },
    /// Too much failed.
    #[error("{0}: retry or skip them, or roll back")]
    BeyondBudget(String),
    /// Nobody would get it.
    #[error("the plan has no machine: nobody would get it")]
    Nobody,
    /// None of these machines is meant.
    #[error("{0}")]
    NoMachine(&'static str),
    /// More machines than a rollout has.
    #[error("more than {MACHINES_MAX} machines were named")]
    TooMany,
    /// The log did not take it.
    #[error("it could not be stored: {reason}")]
    NotPersisted {
        /// Why.
        reason: String,
    },
}

impl Rollout {
    /// Whether somebody can decide this now.
    ///
    /// # Errors
    ///
    /// [`ActError`], which says when it can be.
    pub fn may(&self, act: &RolloutAct) -> Result<(), ActError> {
        use RolloutState as State;
        let only = |is_so: bool, accepted: &'static str| {
            let (act, state) = (act.as_str(), self.state);
            if is_so {
                Ok(())
            } else {
                Err(ActError::NotNow { act, state, accepted })
            }
        };
        let is_under_way = matches!(self.state, State::Running | State::Paused);
        match act {
            RolloutAct::Approve => {
                only(self.state == State::Planned, "planned")?;
                if self.machines.is_empty() {
                    return Err(ActError::Nobody);
                }
                Ok(())
            }
            RolloutAct::Start { .. } => only(self.state == State::Approved, "approved"),
            RolloutAct::ApprovePhase { phase } => {
                only(is_under_way, "running or paused")?;
                let known = self.phases.get(*phase as usize);
                let known = known.ok_or(ActError::NoPhase {
                    phase: *phase,
                    phases: self.phases.len(),
                })?;
                let waits = matches!(known.stage, PhaseStage::Waiting | PhaseStage::Approval);
                if !waits || known.is_approved || !known.facts.approval {
                    let (name, stage) = (known.facts.name.clone(), known.stage);
                    return Err(ActError::NotWaiting { name, stage });
                }
                Ok(())
            }
            RolloutAct::Pause => only(self.state == State::Running, "running"),
            RolloutAct::Resume => {
                only(self.state == State::Paused, "paused")?;
                match self.beyond_budget() {
                    Some((_, why)) => Err(ActError::BeyondBudget(why)),
                    None => Ok(()),
                }
            }
            RolloutAct::Retry { machines } => {
                only(is_under_way, "running or paused")?;
                if machines.len() > MACHINES_MAX {
                    return Err(ActError::TooMany);
                }
                let retried = |machine| self.machines.get(machine).is_some_and(may_be_retried);
                let some = if machines.is_empty() {
                    self.machines.values().any(may_be_retried)
                } else {
                    machines.iter().all(retried)
                };
                let why = "only machines that failed, went back or were skipped can be tried again";
                some.then_some(()).ok_or(ActError::NoMachine(why))
            }
            RolloutAct::Skip { machines } => {
                let is_open = matches!(self.state, State::Planned | State::Approved) || is_under_way;
                only(is_open, "planned, approved, running or paused")?;
                if machines.len() > MACHINES_MAX {
                    return Err(ActError::TooMany);
                }
                let known = machines.iter().all(|machine| self.machines.contains_key(machine));
                let why = "name machines that have a phase in this rollout";
                (known && !machines.is_empty())
                    .then_some(())
                    .ok_or(ActError::NoMachine(why))
            }
            RolloutAct::Abort => only(
                !self.state.is_end(),
                "draft, planned, approved, running, paused or rolling_back",
            ),
            RolloutAct::RollBack { phase } => {
                let is_so = is_under_way
                    || matches!(self.state, State::Succeeded | State::Aborted | State::RolledBack);
                only(is_so, "running, paused, succeeded, rolled_back or aborted")?;
                match phase {
                    Some(phase) if *phase as usize >= self.phases.len() => Err(ActError::NoPhase {
                        phase: *phase,
                        phases: self.phases.len(),
                    }),
                    _ => Ok(()),
                }
            }
        }
    }
}
