//! The computer that is measured on: its cores, its limits, and what else it was busy with.

use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

use super::error::{BenchError, Result};

/// Files that are open besides the connections: epoll, logs, the client of the API.
const FILES_BESIDE: u64 = 200;

/// Which core is whose.
#[derive(Clone, Debug)]
pub(super) struct Cores {
    /// The measured server's.
    pub(super) server: usize,
    /// The load generator's and the clients'. The server's own where there is no other.
    pub(super) load: Vec<usize>,
}

impl Cores {
    /// The first core that this process may use is the server's, the others are the load's.
    pub(super) fn divide() -> Result<Self> {
        let allowed = sched_getaffinity(None).map_err(BenchError::system(
            "the cores of this computer cannot be asked for",
        ))?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let server = cores.next().unwrap_or(0);
        let mut load: Vec<usize> = cores.collect();
        if load.is_empty() {
            load.push(server);
        }
        Ok(Self { server, load })
    }

    /// Whether server and load have to share one core, so that no figure means much.
    pub(super) fn are_shared(&self) -> bool {
        self.load.contains(&self.server)
    }

    /// Keeps the calling thread, and threads it starts, to the load's cores.
    pub(super) fn pin_load(&self) -> Result<()> {
        pin(&self.load)
    }
}

/// Keeps the calling thread, and what it starts, to these cores.
pub(super) fn pin(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set).map_err(BenchError::system("the thread cannot be kept to its cores"))
}

/// How far before other programs of this computer (`nice`).
const NICE: i32 = -19;
/// Where the kernel keeps how far a whole session goes before others; within one, `nice` says it. Source: sched(7).
const AUTOGROUP: &str = "/proc/self/autogroup";

/// That this process goes before others, until it is dropped.
#[derive(Debug)]
pub(super) struct Precedence {
    /// As the session stood before.
    session: i32,
}

impl Precedence {
    /// Lets the calling thread, what it starts, and their session go before other programs, where the system allows that
    /// (to root, usually).
    pub(super) fn take() -> Option<Self> {
        rustix::process::setpriority_process(None, NICE).ok()?;
        let text = std::fs::read_to_string(AUTOGROUP).unwrap_or_default();
        let session = text
            .rsplit(' ')
            .next()
            .and_then(|word| word.trim().parse().ok())
            .unwrap_or(0);
        // Not every kernel has it.
        let _ = std::fs::write(AUTOGROUP, NICE.to_string());
        Some(Self { session })
    }
}

impl Drop for Precedence {
    fn drop(&mut self) {
        let _ = std::fs::write(AUTOGROUP, self.session.to_string());
    }
}

/// The same for a program that becomes another one, in a session of its own: what the terminal sends to the bench is not
/// sent to it.
pub(super) fn go_first_alone() {
    // Where it is refused, it goes along with all others.
    let _ = rustix::process::setsid();
    let _ = rustix::process::setpriority_process(None, NICE);
    let _ = std::fs::write(AUTOGROUP, NICE.to_string());
}

/// Lets the calling thread, which nearly always waits, run at once when it wakes: before the generator on the same core. Says
/// whether the system allows it (to root, usually).
pub(super) fn wake_at_once() -> bool {
    let first_in_first_out = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, first_in_first_out).is_ok()
}

/// Waits on a thread of the bench.
#[expect(
    clippy::disallowed_methods,
    reason = "the bench measures in time, on threads of its own that no runtime needs"
)]
pub(super) fn sleep(time: std::time::Duration) {
    std::thread::sleep(time);
}

/// Takes as many open files as the system allows; fails where that is too few for the connections.
pub(super) fn raise_open_files(connections: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + FILES_BESIDE;
    // Where it is refused, the comparison below says what follows.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < wanted => Err(BenchError::OpenFiles { allowed, wanted }),
        _ => Ok(()),
    }
}

/// What a figure was measured on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Host {
    cores: usize,
    processor: String,
    memory_mib: u64,
    kernel: String,
}

impl Host {
    pub(super) fn look(cores: &Cores) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split(':').nth(1))
                .map(|value| value.trim().to_owned())
        };
        let memory = after(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: u64 = memory
            .split_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(0);
        let mut count = cores.load.len();
        if !cores.are_shared() {
            count += 1;
        }
        Self {
            cores: count,
            processor: after(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
            memory_mib: kib / 1_024,
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        }
    }

    pub(super) fn in_words(&self) -> String {
        format!(
            "{} cores ({}), {} MiB, Linux {}",
            self.cores, self.processor, self.memory_mib, self.kernel
        )
    }
}

/// How busy cores were since a moment.
#[derive(Debug)]
pub(super) struct CoreWatch {
    cores: Vec<usize>,
    began: Instant,
    busy_at_start_s: f64,
}

impl CoreWatch {
    pub(super) fn start(cores: &[usize]) -> Self {
        Self {
            cores: cores.to_vec(),
            began: Instant::now(),
            busy_at_start_s: busy_s(cores),
        }
    }

    /// Seconds of processor time that anything used on these cores.
    pub(super) fn used_s(&self) -> f64 {
        busy_s(&self.cores) - self.busy_at_start_s
    }

    /// The busy part of one core's time: 1.0 is one core without rest.
    pub(super) fn load(&self) -> f64 {
        self.used_s() / self.began.elapsed().as_secs_f64().max(1e-6)
    }
}

/// Source: proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
fn busy_s(cores: &[usize]) -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let mut ticks = 0.0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let core = words
            .next()
            .and_then(|word| word.strip_prefix("cpu"))
            .and_then(|number| number.parse::<usize>().ok());
        if core.is_some_and(|core| cores.contains(&core)) {
            let all: Vec<f64> = words.filter_map(|word| word.parse().ok()).collect();
            let idle = all.get(3).unwrap_or(&0.0) + all.get(4).unwrap_or(&0.0);
            ticks += all.iter().take(8).sum::<f64>() - idle;
        }
    }
    ticks / ticks_per_second()
}

/// Connections that did not fit the queue of a listening socket since the computer started: their first packet is dropped, and
/// the kernel sends it again after 1 s, 3 s, 7 s … Source: netstat's `ListenOverflows`.
pub(super) fn listen_overflows() -> u64 {
    let text = std::fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let place = names
        .split_whitespace()
        .position(|name| name == "ListenOverflows");
    let value = place.and_then(|place| values.split_whitespace().nth(place)?.parse().ok());
    value.unwrap_or(0)
}

/// Processor time that the calling thread used so far.
pub(super) fn thread_cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

pub(super) fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}
