//! Row 15: wall clocks that are off by ten years, jump while everything runs, or begin in 1970. Monotonic time goes on.

use std::time::Duration;

use muster_runtime::Clock;

use super::audit::{Audit, is_sound};
use super::hardware::Hardware;
use super::kit::{Agent, Process, Server, until};
use super::shim::Shim;

const WITHIN: Duration = Duration::from_secs(30);
const TEN_YEARS_S: i64 = 10 * 365 * 86_400;
/// How far the time of an event may be from that at which the server took it down. It happened earlier, and the machine
/// knows the server's time by its round trips.
const NEAR_MS: i64 = 20_000;

fn now_s() -> i64 {
    Clock::start().wall_ms() / 1_000
}

struct Site {
    top: tempfile::TempDir,
    server_clock: Shim,
    machine_clock: Shim,
    hardware: Hardware,
    events: u64,
    audit: Audit,
}

impl Site {
    fn new(server_off_s: i64, machine_off_s: i64) -> Self {
        let site = Self {
            top: tempfile::tempdir().unwrap(),
            server_clock: Shim::new(),
            machine_clock: Shim::new(),
            hardware: Hardware::new(),
            events: 0,
            audit: Audit::default(),
        };
        site.server_clock.clock(server_off_s);
        site.machine_clock.clock(machine_off_s);
        site
    }

    fn start(&self) -> (Server, Process) {
        let mut command = Server::command(&self.top.path().join("server"), 0);
        command.envs(self.server_clock.environment());
        command.args(["--ping-every-ms", "5000", "--heartbeat-every-ms", "5000"]);
        let server = Server::ready(Process::start(command));
        let mut agent = Agent::new(&self.top.path().join("machine"), &server.url(), "probe");
        agent.hardware = Some(self.hardware.path().to_owned());
        agent.environment = self.machine_clock.environment();
        agent
            .environment
            .push(("MUSTER__TELEMETRY__INTERVAL_S".into(), "1".into()));
        let mut process = agent.start();
        process.hear("a session", WITHIN, |said| {
            said.contains("in session with the server").then_some(())
        });
        (server, process)
    }

    /// Something happens to the machine, and the server must hear of it, with a time that is right for the server.
    fn event_arrives(&mut self) {
        let data = self.top.path().join("server");
        self.hardware.celsius(95.0);
        self.events += 1;
        for (kind, celsius) in [("thermal.high", 40.0), ("thermal.high.ended", 40.0)] {
            let events = self.events;
            until(kind, WITHIN, || {
                self.audit.read(&data);
                let told = self
                    .audit
                    .machines()
                    .map(|(_, known)| known.events.get(kind).copied().unwrap_or(0));
                (told.sum::<u64>() == events).then_some(())
            });
            self.hardware.celsius(celsius);
        }
    }

    fn lost(&self) -> u64 {
        self.audit.machines().map(|(_, known)| known.lost).sum()
    }
}

#[test]
fn row_15_clocks_that_are_off_change_neither_what_arrives_nor_its_time() {
    let first_seconds = 5 - now_s();
    let clocks = [
        ("a machine ten years ahead", 0, TEN_YEARS_S),
        ("a machine ten years behind", 0, -TEN_YEARS_S),
        ("a machine that boots in 1970", 0, first_seconds),
        ("a server ten years ahead", TEN_YEARS_S, 0),
        ("a server that boots in 1970", first_seconds, 0),
    ];
    for (what, server_off_s, machine_off_s) in clocks {
        let mut site = Site::new(server_off_s, machine_off_s);
        let (server, process) = site.start();
        site.event_arrives();
        let worst_ms = site.audit.farthest_event_ms("thermal.");
        assert!(
            worst_ms <= NEAR_MS,
            "{what}: an event's time is {worst_ms} ms from when it was recorded"
        );
        drop((server, process));
        is_sound(&site.top.path().join("server"));
    }
    println!("\nfigure row_15_off clocks={} lost=0 times_off=0", clocks.len());
}

#[test]
fn row_15_clocks_that_jump_fire_no_timer() {
    let mut site = Site::new(0, 0);
    let (server, process) = site.start();
    site.event_arrives();
    let jumps = [TEN_YEARS_S, -TEN_YEARS_S, 3_600, 5 - now_s(), 0];
    for jump in jumps {
        site.machine_clock.clock(jump);
        site.event_arrives();
    }
    for jump in jumps {
        site.server_clock.clock(jump);
        site.event_arrives();
    }
    let said = process.said();
    assert_eq!(said.matches("in session with the server").count(), 1, "{said}");
    assert!(!said.contains("the server is away"), "{said}");
    assert_eq!(site.lost(), 0, "the server missed a machine that was never away");
    assert_eq!(server.metric("muster_ping_timeouts_total"), 0.0);
    drop((server, process));
    let data = site.top.path().join("server");
    // Also that no entry was recorded before the one before it.
    is_sound(&data);
    // A restart in 1970, behind everything that is in the log, goes on with it.
    site.server_clock.clock(5 - now_s());
    let running = site.start();
    site.event_arrives();
    drop(running);
    is_sound(&data);
    println!(
        "\nfigure row_15_jumps jumps={} wrong_timers=0 sessions=1",
        2 * jumps.len()
    );
}
