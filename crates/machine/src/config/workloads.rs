//! What of the machine file is run for people, and what is watched.

use muster_model::service::{WatchError, WatchedService};
use muster_model::workload::{Workload, WorkloadError, WorkloadName, check_all};
use muster_runtime::config::{Key, Mistake, Reading, some_text, whole};

use super::Settings;

pub(super) fn read_workloads(settings: &mut Settings, reading: &mut Reading<'_>) {
    for (name, workload) in reading.named::<Workload>() {
        match name.parse::<WorkloadName>() {
            Ok(parsed) => drop(settings.workloads.insert(parsed, workload)),
            Err(error) => reading.wrong(&[&name], error.to_string()),
        }
    }
}

pub(super) fn read_services(settings: &mut Settings, reading: &mut Reading<'_>) {
    for (name, service) in reading.named::<WatchedService>() {
        match name.parse::<WorkloadName>() {
            Ok(parsed) => drop(settings.watch.services.insert(parsed, service)),
            Err(_) => reading.wrong(
                &[&name],
                "a name is 1 to 40 lower-case letters, digits and dashes",
            ),
        }
    }
}

/// What cannot be meant: each for itself, so that all of it is said, and then together.
pub(super) fn mistakes(settings: &Settings) -> Vec<Mistake> {
    let place = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>();
    let each = settings
        .workloads
        .iter()
        .filter_map(|(name, workload)| workload.check(name).err());
    let mut errors: Vec<_> = each.collect();
    if errors.is_empty() {
        errors.extend(check_all(&settings.workloads).err());
    }
    let mut mistakes: Vec<_> = errors
        .into_iter()
        .map(|error| match error {
            WorkloadError::Workload { name, key, problem } => {
                let inner: Vec<_> = key.split('.').collect();
                Mistake {
                    path: place(&[&["workloads", name.as_str()], &inner[..]].concat()),
                    what: problem,
                }
            }
            WorkloadError::Name(_) | WorkloadError::TooMany(_) | WorkloadError::Circle(_) => Mistake {
                path: place(&["workloads"]),
                what: error.to_string(),
            },
        })
        .collect();
    match settings.watch.check() {
        Ok(()) => {}
        Err(WatchError::Service { name, problem }) => mistakes.push(Mistake {
            path: place(&["services", name.as_str()]),
            what: problem.to_owned(),
        }),
        Err(error @ (WatchError::TooMany(_) | WatchError::Watch { .. })) => mistakes.push(Mistake {
            path: place(&["services"]),
            what: error.to_string(),
        }),
    }
    mistakes
}

/// `watch.interval_s`.
pub(super) const INTERVAL_S: Key<Settings> = Key {
    path: "watch.interval_s",
    accepted: "seconds between two looks at the services: 1 to 3600",
    set: |settings, text| {
        settings.watch.interval_s = u32::try_from(whole(text, 1, 3_600)?).map_err(|_| None)?;
        Ok(())
    },
    get: |settings| Some(settings.watch.interval_s.to_string()),
};

/// `watch.rosbridge`.
pub(super) const ROSBRIDGE: Key<Settings> = Key {
    path: "watch.rosbridge",
    accepted: "where rosbridge is asked for ROS nodes, such as ws://127.0.0.1:9090",
    set: |settings, text| {
        let address = some_text(text, 4_096)?;
        if !address.starts_with("ws://") {
            return Err(None);
        }
        settings.watch.rosbridge = address;
        Ok(())
    },
    get: |settings| Some(settings.watch.rosbridge.clone()),
};
