//! A server, machines on their hosts and an observer, on one simulated network; time moves when the test says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use muster_model::{MachineId, Presence};
use muster_protocol::api;
use muster_reflex::link::LinkState;
use turmoil::{Builder, Sim};

use super::chance::Chance;
use super::judge::{self, Check, Reading, Violation, violation};
use super::ledger::Ledger;
use super::observer::{self, Question, Questions};
use super::{live, machines, relay, server};

/// When the simulated world begins, by the wall clock.
const BEGINS: Duration = Duration::from_secs(1_800_000_000);
/// The disks have so long, in real time, before something hangs.
const DISK_WITHIN: Duration = Duration::from_secs(30);
/// What is written must be shown after so many tries, a second apart.
const SHOWN_WITHIN_TRIES: usize = 5;
/// Where files are kept in memory: no power is cut here, so that waiting for a disk would show nothing.
const MEMORY: &str = "/dev/shm";
/// The disks are looked at again after so long, in real time.
const LOOK_AGAIN: Duration = Duration::from_micros(50);
/// Writes that may be under way on one simulated connection, and connections that wait to be taken in.
const NETWORK_MAX: usize = 4_096;

/// The wall clock of the host that asks.
pub(super) fn wall_now_ms() -> i64 {
    turmoil::since_epoch().expect("asked by a host").as_millis() as i64
}

/// What kind of world.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) hosts: usize,
    pub(super) machines_on_each: usize,
    /// Time moves in steps of this length: what a disk takes, and how exact figures are.
    pub(super) tick: Duration,
    pub(super) mark_every_ms: u64,
    pub(super) latency_max: Duration,
    /// Other hosts by which the server is reached, one connection after the other.
    pub(super) relays: usize,
}

impl Plan {
    pub(super) fn of_seed(seed: u64) -> Self {
        Self {
            seed,
            hosts: 3,
            machines_on_each: 2,
            tick: Duration::from_millis(10),
            mark_every_ms: 2_000,
            latency_max: Duration::from_millis(40),
            relays: 0,
        }
    }
}

/// How a link is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dead {
    /// What is sent comes later, as TCP's resending has it.
    Late,
    /// What is sent is lost: a connection that stood is dead, and nobody is told.
    Lost,
    /// As lost, and only what machines send.
    ToServer,
    /// As lost, and only what the server sends.
    FromServer,
}

pub(super) struct World {
    sim: Sim<'static>,
    pub(super) plan: Plan,
    pub(super) server: server::Place,
    pub(super) places: Vec<machines::Place>,
    pub(super) ledger: Ledger,
    /// Bytes that went to the server by each relay.
    pub(super) relayed: Vec<Arc<AtomicU64>>,
    questions: Questions,
    pub(super) follower: live::Follower,
    pub(super) found: Vec<Violation>,
    server_runs: bool,
    tasks_at_first: Vec<(String, usize)>,
    /// What is read of the log while the server runs.
    reading: Reading,
    folder: PathBuf,
    /// Removed last.
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        // One recorder of metrics is all a process has: were it the first server's, that one had a task more than others.
        drop(muster_fleet::admin::install_recorder());
        let in_memory = tempfile::tempdir_in(MEMORY);
        let guard = in_memory.or_else(|_| tempfile::tempdir()).unwrap();
        let folder = guard.path().to_owned();
        let mut sim = Builder::new()
            .rng_seed(plan.seed)
            .epoch(SystemTime::UNIX_EPOCH + BEGINS)
            .simulation_duration(Duration::MAX)
            .tick_duration(plan.tick)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(plan.latency_max)
            .tcp_capacity(NETWORK_MAX)
            // The simulated network gives no port back whose connection was refused, and a day without a server is many tries.
            .ephemeral_ports(1_025..=65_535)
            .build();
        let server = server::Place::new(folder.join("server"));
        let mut chance = Chance::new(plan.seed);
        let ledger = Ledger::default();
        let relays: Vec<String> = (0..plan.relays).map(|index| format!("relay{index}")).collect();
        let mut places = Vec::new();
        for index in 0..plan.hosts {
            let ids = (0..plan.machines_on_each)
                .map(|_| machine_id(&mut chance))
                .collect();
            let name = format!("host{index}");
            let mut place = machines::Place::new(name.clone(), folder.join(&name), ids, chance.next());
            place.mark_every_ms = plan.mark_every_ms;
            place.ledger = ledger.clone();
            if !relays.is_empty() {
                place.ways.clone_from(&relays);
            }
            places.push(place);
        }
        let (questions, follower) = (Questions::default(), live::Follower::default());
        let host = server.clone();
        sim.host(server::HOST, move || server::run(host.clone()));
        let mut relayed = Vec::new();
        for name in relays {
            let counted = Arc::new(AtomicU64::new(0));
            relayed.push(counted.clone());
            sim.host(name, move || relay::run(counted.clone()));
        }
        for place in &places {
            let host = place.clone();
            sim.host(place.name.clone(), move || machines::run(host.clone()));
        }
        sim.client(observer::HOST, observer::run(questions.clone()));
        sim.client(live::HOST, live::run(follower.clone()));
        Self {
            sim,
            plan,
            server,
            places,
            ledger,
            relayed,
            questions,
            follower,
            found: Vec::new(),
            server_runs: true,
            tasks_at_first: Vec::new(),
            reading: Reading::default(),
            folder,
            _folder: guard,
        }
    }

    /// A world in which every machine is in session.
    pub(super) fn up(plan: Plan) -> Self {
        let mut world = Self::new(plan);
        world.until_consistent(Duration::from_secs(60)).unwrap();
        // Whatever belongs to the beginning is over.
        world.run(Duration::from_secs(5));
        world.tasks_at_first = world.tasks();
        world
    }

    pub(super) fn machine_ids(&self) -> Vec<MachineId> {
        self.places
            .iter()
            .flat_map(|place| place.machines.clone())
            .collect()
    }

    pub(super) fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    /// By the wall clock of the simulated world.
    pub(super) fn wall_ms(&self) -> i64 {
        (BEGINS + self.sim.elapsed()).as_millis() as i64
    }

    /// One tick, after everything that was handed to a disk is there: so a commit costs one tick of virtual time.
    pub(super) fn step(&mut self) {
        self.settle();
        if let Err(error) = self.sim.step() {
            panic!("seed {}: at {:?}: {error}", self.plan.seed, self.sim.elapsed());
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the disks live in real time, and simulated time stands still until they are done"
    )]
    fn settle(&self) {
        let began = Instant::now();
        while !(self.server.is_settled() && self.places.iter().all(machines::Place::is_settled)) {
            assert!(began.elapsed() < DISK_WITHIN, "a disk hangs");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now() + time;
        while self.now() < until {
            self.step();
        }
    }

    /// Goes on until something holds; says how long that took in virtual time.
    pub(super) fn until(
        &mut self,
        most: Duration,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Option<Duration> {
        let began = self.now();
        while self.now() < began + most {
            if holds(self) {
                return Some(self.now() - began);
            }
            self.step();
        }
        None
    }

    /// Goes on until every machine is in session and online, and everything that it made up to now is in the log.
    pub(super) fn until_consistent(&mut self, most: Duration) -> Result<Duration, Violation> {
        let made: Vec<(MachineId, u64)> = {
            let mut pages = self.ledger.pages();
            let ids = self.places.iter().flat_map(|place| &place.machines);
            ids.map(|id| (*id, pages.machines.entry(*id).or_default().made))
                .collect()
        };
        let mut why = String::new();
        let took = self.until(most, |world| match world.inconsistent(&made) {
            None => true,
            Some(because) => {
                why = because;
                false
            }
        });
        took.ok_or_else(|| violation(Check::Converges, format!("not within {most:?}: {why}")))
    }

    fn inconsistent(&mut self, made: &[(MachineId, u64)]) -> Option<String> {
        self.read_on();
        let pages = self.ledger.pages();
        made.iter().find_map(|(id, made)| {
            let page = &pages.machines[id];
            let missing = self.reading.missing(*id, page, *made);
            if !missing.is_empty() {
                return Some(format!("{id}: marks {missing:?} are not in the log"));
            }
            if page.link.map(|(state, _)| state) != Some(LinkState::Connected) {
                return Some(format!("{id}: its link is {:?}: {}", page.link, page.link_reason));
            }
            let presence = self.reading.machines.get(id).map(|read| read.view.presence);
            (presence != Some(Presence::Online)).then(|| format!("{id} is {presence:?}"))
        })
    }

    /// The log as it is now.
    pub(super) fn read_on(&mut self) -> &Reading {
        if let Some(log) = self.server.log() {
            self.reading.advance(log.as_ref(), log.head());
        }
        &self.reading
    }

    /// Asks the observer, through the network.
    pub(super) fn ask(&mut self, question: Question) -> Result<String, String> {
        self.questions.ask(question);
        let mut answer = None;
        let questions = self.questions.clone();
        self.until(Duration::from_secs(30), |_| {
            answer = questions.answer();
            answer.is_some()
        });
        answer.unwrap_or_else(|| Err("the observer says nothing".to_owned()))
    }

    pub(super) fn cut(&mut self, host: usize, dead: Dead) {
        let host = self.places[host].name.as_str();
        match dead {
            Dead::Late => self.sim.hold(host, server::HOST),
            Dead::Lost => self.sim.partition(host, server::HOST),
            Dead::ToServer => self.sim.partition_oneway(host, server::HOST),
            Dead::FromServer => self.sim.partition_oneway(server::HOST, host),
        }
    }

    /// Everything passes again, and what was late is on its way.
    pub(super) fn mend(&mut self, host: usize) {
        self.sim.release(self.places[host].name.as_str(), server::HOST);
    }

    pub(super) fn network(&self) -> &Sim<'static> {
        &self.sim
    }

    pub(super) fn slow_down(&mut self, host: usize, latency: Duration) {
        self.sim
            .set_link_latency(self.places[host].name.as_str(), server::HOST, latency);
    }

    /// The server's host goes down at once, whatever it was doing.
    pub(super) fn crash_server(&mut self) {
        if self.server_runs {
            self.sim.crash(server::HOST);
            self.server_runs = false;
            // What was read came from the log of a process that is gone; what is on disk counts.
            self.reading = self.log_on_disk();
        }
    }

    pub(super) fn start_server(&mut self) {
        if !self.server_runs {
            self.sim.bounce(server::HOST);
            self.server_runs = true;
        }
    }

    pub(super) fn host_runs(&mut self, host: usize) -> bool {
        self.sim.is_host_running(self.places[host].name.as_str())
    }

    /// A host of machines goes down at once. What its disk holds then is what its machines promised.
    pub(super) fn crash_host(&mut self, host: usize) {
        if !self.host_runs(host) {
            return;
        }
        // What the log has must be known before: marks that are in it are not excused.
        self.settle();
        self.read_on();
        let place = self.places[host].clone();
        self.sim.crash(place.name.as_str());
        let kept = judge::kept(&place.data, &place.machines);
        let found = judge::of_store(&self.reading, &kept);
        self.found.extend(found);
        judge::note_crash(&self.reading, &kept, &mut self.ledger.pages());
    }

    pub(super) fn start_host(&mut self, host: usize) {
        if !self.host_runs(host) {
            self.sim.bounce(self.places[host].name.as_str());
        }
    }

    /// Everything is whole again: links, server, hosts.
    pub(super) fn heal(&mut self) {
        for host in 0..self.places.len() {
            self.mend(host);
            self.start_host(host);
        }
        self.start_server();
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the server shows of every machine.
    fn shown(&mut self) -> Vec<api::Machine> {
        let ids = self.machine_ids();
        ids.into_iter().map(|id| self.shown_of(id)).collect()
    }

    fn shown_of(&mut self, id: MachineId) -> api::Machine {
        let path = format!("/api/v1/machines/{id}");
        serde_json::from_str(&self.ask(Question::Get(path)).unwrap()).unwrap()
    }

    /// What is shown may be a moment behind what is written, but not for ever.
    fn view_at_the_head(&mut self, id: MachineId) -> Option<Violation> {
        let mut found = None;
        for _ in 0..SHOWN_WITHIN_TRIES {
            let log = self.server.log()?;
            let head = log.head();
            let shown = self.shown_of(id);
            found = judge::of_view(&log, &shown, head.max(shown.position));
            if found.is_none() {
                break;
            }
            self.run(Duration::from_secs(1));
        }
        found
    }

    /// Waits until all came together, and looks at everything; says how long coming together took.
    pub(super) fn judge(mut self, within: Duration) -> (Vec<Violation>, Option<Duration>) {
        let (mut found, took) = match self.calm(within) {
            Ok(took) => (Vec::new(), Some(took)),
            Err(violation) => (vec![violation], None),
        };
        found.extend(self.look());
        self.stop();
        found.extend(self.verdict());
        (found, took)
    }

    /// Waits until all came together, and stops making marks; says how long coming together took.
    pub(super) fn calm(&mut self, within: Duration) -> Result<Duration, Violation> {
        let took = self.until_consistent(within)?;
        self.ledger.close();
        // The last marks arrive, dead connections are noticed, the machines settle what is acknowledged.
        self.run(Duration::from_secs(60));
        self.until_consistent(Duration::from_secs(60))?;
        Ok(took)
    }

    /// What can be seen while everything runs.
    pub(super) fn look(&mut self) -> Vec<Violation> {
        let mut found = self.leaks();
        if let Some(log) = self.server.log() {
            for shown in self.shown() {
                // At least as far as it says that it goes.
                found.extend(judge::of_view(&log, &shown, shown.position));
                found.extend(self.view_at_the_head(shown.summary.id));
                if shown.summary.presence != Presence::Online {
                    let what = format!("{} is shown as {:?}", shown.summary.id, shown.summary.presence);
                    found.push(violation(Check::Converges, what));
                }
            }
        }
        let follower = self.follower.clone();
        found.extend(live::judge(&follower, self.read_on()));
        found
    }

    /// Everything goes down at once; what is left are the disks.
    pub(super) fn stop(&mut self) {
        for host in 0..self.places.len() {
            self.crash_host(host);
        }
        self.crash_server();
    }

    /// What the disks tell, and what was found on the way.
    pub(super) fn verdict(mut self) -> Vec<Violation> {
        let mut found = std::mem::take(&mut self.found);
        let reading = match Reading::of(&self.server.data) {
            Ok(reading) => reading,
            Err(why) => {
                found.push(violation(Check::LogIsSound, why));
                return found;
            }
        };
        found.extend(judge::of_log(&self.server.data, &reading));
        for place in &self.places {
            let kept = judge::kept(&place.data, &place.machines);
            found.extend(judge::of_store(&reading, &kept));
        }
        found.extend(judge::of_ledger(&reading, &self.ledger.pages()));
        found
    }

    pub(super) fn log_on_disk(&self) -> Reading {
        Reading::of(&self.server.data).unwrap()
    }

    /// Each machine holds one connection and the server those and the follower's; and as many tasks run as at first.
    fn leaks(&self) -> Vec<Violation> {
        let mut counted = vec![(
            server::HOST.to_owned(),
            self.server.connections.now(),
            self.machine_ids().len() + live::CONNECTIONS,
        )];
        let places = self.places.iter();
        counted
            .extend(places.map(|place| (place.name.clone(), place.connections.now(), place.machines.len())));
        let mut found = Vec::new();
        for (host, now, expected) in counted {
            if now != expected {
                let what = format!("{host} holds {now} connections, {expected} are in use");
                found.push(violation(Check::NothingLeaks, what));
            }
        }
        for ((host, now), (_, expected)) in self.tasks().into_iter().zip(&self.tasks_at_first) {
            if now != *expected {
                let what = format!("{now} tasks run on {host}, at first {expected} did");
                found.push(violation(Check::NothingLeaks, what));
            }
        }
        found
    }

    fn tasks(&self) -> Vec<(String, usize)> {
        let mut tasks = vec![(server::HOST.to_owned(), self.server.tasks())];
        tasks.extend(
            self.places
                .iter()
                .map(|place| (place.name.clone(), place.tasks())),
        );
        tasks
    }
}

fn machine_id(chance: &mut Chance) -> MachineId {
    let (high, low) = (chance.next(), chance.next());
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    MachineId::from_uuid(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
