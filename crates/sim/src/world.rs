//! A whole fleet in virtual time: real links and shards, everything around them simulated from one seed.
//!
//! Begin with [`run`]. A [`Scenario`] says what the world is like; machines tell things, faults come and go
//! ([`faults`]), and the judge ([`judge`]) watches what must hold. Then the faults end, and the fleet has a bounded time
//! to come together. The same scenario gives the same [`Report`], to the last bit of its trace hash.
//!
//! The world does not know what is right: it carries out what links and shards decide, at the worst moment it can think
//! of. Nothing here reads a clock or the system's randomness.

mod body;
mod commit;
mod disk;
mod event;
mod explain;
mod faults;
mod judge;
mod links;
mod log;
mod machine;
mod network;
mod planted;
mod profile;
mod random;
mod sabotage;
mod scenario;
mod schedule;
mod server;
mod stream;
mod timeline;
mod trace;
mod workload;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use muster_model::{MachineId, Presence};
use muster_reflex::link::LinkState;
use uuid::Uuid;

use body::Body;
use event::Event;
use judge::Judge;
pub use judge::{Check, Violation};
use machine::Machine;
use network::Network;
pub use planted::Planted;
pub use profile::{Fault, Faults, ProfileError, Strike, Wire};
use random::Random;
use sabotage::Sabotage;
pub use scenario::{Counts, Pace, Report, Scenario};
use schedule::{SECOND, Schedule, Time};
use server::Server;
pub use timeline::Stretch;
use timeline::Timeline;
use trace::Trace;
pub use trace::{Telling, Told};
use workload::Workload;

/// The fleet must have come together so long after the faults have ended.
///
/// The longest way: a machine does not notice that its connection is over (30 s), is told to wait because a newer one
/// took over (60 s), waits its longest turn (30 s), and tries twice (10 s each).
const COME_TOGETHER_WITHIN: Time = 180 * SECOND;

/// How often progress is told, in virtual time.
const PROGRESS_EVERY: Time = 10 * SECOND;
/// How often the judge looks at what only time can show.
const PATROL_EVERY: Time = 15 * SECOND;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Virtual time, in seconds.
    pub at_s: u64,
    /// Machines with a session.
    pub online: usize,
    /// Entries in the log.
    pub entries: u64,
    /// Faults so far.
    pub faults: u64,
}

/// Runs a world, and once more in words if something did not hold.
pub fn run(scenario: &Scenario) -> Report {
    let report = run_once(scenario, &mut |_| {});
    if report.violation.is_none() {
        return report;
    }
    tell(scenario, Telling::default())
}

/// Runs a world, and says how far it is.
pub fn run_once(scenario: &Scenario, watch: &mut dyn FnMut(&Progress)) -> Report {
    World::new(scenario.clone(), None).run(watch)
}

/// Runs a world and tells it in words.
pub fn tell(scenario: &Scenario, telling: Telling) -> Report {
    World::new(scenario.clone(), Some(telling)).run(&mut |_| {})
}

/// Chance, one stream for each of those who draw from it.
#[derive(Debug)]
struct Chances {
    machines: Random,
    server: Random,
    faults: Random,
    stops: Random,
    desired: Random,
    bodies: Random,
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
    timeline: Timeline,
    random: Chances,
    counts: Counts,
    /// So many machines, the first ones, may be struck.
    exposed: usize,
    /// Whether the faults have ended, and nothing new is told.
    quiet: bool,
    ended_at: Time,
    together: bool,
    /// What the planted bugs remember.
    sabotage: Sabotage,
}

impl World {
    fn new(scenario: Scenario, telling: Option<Telling>) -> Self {
        let seed = Random::new(scenario.seed);
        let count = scenario.machines;
        let machines = (0..count).map(|index| {
            let id = MachineId::from_uuid(Uuid::from_u128(index as u128 + 1));
            let body = (index < scenario.bodies).then(Body::default);
            let chance = seed.fork(100 + index as u64);
            let workload = Workload::new(index, scenario.pace, body.is_some(), chance);
            Machine::new(id, body, workload)
        });
        let mut network = Network::new(count, seed.fork(1));
        network.wire = scenario.faults.wire;
        let spared = count as u64 * scenario.faults.spared_percent / 100;
        network.keep_closed = scenario.planted == Some(Planted::StaleSessionAccepted);
        Self {
            schedule: Schedule::new(seed.fork(2)),
            network,
            machines: machines.collect(),
            server: Server::new(count),
            judge: Judge::new(count),
            trace: Trace::new(telling),
            timeline: Timeline::new(scenario.duration_s),
            exposed: count - spared as usize,
            random: Chances {
                machines: seed.fork(3),
                server: seed.fork(4),
                faults: seed.fork(5),
                stops: seed.fork(6),
                desired: seed.fork(7),
                bodies: seed.fork(8),
            },
            counts: Counts::default(),
            quiet: false,
            ended_at: 0,
            together: false,
            sabotage: Sabotage::default(),
            scenario,
        }
    }

    fn run(mut self, watch: &mut dyn FnMut(&Progress)) -> Report {
        self.begin();
        let until = self.trace.telling().and_then(|telling| telling.until_s);
        let mut tell_at = 0;
        while !self.together
            && self.judge.violation().is_none()
            && let Some(event) = self.schedule.next()
        {
            let now = self.schedule.now();
            if now >= tell_at {
                tell_at = now + PROGRESS_EVERY;
                watch(&self.progress());
            }
            if until.is_some_and(|until| now >= until * SECOND) {
                break;
            }
            self.counts.events += 1;
            self.judge.step(now);
            let result = catch_unwind(AssertUnwindSafe(|| self.handle(event)));
            if let Err(panic) = result {
                let what = panic_words(&*panic);
                self.judge.look(None, now, Check::NoPanic, false, || what);
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
        self.schedule.after(PATROL_EVERY, Event::Patrol);
        self.first_faults();
    }

    fn handle(&mut self, event: Event) {
        let Some(event) = self.unless_it_stands_still(event) else {
            return;
        };
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
            Event::Turn { machine, life } => self.turn(machine, life),
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
                    self.ask_to_stop();
                    self.desire();
                    self.schedule.after(20 * SECOND, Event::Ask);
                }
            }
            Event::Fault(fault) => self.fault(fault),
            Event::Resume { machine, life } => self.resume(machine, life),
            Event::Release { connection } => self.release(connection),
            Event::Patrol => {
                self.patrol();
                self.schedule.after(PATROL_EVERY, Event::Patrol);
            }
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
            self.judge.look(None, now, Check::Converges, true, String::new);
        } else if now - self.ended_at >= COME_TOGETHER_WITHIN {
            let (machine, lacks) = unrest.unwrap_or_default();
            self.judge.look(machine, now, Check::Converges, false, || lacks);
        } else {
            self.schedule.after(SECOND, Event::Look);
        }
    }

    /// What is shown must also come out of a snapshot and the rest of the log.
    fn look_at_snapshot(&mut self, machine: usize) {
        let (now, id) = (self.schedule.now(), self.machines[machine].id);
        let shown = self.server.shard_of(machine).and_then(|shard| shard.view(id));
        let stream = self.server.log.stream(machine);
        let snapshot_at = self.random.server.index(stream.tail().len() + 1);
        let restored = stream.view(id, snapshot_at, 0);
        if let (Some(shown), Some(mut restored)) = (shown, restored) {
            // What is only heard is not in the log.
            (restored.last_seen, restored.vitals) = (shown.last_seen, shown.vitals);
            let same = restored == *shown;
            self.judge.look(Some(machine), now, Check::ViewIsFold, same, || {
                format!("machine {machine} is shown otherwise than a snapshot and the log say")
            });
        }
    }

    /// What the fleet lacks to be together: every machine online, everything told, everything shown as it is.
    fn unrest(&self) -> Option<(Option<usize>, String)> {
        if !self.server.is_settled() || !self.server.is_up() {
            return Some((None, "the server is still writing, or off".to_owned()));
        }
        (0..self.machines.len()).find_map(|machine| {
            let lacks = self.unrest_of(machine)?;
            Some((Some(machine), format!("machine {machine}: {lacks}")))
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
        if let Some(token) = self.judge.missing(machine) {
            return Some(format!("token {token} never arrived"));
        }
        if let Some(id) = self.judge.stop_unheard(machine) {
            return Some(format!("{id} is in the log, and the machine was never told"));
        }
        self.judge.desired_unheard(machine)
    }

    /// Notes a step in the trace: whom it concerns, what it is, and words for people.
    fn note(&mut self, machine: Option<usize>, kind: &str, numbers: &[u64], words: impl FnOnce() -> String) {
        self.trace
            .note(self.schedule.now(), machine, kind, numbers, words);
    }

    fn progress(&self) -> Progress {
        Progress {
            at_s: self.schedule.now() / SECOND,
            online: self.online(),
            entries: self.counts.entries,
            faults: self.counts.faults,
        }
    }

    fn online(&self) -> usize {
        let links = self.machines.iter().filter(|machine| machine.suspended.is_none());
        links
            .filter_map(|machine| machine.link.as_ref())
            .filter(|link| link.state() == LinkState::Connected)
            .count()
    }

    /// What only time can show: who is shown as online was heard of lately, and how the fleet is.
    fn patrol(&mut self) {
        let now = self.schedule.now();
        let online = self.online();
        self.timeline.looked(now, online, self.counts.entries);
        if !self.server.is_up() {
            return;
        }
        for machine in 0..self.machines.len() {
            let id = self.machines[machine].id;
            let view = self.server.shard_of(machine).and_then(|shard| shard.view(id));
            if let Some(view) = view {
                let online = view.presence == Presence::Online;
                let rest = self.machines[machine].body.is_some()
                    && view
                        .last_stop
                        .as_ref()
                        .is_some_and(|stop| stop.at_rest_at.is_some());
                self.judge.present(now, machine, online);
                if rest {
                    self.judge.rest_shown(now, machine);
                }
            }
        }
    }

    fn report(mut self) -> Report {
        self.counts.steps = self.trace.steps();
        self.counts.virtual_ms = self.schedule.now() / 1_000;
        for host in &self.server.hosts {
            self.counts.resyncs += host.figures().resyncs;
            self.counts.records_refused += host.figures().records_refused;
        }
        let violation = self.judge.violation().cloned();
        let trace_hash = self.trace.hash();
        let told = self.trace.telling().map(|telling| {
            let about = violation.as_ref().and_then(|violation| violation.machine);
            self.stands(about.or(telling.machine))
        });
        Report {
            seed: self.scenario.seed,
            trace_hash,
            counts: self.counts,
            checks: self.judge.checks(),
            timeline: self.timeline.into_stretches(),
            violation,
            told: told.and_then(|stands| self.trace.into_told(stands)),
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
