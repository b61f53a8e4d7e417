//! Who moves the machine from beside it: claims, and commands for actuators, on their way to the gate.
//!
//! Programs on the machine ask through [`Panel`](super::Panel); the node puts what they ask into the sample, and gives them the
//! gate's own answer. Nothing here decides.

use std::collections::VecDeque;
use std::time::Duration;

use muster_model::vocabulary::Authority;
use muster_reflex::safety::{ACTUATORS_MAX, Claims, Command, Refused, Sample, Stamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::Setup;
use super::turns::Turned;

/// Requests that wait for the node.
const WAITING_MAX: usize = 32;
/// Longest time for which a program may claim the machine at once.
const CLAIM_MAX: Duration = Duration::from_secs(60);

/// What became of a command.
pub type Driven = Result<(), NotDriven>;

/// Why an actuator was not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDriven {
    /// The gate refused it.
    #[error("refused by the safety gate: {}", .0.as_str())]
    Refused(Refused),
    /// There is no such place.
    #[error("there is no such actuator")]
    NoSuchActuator,
    /// The safety node did not answer, or too many asked.
    #[error("the safety node did not hear it")]
    NotHeard,
}

/// What somebody beside the machine asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To move the machine in this capacity, for so long; nothing: no longer.
    Claim {
        authority: Authority,
        lasts: Duration,
        answer: oneshot::Sender<Authority>,
    },
    /// An actuator to do this, for so long.
    Drive {
        place: usize,
        authority: Authority,
        value: f64,
        lasts: Duration,
        answer: oneshot::Sender<Driven>,
    },
}

/// Requests on their way to the node. They outlive it; who asked does not wait for long.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: Mutex<VecDeque<Asked>>,
    came: Notify,
}

impl Requests {
    /// False where too many wait already.
    pub(super) fn push(&self, asked: Asked) -> bool {
        let mut waiting = self.waiting.lock();
        // Who does not wait for its answer any more must not be obeyed later.
        waiting.retain(|asked| !asked.is_given_up());
        let fits = waiting.len() < WAITING_MAX;
        if fits {
            waiting.push_back(asked);
            self.came.notify_one();
        }
        fits
    }
}

impl Asked {
    fn is_given_up(&self) -> bool {
        match self {
            Self::Claim { answer, .. } => answer.is_closed(),
            Self::Drive { answer, .. } => answer.is_closed(),
        }
    }
}

/// What is claimed and commanded at the moment.
pub(super) struct Control<'a> {
    setup: &'a Setup,
    claims: Claims,
    sequence: u64,
    commands: [Option<Command>; ACTUATORS_MAX],
    /// Who waits for the gate's answer to the command of each actuator.
    waiting: [Option<oneshot::Sender<Driven>>; ACTUATORS_MAX],
}

impl<'a> Control<'a> {
    pub(super) fn new(setup: &'a Setup) -> Self {
        Self {
            setup,
            claims: Claims::default(),
            sequence: 0,
            commands: [None; ACTUATORS_MAX],
            waiting: Default::default(),
        }
    }

    /// Waits for a request.
    pub(super) async fn asked(&self) -> Option<Asked> {
        let requests = self.setup.parts.panel.requests();
        loop {
            if let Some(asked) = requests.waiting.lock().pop_front() {
                return (!asked.is_given_up()).then_some(asked);
            }
            requests.came.notified().await;
        }
    }

    pub(super) fn take(&mut self, asked: Option<Asked>, now_us: u64) {
        let until_us =
            |lasts: Duration| now_us.saturating_add(u64::try_from(lasts.as_micros()).unwrap_or(u64::MAX));
        match asked {
            None => {}
            Some(Asked::Claim {
                authority,
                lasts,
                answer,
            }) => {
                let until_us = until_us(lasts.min(CLAIM_MAX));
                match authority {
                    Authority::Service => self.claims.service_until_us = until_us,
                    Authority::LocalManual => self.claims.local_until_us = until_us,
                    Authority::Teleop => self.claims.teleop_until_us = until_us,
                    Authority::Mission => self.claims.mission_until_us = until_us,
                    Authority::None => self.claims = Claims::default(),
                }
                let _ = answer.send(self.claims.holder(now_us));
            }
            Some(Asked::Drive {
                place,
                authority,
                value,
                lasts,
                answer,
            }) => {
                self.sequence += 1;
                let value = self.calibrated(place, value);
                let Some(command) = self.commands.get_mut(place) else {
                    let _ = answer.send(Err(NotDriven::NoSuchActuator));
                    return;
                };
                let stamp = Stamp {
                    authority,
                    sequence: self.sequence,
                    deadline_us: until_us(lasts),
                };
                *command = Some(Command { value, stamp });
                // Who asked before and was not answered yet was overtaken.
                self.waiting[place] = Some(answer);
            }
        }
    }

    /// What the actuator is told for this. The gate cuts it to the limits afterwards; what cannot be calibrated is no number, which
    /// the gate refuses.
    fn calibrated(&self, place: usize, value: f64) -> f64 {
        let in_force = self.setup.calibrations.borrow();
        match self.setup.actuators.get(place) {
            Some(name) => in_force
                .apply(name, value)
                .map_or(f64::NAN, |calibrated| calibrated.value),
            None => value,
        }
    }

    pub(super) fn put(&self, sample: &mut Sample) {
        sample.claims = self.claims;
        sample.commands = self.commands;
    }

    /// Gives the gate's answers to those who wait for them.
    pub(super) fn answer(&mut self, turned: &Turned) {
        for (place, waiting) in self.waiting.iter_mut().enumerate() {
            let was_judged =
                self.commands[place].is_some() && turned.sample.commands[place] == self.commands[place];
            if let Some(decided) = turned.verdict.decided[place].filter(|_| was_judged)
                && let Some(answer) = waiting.take()
            {
                let _ = answer.send(decided.map_err(NotDriven::Refused));
            }
        }
    }
}
