//! A simulated machine: the real link on a simulated disk, clock and network.
//!
//! Begin with [`World::step_machine`]: it carries out what the link decides, and can stop between any two effects.

use std::collections::{BTreeSet, VecDeque};

use muster_model::desired::HeldDesired;
use muster_model::{BootId, MachineId, RecordNumber, Timestamp};
use muster_protocol::link::{CommandKind, Desired};
use muster_reflex::Now;
use muster_reflex::desired::{Keeper, Offered};
use muster_reflex::link::{Effect, Identity, Input, Link, LinkState, Options};
use uuid::Uuid;

use super::World;
use super::body::Body;
use super::disk::{Disk, Operation};
use super::event::Event;
use super::network::{Packet, Way};
use super::planted::Planted;
use super::schedule::{MILLISECOND, SECOND, Time};
use super::workload::{Workload, token_of};

/// Reasons of a machine to end a connection that only a broken network or server gives.
const ACCUSATIONS: [&str; 4] = [
    "spoke to another machine",
    "before its welcome",
    "is missing",
    "second welcome",
];
/// For parts per million.
const MILLION: u128 = 1_000_000;
/// Effects of one step beyond which something is wrong.
const EFFECTS_MAX: usize = 5_000;

/// A clock that runs a little fast or slow, and whose wall time may be anything.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// When this boot began.
    began: Time,
    base_ms: u64,
    parts_per_million: i64,
    pub wall_offset_ms: i64,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub id: MachineId,
    pub link: Option<Link>,
    /// Of what the machine should become: what it holds, as it knows it in this life.
    desired: Keeper,
    /// What the server wants and was not looked at yet, because the disk is at work on what it wanted before.
    offers: VecDeque<Desired>,
    keeping: bool,
    /// Counts boots, so that what belongs to an earlier one is told apart.
    pub life: u64,
    pub disk: Disk,
    pub disk_slow_until: Time,
    pub clock: Drift,
    pub workload: Workload,
    /// What it moves with.
    pub body: Option<Body>,
    /// The connection that its link has, or is being told the end of.
    pub connection: Option<u64>,
    timer: (u64, u64),
    /// The power goes after so many effects, for so long.
    pub crash_in: Option<(u32, Time)>,
    /// The disk refuses what comes next: the machine is off for so long.
    pub disk_fails: Option<Time>,
    /// It stands still.
    pub suspended: Option<Standstill>,
    /// Cut off for good.
    pub gone: bool,
}

/// A machine that stands still.
#[derive(Debug)]
pub(super) struct Standstill {
    pub since: Time,
    /// Whether its monotonic clock goes on.
    pub clock_counts: bool,
    /// What is to reach it when it goes on.
    pub waiting: Vec<Event>,
}

impl Drift {
    /// From now on the clock runs otherwise.
    pub(super) fn drift(&mut self, now: Time, parts_per_million: i64) {
        self.base_ms = self.mono_ms(now);
        self.began = now;
        self.parts_per_million = parts_per_million;
    }

    /// The clock stood for so long.
    pub(super) fn stood(&mut self, how_long: Time) {
        self.began += how_long;
    }

    pub(super) fn mono_ms(&self, now: Time) -> u64 {
        let passed = u128::from(now.saturating_sub(self.began));
        let drifted = passed * self.pace() / MILLION;
        self.base_ms + drifted as u64 / MILLISECOND
    }

    fn now(&self, now: Time) -> Now {
        Now {
            mono_ms: self.mono_ms(now),
            wall: super::server::wall(now).plus_millis(self.wall_offset_ms),
        }
    }

    /// When the monotonic clock will show this.
    fn when(&self, mono_ms: u64) -> Time {
        let drifted = u128::from(mono_ms.saturating_sub(self.base_ms) * MILLISECOND);
        let passed = (drifted * MILLION).div_ceil(self.pace());
        self.began + passed as u64 + MILLISECOND
    }

    /// Of this clock's time, how much passes in a million of the world's.
    fn pace(&self) -> u128 {
        (MILLION as i64 + self.parts_per_million).unsigned_abs().into()
    }
}

impl Machine {
    pub(super) fn new(id: MachineId, body: Option<Body>, workload: Workload) -> Self {
        Self {
            id,
            link: None,
            desired: Keeper::new(HeldDesired::default(), &[]),
            offers: VecDeque::new(),
            keeping: false,
            life: 0,
            disk: Disk::default(),
            disk_slow_until: 0,
            clock: Drift::default(),
            workload,
            body,
            connection: None,
            timer: (0, 0),
            crash_in: None,
            disk_fails: None,
            suspended: None,
            gone: false,
        }
    }

    pub(super) fn wall(&self, now: Time) -> Timestamp {
        self.clock.now(now).wall
    }
}

impl World {
    /// The link's settings in this world: in small worlds outbox and window are full soon.
    fn link_options(&self) -> Options {
        let small = self.scenario.small;
        Options {
            window_max: if small { 8 } else { 256 },
            outbox_max: if small { 48 } else { 100_000 },
            queue_max: if small { 4 } else { 256 },
            commands: vec![CommandKind::Stop],
            ..Options::default()
        }
    }

    pub(super) fn boot(&mut self, machine: usize) {
        if self.machines[machine].link.is_some() || self.machines[machine].gone {
            return;
        }
        let now = self.schedule.now();
        let options = self.link_options();
        let random = &mut self.random.machines;
        let this = &mut self.machines[machine];
        this.life += 1;
        this.clock.began = now;
        this.clock.base_ms = random.below(1_000_000);
        this.clock.parts_per_million = random.between(0, 400) as i64 - 200;
        let identity = Identity {
            machine_id: this.id,
            boot_id: BootId::from_uuid(Uuid::from_u64_pair(random.next(), random.next())),
            agent_version: "0.1.0".to_owned(),
        };
        this.link = Some(Link::new(options, identity, this.disk.durable.kept()));
        let held = this.disk.durable.desired.clone();
        this.desired = Keeper::new(held.clone(), &[]);
        this.offers.clear();
        this.keeping = false;
        let life = this.life;
        let pause = this.workload.pause();
        let state = this.workload.state();
        self.judge.booted(machine);
        self.judge.desired_applied(now, machine, &held);
        self.note(Some(machine), "boot", &[machine as u64, life], || {
            format!("machine {machine} starts for the {life}. time")
        });
        self.step_machine(machine, Input::Start);
        self.step_machine(machine, Input::Publish(state));
        self.schedule.after(pause, Event::Publish { machine, life });
        if self.machines[machine].link.is_some() {
            self.body_on(machine);
        }
    }

    /// The power goes: what was not written is lost.
    pub(super) fn crash(&mut self, machine: usize, lose_disk: bool, down: Time) {
        let now = self.schedule.now();
        let this = &mut self.machines[machine];
        this.crash_in = None;
        this.disk_fails = None;
        this.suspended = None;
        if this.link.take().is_none() {
            return;
        }
        this.connection = None;
        if let Some(body) = &mut this.body {
            self.judge.body_off(machine, body.is_released());
            body.off(now);
        }
        for applied in this.disk.crash(&mut self.random.faults) {
            self.judge.kept(now, machine, &applied);
            for (_, kept) in &applied.safety {
                self.judge.safety_kept(machine, kept);
            }
        }
        self.counts.machine_crashes += 1;
        if lose_disk {
            self.counts.disks_lost += 1;
            let records = self.machines[machine].disk.durable.records.values();
            self.judge.disk_lost(machine, records);
            self.judge.desired_lost(machine);
            self.judge.safety_lost(machine);
            self.machines[machine].disk = Disk::default();
        }
        self.note(
            Some(machine),
            "crash",
            &[machine as u64, u64::from(lose_disk)],
            || {
                let disk = if lose_disk { ", and its disk is lost" } else { "" };
                format!("machine {machine} stops{disk}")
            },
        );
        self.machine_ends_vanish(machine);
        self.schedule.after(down, Event::Boot { machine });
    }

    /// Gives the link an input and carries out what it decides.
    pub(super) fn step_machine(&mut self, machine: usize, input: Input) {
        let now = self.schedule.now();
        let this = &mut self.machines[machine];
        let Some(link) = &mut this.link else { return };
        let effects = link.step(this.clock.now(now), input);
        let figures = link.figures();
        self.judge.look(
            Some(machine),
            now,
            super::Check::Bounded,
            effects.len() <= EFFECTS_MAX,
            || format!("machine {machine} has {} effects in one step", effects.len()),
        );
        let mut transaction = Vec::new();
        let instead: BTreeSet<_> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Persist { stored, .. } => token_of(&stored.message),
                _ => None,
            })
            .collect();
        for effect in effects {
            if let Some((left, down)) = &mut self.machines[machine].crash_in {
                if *left == 0 {
                    let down = *down;
                    return self.crash(machine, false, down);
                }
                *left -= 1;
            }
            match effect {
                Effect::Persist { stored, remember } => {
                    self.note(
                        Some(machine),
                        "persist",
                        &[machine as u64, stored.record.0],
                        || {
                            let kind = stored.message.type_name();
                            format!(
                                "machine {machine} wants record {} on disk: {kind} {:?}",
                                stored.record,
                                token_of(&stored.message)
                            )
                        },
                    );
                    transaction.push(Operation::Persist(stored, remember));
                }
                Effect::Trim(up_to) => {
                    self.note(Some(machine), "trim", &[machine as u64, up_to.0], || {
                        format!("machine {machine} forgets up to record {up_to}")
                    });
                    let disk = &self.machines[machine].disk;
                    let forgotten = disk.records_up_to(up_to);
                    self.judge
                        .forgets(now, machine, forgotten, &instead, figures.records_dropped);
                    transaction.push(Operation::Trim(up_to));
                }
                Effect::KeepSession(session) => transaction.push(Operation::KeepSession(session)),
                Effect::Load { from, limit } => transaction.push(Operation::Load { from, limit }),
                effect => self.act(machine, effect),
            }
        }
        if self.machines[machine].link.is_some() && !transaction.is_empty() {
            self.submit(machine, transaction);
        }
        self.judge_outbox(machine);
    }

    fn act(&mut self, machine: usize, effect: Effect) {
        match effect {
            Effect::Connect => {
                let life = self.machines[machine].life;
                let wait = self.network.latency[machine] * 2;
                self.schedule.after(wait, Event::Connected { machine, life });
            }
            Effect::Disconnect { reason } => {
                let accuses = ACCUSATIONS.iter().any(|words| reason.contains(words));
                let fair = self.scenario.faults.is_hostile() || !accuses;
                let now = self.schedule.now();
                self.judge
                    .look(Some(machine), now, super::Check::NobodyIsAccused, fair, || {
                        format!("machine {machine} ends its connection: {reason}")
                    });
                self.machine_hangs_up(machine, reason);
            }
            Effect::Write(frames) => {
                let Some(connection) = self.machines[machine].connection else {
                    return;
                };
                if self.scenario.planted == Some(Planted::OutboxTrimmedEarly)
                    && let Some(last) = frames.iter().filter_map(|frame| frame.record).max()
                {
                    self.submit(machine, vec![Operation::Trim(last)]);
                }
                for frame in frames {
                    self.judge.sent(self.schedule.now(), machine, &frame);
                    self.counts.frames_up += 1;
                    self.send(connection, Way::Up, Packet::Up(Box::new(frame)));
                }
                self.writing(machine, connection);
            }
            Effect::WakeAt(mono_ms) => {
                let this = &mut self.machines[machine];
                if this.timer.0 != mono_ms || this.clock.mono_ms(self.schedule.now()) >= mono_ms {
                    this.timer = (mono_ms, this.timer.1 + 1);
                    let (life, generation) = (this.life, this.timer.1);
                    let at = this.clock.when(mono_ms);
                    self.schedule.at(
                        at,
                        Event::Timer {
                            machine,
                            life,
                            generation,
                        },
                    );
                }
            }
            Effect::StateChanged { state, reason } => {
                self.note(Some(machine), "link", &[machine as u64, state as u64], || {
                    format!("the link of machine {machine} is {}: {reason}", state.as_str())
                });
            }
            Effect::Command(command) => {
                let (now, life) = (self.schedule.now(), self.machines[machine].life);
                self.note(Some(machine), "command", &[machine as u64], || {
                    format!("machine {machine} carries out {}", command.id)
                });
                self.judge.carried_out(now, machine, life, &command.id);
                if let Some(body) = &mut self.machines[machine].body {
                    body.stop_from_afar();
                }
            }
            Effect::Desired(desired) => {
                self.machines[machine].offers.push_back(desired);
                self.look_at_offers(machine);
            }
            Effect::Persist { .. } | Effect::Trim(_) | Effect::KeepSession(_) | Effect::Load { .. } => {}
        }
    }

    /// One after another: what comes while the disk is at work waits.
    fn look_at_offers(&mut self, machine: usize) {
        while self.machines[machine].link.is_some()
            && !self.machines[machine].keeping
            && let Some(desired) = self.machines[machine].offers.pop_front()
        {
            self.offered(machine, &desired);
        }
    }

    /// The server wants a machine to become this.
    fn offered(&mut self, machine: usize, desired: &Desired) {
        let now = self.schedule.now();
        match self.machines[machine].desired.offered(desired) {
            Offered::Keep(held) => {
                if self.scenario.planted == Some(Planted::DesiredBeforeKept) {
                    self.judge.desired_applied(now, machine, &held);
                }
                self.machines[machine].keeping = true;
                self.submit(machine, vec![Operation::KeepDesired(held)]);
            }
            Offered::Known => {}
            Offered::Unusable(why) => {
                self.judge
                    .look(Some(machine), now, super::Check::DesiredArrives, false, || {
                        format!("machine {machine} cannot use what is desired of it: {why}")
                    });
            }
        }
    }

    /// What a machine should become is on its disk.
    fn desired_kept(&mut self, machine: usize, held: HeldDesired) {
        if self.machines[machine].link.is_none() {
            return; // The power went with what was written before it: the next start finds it on the disk.
        }
        let now = self.schedule.now();
        let version = held.version;
        self.note(Some(machine), "desired", &[machine as u64, version.0], || {
            format!("machine {machine} has desired version {version} on disk")
        });
        self.judge.desired_applied(now, machine, &held);
        let this = &mut self.machines[machine];
        this.desired.kept(held);
        this.keeping = false;
        self.step_machine(machine, Input::DesiredKept(version));
        self.look_at_offers(machine);
    }

    pub(super) fn timer(&mut self, machine: usize, life: u64, generation: u64) {
        let this = &mut self.machines[machine];
        if this.life == life && this.timer.1 == generation {
            this.timer.0 = 0;
            self.step_machine(machine, Input::Timer);
        }
    }

    pub(super) fn submit(&mut self, machine: usize, transaction: Vec<Operation>) {
        let highest = transaction.iter().filter_map(|operation| match operation {
            Operation::Persist(stored, _) => Some(stored.record),
            Operation::Trim(_)
            | Operation::KeepSession(_)
            | Operation::KeepDesired(_)
            | Operation::KeepSafety(..)
            | Operation::Load { .. } => None,
        });
        let highest: Option<RecordNumber> = highest.max();
        if self.machines[machine].disk.submit(transaction) {
            self.disk_writes(machine);
        }
        if self.scenario.planted == Some(Planted::SentBeforeKept)
            && let Some(highest) = highest
        {
            self.step_machine(machine, Input::Persisted(highest));
        }
    }

    fn disk_writes(&mut self, machine: usize) {
        let now = self.schedule.now();
        let this = &self.machines[machine];
        let typical = if this.disk_slow_until > now { 800 } else { 4 };
        let wait = self.random.machines.around(typical * MILLISECOND);
        let life = this.life;
        self.schedule.after(wait, Event::DiskDone { machine, life });
    }

    pub(super) fn disk_done(&mut self, machine: usize, life: u64) {
        let now = self.schedule.now();
        if self.machines[machine].life != life || self.machines[machine].link.is_none() {
            return;
        }
        if let Some(down) = self.machines[machine].disk_fails.take() {
            self.note(Some(machine), "disk", &[machine as u64], || {
                format!("the disk of machine {machine} refuses, and its process ends")
            });
            self.crash(machine, false, down);
            return;
        }
        let done = self.machines[machine].disk.finish();
        if self.machines[machine].disk.begin() {
            self.disk_writes(machine);
        }
        for applied in done {
            self.judge.kept(now, machine, &applied);
            let highest = applied.persisted.iter().map(|stored| stored.record).max();
            if let Some(highest) = highest {
                self.note(Some(machine), "persisted", &[machine as u64, highest.0], || {
                    format!("machine {machine} has record {highest} on disk")
                });
                self.step_machine(machine, Input::Persisted(highest));
            }
            for (number, kept) in applied.safety {
                self.judge.safety_kept(machine, &kept);
                if let Some(body) = &mut self.machines[machine].body {
                    body.kept(number);
                }
            }
            for held in applied.desired {
                self.desired_kept(machine, held);
            }
            for records in applied.loaded {
                self.step_machine(machine, Input::Loaded(records));
            }
        }
    }

    pub(super) fn publish(&mut self, machine: usize, life: u64) {
        let now = self.schedule.now();
        let this = &mut self.machines[machine];
        if this.life != life || this.link.is_none() || self.quiet {
            return;
        }
        let wall = this.wall(now);
        let publication = this.workload.publish(wall);
        let pause = this.workload.pause();
        self.counts.published += 1;
        self.step_machine(machine, Input::Publish(publication));
        self.schedule.after(pause, Event::Publish { machine, life });
    }

    fn judge_outbox(&mut self, machine: usize) {
        let now = self.schedule.now();
        let bound = self.link_options().outbox_max;
        let this = &self.machines[machine];
        let Some(link) = &this.link else { return };
        let held = link.figures().outbox;
        // What is not on disk yet cannot be given up.
        let unwritten = this.disk.unwritten() as u64;
        self.judge.look(
            Some(machine),
            now,
            super::Check::Bounded,
            held <= bound + unwritten + 1,
            || format!("machine {machine} holds {held} records, at most {bound} are meant to be held"),
        );
    }

    /// What a machine that is on and reachable lacks to be at rest.
    pub(super) fn machine_unrest(&self, machine: usize) -> Option<String> {
        let this = &self.machines[machine];
        let Some(link) = &this.link else {
            return Some("it is off".to_owned());
        };
        if link.state() != LinkState::Connected {
            return Some(format!("its link is {}", link.state().as_str()));
        }
        match link.figures().outbox {
            0 => None,
            held => Some(format!("its outbox holds {held} records")),
        }
    }
}

/// How long a connection may take before it is given up.
pub(super) const CONNECT_WITHIN: Time = 10 * SECOND;
