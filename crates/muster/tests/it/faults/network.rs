//! Rows 3, 4, 5, 6 and 16 over real sockets: partitions, half-open connections, slow links, resets, stopped processes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::audit::{Audit, is_sound};
use super::hardware::Hardware;
use super::kit::{Agent, Process, Server, dice, muster, rounds, until};
use super::proxy::{End, Proxy, Way, Weather};
use super::writer::Writer;

const WITHIN: Duration = Duration::from_secs(30);
/// What must hold of row 4: both ends notice within this …
const NOTICED_WITHIN: Duration = Duration::from_secs(30);
/// … and what a loaded computer may add before we see it.
const SLACK: Duration = Duration::from_secs(1);

const HOLE: Way = Way {
    blackhole: true,
    delay: Duration::ZERO,
    bytes_per_s: None,
};

fn in_session(process: &mut Process, times: usize) {
    process.hear("a session", Duration::from_secs(75), |said| {
        (said.matches("in session with the server").count() >= times).then_some(())
    });
}

fn away(process: &mut Process, within: Duration) -> Duration {
    let began = Instant::now();
    process.hear("that the server is away", within, |said| {
        said.contains("the server is away").then_some(())
    });
    began.elapsed()
}

/// A server that asks often, so that its side of row 4 is seen in seconds.
fn asking(data: &Path) -> Server {
    let mut command = Server::command(data, 0);
    command.args([
        "--ping-every-ms",
        "1000",
        "--heartbeat-every-ms",
        "1000",
        "--lost-after-ms",
        "1000",
    ]);
    Server::ready(Process::start(command))
}

fn presence(server: &Server) -> String {
    let machines = server.get("/api/v1/machines?limit=10");
    machines["items"][0]["presence"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

#[test]
fn row_4_both_ends_notice_what_is_half_open() {
    let top = tempfile::tempdir().unwrap();
    // The server's pings as they are by default: the machine's patience is fixed at 30 s.
    let (stopped, cut) = (
        Server::start(&top.path().join("a"), 0),
        Server::start(&top.path().join("b"), 0),
    );
    let (no_way_up, no_way_down) = (Proxy::start(cut.address), Proxy::start(cut.address));
    let mut ends: Vec<(&str, Process)> = [
        ("a stopped server", stopped.url()),
        ("no way to the server", no_way_up.url()),
        ("no way from the server", no_way_down.url()),
    ]
    .map(|(what, url)| (what, Agent::new(&top.path().join(what), &url, "probe").start()))
    .into();
    ends.iter_mut().for_each(|(_, process)| in_session(process, 1));
    let pinged_out = cut.metric("muster_ping_timeouts_total");
    stopped.process.signal(Signal::STOP);
    no_way_up.weather(Weather {
        up: HOLE,
        ..Weather::default()
    });
    no_way_down.weather(Weather {
        down: HOLE,
        ..Weather::default()
    });
    let began = Instant::now();
    let mut noticed = Vec::new();
    for (what, process) in &mut ends {
        away(process, NOTICED_WITHIN + SLACK);
        noticed.push(format!(
            "{}={:.1}s",
            what.replace(' ', "_"),
            began.elapsed().as_secs_f64()
        ));
    }
    // Of both proxied machines nothing is heard: of one because it cannot say, of the other because it was never asked.
    until(
        "the server's end of both",
        (NOTICED_WITHIN + SLACK).saturating_sub(began.elapsed()),
        || (cut.metric("muster_ping_timeouts_total") >= pinged_out + 1.0).then_some(()),
    );
    stopped.process.signal(Signal::CONT);
    no_way_up.weather(Weather::default());
    no_way_down.weather(Weather::default());
    ends.iter_mut().for_each(|(_, process)| in_session(process, 2));
    for data in ["a", "b"] {
        Audit::default().read(&top.path().join(data));
        is_sound(&top.path().join(data));
    }
    println!("\nfigure row_4 {}", noticed.join(" "));
}

#[test]
fn row_16_a_machine_that_was_suspended_is_missed_and_comes_back_with_everything() {
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("server");
    let server = asking(&data);
    let mut agent = Agent::new(&top.path().join("machine"), &server.url(), "probe").start();
    in_session(&mut agent, 1);
    let rounds = rounds(2, 20);
    let (mut missed, mut back) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        until("online", WITHIN, || (presence(&server) == "online").then_some(()));
        agent.signal(Signal::STOP);
        let began = Instant::now();
        until("that it is missed", WITHIN, || {
            (presence(&server) == "lost").then_some(())
        });
        missed = missed.max(began.elapsed());
        agent.signal(Signal::CONT);
        let began = Instant::now();
        // In a new session, or in the old one where the server had not given it up yet.
        until("that it is back", Duration::from_secs(75), || {
            (presence(&server) == "online").then_some(())
        });
        back = back.max(began.elapsed());
    }
    Audit::default().read(&data);
    is_sound(&data);
    println!(
        "\nfigure row_16_shape rounds={rounds} missed_at_most={:.1}s back_at_most={:.1}s",
        missed.as_secs_f64(),
        back.as_secs_f64()
    );
}

#[test]
fn row_6_resets_in_mid_frame_leak_nothing_and_lose_nothing() {
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("server");
    let mut command = Server::command(&data, 0);
    command.args(["--messages-per-second", "10000", "--messages-burst", "10000"]);
    let server = Server::ready(Process::start(command));
    let proxy = Proxy::start(server.address);
    let mut agent = Agent::new(&top.path().join("machine"), &proxy.url(), "probe").start();
    let mut simulated = muster();
    simulated.args([
        "sim",
        "connect",
        "--machines",
        "8",
        "--start-within",
        "0.1",
        "--server",
        &proxy.url(),
        "--data",
    ]);
    let simulated = Process::start({
        simulated.arg(top.path().join("simulated"));
        simulated
    });
    in_session(&mut agent, 1);
    until("all in session", WITHIN, || {
        (server.metric("muster_connections{") + server.metric("muster_connections ") >= 9.0).then_some(())
    });
    let (files, agent_files, simulated_files) = (
        server.process.open_files(),
        agent.open_files(),
        simulated.open_files(),
    );
    let mut writers: Vec<Writer> = (0..6).map(Writer::new).collect();
    let resets = rounds(150, 2_000);
    let mut end = End::Reset;
    let mut seen = 0;
    while seen < resets {
        // Some of a handshake, some of a hello, some in the middle of a thousand events.
        proxy.weather(Weather {
            end_after: Some((end, 12_000)),
            ..Weather::default()
        });
        let url = proxy.url();
        until("ends of connections", WITHIN, || {
            writers.iter_mut().for_each(|writer| writer.go_on(&url));
            (proxy.ended() >= seen + 10).then_some(())
        });
        seen = proxy.ended();
        end = if end == End::Reset {
            End::Truncate
        } else {
            End::Reset
        };
    }
    // Who is in is thrown out once more, and from here on it is a good network.
    proxy.weather(Weather {
        closed: true,
        ..Weather::default()
    });
    writers.iter_mut().for_each(Writer::wait);
    proxy.weather(Weather::default());
    until(
        "everybody back, and nothing else open",
        Duration::from_secs(75),
        || {
            let now = (
                server.process.open_files(),
                agent.open_files(),
                simulated.open_files(),
            );
            (now.0 <= files && now.1 <= agent_files && now.2 <= simulated_files && presences(&server) == 9)
                .then_some(())
        },
    );
    let mut audit = Audit::default();
    audit.read(&data);
    is_sound(&data);
    for writer in &writers {
        assert!(audit.machine(&writer.id).highest >= writer.acknowledged());
    }
    println!(
        "\nfigure row_6 resets={seen} leaked_files=0 lost=0 records={} server_files={files}",
        audit.records()
    );
}

fn presences(server: &Server) -> usize {
    let machines = server.get("/api/v1/machines?limit=100");
    let items = machines["items"].as_array().unwrap();
    items
        .iter()
        .filter(|machine| machine["presence"] == "online")
        .count()
}

#[test]
fn row_3_after_a_short_partition_everything_is_there_within_ten_seconds() {
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("server");
    let server = Server::start(&data, 0);
    let proxy = Proxy::start(server.address);
    let hardware = Hardware::new();
    let mut agent = Agent::new(&top.path().join("machine"), &proxy.url(), "probe");
    agent.hardware = Some(hardware.path().to_owned());
    agent
        .environment
        .push(("MUSTER__TELEMETRY__INTERVAL_S".into(), "1".into()));
    let mut process = agent.start();
    in_session(&mut process, 1);
    let mut audit = Audit::default();
    let mut told = |kind: &str| -> u64 {
        audit.read(&data);
        audit
            .machines()
            .map(|(_, known)| known.events.get(kind).copied().unwrap_or(0))
            .sum()
    };
    let rounds = rounds(2, 12);
    let mut slowest = Duration::ZERO;
    let mut dice = dice("row 3");
    for round in 0..rounds {
        // In turn: nothing passes, and everybody is thrown out and not let in.
        let closed = round.is_multiple_of(2);
        let (up, down) = if closed {
            (Way::default(), Way::default())
        } else {
            (HOLE, HOLE)
        };
        proxy.weather(Weather {
            up,
            down,
            closed,
            ..Weather::default()
        });
        hardware.celsius(95.0);
        // The machine notices by itself, and keeps what it noticed.
        dice.pause(Duration::from_secs(2));
        let for_how_long = Duration::from_millis(1_500 + 1_000 * (round % 3));
        let began = Instant::now();
        until("the end of the partition", WITHIN, || {
            (began.elapsed() >= for_how_long).then_some(())
        });
        let (high, over) = (told("thermal.high"), told("thermal.high.ended"));
        assert_eq!((high, over), (round, round), "nothing passes a partition");
        proxy.weather(Weather::default());
        let healed = Instant::now();
        until("the event, after healing", WITHIN, || {
            (told("thermal.high") == round + 1).then_some(())
        });
        slowest = slowest.max(healed.elapsed());
        hardware.celsius(40.0);
        until("its end", WITHIN, || {
            (told("thermal.high.ended") == round + 1).then_some(())
        });
    }
    assert!(slowest <= Duration::from_secs(10), "{slowest:?}");
    println!(
        "\nfigure row_3 partitions={rounds} consistent_within={:.1}s",
        slowest.as_secs_f64()
    );
}

#[test]
fn row_5_on_a_link_of_16_kbit_a_critical_event_arrives_in_time() {
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("server");
    let server = Server::start(&data, 0);
    let proxy = Proxy::start(server.address);
    let hardware = Hardware::new();
    let mut agent = Agent::new(&top.path().join("machine"), &proxy.url(), "probe");
    agent.hardware = Some(hardware.path().to_owned());
    agent
        .environment
        .push(("MUSTER__TELEMETRY__INTERVAL_S".into(), "1".into()));
    agent
        .environment
        .push(("MUSTER__TELEMETRY__AT_LATEST_S".into(), "1".into()));
    let mut process = agent.start();
    in_session(&mut process, 1);
    let slow = Way {
        bytes_per_s: Some(2_000),
        ..Way::default()
    };
    proxy.weather(Weather {
        up: slow,
        down: slow,
        ..Weather::default()
    });
    let rounds = rounds(2, 10);
    let mut audit = Audit::default();
    let mut told = |kind: &str| -> u64 {
        audit.read(&data);
        audit
            .machines()
            .map(|(_, known)| known.events.get(kind).copied().unwrap_or(0))
            .sum()
    };
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        hardware.celsius(95.0);
        let began = Instant::now();
        until("the critical event", WITHIN, || {
            (told("thermal.high") == round + 1).then_some(())
        });
        slowest = slowest.max(began.elapsed());
        hardware.celsius(40.0);
        until("its end", WITHIN, || {
            (told("thermal.high.ended") == round + 1).then_some(())
        });
    }
    println!(
        "\nfigure row_5 events={rounds} slowest={:.1}s",
        slowest.as_secs_f64()
    );
    // A reading is taken every second, and that is part of the time.
    assert!(slowest <= Duration::from_secs(3 + 1), "{slowest:?}");
}

/// A network namespace of our own, with nothing but its loopback. Needs root; who is not says so.
struct Namespace(String);

impl Namespace {
    fn new() -> Option<Self> {
        let name = format!("muster-{}", std::process::id());
        if !rustix::process::geteuid().is_root() {
            println!("\nskipped: network namespaces need root");
            return None;
        }
        let made = Command::new("ip").args(["netns", "add", &name]).status();
        if !made.is_ok_and(|status| status.success()) {
            println!("\nskipped: no network namespace can be made here (ip netns add)");
            return None;
        }
        let namespace = Self(name);
        namespace.ip(&["link", "set", "lo", "up"]);
        // The rule that knows our own addresses comes before all others; ours must come before it.
        namespace.ip(&["rule", "add", "pref", "100", "lookup", "local"]);
        namespace.ip(&["rule", "del", "pref", "0"]);
        Some(namespace)
    }

    fn ip(&self, arguments: &[&str]) {
        let done = Command::new("ip")
            .args(["-n", &self.0])
            .args(arguments)
            .status()
            .unwrap();
        assert!(done.success(), "ip {arguments:?}");
    }

    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside
            .args(["netns", "exec", &self.0])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Packets of one direction only are dropped by the kernel, so that even acknowledgements of TCP are lost.
#[test]
fn row_4_a_one_way_partition_of_packets_is_noticed_and_healed() {
    let Some(namespace) = Namespace::new() else { return };
    let top = tempfile::tempdir().unwrap();
    let data = top.path().join("server");
    let mut command = Server::command(&data, 7_700);
    command.args([
        "--ping-every-ms",
        "1000",
        "--heartbeat-every-ms",
        "1000",
        "--lost-after-ms",
        "1000",
    ]);
    let server = Server::ready(Process::start(namespace.inside(&command)));
    let agent = Agent::new(&top.path().join("machine"), &server.url(), "probe");
    let mut process = Process::start(namespace.inside(&agent.command()));
    in_session(&mut process, 1);
    let lost = |audit: &mut Audit| {
        audit.read(&data);
        audit.machines().map(|(_, known)| known.lost).sum::<u64>()
    };
    let mut audit = Audit::default();
    let mut noticed = Vec::new();
    for (round, direction) in ["dport", "sport"].into_iter().enumerate() {
        let before = lost(&mut audit);
        let rule = ["pref", "10", "blackhole", "ipproto", "tcp", direction, "7700"];
        namespace.ip(&[["rule", "add"].as_slice(), &rule].concat());
        let began = Instant::now();
        // The server asks every second and is patient for three.
        until("that the server misses it", NOTICED_WITHIN, || {
            (lost(&mut audit) > before).then_some(())
        });
        noticed.push(format!("{direction}={:.1}s", began.elapsed().as_secs_f64()));
        namespace.ip(&["rule", "del", "pref", "10"]);
        let healed = Instant::now();
        in_session(&mut process, round + 2);
        noticed.push(format!("back_after={:.1}s", healed.elapsed().as_secs_f64()));
    }
    is_sound(&data);
    println!("\nfigure row_4_packets {}", noticed.join(" "));
}
