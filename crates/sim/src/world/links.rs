//! How packets get from one end to the other, and how either end learns that a connection is over, or does not.

use muster_protocol::link::{Decoder, MachineMessage, ServerMessage, encode};
use muster_reflex::link::Input;

use super::World;
use super::event::Event;
use super::judge::Check;
use super::machine::CONNECT_WITHIN;
use super::network::{Packet, Way};
use super::schedule::{MILLISECOND, SECOND, Time};

/// How often the server sends a ping.
const PING_EVERY: Time = 10 * SECOND;
/// So many unanswered pings end a connection.
const PINGS_MISSED_MAX: u32 = 2;

impl World {
    /// An attempt to connect has come to its end.
    pub(super) fn connected(&mut self, machine: usize, life: u64) {
        if self.machines[machine].life != life || self.machines[machine].link.is_none() {
            return;
        }
        let reachable = !self.network.blocked(machine, Way::Up) && !self.network.blocked(machine, Way::Down);
        if !reachable || !self.server.is_up() {
            // Refused at once where nobody listens, given up after a while where nobody answers.
            let wait = if reachable { MILLISECOND } else { CONNECT_WITHIN };
            self.schedule.after(wait, Event::NotConnected { machine, life });
            return;
        }
        let connection = self.network.open(machine, life);
        self.machines[machine].connection = Some(connection);
        self.counts.connections += 1;
        self.note(Some(machine), "opened", &[machine as u64, connection], || {
            format!("connection {connection} of machine {machine} stands")
        });
        self.schedule.after(PING_EVERY, Event::Ping { connection });
        self.step_machine(machine, Input::Opened);
    }

    pub(super) fn not_connected(&mut self, machine: usize, life: u64) {
        if self.machines[machine].life == life {
            let entropy = self.random.machines.next();
            let reason = "no connection".to_owned();
            self.step_machine(machine, Input::Closed { reason, entropy });
        }
    }

    /// Puts a packet into a pipe, if the end that sends has it open.
    pub(super) fn send(&mut self, connection: u64, way: Way, packet: Packet) {
        let Some(ends) = self.network.connections.get(&connection) else {
            return;
        };
        let open = match way {
            Way::Up => ends.machine_open,
            Way::Down => ends.server_open,
        };
        if !open {
            return;
        }
        let packet = self.on_the_wire(packet);
        let is_end = matches!(packet, Packet::End(_));
        let now = self.schedule.now();
        for at in self.network.travel(connection, way, now, is_end) {
            let packet = packet.clone();
            self.schedule.at(
                at,
                Event::Arrive {
                    connection,
                    way,
                    packet,
                },
            );
        }
    }

    fn on_the_wire(&mut self, packet: Packet) -> Packet {
        if !self.scenario.wire {
            return packet;
        }
        let now = self.schedule.now();
        let encoded = match &packet {
            Packet::Up(frame) => encode(frame),
            Packet::Down(frame) => encode(frame),
            Packet::Text(_) | Packet::Ping | Packet::Pong | Packet::End(_) => return packet,
        };
        match encoded {
            Ok(text) => Packet::Text(text),
            Err(error) => {
                self.judge.look(None, now, Check::Encoding, false, || {
                    format!("{packet:?} cannot be written: {error}")
                });
                packet
            }
        }
    }

    fn off_the_wire(&mut self, way: Way, packet: Packet) -> Packet {
        let Packet::Text(text) = packet else {
            return packet;
        };
        let decoder = Decoder::default();
        let decoded = match way {
            Way::Up => decoder.machine(&text).map(|frame| Packet::Up(Box::new(frame))),
            Way::Down => decoder.server(&text).map(|frame| Packet::Down(Box::new(frame))),
        };
        let now = self.schedule.now();
        let error = decoded.as_ref().err().map(ToString::to_string);
        self.judge.look(None, now, Check::Encoding, error.is_none(), || {
            format!("{text} cannot be read: {}", error.unwrap_or_default())
        });
        decoded.unwrap_or(Packet::Ping)
    }

    /// A packet comes out of its pipe, unless the pipe was cut or the way is blocked.
    pub(super) fn arrive(&mut self, connection: u64, way: Way, packet: Packet) {
        let Some(ends) = self.network.connections.get_mut(&connection) else {
            return;
        };
        let machine = ends.machine;
        let blocked = match way {
            Way::Up => self.network.blocked_up[machine],
            Way::Down => self.network.blocked_down[machine],
        };
        let pipe = ends.pipe(way);
        if pipe.cut {
            return;
        }
        if blocked || pipe.stalled || !pipe.held.is_empty() {
            pipe.held.push_back(packet);
            return;
        }
        self.hand_over(connection, way, packet);
    }

    fn hand_over(&mut self, connection: u64, way: Way, packet: Packet) {
        let packet = self.off_the_wire(way, packet);
        match way {
            Way::Up => self.reach_server(connection, packet),
            Way::Down => self.reach_machine(connection, packet),
        }
    }

    fn reach_server(&mut self, connection: u64, packet: Packet) {
        let Some(ends) = self.network.connections.get_mut(&connection) else {
            return;
        };
        let machine = ends.machine;
        if !ends.server_open {
            if let Packet::Up(frame) = packet {
                self.keep_stale(machine, *frame);
            }
            return;
        }
        match packet {
            Packet::Up(frame) => {
                self.server_hears(machine, connection, *frame);
            }
            Packet::Pong => {
                ends.unanswered_pings = 0;
                self.judge.heard(self.schedule.now(), machine);
                self.server_input(
                    machine,
                    muster_brain::shard::Input::Heard(muster_brain::shard::ConnectionId(connection)),
                );
            }
            Packet::End(reason) => self.server_closed(connection, reason),
            Packet::Down(_) | Packet::Text(_) | Packet::Ping => {}
        }
    }

    fn reach_machine(&mut self, connection: u64, packet: Packet) {
        let Some(ends) = self.network.connections.get_mut(&connection) else {
            return;
        };
        let (machine, life) = (ends.machine, ends.machine_life);
        if !ends.machine_open || self.machines[machine].life != life {
            return;
        }
        match packet {
            Packet::Down(frame) => {
                let numbers = [
                    machine as u64,
                    connection,
                    frame.session.map_or(0, |session| session.0),
                    frame.sequence.0,
                ];
                self.note(Some(machine), frame.message.type_name(), &numbers, || {
                    format!(
                        "machine {machine} hears on connection {connection}: {}",
                        down_words(&frame)
                    )
                });
                self.step_machine(machine, Input::Frame(*frame));
            }
            Packet::Ping => {
                self.step_machine(machine, Input::Heard);
                self.send(connection, Way::Up, Packet::Pong);
            }
            Packet::End(reason) => self.machine_closed(machine, life, connection, reason),
            Packet::Up(_) | Packet::Text(_) | Packet::Pong => {}
        }
    }

    /// The machine ends its connection: the server hears of it after what was said before.
    pub(super) fn machine_hangs_up(&mut self, machine: usize, reason: String) {
        let life = self.machines[machine].life;
        let Some(connection) = self.machines[machine].connection else {
            return;
        };
        self.send(connection, Way::Up, Packet::End(reason.clone()));
        if let Some(ends) = self.network.connections.get_mut(&connection) {
            ends.machine_open = false;
        }
        self.schedule.after(
            MILLISECOND,
            Event::LinkClosed {
                machine,
                life,
                connection,
                reason,
            },
        );
    }

    /// The machine notices that its connection is over.
    pub(super) fn machine_closed(&mut self, machine: usize, life: u64, connection: u64, reason: String) {
        let this = &mut self.machines[machine];
        if this.life != life || this.connection != Some(connection) {
            return;
        }
        this.connection = None;
        if let Some(ends) = self.network.connections.get_mut(&connection) {
            ends.machine_open = false;
        }
        self.network.forget_closed(machine);
        self.note(Some(machine), "closed", &[machine as u64, connection], || {
            format!("machine {machine} notices that connection {connection} is over: {reason}")
        });
        let entropy = self.random.machines.next();
        self.step_machine(machine, Input::Closed { reason, entropy });
    }

    /// The machine's computer is off: the server hears of it at once, or not at all.
    pub(super) fn machine_ends_vanish(&mut self, machine: usize) {
        for connection in self.network.of(machine) {
            let Some(ends) = self.network.connections.get_mut(&connection) else {
                continue;
            };
            if !std::mem::take(&mut ends.machine_open) {
                continue;
            }
            if self.random.faults.chance(500) {
                let wait = self.network.latency[machine];
                let reason = "connection reset".to_owned();
                self.schedule
                    .after(wait, Event::ServerClosed { connection, reason });
            }
        }
    }

    /// The server sends a ping, or gives the connection up after too many without an answer.
    pub(super) fn ping(&mut self, connection: u64) {
        let Some(ends) = self.network.connections.get_mut(&connection) else {
            return;
        };
        if !ends.server_open {
            return;
        }
        if ends.unanswered_pings >= PINGS_MISSED_MAX {
            self.server_closed(connection, "two pings were not answered".to_owned());
            return;
        }
        ends.unanswered_pings += 1;
        self.send(connection, Way::Down, Packet::Ping);
        self.schedule.after(PING_EVERY, Event::Ping { connection });
    }

    /// A write is handed to the socket: it is out soon, or once the way is free again.
    pub(super) fn writing(&mut self, machine: usize, connection: u64) {
        let life = self.machines[machine].life;
        if self.network.blocked(machine, Way::Up) && self.network.random.chance(500) {
            if let Some(ends) = self.network.connections.get_mut(&connection) {
                ends.write_stalled = true;
            }
            return;
        }
        let wait = self.network.random.between(0, 3) * MILLISECOND;
        self.schedule.after(
            wait,
            Event::Written {
                machine,
                life,
                connection,
            },
        );
    }

    /// The socket took what was written.
    pub(super) fn written(&mut self, machine: usize, life: u64, connection: u64) {
        if self.machines[machine].life == life && self.machines[machine].connection == Some(connection) {
            self.step_machine(machine, Input::Written);
        }
    }

    /// What an old connection held back arrives, unless the way is blocked.
    pub(super) fn release(&mut self, connection: u64) {
        let Some(ends) = self.network.connections.get_mut(&connection) else {
            return;
        };
        ends.up.stalled = false;
        if !self.network.blocked_up[ends.machine] {
            self.let_through(connection, Way::Up);
        }
    }

    fn let_through(&mut self, connection: u64, way: Way) {
        while let Some(packet) = self
            .network
            .connections
            .get_mut(&connection)
            .filter(|ends| way == Way::Down || !ends.up.stalled)
            .and_then(|ends| ends.pipe(way).held.pop_front())
        {
            self.hand_over(connection, way, packet);
        }
    }

    /// A way is free again: what waited comes through at once, in order.
    pub(super) fn heal(&mut self, machine: usize, way: Way) {
        match way {
            Way::Up => self.network.blocked_up[machine] = false,
            Way::Down => self.network.blocked_down[machine] = false,
        }
        for connection in self.network.of(machine) {
            self.let_through(connection, way);
            if let Some(ends) = self.network.connections.get_mut(&connection)
                && way == Way::Up
                && std::mem::take(&mut ends.write_stalled)
            {
                self.writing(machine, connection);
            }
        }
    }
}

/// A frame to a machine in words.
fn down_words(frame: &muster_protocol::link::Envelope<ServerMessage>) -> String {
    let detail = match &frame.message {
        ServerMessage::Welcome(welcome) => format!("highest record {}", welcome.highest_record),
        ServerMessage::Ack(ack) => format!("up to record {}", ack.record),
        ServerMessage::Resync(resync) => format!("from record {}: {}", resync.next_record, resync.reason),
        ServerMessage::Bye(bye) => bye.message.clone(),
        ServerMessage::Command(command) => command.id.clone(),
        ServerMessage::Desired(desired) => format!("version {}", desired.version),
    };
    let session = frame.session.map_or(0, |session| session.0);
    format!("session {session}, message {}: {detail}", frame.sequence)
}

/// A frame to the server in words.
pub(super) fn up_words(frame: &muster_protocol::link::Envelope<MachineMessage>) -> String {
    let session = frame.session.map_or(0, |session| session.0);
    let mut words = format!("session {session}, message {}", frame.sequence);
    if let Some(record) = frame.record {
        words.push_str(&format!(", record {record}"));
    }
    match &frame.message {
        MachineMessage::Hello(hello) => {
            words.push_str(&format!(
                ", last session {}, holds {:?}, highest record {}",
                hello.last_session, hello.records, hello.highest_record
            ));
        }
        MachineMessage::Event(event) => words.push_str(&format!(", token {}", event.message)),
        MachineMessage::State(muster_protocol::link::StateReport::Full(_)) => words.push_str(", full"),
        MachineMessage::State(muster_protocol::link::StateReport::Patch { base, .. }) => {
            words.push_str(&format!(", patch of {base}"));
        }
        MachineMessage::Heartbeat(_)
        | MachineMessage::Telemetry(_)
        | MachineMessage::Log(_)
        | MachineMessage::Response(_) => {}
    }
    words
}
