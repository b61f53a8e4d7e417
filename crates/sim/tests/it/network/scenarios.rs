//! What goes wrong. Each is a row of docs/reliability.md, or a mixture; each prints its figures.
//!
//! The short form runs a few seeds of each; `cargo xtask prove --only l2` says by an environment variable how many.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use muster_model::{MachineId, Presence};
use muster_reflex::link::LinkState;

use super::chance::Chance;
use super::judge::Violation;
use super::server;
use super::world::{Dead, Plan, World};

/// How many seeds of each scenario, in the long form.
const SEEDS: &str = "MUSTER_PROVE_L2_SEEDS";

/// A machine may notice after 29 s, wait up to 8 s before it tries again, say hello, and send what it has.
const AFTER_ALL: Duration = Duration::from_secs(60);

/// The seeds to run: `short` of them, or a share of those that are asked for.
fn seeds(short: u64, share: u64) -> Range<u64> {
    let long = std::env::var(SEEDS)
        .ok()
        .map(|seeds| seeds.parse::<u64>().unwrap());
    0..long.map_or(short, |long| (long / share).max(short))
}

/// Judges, and fails with everything that was found.
fn holds(world: World, within: Duration) -> Duration {
    let seed = world.plan.seed;
    let (found, took) = world.judge(within);
    assert!(found.is_empty(), "seed {seed}: {found:#?}");
    took.expect("nothing was found")
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

/// The longest of some times.
#[derive(Default)]
struct Longest(BTreeMap<String, Duration>);

impl Longest {
    fn note(&mut self, what: impl Into<String>, time: Duration) {
        let longest = self.0.entry(what.into()).or_default();
        *longest = time.max(*longest);
    }

    fn print(&self, row: &str, seeds: u64) {
        for (what, time) in &self.0 {
            println!("figure {row} {what} seeds={seeds} longest_s={}", seconds(*time));
        }
    }
}

/// A machine loses its connection without anybody noticing, comes back over another path, and what it had sent over the
/// first one arrives late: nothing of it may take effect a second time.
#[test]
fn row_2_what_an_old_connection_still_delivers_has_no_effect() {
    let seeds = seeds(3, 1);
    let mut stale_bytes = 0;
    for seed in seeds.clone() {
        let mut world = World::up(Plan {
            hosts: 1,
            machines_on_each: 1,
            relays: 2,
            mark_every_ms: 200,
            ..Plan::of_seed(seed)
        });
        let mut chance = Chance::new(seed);
        let machine = world.machine_ids()[0];
        let before = world.relayed[0].load(Ordering::Relaxed);
        world.network().hold("relay0", server::HOST);
        // Sometimes what is late comes before the new session, mostly while it begins or after.
        if chance.within(0..4) > 0 {
            let back = world.until(Duration::from_secs(90), |world| {
                let link = world.ledger.link(machine);
                link.is_some_and(|(state, at_ms)| {
                    state == LinkState::Connected && u128::from(at_ms) > world.now().as_millis() - 5_000
                }) && world.relayed[1].load(Ordering::Relaxed) > 0
            });
            assert!(back.is_some(), "seed {seed}: the machine takes no other way");
            world.run(Duration::from_millis(chance.within(0..4_000)));
        } else {
            world.run(Duration::from_millis(chance.within(1_000..29_000)));
        }
        stale_bytes += world.relayed[0].load(Ordering::Relaxed) - before;
        world.network().release("relay0", server::HOST);
        holds(world, AFTER_ALL);
    }
    assert!(stale_bytes > 0, "nothing came late");
    println!(
        "figure row 2 run={} doubled=0 stale_bytes={stale_bytes}",
        seeds.end
    );
}

/// Links that pass nothing for a while, from a second to minutes: held (what was sent comes late, as TCP's resending has it) and
/// cut (it is lost, and a connection that stood is dead although nobody is told).
#[test]
fn row_3_after_a_partition_everything_comes_together() {
    let seeds = seeds(1, 1);
    let mut longest = Longest::default();
    for seed in seeds.clone() {
        let mut world = World::up(Plan::of_seed(seed));
        let mut chance = Chance::new(seed);
        for partition_s in [1, 5, 20, 60, 300] {
            for dead in [Dead::Late, Dead::Lost] {
                let hosts: Vec<usize> = (0..3)
                    .filter(|host| *host == 0 || chance.within(0..2) == 0)
                    .collect();
                for host in &hosts {
                    world.cut(*host, dead);
                }
                world.run(Duration::from_secs(partition_s));
                for host in &hosts {
                    world.mend(*host);
                }
                let took = world.until_consistent(Duration::from_secs(90)).unwrap();
                longest.note(format!("partition_s={partition_s:03} in_flight={dead:?}"), took);
                // What is gone for good is noticed by silence first.
                if (dead == Dead::Late && partition_s <= 20) || partition_s >= 60 {
                    assert!(
                        took <= Duration::from_secs(10),
                        "seed {seed}: {took:?} after {partition_s} s"
                    );
                }
            }
        }
        holds(world, AFTER_ALL);
    }
    longest.print("row 3", seeds.end);
}

/// A link that comes and goes.
#[test]
fn row_3_partitions_that_repeat_lose_nothing() {
    let seeds = seeds(2, 1);
    let mut longest = Longest::default();
    for seed in seeds.clone() {
        let mut world = World::up(Plan::of_seed(seed));
        let mut chance = Chance::new(seed);
        for _ in 0..20 {
            let host = chance.within(0..3) as usize;
            let dead = if chance.within(0..2) == 0 {
                Dead::Late
            } else {
                Dead::Lost
            };
            world.cut(host, dead);
            world.run(Duration::from_millis(chance.within(200..5_000)));
            world.mend(host);
            world.run(Duration::from_millis(chance.within(0..3_000)));
        }
        longest.note("partitions=20", holds(world, Duration::from_secs(90)));
    }
    longest.print("row 3", seeds.end);
}

/// Hours without a link: the machines go on, keep everything, and tell it afterwards.
#[test]
fn row_3_after_hours_everything_is_told() {
    let long = std::env::var(SEEDS).is_ok();
    let seeds = seeds(1, 20);
    let mut longest = Longest::default();
    for seed in seeds.clone() {
        let hours = if long { [1, 6, 24][seed as usize % 3] } else { 1 };
        let mut world = World::up(Plan {
            hosts: 1,
            tick: Duration::from_millis(50),
            mark_every_ms: 10_000,
            ..Plan::of_seed(seed)
        });
        world.cut(0, Dead::Lost);
        world.run(Duration::from_secs(hours * 3_600));
        world.mend(0);
        longest.note(
            format!("partition_h={hours:02}"),
            holds(world, Duration::from_secs(600)),
        );
    }
    longest.print("row 3", seeds.end);
}

/// One direction passes nothing: both ends must notice, and come together when it does again.
#[test]
fn row_4_both_ends_notice_when_one_direction_is_dead() {
    let seeds = seeds(2, 1);
    let mut longest = Longest::default();
    for seed in seeds.clone() {
        let mut world = World::up(Plan {
            hosts: 2,
            machines_on_each: 1,
            ..Plan::of_seed(seed)
        });
        let mut chance = Chance::new(seed);
        for dead in [Dead::ToServer, Dead::FromServer] {
            world.run(Duration::from_millis(chance.within(0..20_000)));
            world.cut(0, dead);
            let (machine, other) = (world.machine_ids()[0], world.machine_ids()[1]);
            let (mut server, mut shown, mut itself) = (None, None, None);
            let connections = world.server.connections.now();
            let (began, began_wall_ms) = (world.now(), world.wall_ms());
            let noticed = world.until(Duration::from_secs(60), |world| {
                let since = world.now() - began;
                if server.is_none() && world.server.connections.now() < connections {
                    server = Some(since);
                }
                if shown.is_none() && !is_online(world, machine, began_wall_ms) {
                    shown = Some(since);
                }
                let link = world.ledger.link(machine);
                if itself.is_none() && link.is_some_and(|(state, _)| state != LinkState::Connected) {
                    itself = Some(since);
                }
                server.is_some() && shown.is_some() && itself.is_some()
            });
            assert!(
                noticed.is_some(),
                "seed {seed}: {dead:?}: server {server:?}, people {shown:?}, machine {itself:?}"
            );
            assert!(
                is_online(&mut world, other, began_wall_ms),
                "seed {seed}: the other one suffers"
            );
            for (end, time) in [("server", server), ("people", shown), ("machine", itself)] {
                let time = time.unwrap();
                longest.note(format!("dead={dead:?} noticed_by={end}"), time);
                assert!(
                    time <= Duration::from_secs(within_s(end)),
                    "seed {seed}: {dead:?}: {end} after {time:?}"
                );
            }
            world.mend(0);
            let took = world.until_consistent(Duration::from_secs(90)).unwrap();
            longest.note(format!("dead={dead:?} together_after"), took);
        }
        holds(world, AFTER_ALL);
    }
    longest.print("row 4", seeds.end);
}

/// The server pings every 9 s and gives up after three that nothing came for, and a close takes 2 s at most; the machine
/// gives up after 27 s of silence, and the same; people see it when the server is sure, 5 s after that.
const fn within_s(end: &str) -> u64 {
    match end.as_bytes() {
        b"people" => 35,
        _ => 30,
    }
}

/// Whether the log has said of a machine, since a moment, that it is less than online.
fn is_online(world: &mut World, machine: MachineId, since_wall_ms: i64) -> bool {
    let presences = &world.read_on().machines[&machine].presences;
    let since = presences
        .iter()
        .rev()
        .take_while(|(at_ms, _)| *at_ms >= since_wall_ms);
    !since
        .into_iter()
        .any(|(_, presence)| *presence != Presence::Online)
}

/// A link on which everything takes seconds: nobody may take that for a dead one.
#[test]
fn row_5_a_slow_link_ends_no_session() {
    let seeds = seeds(1, 2);
    let mut longest = Longest::default();
    for seed in seeds.clone() {
        let mut world = World::up(Plan::of_seed(seed));
        let machines = world.places[0].machines.clone();
        let sessions = |world: &mut World| -> Vec<_> {
            let reading = world.read_on();
            machines
                .iter()
                .map(|id| reading.machines[id].sessions.len())
                .collect()
        };
        let before = sessions(&mut world);
        for latency_s in [1, 2, 4] {
            world.slow_down(0, Duration::from_secs(latency_s));
            world.run(Duration::from_secs(60));
            let took = world.until_consistent(Duration::from_secs(60)).unwrap();
            longest.note(format!("latency_s={latency_s} told_within"), took);
            assert!(
                took <= Duration::from_secs(10),
                "seed {seed}: {took:?} at {latency_s} s"
            );
        }
        assert_eq!(sessions(&mut world), before, "seed {seed}: a session ended");
        world.slow_down(0, Duration::from_millis(20));
        holds(world, AFTER_ALL);
    }
    longest.print("row 5", seeds.end);
}

/// The server was away, and forty machines come back.
#[test]
fn row_7_forty_machines_come_back_to_a_server_that_restarts() {
    let seeds = seeds(1, 4);
    let mut longest = Longest::default();
    for seed in seeds.clone() {
        let mut world = World::up(Plan {
            hosts: 10,
            machines_on_each: 4,
            ..Plan::of_seed(seed)
        });
        let mut chance = Chance::new(seed);
        world.crash_server();
        world.run(Duration::from_millis(chance.within(500..20_000)));
        world.start_server();
        let took = world.until_consistent(Duration::from_secs(90)).unwrap();
        assert!(took <= Duration::from_secs(35), "seed {seed}: {took:?}");
        longest.note("machines=40 all_online", took);
        holds(world, AFTER_ALL);
    }
    longest.print("row 7", seeds.end);
}

/// The server's host goes down again and again, and keeps its disk.
#[test]
fn row_8_a_server_that_crashes_loses_nothing_acknowledged() {
    let seeds = seeds(2, 1);
    let (mut crashes, mut records) = (0, 0);
    for seed in seeds.clone() {
        let mut world = World::up(Plan {
            mark_every_ms: 400,
            ..Plan::of_seed(seed)
        });
        let mut chance = Chance::new(seed);
        for _ in 0..8 {
            world.run(Duration::from_millis(chance.within(50..15_000)));
            world.crash_server();
            world.run(Duration::from_millis(chance.within(10..8_000)));
            world.start_server();
            crashes += 1;
        }
        world.until_consistent(Duration::from_secs(90)).unwrap();
        records += world
            .read_on()
            .machines
            .values()
            .map(|read| read.records.len())
            .sum::<usize>();
        holds(world, AFTER_ALL);
    }
    println!(
        "figure row 8 run={} server_crashes={crashes} records={records} lost=0 doubled=0",
        seeds.end
    );
}

/// Hosts of machines go down again and again, and keep their disks.
#[test]
fn row_8_machines_that_crash_lose_nothing_they_kept() {
    let seeds = seeds(2, 1);
    let (mut crashes, mut owed) = (0, 0);
    for seed in seeds.clone() {
        let mut world = World::up(Plan {
            mark_every_ms: 400,
            ..Plan::of_seed(seed)
        });
        let mut chance = Chance::new(seed);
        for _ in 0..8 {
            let host = chance.within(0..3) as usize;
            // Half of the time it has something on its disk that nobody has acknowledged.
            let partitioned = chance.within(0..2) == 0;
            if partitioned {
                world.cut(host, Dead::Lost);
            }
            world.run(Duration::from_millis(chance.within(50..8_000)));
            world.crash_host(host);
            world.run(Duration::from_millis(chance.within(10..8_000)));
            world.start_host(host);
            world.mend(host);
            crashes += 1;
        }
        owed += world
            .ledger
            .pages()
            .machines
            .values()
            .map(|page| page.owed.len())
            .sum::<usize>();
        holds(world, AFTER_ALL);
    }
    assert!(owed > 0, "no crash left anything on a disk");
    println!(
        "figure row 8 run={} machine_crashes={crashes} unacknowledged_at_crash={owed} lost=0 doubled=0",
        seeds.end
    );
}

/// Everything at once, as the seed has it, for some minutes; then all is whole again.
#[test]
fn anything_may_happen_and_everything_comes_together() {
    let seeds = seeds(3, 1);
    let mut longest = Longest::default();
    let mut faults = 0;
    for seed in seeds.clone() {
        let (world, struck) = struck(seed);
        faults += struck;
        let found: Result<Duration, Vec<Violation>> = match world.judge(Duration::from_secs(90)) {
            (found, Some(took)) if found.is_empty() => Ok(took),
            (found, _) => Err(found),
        };
        longest.note(
            "mixed together_after",
            found.unwrap_or_else(|found| panic!("seed {seed}: {found:#?}")),
        );
    }
    println!("figure mixed run={} faults={faults} failed=0", seeds.end);
    longest.print("mixed", seeds.end);
}

/// A world after minutes of faults, healed; and how many faults there were.
fn struck(seed: u64) -> (World, u64) {
    let mut chance = Chance::new(seed);
    let mut world = World::up(Plan {
        hosts: 2 + chance.within(0..3) as usize,
        machines_on_each: 1 + chance.within(0..3) as usize,
        mark_every_ms: [200, 500, 2_000][chance.within(0..3) as usize],
        latency_max: Duration::from_millis(chance.within(2..200)),
        ..Plan::of_seed(seed)
    });
    let until = world.now() + Duration::from_secs(chance.within(60..240));
    let mut faults = 0;
    while world.now() < until {
        let host = chance.within(0..world.places.len() as u64) as usize;
        match chance.within(0..12) {
            0 | 1 => world.cut(host, Dead::Late),
            2 => world.cut(host, Dead::Lost),
            3 | 4 => world.mend(host),
            5 => world.cut(host, Dead::ToServer),
            6 => world.cut(host, Dead::FromServer),
            7 => world.slow_down(host, Duration::from_millis(chance.within(1..3_000))),
            8 => world.crash_server(),
            9 => world.start_server(),
            10 => world.crash_host(host),
            _ => world.start_host(host),
        }
        faults += 1;
        world.run(Duration::from_millis(chance.within(0..8_000)));
    }
    world.heal();
    for host in 0..world.places.len() {
        world.slow_down(host, Duration::from_millis(20));
    }
    (world, faults)
}
