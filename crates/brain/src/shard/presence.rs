//! How present a machine is, judged from what is heard of it.
//!
//! Hearing something only notes the time; each machine has one moment at which it is looked at again. So a message
//! costs nothing here, and a machine costs a look now and then.

use muster_model::{MachineEntry, MachineId, Presence};

use super::Shard;
use crate::Now;

impl Shard {
    /// Looks at every machine whose moment has come.
    pub(super) fn look_at_presence(&mut self, now: Now) {
        while let Some((at, machine)) = self.checks.first().copied()
            && at <= now.mono_ms
        {
            self.checks.pop_first();
            if let Some(slot) = self.slots.get_mut(&machine) {
                slot.check_ms = None;
            }
            self.look_at(now, machine);
            self.look_again(now, machine);
        }
    }

    fn look_at(&mut self, now: Now, machine: MachineId) {
        let Some(slot) = self.slots.get(&machine) else {
            return;
        };
        if let Some(since) = slot.alone_since_ms {
            if slot.presence != Presence::Lost && since + slot.grace_ms <= now.mono_ms {
                let reason = slot.alone_reason.clone();
                self.set_presence(machine, Presence::Lost, &reason);
            }
            return;
        }
        let silent_ms = now.mono_ms.saturating_sub(slot.heard_ms);
        let presence = slot.presence;
        if silent_ms >= self.options.lost_after_ms {
            if presence != Presence::Lost {
                self.set_presence(
                    machine,
                    Presence::Lost,
                    &format!("nothing heard for {} s", silent_ms / 1_000),
                );
            }
        } else if silent_ms >= self.options.degraded_after_ms && presence == Presence::Online {
            self.set_presence(
                machine,
                Presence::Degraded,
                &format!("nothing heard for {} s", silent_ms / 1_000),
            );
        }
    }

    /// Puts down when the machine is to be looked at next.
    pub(super) fn look_again(&mut self, now: Now, machine: MachineId) {
        let Some(slot) = self.slots.get_mut(&machine) else {
            return;
        };
        let at = match slot.alone_since_ms {
            Some(since) => (slot.presence != Presence::Lost).then_some(since + slot.grace_ms),
            None => match slot.presence {
                Presence::Online => Some(slot.heard_ms + self.options.degraded_after_ms),
                Presence::Degraded => Some(slot.heard_ms + self.options.lost_after_ms),
                Presence::Lost => None,
            },
        };
        let at = at.map(|at| at.max(now.mono_ms + 1));
        if let Some(check) = slot.check_ms {
            self.checks.remove(&(check, machine));
        }
        slot.check_ms = at;
        if let Some(at) = at {
            self.checks.insert((at, machine));
        }
    }

    pub(super) fn set_presence(&mut self, machine: MachineId, presence: Presence, reason: &str) {
        let Some(slot) = self.slots.get_mut(&machine) else {
            return;
        };
        slot.presence = presence;
        let was_unwatched = slot.check_ms.is_none();
        self.append(
            machine,
            MachineEntry::PresenceChanged {
                presence,
                reason: reason.to_owned(),
            },
        );
        if was_unwatched && presence == Presence::Online {
            // A lost machine is not looked at until it is heard of again.
            if let Some(slot) = self.slots.get_mut(&machine) {
                let at = slot.heard_ms + self.options.degraded_after_ms;
                slot.check_ms = Some(at);
                self.checks.insert((at, machine));
            }
        }
    }
}
