//! Rows 8 and 3: server, machines or both die by `kill -9` while machines write, again and again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::audit::{Audit, held, is_sound};
use super::kit::{Agent, Dice, Process, Server, dice, muster, rounds, steady_port, until};
use super::writer::Writer;

/// A fresh fleet every so many rounds: a log that grows for ever makes each look at it slower.
const ROUNDS_PER_FLEET: u64 = 50;
/// How long a machine may take to come back after everything runs again.
const BACK_WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Server,
    Machines,
    Both,
}

const VICTIMS: [Victim; 3] = [Victim::Server, Victim::Machines, Victim::Both];

/// A server, a real machine on this computer, simulated machines in one process, and writers that never rest.
struct Fleet {
    top: tempfile::TempDir,
    server: Server,
    port: u16,
    agent: Process,
    simulated: Process,
    writers: Vec<Writer>,
    audit: Audit,
}

impl Fleet {
    fn start() -> Self {
        let mut top = tempfile::tempdir().unwrap();
        // What a failure leaves can be looked at.
        top.disable_cleanup(std::env::var_os("MUSTER_PROVE_KEEP").is_some());
        let port = steady_port();
        let server = serve(&top.path().join("server"), port);
        let url = server.url();
        Self {
            agent: Agent::new(&top.path().join("machine"), &url, "probe").start(),
            simulated: simulate(&top.path().join("simulated"), &url),
            writers: (0..4).map(Writer::new).collect(),
            audit: Audit::default(),
            server,
            port,
            top,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn round(&mut self, victim: Victim, dice: &mut Dice) {
        let url = self.server.url();
        let before: Vec<u64> = self.writers.iter().map(Writer::acknowledged).collect();
        for writer in &mut self.writers {
            writer.go_on(&url);
        }
        until("acknowledgements in this round", Duration::from_secs(30), || {
            self.writers
                .iter()
                .zip(&before)
                .all(|(writer, before)| writer.acknowledged() > *before)
                .then_some(())
        });
        if victim != Victim::Server {
            // A machine that never got anywhere would be an easy victim.
            self.agent.hear("a connection", BACK_WITHIN, |said| {
                said.contains("in session with the server").then_some(())
            });
        }
        dice.pause(Duration::from_millis(200));
        if victim != Victim::Machines {
            self.server.process.kill();
        }
        if victim != Victim::Server {
            self.agent.kill();
            self.simulated.kill();
        }
        if victim != Victim::Machines {
            self.writers.iter_mut().for_each(Writer::wait);
        }
        self.look(victim);
        if victim != Victim::Machines {
            self.server = serve(&self.path("server"), self.port);
        }
        if victim != Victim::Server {
            self.agent = Agent::new(&self.path("machine"), &url, "probe").start();
            self.simulated = simulate(&self.path("simulated"), &url);
        }
    }

    /// What was acknowledged is there; what is there was kept by who sent it.
    fn look(&mut self, victim: Victim) {
        let acknowledged: Vec<u64> = self.writers.iter().map(Writer::acknowledged).collect();
        let machines = match victim {
            Victim::Server => Vec::new(),
            Victim::Machines | Victim::Both => {
                let mut machines = held(&self.path("machine"));
                machines.extend(held(&self.path("simulated")));
                machines
            }
        };
        self.audit.read(&self.path("server"));
        is_sound(&self.path("server"));
        for (writer, acknowledged) in self.writers.iter().zip(acknowledged) {
            let highest = self.audit.machine(&writer.id).highest;
            assert!(
                highest >= acknowledged,
                "{}: {highest} of {acknowledged} acknowledged",
                writer.id
            );
        }
        for machine in machines {
            let highest = self.audit.machine(&machine.id).highest;
            assert!(
                highest >= machine.settled,
                "{}: {highest} of {}",
                machine.id,
                machine.settled
            );
            assert!(
                highest <= machine.highest,
                "{}: sent {highest}, kept {}",
                machine.id,
                machine.highest
            );
        }
    }

    /// Everything comes together once nobody dies any more, and the whole log is read once more from its beginning.
    fn end(mut self) -> (u64, u64) {
        self.agent.hear("a connection", BACK_WITHIN, |said| {
            said.contains("in session with the server").then_some(())
        });
        let data = self.path("server");
        drop((self.agent, self.simulated));
        self.server.process.kill();
        self.writers.iter_mut().for_each(Writer::wait);
        let mut whole = Audit::default();
        whole.read(&data);
        assert!(whole.head() >= self.audit.head());
        for writer in &self.writers {
            assert!(whole.machine(&writer.id).highest >= writer.acknowledged());
            let sessions = writer.sessions();
            assert!(
                sessions.is_sorted_by(|a, b| a < b),
                "sessions only grow: {sessions:?}"
            );
        }
        let real: u64 = whole
            .machines()
            .filter(|(id, _)| !self.writers.iter().any(|writer| writer.id == *id))
            .map(|(_, known)| known.highest)
            .sum();
        (whole.records(), real)
    }
}

fn serve(data: &Path, port: u16) -> Server {
    let mut command = Server::command(data, port);
    command.args(["--messages-per-second", "10000", "--messages-burst", "10000"]);
    Server::ready(Process::start(command))
}

fn simulate(data: &Path, url: &str) -> Process {
    let mut command = muster();
    command.args([
        "sim",
        "connect",
        "--machines",
        "6",
        "--start-within",
        "0.1",
        "--server",
        url,
        "--data",
    ]);
    command.arg(data);
    Process::start(command)
}

#[test]
fn row_8_kill_9_of_server_machine_and_both_loses_nothing_acknowledged() {
    let rounds = rounds(9, 1_000);
    let mut dice = dice("kill -9");
    let began = Instant::now();
    let (mut records, mut real) = (0, 0);
    let mut fleet = Fleet::start();
    for round in 0..rounds {
        if round > 0 && round.is_multiple_of(ROUNDS_PER_FLEET) {
            let (all, of_machines) = std::mem::replace(&mut fleet, Fleet::start()).end();
            records += all;
            real += of_machines;
            println!(
                "{round} rounds after {:.0} s, {records} records",
                began.elapsed().as_secs_f64()
            );
        }
        fleet.round(VICTIMS[round as usize % VICTIMS.len()], &mut dice);
    }
    let (all, of_machines) = fleet.end();
    records += all;
    real += of_machines;
    assert!(real > 0, "the real machines wrote nothing");
    println!(
        "\nfigure kill_9 rounds={rounds} lost=0 doubled=0 records={records} of_real_runtimes={real} seconds={:.1}",
        began.elapsed().as_secs_f64()
    );
}

/// What changed before a crash and not after it was in no checkpoint: one more restart, and the server had forgotten
/// records that it had acknowledged.
#[test]
fn row_8_a_machine_that_is_silent_between_two_restarts_is_not_forgotten() {
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("server");
    let (mut early, mut late) = (Writer::new(1), Writer::new(2));
    let write = |server: &Server, writer: &mut Writer| {
        writer.go_on(&server.url());
        let before = writer.acknowledged();
        until("acknowledgements", BACK_WITHIN, || {
            (writer.acknowledged() > before + 50).then_some(())
        });
    };
    let mut server = serve(&data, 0);
    write(&server, &mut early);
    server.process.kill();
    early.wait();
    // Ended in order, it makes a checkpoint, of which the first machine must be a part.
    let mut server = serve(&data, 0);
    write(&server, &mut late);
    server.process.signal(rustix::process::Signal::TERM);
    assert!(server.process.end(BACK_WITHIN).success());
    late.wait();
    // The writer itself fails when it is welcomed with less than it has an acknowledgement for.
    let server = serve(&data, 0);
    write(&server, &mut early);
    drop(server);
    early.wait();
    let mut audit = Audit::default();
    audit.read(&data);
    assert!(audit.machine(&early.id).highest >= early.acknowledged());
}
