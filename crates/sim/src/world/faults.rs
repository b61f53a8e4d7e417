//! What goes wrong, and how often.

use muster_reflex::link::Input;

use super::World;
use super::event::Event;
use super::network::Way;
use super::schedule::{MILLISECOND, SECOND};

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A connection is cut for both ends; what was under way is lost.
    Reset,
    /// A connection is cut, and only one end notices.
    HalfOpen,
    /// A machine gives its connection up, and what it had said still arrives, late.
    OldDelivers,
    /// Nothing passes between a machine and the server, one way or both.
    Partition,
    /// A machine's link becomes slow, or fast again.
    Latency,
    /// A machine loses power.
    MachineCrash,
    /// A machine loses power between two effects of one decision.
    MachineCrashAtEffect,
    /// A machine loses power, and its disk.
    DiskLoss,
    /// A machine's disk is slow for a while.
    SlowDisk,
    /// A machine's wall clock jumps.
    WallStep,
    /// The server stops at once.
    ServerCrash,
    /// The server stops between two effects of one decision.
    ServerCrashAtEffect,
    /// The server is stopped in order, and started again.
    Drain,
    /// The log is slow for a while.
    SlowLog,
    /// The log refuses some batches.
    FailingLog,
}

/// What goes wrong in a world, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// A name for people.
    pub name: &'static str,
    /// Mean time between two faults, in milliseconds.
    pub every_ms: u64,
    /// Which faults; those that are listed twice happen twice as often.
    pub kinds: &'static [Fault],
    /// Whether frames also come twice, out of order, or not at all, which TCP never does.
    pub hostile: bool,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        name: "none",
        every_ms: 60_000,
        kinds: &[],
        hostile: false,
    };
    /// A bad radio link.
    pub const RADIO: Self = Self {
        name: "radio",
        every_ms: 4_000,
        kinds: &[
            Fault::Reset,
            Fault::Reset,
            Fault::HalfOpen,
            Fault::OldDelivers,
            Fault::Partition,
            Fault::Latency,
        ],
        hostile: false,
    };
    /// Power cuts and bad disks at the machines.
    pub const POWER: Self = Self {
        name: "power",
        every_ms: 6_000,
        kinds: &[
            Fault::MachineCrash,
            Fault::MachineCrashAtEffect,
            Fault::MachineCrashAtEffect,
            Fault::SlowDisk,
            Fault::WallStep,
            Fault::Reset,
            Fault::DiskLoss,
        ],
        hostile: false,
    };
    /// A server that stops, and a log that is slow or refuses.
    pub const SERVER: Self = Self {
        name: "server",
        every_ms: 8_000,
        kinds: &[
            Fault::ServerCrash,
            Fault::ServerCrashAtEffect,
            Fault::ServerCrashAtEffect,
            Fault::Drain,
            Fault::SlowLog,
            Fault::FailingLog,
            Fault::FailingLog,
            Fault::Reset,
        ],
        hostile: false,
    };
    /// Everything at once.
    pub const ALL: Self = Self {
        name: "all",
        every_ms: 3_000,
        kinds: &[
            Fault::Reset,
            Fault::Reset,
            Fault::HalfOpen,
            Fault::OldDelivers,
            Fault::Partition,
            Fault::Latency,
            Fault::MachineCrash,
            Fault::MachineCrashAtEffect,
            Fault::DiskLoss,
            Fault::SlowDisk,
            Fault::WallStep,
            Fault::ServerCrash,
            Fault::ServerCrashAtEffect,
            Fault::Drain,
            Fault::SlowLog,
            Fault::FailingLog,
        ],
        hostile: false,
    };
    /// Everything, and frames that come twice, out of order or not at all.
    pub const HOSTILE: Self = Self {
        name: "hostile",
        hostile: true,
        ..Self::ALL
    };
    /// Each of them.
    pub const PROFILES: &'static [Self] = &[
        Self::RADIO,
        Self::POWER,
        Self::SERVER,
        Self::ALL,
        Self::HOSTILE,
        Self::NONE,
    ];
}

impl World {
    pub(super) fn next_fault(&mut self) {
        let faults = self.scenario.faults;
        if !faults.kinds.is_empty() {
            let wait = self.random.faults.around(faults.every_ms * MILLISECOND);
            self.schedule.after(wait, Event::Fault);
        }
    }

    pub(super) fn fault(&mut self) {
        if self.quiet {
            return;
        }
        self.next_fault();
        let kinds = self.scenario.faults.kinds;
        let kind = kinds[self.random.faults.index(kinds.len())];
        let machine = self.random.faults.index(self.machines.len());
        self.counts.faults += 1;
        self.note("fault", &[machine as u64, kind as u64], || {
            format!("{kind:?}, machine {machine} where it concerns one")
        });
        let now = self.schedule.now();
        let random = &mut self.random.faults;
        match kind {
            Fault::Reset | Fault::HalfOpen | Fault::OldDelivers => self.cut(machine, kind),
            Fault::Partition => self.partition(machine),
            Fault::Latency => {
                let slowest = if random.chance(300) { 3_000 } else { 60 };
                self.network.latency[machine] = random.between(1, slowest) * MILLISECOND;
            }
            Fault::MachineCrash => {
                // Sometimes it is stopped in order, and then switched off.
                if random.chance(300) {
                    self.step_machine(machine, Input::Stop);
                }
                self.crash(machine, false);
            }
            Fault::MachineCrashAtEffect => {
                self.machines[machine].crash_in = Some(random.between(0, 12) as u32);
            }
            // Rare: a disk is not lost every minute.
            Fault::DiskLoss => {
                let lose = random.chance(300);
                self.crash(machine, lose);
            }
            Fault::SlowDisk => {
                self.machines[machine].disk_slow_until = now + random.between(1, 40) * SECOND;
            }
            Fault::WallStep => {
                let years_ms = 10 * 365 * 86_400_000;
                let step = random.between(0, 2 * years_ms) as i64 - years_ms as i64;
                self.machines[machine].clock.wall_offset_ms = step;
            }
            Fault::ServerCrash => {
                let down = random.between(20, 30_000) * MILLISECOND;
                self.crash_server(down);
            }
            Fault::ServerCrashAtEffect => self.server.crash_in = Some(random.between(0, 12) as u32),
            Fault::Drain => {
                let after = random.between(4, 20) as u32;
                if !self.server.draining && self.server.is_up() {
                    self.drain();
                    self.server.crash_in = Some(after);
                }
            }
            Fault::SlowLog => self.server.log_slow_until = now + random.between(1, 30) * SECOND,
            Fault::FailingLog => self.server.log.failing += random.between(1, 4),
        }
    }

    /// Cuts a connection of a machine.
    fn cut(&mut self, machine: usize, kind: Fault) {
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
                ends.up.late = random.between(10, 20_000) * MILLISECOND;
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
        let wait = random.between(0, 200) * MILLISECOND;
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

    fn partition(&mut self, machine: usize) {
        let random = &mut self.random.faults;
        let (up, down) = match random.below(3) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        let longest = if random.chance(200) { 150 } else { 25 };
        let lasts = random.between(1, longest) * SECOND;
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

    /// From here on nothing goes wrong any more, but for a machine that is gone for good.
    pub(super) fn end_of_faults(&mut self) {
        self.quiet = true;
        self.network.hostile = false;
        self.server.log.failing = 0;
        self.server.log_slow_until = 0;
        self.server.crash_in = None;
        if self.server.draining {
            let down = SECOND;
            self.crash_server(down);
        }
        self.note("faults", &[], || "from here on nothing goes wrong".to_owned());
        for machine in 0..self.machines.len() {
            self.machines[machine].crash_in = None;
            self.machines[machine].disk_slow_until = 0;
            self.network.latency[machine] = 20 * MILLISECOND;
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
            self.crash(machine, false);
        }
        self.heal_all_but(None);
    }

    fn heal_all_but(&mut self, gone: Option<usize>) {
        for machine in 0..self.machines.len() {
            if gone != Some(machine) {
                self.heal(machine, Way::Up);
                self.heal(machine, Way::Down);
            }
        }
    }
}
