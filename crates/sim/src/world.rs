//! A whole fleet in virtual time: real links and shards, everything around them simulated from one seed.
//!
//! Begin with [`run`]. A [`Scenario`] says what the world is like; machines tell things, faults come and go
//! ([`faults`]), and the judge ([`judge`]) watches what must hold. Then the faults end, and the fleet has a bounded time
//! to come together. The same scenario gives the same [`Report`], to the last bit of its trace hash.
//!
//! The world does not know what is right: it carries out what links and shards decide, at the worst moment it can think
//! of. Nothing here reads a clock or the system's randomness.

mod commit;
mod disk;
mod event;
mod faults;
mod judge;
mod links;
mod log;
mod machine;
mod network;
mod planted;
mod random;
mod sabotage;
mod scenario;
mod schedule;
mod server;
mod trace;
mod workload;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use muster_model::{MachineId, Presence};
use muster_protocol::link::{Envelope, MachineMessage};
use uuid::Uuid;

use event::Event;
pub use faults::{Fault, Faults};
use judge::Judge;
pub use judge::{Check, Violation};
use machine::Machine;
use network::Network;
pub use planted::Planted;
use random::Random;
pub use scenario::{Counts, Report, Scenario};
use schedule::{SECOND, Schedule, Time};
use server::Server;
use trace::Trace;
use workload::Workload;

/// The fleet must have come together so long after the faults have ended.
///
/// The longest way: a machine does not notice that its connection is over (30 s), is told to wait because a newer one
/// took over (60 s), waits its longest turn (30 s), and tries twice (10 s each).
const COME_TOGETHER_WITHIN: Time = 180 * SECOND;

/// Runs a world, and once more in words if something did not hold.
pub fn run(scenario: &Scenario) -> Report {
    let report = World::new(scenario.clone(), false).run();
    if report.violation.is_none() {
        return report;
    }
    World::new(scenario.clone(), true).run()
}

/// Chance, one stream for each of those who draw from it.
#[derive(Debug)]
struct Chances {
    machines: Random,
    server: Random,
    faults: Random,
}

#[derive(Debug)]
struct World {
    scenario: Scenario,
    schedule: Schedule<Event>,
    network: Network,
    machines: Vec<Machine>,
    server: Server,
    judge: Judge,
    trace: Trace,
    random: Chances,
    counts: Counts,
    /// Whether the faults have ended, and nothing new is told.
    quiet: bool,
    ended_at: Time,
    together: bool,
    /// For one of the planted bugs: what arrived on connections that are over.
    stale: Vec<(usize, Envelope<MachineMessage>)>,
}

impl World {
    fn new(scenario: Scenario, explain: bool) -> Self {
        let seed = Random::new(scenario.seed);
        let count = scenario.machines;
        let machines = (0..count).map(|index| {
            let id = MachineId::from_uuid(Uuid::from_u128(index as u128 + 1));
            Machine::new(id, Workload::new(index, seed.fork(100 + index as u64)))
        });
        let mut network = Network::new(count, seed.fork(1));
        network.hostile = scenario.faults.hostile;
        network.keep_closed = scenario.planted == Some(Planted::StaleSessionRewritten);
        Self {
            schedule: Schedule::new(seed.fork(2)),
            network,
            machines: machines.collect(),
            server: Server::new(count),
            judge: Judge::new(count),
            trace: Trace::new(explain),
            random: Chances {
                machines: seed.fork(3),
                server: seed.fork(4),
                faults: seed.fork(5),
            },
            counts: Counts::default(),
            quiet: false,
            ended_at: 0,
            together: false,
            stale: Vec::new(),
            scenario,
        }
    }

    fn run(mut self) -> Report {
        self.begin();
        while !self.together
            && self.judge.violation().is_none()
            && let Some(event) = self.schedule.next()
        {
            let now = self.schedule.now();
            self.counts.events += 1;
            self.judge.step(now);
            let result = catch_unwind(AssertUnwindSafe(|| self.handle(event)));
            if let Err(panic) = result {
                let what = panic_words(&*panic);
                self.judge.look(now, Check::NoPanic, false, || what);
            }
        }
        self.report()
    }

    fn begin(&mut self) {
        self.schedule.at(0, Event::ServerBoot);
        for machine in 0..self.machines.len() {
            let at = self.random.machines.below(3 * SECOND);
            self.schedule.at(at, Event::Boot { machine });
        }
        let ends = self.scenario.duration_s * SECOND;
        self.schedule.at(ends, Event::FaultsEnd);
        self.schedule.after(10 * SECOND, Event::Ask);
        self.next_fault();
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive {
                connection,
                way,
                packet,
            } => self.arrive(connection, way, packet),
            Event::Connected { machine, life } => self.connected(machine, life),
            Event::NotConnected { machine, life } => self.not_connected(machine, life),
            Event::LinkClosed {
                machine,
                life,
                connection,
                reason,
            } => self.machine_closed(machine, life, connection, reason),
            Event::ServerClosed { connection, reason } => self.server_closed(connection, reason),
            Event::Written {
                machine,
                life,
                connection,
            } => self.written(machine, life, connection),
            Event::Timer {
                machine,
                life,
                generation,
            } => self.timer(machine, life, generation),
            Event::DiskDone { machine, life } => self.disk_done(machine, life),
            Event::Publish { machine, life } => self.publish(machine, life),
            Event::Boot { machine } => self.boot(machine),
            Event::ShardRun { life, shard } => self.run_shard(life, shard),
            Event::ShardTick {
                life,
                shard,
                generation,
            } => self.shard_tick(life, shard, generation),
            Event::LogDone { life } => self.log_done(life),
            Event::LogAnswer { life, outcome } => self.log_answer(life, outcome),
            Event::Ping { connection } => self.ping(connection),
            Event::ServerBoot => self.boot_server(),
            Event::Ask => {
                if !self.quiet {
                    self.ask();
                    self.schedule.after(20 * SECOND, Event::Ask);
                }
            }
            Event::Fault => self.fault(),
            Event::Heal { machine, way } => {
                if !self.quiet {
                    self.heal(machine, way);
                }
            }
            Event::FaultsEnd => {
                self.ended_at = self.schedule.now();
                self.end_of_faults();
                self.schedule.after(SECOND, Event::Look);
            }
            Event::Look => self.look_whether_together(),
        }
    }

    /// Has the fleet come together? If not, it may have a little more time, up to the bound.
    fn look_whether_together(&mut self) {
        let now = self.schedule.now();
        let unrest = self.unrest();
        if unrest.is_none() {
            self.together = true;
            for machine in 0..self.machines.len() {
                self.look_at_snapshot(machine);
            }
            self.counts.together_after_ms = (now - self.ended_at) / 1_000;
            self.judge.look(now, Check::Converges, true, String::new);
        } else if now - self.ended_at >= COME_TOGETHER_WITHIN {
            self.judge
                .look(now, Check::Converges, false, || unrest.unwrap_or_default());
        } else {
            self.schedule.after(SECOND, Event::Look);
        }
    }

    /// What is shown must also come out of a snapshot and the rest of the log.
    fn look_at_snapshot(&mut self, machine: usize) {
        let (now, id) = (self.schedule.now(), self.machines[machine].id);
        let shown = self.server.shard_of(machine).and_then(|shard| shard.view(id));
        let length = self.server.log.stream(machine).len();
        let restored = self
            .server
            .log
            .view(machine, id, self.random.server.index(length + 1));
        if let (Some(shown), Some(mut restored)) = (shown, restored) {
            // What is only heard is not in the log.
            (restored.last_seen, restored.vitals) = (shown.last_seen, shown.vitals);
            let same = restored == *shown;
            self.judge.look(now, Check::ViewIsFold, same, || {
                format!("machine {machine} is shown otherwise than a snapshot and the log say")
            });
        }
    }

    /// What the fleet lacks to be together: every machine online, everything told, everything shown as it is.
    fn unrest(&self) -> Option<String> {
        if !self.server.is_settled() || !self.server.is_up() {
            return Some("the server is still writing, or off".to_owned());
        }
        (0..self.machines.len()).find_map(|machine| {
            let lacks = self.unrest_of(machine)?;
            Some(format!("machine {machine}: {lacks}"))
        })
    }

    fn unrest_of(&self, machine: usize) -> Option<String> {
        let this = &self.machines[machine];
        let view = self.server.shard_of(machine)?.view(this.id);
        if this.gone {
            return match view.map(|view| view.presence) {
                None | Some(Presence::Lost) => None,
                Some(presence) => Some(format!("it is cut off for good and shown as {presence}")),
            };
        }
        if let Some(lacks) = self.machine_unrest(machine) {
            return Some(lacks);
        }
        let Some(view) = view else {
            return Some("the server does not know it".to_owned());
        };
        if view.presence != Presence::Online {
            return Some(format!("it is shown as {}", view.presence));
        }
        if view.reported != this.workload.state {
            return Some(format!(
                "it is shown as {:?}, it is {:?}",
                view.reported, this.workload.state
            ));
        }
        self.judge
            .missing(machine)
            .map(|token| format!("token {token} never arrived"))
    }

    fn note(&mut self, kind: &str, numbers: &[u64], words: impl FnOnce() -> String) {
        self.trace.note(self.schedule.now(), kind, numbers, words);
    }

    fn report(mut self) -> Report {
        self.counts.steps = self.trace.steps();
        self.counts.virtual_ms = self.schedule.now() / 1_000;
        for host in &self.server.hosts {
            self.counts.resyncs += host.figures().resyncs;
        }
        let violation = self.judge.violation().cloned();
        let trace_hash = self.trace.hash();
        let steps = self.trace.into_words();
        Report {
            seed: self.scenario.seed,
            trace_hash,
            counts: self.counts,
            checks: self.judge.checks,
            violation: violation.map(|violation| Violation { steps, ..violation }),
        }
    }
}

fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    words.unwrap_or_else(|| "a panic without words".to_owned())
}
