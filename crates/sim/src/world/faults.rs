//! Faults, carried out: what of a world breaks, and how it is mended.
//!
//! Begin with [`World::fault`]. What strikes and how often is in [`super::profile`].

use muster_reflex::link::Input;

use super::World;
use super::event::Event;
use super::network::Way;
use super::profile::{Fault, Strike};
use super::schedule::{MILLISECOND, SECOND, Time};

/// Effects after which something that stops in the middle has stopped, at most.
const CRASH_WITHIN_EFFECTS: u64 = 12;
/// A machine that stood still for longer has most likely lost its connection.
const STANDSTILL_UNNOTICED: Time = 60 * SECOND;

impl World {
    /// Each kind of fault has its own next time.
    pub(super) fn first_faults(&mut self) {
        let kinds: Vec<Fault> = self.scenario.faults.strikes.keys().copied().collect();
        for fault in kinds {
            self.next_fault(fault);
        }
    }

    fn next_fault(&mut self, fault: Fault) {
        let strike = self.scenario.faults.strikes.get(&fault);
        let exposed = self.exposed_to(fault);
        let interval = strike.and_then(|strike| strike.interval(fault, exposed));
        if let Some(mean) = interval.filter(|_| fault.is_of_server() || exposed > 0) {
            // What is mostly near the typical wait is longer than it in the mean.
            let wait = self.random.faults.around((mean / 17).saturating_mul(10).max(2));
            self.schedule.after(wait, Event::Fault(fault));
        }
    }

    /// So many machines, the first ones, may be struck by this.
    fn exposed_to(&self, fault: Fault) -> usize {
        if Fault::HARDWARE.contains(&fault) {
            self.exposed.min(self.scenario.bodies)
        } else {
            self.exposed
        }
    }

    /// The time has come for a fault of this kind.
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.quiet {
            return;
        }
        self.next_fault(fault);
        let Some(strike) = self.scenario.faults.strikes.get(&fault).cloned() else {
            return;
        };
        if fault.is_of_server() {
            self.strike_server(fault, &strike);
        } else if let Some(share) = strike.share_percent {
            // Rounded up: who is hit together is at least one.
            let exposed = self.exposed_to(fault);
            let many = (exposed as u64 * share).div_ceil(100) as usize;
            let first = self.random.faults.index(exposed);
            for step in 0..many {
                self.strike_machine((first + step) % exposed, fault, &strike);
            }
        } else {
            let machine = self.random.faults.index(self.exposed_to(fault));
            self.strike_machine(machine, fault, &strike);
        }
    }

    /// Something between the ends of a span: as likely to be near the short end as near the long one.
    fn within(&mut self, (from, to): (Time, Time)) -> Time {
        let random = &mut self.random.faults;
        let mut most = from.max(1);
        let mut doublings = 0;
        while most < to {
            most = most.saturating_mul(2);
            doublings += 1;
        }
        let reach = from
            .max(1)
            .saturating_mul(1 << random.below(doublings + 1).min(62))
            .min(to);
        random.between(from, reach.max(from))
    }

    fn struck(&mut self, fault: Fault, machine: Option<usize>) {
        self.counts.faults += 1;
        self.timeline.struck(self.schedule.now(), fault);
        let number = machine.map_or(u64::MAX, |machine| machine as u64);
        self.note(machine, "fault", &[number, fault as u64], || match machine {
            Some(machine) => format!("{fault:?} strikes machine {machine}"),
            None => format!("{fault:?} strikes the server"),
        });
    }

    fn strike_machine(&mut self, machine: usize, fault: Fault, strike: &Strike) {
        self.struck(fault, Some(machine));
        let now = self.schedule.now();
        let span = self.within(strike.span);
        let random = &mut self.random.faults;
        match fault {
            Fault::Reset | Fault::HalfOpen | Fault::OldDelivers => self.cut(machine, fault, span),
            Fault::Partition => self.partition(machine, span, strike.one_way_percent),
            Fault::Latency => self.network.latency[machine] = span,
            Fault::MachineCrash => {
                // Sometimes it is stopped in order, and then switched off.
                if random.chance(300) {
                    self.step_machine(machine, Input::Stop);
                }
                self.crash(machine, false, span);
            }
            Fault::MachineCrashAtEffect => {
                let after = random.between(0, CRASH_WITHIN_EFFECTS) as u32;
                self.machines[machine].crash_in = Some((after, span));
            }
            Fault::DiskLoss => self.crash(machine, true, span),
            Fault::SlowDisk => self.machines[machine].disk_slow_until = now + span,
            Fault::FailingDisk => self.machines[machine].disk_fails = Some(span),
            Fault::WallStep => {
                let back = random.chance(500);
                let step = (span / MILLISECOND) as i64;
                self.machines[machine].clock.wall_offset_ms = if back { -step } else { step };
            }
            Fault::Drift => {
                let most = strike.most_ppm as i64;
                let drift = random.between(0, 2 * strike.most_ppm) as i64 - most;
                let this = &mut self.machines[machine];
                // What stands still does not drift.
                if this.suspended.is_none() {
                    this.clock.drift(now, drift);
                }
            }
            Fault::Suspend => self.suspend(machine, span),
            Fault::RunawayMotor
            | Fault::RelayStuckOn
            | Fault::RelayStuckOff
            | Fault::SpeedSilent
            | Fault::BoardOverheated
            | Fault::EstopPressed
            | Fault::CaseOpen => {
                if let Some(body) = &mut self.machines[machine].body {
                    body.breaks(fault, now, now + span);
                }
            }
            Fault::ServerCrash
            | Fault::ServerCrashAtEffect
            | Fault::Drain
            | Fault::SlowLog
            | Fault::FailingLog
            | Fault::ServerWallStep => {}
        }
    }

    fn strike_server(&mut self, fault: Fault, strike: &Strike) {
        self.struck(fault, None);
        let now = self.schedule.now();
        let span = self.within(strike.span);
        let random = &mut self.random.faults;
        match fault {
            Fault::ServerCrash => self.crash_server(span),
            Fault::ServerCrashAtEffect => {
                self.server.crash_in = Some((random.between(0, CRASH_WITHIN_EFFECTS) as u32, span));
            }
            Fault::Drain => {
                let after = random.between(4, 20) as u32;
                if !self.server.draining && self.server.is_up() {
                    self.drain();
                    self.server.crash_in = Some((after, span));
                }
            }
            Fault::SlowLog => self.server.log_slow_until = now + span,
            Fault::FailingLog => self.server.log.failing += random.between(1, 4),
            Fault::ServerWallStep => {
                let back = random.chance(500);
                let step = (span / MILLISECOND) as i64;
                self.server.wall_offset_ms = if back { -step } else { step };
            }
            Fault::Reset
            | Fault::HalfOpen
            | Fault::OldDelivers
            | Fault::Partition
            | Fault::Latency
            | Fault::MachineCrash
            | Fault::MachineCrashAtEffect
            | Fault::DiskLoss
            | Fault::SlowDisk
            | Fault::FailingDisk
            | Fault::WallStep
            | Fault::Drift
            | Fault::Suspend
            | Fault::RunawayMotor
            | Fault::RelayStuckOn
            | Fault::RelayStuckOff
            | Fault::SpeedSilent
            | Fault::BoardOverheated
            | Fault::EstopPressed
            | Fault::CaseOpen => {}
        }
    }

    /// Cuts a connection of a machine.
    fn cut(&mut self, machine: usize, kind: Fault, late: Time) {
        let Some(connection) = self.machines[machine].connection else {
            return;
        };
        let life = self.machines[machine].life;
        let random = &mut self.random.faults;
        let Some(ends) = self.network.connections.get_mut(&connection) else {
            return;
        };
        ends.down.cut();
        let (machine_notices, server_notices) = match kind {
            Fault::OldDelivers => {
                ends.up.stalled = true;
                self.schedule.after(late, Event::Release { connection });
                (true, false)
            }
            Fault::HalfOpen => {
                ends.up.cut();
                let machine_notices = random.chance(500);
                (machine_notices, !machine_notices)
            }
            _ => {
                ends.up.cut();
                (true, true)
            }
        };
        let reason = "connection reset".to_owned();
        let slow = if kind == Fault::OldDelivers { late / 2 } else { 0 };
        let wait = random.between(0, (200 * MILLISECOND).max(slow));
        if machine_notices {
            let reason = reason.clone();
            let event = Event::LinkClosed {
                machine,
                life,
                connection,
                reason,
            };
            self.schedule.after(wait, event);
        }
        if server_notices {
            self.schedule
                .after(wait, Event::ServerClosed { connection, reason });
        }
    }

    fn partition(&mut self, machine: usize, lasts: Time, one_way_percent: u64) {
        let random = &mut self.random.faults;
        let (up, down) = match (random.chance(one_way_percent * 10), random.chance(500)) {
            (true, up) => (up, !up),
            (false, _) => (true, true),
        };
        for (way, blocked) in [(Way::Up, up), (Way::Down, down)] {
            if blocked {
                match way {
                    Way::Up => self.network.blocked_up[machine] = true,
                    Way::Down => self.network.blocked_down[machine] = true,
                }
                self.schedule.after(lasts, Event::Heal { machine, way });
            }
        }
    }

    /// A machine stands still: nothing reaches it, nothing goes on in it. Its wall clock runs; its monotonic clock too, or
    /// not, as for a stopped process or a sleeping computer.
    fn suspend(&mut self, machine: usize, lasts: Time) {
        let counts = self.random.faults.chance(500);
        let now = self.schedule.now();
        let this = &mut self.machines[machine];
        if this.link.is_none() || this.suspended.is_some() {
            return;
        }
        let life = this.life;
        this.suspended = Some(super::machine::Standstill {
            since: now,
            clock_counts: counts,
            waiting: Vec::new(),
        });
        self.counts.suspensions += 1;
        self.schedule.after(lasts, Event::Resume { machine, life });
    }

    /// What happens to a machine that stands still waits until it goes on.
    pub(super) fn unless_it_stands_still(&mut self, event: Event) -> Option<Event> {
        let machine = match &event {
            Event::Connected { machine, .. }
            | Event::NotConnected { machine, .. }
            | Event::LinkClosed { machine, .. }
            | Event::Written { machine, .. }
            | Event::Timer { machine, .. }
            | Event::DiskDone { machine, .. }
            | Event::Turn { machine, .. }
            | Event::Publish { machine, .. } => *machine,
            Event::Arrive {
                connection,
                way: Way::Down,
                ..
            } => self.network.connections.get(connection)?.machine,
            Event::Arrive { way: Way::Up, .. }
            | Event::ServerClosed { .. }
            | Event::Boot { .. }
            | Event::ShardRun { .. }
            | Event::ShardTick { .. }
            | Event::LogDone { .. }
            | Event::LogAnswer { .. }
            | Event::Ping { .. }
            | Event::ServerBoot
            | Event::Ask
            | Event::Fault(_)
            | Event::Resume { .. }
            | Event::Heal { .. }
            | Event::Release { .. }
            | Event::Patrol
            | Event::FaultsEnd
            | Event::Look => return Some(event),
        };
        match &mut self.machines[machine].suspended {
            Some(standstill) => {
                standstill.waiting.push(event);
                None
            }
            None => Some(event),
        }
    }

    /// A machine that stood still goes on; what would have happened meanwhile happens now.
    pub(super) fn resume(&mut self, machine: usize, life: u64) {
        let now = self.schedule.now();
        let this = &mut self.machines[machine];
        if this.life != life {
            return;
        }
        let Some(standstill) = this.suspended.take() else {
            return;
        };
        let stood = now - standstill.since;
        if !standstill.clock_counts {
            this.clock.stood(stood);
        }
        let connection = this.connection;
        self.note(Some(machine), "resume", &[machine as u64, stood], || {
            let clock = if standstill.clock_counts {
                "went on"
            } else {
                "stood, too"
            };
            format!(
                "machine {machine} goes on after {} s; its monotonic clock {clock}",
                stood / SECOND
            )
        });
        // After a while the other end sends no more, and what it sent is gone.
        let forgotten = stood > STANDSTILL_UNNOTICED && self.random.faults.chance(500);
        if let Some(ends) = connection.and_then(|connection| self.network.connections.get_mut(&connection))
            && forgotten
        {
            ends.down.cut();
        }
        for (index, event) in standstill.waiting.into_iter().enumerate() {
            self.schedule.after(index as Time + 1, event);
        }
    }

    /// From here on nothing goes wrong any more, but for a machine that is gone for good.
    pub(super) fn end_of_faults(&mut self) {
        self.quiet = true;
        let now = self.schedule.now();
        self.network.wire = super::profile::Wire::default();
        self.server.log.failing = 0;
        self.server.log_slow_until = 0;
        self.server.crash_in = None;
        if self.server.draining {
            let down = SECOND;
            self.crash_server(down);
        }
        self.note(None, "faults", &[], || {
            "from here on nothing goes wrong".to_owned()
        });
        for machine in 0..self.machines.len() {
            let this = &mut self.machines[machine];
            this.crash_in = None;
            this.disk_slow_until = 0;
            this.disk_fails = None;
            if let Some(body) = &mut this.body {
                body.is_mended(now);
            }
            let life = this.life;
            self.network.latency[machine] = 20 * MILLISECOND;
            self.resume(machine, life);
        }
        if let Some(machine) = self.scenario.gone.filter(|gone| *gone < self.machines.len()) {
            self.machines[machine].gone = true;
            if self.random.faults.chance(500) {
                // Its link is dead in both directions, for good.
                self.network.blocked_up[machine] = true;
                self.network.blocked_down[machine] = true;
                self.heal_all_but(Some(machine));
                return;
            }
            self.crash(machine, false, SECOND);
        }
        self.heal_all_but(None);
    }

    fn heal_all_but(&mut self, gone: Option<usize>) {
        for machine in 0..self.machines.len() {
            if gone != Some(machine) {
                self.heal(machine, Way::Up);
                self.heal(machine, Way::Down);
                for connection in self.network.of(machine) {
                    self.release(connection);
                }
            }
        }
    }
}
