//! The simulated server: real shards on a simulated log.
//!
//! Begin with [`World::run_shard`]: a shard takes in what has gathered, and its effects are carried out in order.

use muster_brain::Now;
use muster_brain::shard::{
    ConnectionId, DesiredChange, Effect, Figures, Input, Options, ProfileChange, RequestId, Shard, StopOrder,
};
use muster_model::desired::check_content;
use muster_model::{MachineId, Timestamp};
use muster_protocol::link::{Envelope, MachineMessage, RefusedRecord, ServerMessage};

use super::World;
use super::event::Event;
use super::links::up_words;
use super::log::{Batch, Log};
use super::network::{Packet, Way};
use super::planted::Planted;
use super::sabotage;
use super::scenario::POISON_EVERY;
use super::schedule::{MILLISECOND, Time};
use super::workload::Token;

/// The lifetime of a stop that outlasts every world: clocks are put by ten years at most, either way.
pub(super) const STOP_LASTING_MS: u64 = 11_000 * 86_400_000;

/// The fleet's time when the world began.
const BEGAN_MS: i64 = 1_700_000_000_000;

/// The fleet's time.
pub(super) fn wall(now: Time) -> Timestamp {
    Timestamp::from_millis(BEGAN_MS + (now / MILLISECOND) as i64)
}

#[derive(Debug)]
pub(super) struct Host {
    shard: Shard,
    pub inbox: Vec<Input>,
    running: bool,
    tick: (Option<u64>, u64),
}

#[derive(Debug)]
pub(super) struct Server {
    pub hosts: Vec<Host>,
    pub life: u64,
    began: Time,
    base_ms: u64,
    requests: u64,
    pub log: Log,
    pub log_slow_until: Time,
    /// It stops after so many effects, for so long.
    pub crash_in: Option<(u32, Time)>,
    /// How far its wall clock is off.
    pub wall_offset_ms: i64,
    /// Being stopped in order.
    pub draining: bool,
}

impl Host {
    pub(super) fn figures(&self) -> Figures {
        self.shard.figures()
    }
}

impl Server {
    pub(super) fn new(machines: usize) -> Self {
        Self {
            hosts: Vec::new(),
            life: 0,
            began: 0,
            base_ms: 0,
            requests: 0,
            log: Log::new(machines),
            log_slow_until: 0,
            crash_in: None,
            wall_offset_ms: 0,
            draining: false,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        !self.hosts.is_empty()
    }

    fn now(&self, now: Time) -> Now {
        Now {
            mono_ms: self.base_ms + (now - self.began) / MILLISECOND,
            wall: wall(now).plus_millis(self.wall_offset_ms),
        }
    }

    pub(super) fn shard_of(&self, machine: usize) -> Option<&Shard> {
        let hosts = self.hosts.len();
        self.hosts.get(machine % hosts.max(1)).map(|host| &host.shard)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.log.is_idle() && self.hosts.iter().all(|host| host.shard.is_settled())
    }
}

impl World {
    pub(super) fn boot_server(&mut self) {
        if self.server.is_up() {
            return;
        }
        let now = self.schedule.now();
        self.server.life += 1;
        self.server.began = now;
        self.judge.server_since = now;
        self.server.base_ms = self.random.server.below(1_000_000);
        self.server.draining = false;
        let options = Options::default();
        let at = self.server.now(now);
        for index in 0..self.scenario.shards {
            let mut views = Vec::new();
            for machine in (index..self.machines.len()).step_by(self.scenario.shards) {
                views.extend(self.view_from_log(machine));
            }
            self.server.hosts.push(Host {
                shard: Shard::new(options.clone(), at, views),
                inbox: Vec::new(),
                running: false,
                tick: (None, 0),
            });
        }
        let life = self.server.life;
        self.note(None, "server", &[life], || {
            format!("the server starts for the {life}. time")
        });
        for shard in 0..self.scenario.shards {
            self.gather(shard);
        }
    }

    fn view_from_log(&mut self, machine: usize) -> Option<muster_model::MachineView> {
        let id = self.machines[machine].id;
        let stream = self.server.log.stream(machine);
        let snapshot_at = self.random.server.index(stream.tail().len() * 2 + 1);
        let left_out = usize::from(self.scenario.planted == Some(Planted::SnapshotBehind));
        let mut view = stream.view(id, snapshot_at, left_out)?;
        if self.scenario.planted == Some(Planted::SnapshotAhead) {
            sabotage::fold_lost(&self.sabotage.lost, &mut view);
        }
        let now = self.schedule.now();
        self.judge.view(now, machine, stream, &view);
        // What it shows is right, what it goes by is not.
        if self.scenario.planted == Some(Planted::DedupForgotten) {
            view.highest_record = muster_model::RecordNumber::ZERO;
        }
        Some(view)
    }

    /// The server stops at once; what was not durable is lost.
    pub(super) fn crash_server(&mut self, down: Time) {
        self.server.crash_in = None;
        if !self.server.is_up() {
            return;
        }
        self.counts.server_crashes += 1;
        self.server.hosts.clear();
        let machines = self.machines.len();
        let (outcomes, lost) = self
            .server
            .log
            .crash(&mut self.random.server, |id| index_of(id, machines));
        self.sabotage.lost = lost;
        for outcome in &outcomes {
            self.judge_durable(outcome);
        }
        self.note(None, "server", &[outcomes.len() as u64], || {
            format!(
                "the server stops; {} batches became durable unheard",
                outcomes.len()
            )
        });
        let open: Vec<u64> = self
            .network
            .connections
            .iter_mut()
            .filter(|(_, ends)| ends.server_open)
            .map(|(id, ends)| {
                ends.server_open = false;
                *id
            })
            .collect();
        for connection in open {
            // Some machines do not notice: they find out by silence.
            if self.random.faults.chance(700)
                && let Some(ends) = self.network.connections.get(&connection)
            {
                let (machine, life) = (ends.machine, ends.machine_life);
                let wait = self.network.latency[machine];
                let reason = "connection reset".to_owned();
                let event = Event::LinkClosed {
                    machine,
                    life,
                    connection,
                    reason,
                };
                self.schedule.after(wait, event);
            }
        }
        for machine in 0..self.machines.len() {
            self.network.forget_closed(machine);
        }
        self.schedule.after(down, Event::ServerBoot);
    }

    /// A frame reaches the server.
    pub(super) fn server_hears(&mut self, machine: usize, connection: u64, frame: Envelope<MachineMessage>) {
        let numbers = [
            machine as u64,
            connection,
            frame.session.map_or(0, |session| session.0),
            frame.sequence.0,
            frame.record.map_or(0, |record| record.0),
        ];
        self.note(Some(machine), frame.message.type_name(), &numbers, || {
            format!(
                "the server hears machine {machine} on connection {connection}: {}",
                up_words(&frame)
            )
        });
        self.judge.frame(self.schedule.now(), machine, connection, &frame);
        if let Some((refused, token)) = self.poison(&frame) {
            self.refuse(machine, connection, refused, token);
            return;
        }
        let connection = ConnectionId(connection);
        let (connection, frame) = self.tamper_above(machine, connection, frame);
        self.server_input(machine, Input::Frame { connection, frame });
    }

    /// What the gateway reads of a frame that it cannot take for what it holds.
    fn poison(&self, frame: &Envelope<MachineMessage>) -> Option<(RefusedRecord, Token)> {
        let MachineMessage::Event(event) = &frame.message else {
            return None;
        };
        let token: Token = event.message.parse().ok()?;
        let poison = self.scenario.poison && token.is_multiple_of(POISON_EVERY);
        let refused = RefusedRecord {
            machine_id: frame.machine_id,
            session: frame.session?,
            record: frame.record?,
            kind: "event",
        };
        poison.then_some((refused, token))
    }

    /// Refuses a record as the gateway does: the shard is told of it, and the connection ends.
    fn refuse(&mut self, machine: usize, connection: u64, refused: RefusedRecord, token: Token) {
        self.judge.poisoned(machine, refused.record, token);
        let reason = format!("token {token} cannot be taken");
        let input = Input::Refused {
            connection: ConnectionId(connection),
            refused,
            reason: reason.clone(),
        };
        self.server_input(machine, input);
        self.send(connection, Way::Down, Packet::End(reason.clone()));
        self.server_closed(connection, reason);
    }

    pub(super) fn server_input(&mut self, machine: usize, input: Input) {
        let shard = machine % self.scenario.shards;
        if let Some(host) = self.server.hosts.get_mut(shard) {
            host.inbox.push(input);
            self.gather(shard);
        }
    }

    /// The server notices that a connection is over.
    pub(super) fn server_closed(&mut self, connection: u64, reason: String) {
        let Some(ends) = self.network.connections.get_mut(&connection) else {
            return;
        };
        if !std::mem::take(&mut ends.server_open) {
            return;
        }
        let machine = ends.machine;
        self.network.forget_closed(machine);
        self.note(Some(machine), "closed", &[connection], || {
            format!("the server notices that connection {connection} is over: {reason}")
        });
        let connection = ConnectionId(connection);
        self.server_input(machine, Input::Closed { connection, reason });
    }

    /// A person changes the profile of some machine.
    pub(super) fn ask(&mut self) {
        let machine = self.random.server.index(self.machines.len());
        self.server.requests += 1;
        let request = RequestId(self.server.requests);
        let name = format!("name {}", self.random.server.below(4));
        let change = ProfileChange::DisplayName(Some(name));
        let machine_id = self.machines[machine].id;
        self.server_input(
            machine,
            Input::ChangeProfile {
                request,
                machine: machine_id,
                change,
                expected: None,
            },
        );
    }

    /// Now and then a person asks some machine to stop: mostly for as long as the world lasts, sometimes for a moment only.
    pub(super) fn ask_to_stop(&mut self) {
        let random = &mut self.random.stops;
        if random.chance(500) {
            return;
        }
        let machine = random.index(self.machines.len());
        let lifetime_ms = if random.chance(750) {
            STOP_LASTING_MS
        } else {
            random.between(1, 40_000)
        };
        self.server.requests += 1;
        let request = self.server.requests;
        self.judge.stop_asked(machine, &stop_id(RequestId(request)));
        let stop = Input::Stop {
            request: RequestId(request),
            machine: self.machines[machine].id,
            order: StopOrder {
                command_id: stop_id(RequestId(request)),
                issuer: "somebody".to_owned(),
                reason: "the world wants it".to_owned(),
                lifetime_ms,
            },
        };
        self.server_input(machine, stop);
    }

    /// Now and then people change what some machine should become, sometimes several times at once.
    pub(super) fn desire(&mut self) {
        if self.random.desired.chance(300) {
            return;
        }
        let machine = self.random.desired.index(self.machines.len());
        for _ in 0..self.random.desired.between(1, 3) {
            let random = &mut self.random.desired;
            let section = ["calibration", "workloads"][random.index(2)];
            let number = random.below(5);
            let content = check_content(&serde_json::json!({ "number": number }));
            let change = DesiredChange {
                section: section.to_owned(),
                content: content.ok().filter(|_| !random.chance(200)),
                issuer: "somebody".to_owned(),
                reason: "the world wants it".to_owned(),
            };
            self.server.requests += 1;
            let input = Input::ChangeDesired {
                request: RequestId(self.server.requests),
                machine: self.machines[machine].id,
                change,
                expected: None,
            };
            self.server_input(machine, input);
        }
    }

    /// The server is stopped in order: everyone is told, then it ends.
    pub(super) fn drain(&mut self) {
        self.server.draining = true;
        for shard in 0..self.server.hosts.len() {
            if let Some(host) = self.server.hosts.get_mut(shard) {
                host.inbox.push(Input::Drain {
                    retry_after_ms: 1_000,
                });
                self.gather(shard);
            }
        }
    }

    /// Lets a shard run soon; in worlds where inputs gather, after a moment.
    pub(super) fn gather(&mut self, shard: usize) {
        let together = self.scenario.together;
        let wait = if together {
            self.random.server.between(0, 8) * MILLISECOND
        } else {
            0
        };
        let life = self.server.life;
        let host = &mut self.server.hosts[shard];
        if !std::mem::replace(&mut host.running, true) {
            self.schedule.after(wait, Event::ShardRun { life, shard });
        }
    }

    pub(super) fn shard_tick(&mut self, life: u64, shard: usize, generation: u64) {
        if self.server.life != life || self.scenario.planted == Some(Planted::PresenceNeverExpires) {
            return;
        }
        if let Some(host) = self.server.hosts.get_mut(shard)
            && host.tick.1 == generation
        {
            host.tick.0 = None;
            host.inbox.push(Input::Tick);
            self.gather(shard);
        }
    }

    /// A shard takes in what has gathered.
    pub(super) fn run_shard(&mut self, life: u64, shard: usize) {
        if self.server.life != life || !self.server.is_up() {
            return;
        }
        let now = self.schedule.now();
        let at = self.server.now(now);
        let machines = self.machines.len();
        let host = &mut self.server.hosts[shard];
        host.running = false;
        let mut to_be_said = Vec::new();
        for input in std::mem::take(&mut host.inbox) {
            let shard_of = &mut self.server.hosts[shard].shard;
            if let Input::Stop { request, machine, .. } = &input
                && shard_of.is_in_session(*machine)
            {
                to_be_said.push((index_of(*machine, machines), stop_id(*request)));
            }
            shard_of.step(at, input);
            if !self.scenario.together && !self.carry_out(shard) {
                return;
            }
        }
        if !self.carry_out(shard) {
            return;
        }
        for (machine, id) in to_be_said {
            self.judge.said_at_once(now, machine, &id);
        }
        let host = &mut self.server.hosts[shard];
        let changed = host.shard.take_changed();
        let next = host.shard.next_tick_ms();
        if host.tick.0 != next
            && let Some(next) = next
        {
            host.tick = (Some(next), host.tick.1 + 1);
            let generation = host.tick.1;
            let wait = next.saturating_sub(at.mono_ms) * MILLISECOND;
            let event = Event::ShardTick {
                life,
                shard,
                generation,
            };
            self.schedule.after(wait, event);
        }
        for view in changed {
            let machine = index_of(view.id, machines);
            self.judge
                .view(now, machine, self.server.log.stream(machine), &view);
        }
    }

    /// Carries out a shard's effects in order. False if the server stopped in the middle.
    fn carry_out(&mut self, shard: usize) -> bool {
        let now = self.schedule.now();
        let at = self.server.now(now);
        for effect in self.server.hosts[shard].shard.take_effects(at) {
            if let Some((left, down)) = &mut self.server.crash_in {
                if *left == 0 {
                    let down = *down;
                    self.crash_server(down);
                    return false;
                }
                *left -= 1;
            }
            match effect {
                Effect::Append {
                    ticket,
                    recorded_at,
                    entries,
                } => {
                    let batch = Batch {
                        shard,
                        ticket,
                        recorded_at,
                        entries,
                    };
                    self.hand_in(batch);
                }
                Effect::Send { connection, frame } => self.server_says(connection.0, frame),
                Effect::Close {
                    connection, reason, ..
                } => {
                    if self.keeps_fenced(connection.0) {
                        continue;
                    }
                    self.send(connection.0, Way::Down, Packet::End(reason));
                    if let Some(ends) = self.network.connections.get_mut(&connection.0) {
                        ends.server_open = false;
                    }
                }
                Effect::Recorded(_)
                | Effect::Telemetry { .. }
                | Effect::Log { .. }
                | Effect::Answer { .. }
                | Effect::DesiredChanged { .. }
                | Effect::Commanded { .. } => {}
                Effect::Stopped {
                    request,
                    machine,
                    result,
                } => {
                    let machine = index_of(machine, self.machines.len());
                    self.judge.stop_answered(now, machine, &stop_id(request), &result);
                }
            }
        }
        true
    }

    fn server_says(&mut self, connection: u64, mut frame: Envelope<ServerMessage>) {
        let now = self.schedule.now();
        let machine = index_of(frame.machine_id, self.machines.len());
        self.tamper_below(machine, connection, &mut frame);
        self.counts.frames_down += 1;
        self.judge.said(now, machine, &frame.message);
        if let ServerMessage::Command(command) = &frame.message {
            self.judge.commanded(now, machine, command, frame.timestamp);
        }
        if let ServerMessage::Desired(desired) = &frame.message {
            self.judge.desired_said(now, machine, desired);
        }
        if !self.scenario.faults.is_hostile() {
            self.judge_manners(machine, connection, &frame.message);
        }
        if let ServerMessage::Welcome(welcome) = &frame.message {
            self.pass_off(machine, connection, welcome.session);
        }
        self.send(connection, Way::Down, Packet::Down(Box::new(frame)));
    }

    /// Where the network does what TCP promises, nobody is accused, and nothing is asked for over and over.
    fn judge_manners(&mut self, machine: usize, connection: u64, message: &ServerMessage) {
        let now = self.schedule.now();
        let open = self
            .network
            .connections
            .get(&connection)
            .is_some_and(|ends| ends.server_open);
        match message {
            ServerMessage::Bye(bye) if open => self.judge.accused(now, machine, connection, bye),
            ServerMessage::Resync(_) => self.judge.asked(now, machine),
            _ => {}
        }
    }
}

/// What a stop of this request is called.
fn stop_id(request: RequestId) -> String {
    format!("stop {}", request.0)
}

/// Machines have the number of their place as id.
pub(super) fn index_of(id: MachineId, machines: usize) -> usize {
    let index = id.as_uuid().as_u128() as usize;
    debug_assert!((1..=machines).contains(&index), "machine {id} is in this world");
    index - 1
}
