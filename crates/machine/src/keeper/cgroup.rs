//! Control groups: limits, what is used, and an end for everything in them.
//!
//! Version 2 where the controller is there, version 1 where that is what is mounted. A workload's group lies under the runtime's own, so
//! that what limits the runtime limits the workload.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_model::workload::Limits;
use muster_model::workload::report::{Grant, GrantState};
use rustix::process::{Pid, Signal, kill_process};

/// A limit of processor time counts in periods of this. Source: kernel, sched-bwc.
const PERIOD_US: u64 = 100_000;
/// How often what is left in a group is killed before it is given up.
const KILL_ROUNDS: u32 = 100;
const KILL_WAIT: Duration = Duration::from_millis(5);

/// The controllers that carry limits or count.
const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

/// Where groups can be made.
#[derive(Debug, Default, PartialEq)]
pub struct Places {
    v2: Option<PathBuf>,
    v1: Vec<(&'static str, PathBuf)>,
}

impl Places {
    /// Of this process.
    pub fn find() -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        Ok(Self::of(&mounts, &own))
    }

    /// Of a process whose `cgroup` file says this.
    pub fn of_process(own: &str) -> io::Result<Self> {
        Ok(Self::of(&fs::read_to_string("/proc/self/mountinfo")?, own))
    }

    fn of(mounts: &str, own: &str) -> Self {
        let mut places = Self::default();
        for line in mounts.lines() {
            let Some((left, right)) = line.split_once(" - ") else {
                continue;
            };
            let left: Vec<_> = left.split(' ').collect();
            let right: Vec<_> = right.split(' ').collect();
            let (Some(root), Some(mount), [kind, _, options]) = (left.get(3), left.get(4), &right[..]) else {
                continue;
            };
            let path = |wanted: &dyn Fn(&str) -> bool| {
                let own = own.lines().find_map(|line| {
                    let (_, rest) = line.split_once(':')?;
                    let (controllers, path) = rest.split_once(':')?;
                    wanted(controllers).then_some(path)
                })?;
                let inside = own.strip_prefix(root.trim_end_matches('/')).unwrap_or("/");
                Some(Path::new(mount).join(inside.trim_start_matches('/')))
            };
            match *kind {
                "cgroup2" => places.v2 = path(&str::is_empty),
                "cgroup" => {
                    for controller in CONTROLLERS {
                        if options.split(',').any(|option| option == controller) {
                            let has = |listed: &str| listed.split(',').any(|each| each == controller);
                            places.v1.extend(path(&has).map(|path| (controller, path)));
                        }
                    }
                }
                _ => {}
            }
        }
        places
    }

    /// The groups that this process is in.
    pub fn own(self) -> Vec<PathBuf> {
        self.v2
            .into_iter()
            .chain(self.v1.into_iter().map(|(_, path)| path))
            .collect()
    }

    fn v1(&self, controller: &str) -> Option<&Path> {
        let place = self.v1.iter().find(|(each, _)| *each == controller);
        place.map(|(_, path)| path.as_path())
    }
}

/// Makes a group with these limits, as far as it is let, and says what became of each. Without limits it is made for counting.
pub fn make(places: &Places, name: &str, limits: &Limits) -> (Vec<PathBuf>, Vec<Grant>) {
    let mut groups = Vec::new();
    let mut failures: Vec<(&str, io::Error)> = Vec::new();
    let v2 = places.v2.as_ref().map(|place| {
        let offered = fs::read_to_string(place.join("cgroup.controllers")).unwrap_or_default();
        let has = |controller: &str| offered.split_whitespace().any(|each| each == controller);
        // Some could be enabled beside processes: that would make the group one of threads, and no process could join what is below.
        let is_occupied = place.join("cgroup.type").exists() && !processes(place).is_empty();
        let enabled = |controller: &str| {
            has(controller)
                && !is_occupied
                && fs::write(place.join("cgroup.subtree_control"), format!("+{controller}")).is_ok()
        };
        let enabled: Vec<_> = ["memory", "cpu", "pids"]
            .into_iter()
            .filter(|each| enabled(each))
            .collect();
        let refused: Vec<_> = ["memory", "cpu", "pids"]
            .into_iter()
            .filter(|each| has(each) && !enabled.contains(each))
            .collect();
        (place.join(name), enabled, refused)
    });
    if let Some((path, ..)) = &v2 {
        match made(path) {
            Ok(()) => groups.push(path.clone()),
            Err(error) => failures.push(("v2", error)),
        }
    }
    let mut place = |controller: &'static str| -> Result<(PathBuf, bool), (GrantState, String)> {
        if let Some((path, enabled, refused)) = &v2 {
            if enabled.contains(&controller) {
                return match failures.first() {
                    None => Ok((path.clone(), true)),
                    Some((_, error)) => Err((GrantState::NotPermitted, format!("cgroup v2: {error}"))),
                };
            }
            if refused.contains(&controller) {
                let why = format!(
                    "cgroup v2: the controller {controller} cannot be enabled beside the runtime's processes"
                );
                return Err((GrantState::NotPermitted, why));
            }
        }
        let Some(parent) = places.v1(controller) else {
            return Err((
                GrantState::NotPresent,
                format!("no cgroup controller {controller}"),
            ));
        };
        let path = parent.join(name);
        match made(&path) {
            Ok(()) => {
                if !groups.contains(&path) {
                    groups.push(path.clone());
                }
                Ok((path, false))
            }
            Err(error) => Err((
                GrantState::NotPermitted,
                format!("cgroup v1 {controller}: {error}"),
            )),
        }
    };
    // For counting, whatever is limited.
    let (memory, cpu, pids) = (place("memory"), place("cpu"), place("pids"));
    let _ = place("cpuacct");
    let mut grants = Vec::new();
    let mut grant = |what: &str,
                     place: &Result<(PathBuf, bool), (GrantState, String)>,
                     set: &dyn Fn(&Path, bool) -> io::Result<String>| {
        let (state, detail) = match place {
            Err((state, why)) => (*state, why.clone()),
            Ok((path, is_v2)) => match set(path, *is_v2) {
                Ok(detail) => (
                    GrantState::Granted,
                    format!("cgroup v{}: {detail}", 1 + u8::from(*is_v2)),
                ),
                Err(error) => (GrantState::NotPermitted, error.to_string()),
            },
        };
        grants.push(Grant {
            what: what.to_owned(),
            state,
            detail,
        });
    };
    if let Some(mib) = limits.memory_mib {
        grant("memory", &memory, &|path, is_v2| {
            set_memory(path, is_v2, mib << 20)
        });
    }
    if let Some(percent) = limits.cpu_percent {
        grant("cpu", &cpu, &|path, is_v2| {
            set_quota(path, is_v2, u64::from(percent))
        });
    }
    if let Some(weight) = limits.cpu_weight {
        grant("cpu_weight", &cpu, &|path, is_v2| {
            set_weight(path, is_v2, u64::from(weight))
        });
    }
    if let Some(most) = limits.processes {
        grant("processes", &pids, &|path, _| {
            put(path, "pids.max", &most.to_string()).map(|()| format!("{most}"))
        });
    }
    (groups, grants)
}

fn set_memory(path: &Path, is_v2: bool, bytes: u64) -> io::Result<String> {
    if is_v2 {
        put(path, "memory.max", &bytes.to_string())?;
        // Neither is everywhere; the limit holds without them.
        let _ = put(path, "memory.swap.max", "0");
        let _ = put(path, "memory.oom.group", "1");
    } else {
        put(path, "memory.limit_in_bytes", &bytes.to_string())?;
        let _ = put(path, "memory.memsw.limit_in_bytes", &bytes.to_string());
    }
    Ok(format!("{} MiB", bytes >> 20))
}

fn set_quota(path: &Path, is_v2: bool, percent: u64) -> io::Result<String> {
    let quota_us = PERIOD_US * percent / 100;
    if is_v2 {
        put(path, "cpu.max", &format!("{quota_us} {PERIOD_US}"))?;
    } else {
        put(path, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
        put(path, "cpu.cfs_quota_us", &quota_us.to_string())?;
    }
    Ok(format!("{percent} % of one processor"))
}

fn set_weight(path: &Path, is_v2: bool, weight: u64) -> io::Result<String> {
    if is_v2 {
        put(path, "cpu.weight", &weight.to_string())?;
    } else {
        // Version 1 has 1024 where version 2 has 100.
        put(
            path,
            "cpu.shares",
            &(weight * 1_024 / 100).clamp(2, 262_144).to_string(),
        )?;
    }
    Ok(format!("weight {weight}"))
}

/// What became of limits that somebody else set for these groups: what the kernel says of them counts.
pub fn verify(groups: &[PathBuf], limits: &Limits) -> Vec<Grant> {
    let says = |files: &[&str]| {
        let mut texts = groups
            .iter()
            .flat_map(|group| files.iter().map(|file| group.join(file)));
        texts.find_map(|path| Some(fs::read_to_string(path).ok()?.trim().to_owned()))
    };
    let grant = |what: &str, found: Option<String>, holds: &dyn Fn(&str) -> bool| {
        let (state, detail) = match found {
            None => (GrantState::NotPresent, format!("no cgroup controller for {what}")),
            Some(text) if holds(&text) => (GrantState::Granted, format!("cgroup: {text}")),
            Some(text) => (GrantState::NotPermitted, format!("the control group says {text}")),
        };
        Grant {
            what: what.to_owned(),
            state,
            detail,
        }
    };
    let at_most = |most: u64| move |text: &str| text.parse::<u64>().is_ok_and(|value| value <= most);
    let mut all = Vec::new();
    if let Some(mib) = limits.memory_mib {
        let found = says(&["memory.max", "memory.limit_in_bytes"]);
        all.push(grant("memory", found, &at_most(mib << 20)));
    }
    if let Some(percent) = limits.cpu_percent {
        // Version 2 writes the quota and its period, version 1 the quota alone.
        let quota = |text: &str| {
            let mut words = text.split_whitespace().map(str::parse::<u64>);
            match (words.next(), words.next()) {
                (Some(Ok(quota)), Some(Ok(period))) => quota * 100 <= period * u64::from(percent),
                (Some(Ok(quota)), None) => quota <= PERIOD_US * u64::from(percent) / 100,
                _ => false,
            }
        };
        all.push(grant("cpu", says(&["cpu.max", "cpu.cfs_quota_us"]), &quota));
    }
    if limits.cpu_weight.is_some() {
        all.push(grant("cpu_weight", says(&["cpu.weight", "cpu.shares"]), &|_| {
            true
        }));
    }
    if let Some(most) = limits.processes {
        all.push(grant(
            "processes",
            says(&["pids.max"]),
            &at_most(u64::from(most) + 1),
        ));
    }
    all
}

/// Puts this process into the groups.
pub fn join(groups: &[PathBuf]) -> io::Result<()> {
    groups
        .iter()
        .try_for_each(|group| put(group, "cgroup.procs", "0"))
}

/// Kills everything in the groups; whether nothing is left.
pub fn kill(groups: &[PathBuf]) -> bool {
    for round in 0..KILL_ROUNDS {
        let mut left = false;
        for group in groups {
            let _ = put(group, "cgroup.kill", "1");
            for pid in processes(group) {
                left = true;
                // It may be gone already.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if !left {
            return true;
        }
        if round + 1 < KILL_ROUNDS {
            super::pause(KILL_WAIT);
        }
    }
    false
}

/// Takes the groups away, if nothing is in them.
pub fn remove(groups: &[PathBuf]) -> io::Result<()> {
    for group in groups {
        match fs::remove_dir(group) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether something in the groups was killed for want of memory.
pub fn was_out_of_memory(groups: &[PathBuf]) -> bool {
    groups.iter().any(|group| {
        let of = |file: &str| {
            field(
                &fs::read_to_string(group.join(file)).unwrap_or_default(),
                "oom_kill",
            )
        };
        of("memory.events")
            .or_else(|| of("memory.oom_control"))
            .is_some_and(|count| count > 0)
    })
}

/// Memory in use, and processor time in microseconds since the group was made; what is not counted is absent.
pub fn usage(groups: &[PathBuf]) -> (Option<u64>, Option<u64>) {
    let number = |group: &Path, file: &str| {
        fs::read_to_string(group.join(file))
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    let memory = groups
        .iter()
        .find_map(|group| number(group, "memory.current").or_else(|| number(group, "memory.usage_in_bytes")));
    let cpu_us = groups.iter().find_map(|group| {
        number(group, "cpuacct.usage").map(|ns| ns / 1_000).or_else(|| {
            let has = group.join("cpu.weight").exists() || group.join("cpu.max").exists();
            has.then(|| field(&fs::read_to_string(group.join("cpu.stat")).ok()?, "usage_usec"))?
        })
    });
    (memory, cpu_us)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn processes(group: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines()
        .filter_map(|line| Pid::from_raw(line.trim().parse().ok()?))
        .collect()
}

fn made(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn put(group: &Path, file: &str, value: &str) -> io::Result<()> {
    let path = group.join(file);
    fs::write(&path, value).map_err(|error| io::Error::new(error.kind(), format!("{file}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_processes_no_controller_is_enabled_and_all_limits_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let limits = Limits {
            memory_mib: Some(64),
            cpu_percent: Some(50),
            processes: Some(8),
            ..Limits::default()
        };
        fs::write(place.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        fs::write(place.join("cgroup.type"), "domain\n").unwrap();
        fs::write(place.join("cgroup.procs"), "17\n").unwrap();
        let places = Places {
            v2: Some(place.to_owned()),
            v1: Vec::new(),
        };
        let (groups, grants) = make(&places, "one", &limits);
        // It is there all the same: for an end of all that is in it, and for counting.
        assert_eq!(groups, [place.join("one")]);
        let states: Vec<_> = grants
            .iter()
            .map(|grant| (grant.what.as_str(), grant.state))
            .collect();
        let refused = GrantState::NotPermitted;
        assert_eq!(
            states,
            [("memory", refused), ("cpu", refused), ("processes", refused)]
        );
        assert!(!place.join("cgroup.subtree_control").exists());
        // Nobody is in it: they are enabled, and the limits are the group's.
        fs::write(place.join("cgroup.procs"), "").unwrap();
        let (_, grants) = make(&places, "one", &limits);
        assert!(
            grants.iter().all(|grant| grant.state == GrantState::Granted),
            "{grants:?}"
        );
        assert_eq!(fs::read_to_string(place.join("one/pids.max")).unwrap(), "8");
    }

    #[test]
    fn places_are_found_in_either_version_and_below_the_own_group() {
        let mounts = "\
30 23 0:26 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
31 23 0:27 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
33 23 0:29 / /sys rw - sysfs sysfs rw\n";
        let own = "4:memory:/docker/x/job\n2:cpu,cpuacct:/\n0::/user.slice\n";
        let places = Places::of(mounts, own);
        assert_eq!(
            places.v2.as_deref(),
            Some(Path::new("/sys/fs/cgroup/unified/user.slice"))
        );
        assert_eq!(places.v1("memory"), Some(Path::new("/sys/fs/cgroup/memory/job")));
        assert_eq!(places.v1("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu/")));
        assert_eq!(places.v1("pids"), None);
        assert_eq!(Places::of("", ""), Places::default());
    }

    #[test]
    fn what_is_not_there_is_said_for_each_limit() {
        let limits = Limits {
            memory_mib: Some(8),
            processes: Some(3),
            ..Limits::default()
        };
        let (groups, grants) = make(&Places::default(), "x", &limits);
        assert!(groups.is_empty());
        let states: Vec<_> = grants
            .iter()
            .map(|grant| (grant.what.as_str(), grant.state))
            .collect();
        assert_eq!(
            states,
            [
                ("memory", GrantState::NotPresent),
                ("processes", GrantState::NotPresent)
            ]
        );
    }

    #[test]
    fn a_group_that_cannot_be_made_is_not_permitted() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places {
            v2: None,
            v1: vec![("memory", directory.path().join("missing"))],
        };
        let limits = Limits {
            memory_mib: Some(8),
            ..Limits::default()
        };
        let (groups, grants) = make(&places, "x", &limits);
        assert!(groups.is_empty());
        assert_eq!(grants[0].state, GrantState::NotPermitted);
    }
}
