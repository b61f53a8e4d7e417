//! Workloads and services in the machine file: what is accepted, what is shown again, and each mistake at its line.

use std::path::Path;

use crate::config::{Config, ConfigError};

const FILE: &str = "\
watch:
  interval_s: 7
workloads:
  camera:
    program: /usr/bin/camera
    limits:
      memory_mib: 64
  tracker:
    kind: container
    image: localhost/tracker:4
    after: [camera]
services:
  ssh:
    unit: ssh.service
    required: true
";

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::read(Some((Path::new("m.yaml"), text)), [], [])
}

#[test]
fn workloads_and_services_are_read_and_what_is_shown_means_the_same() {
    let config = read(FILE).unwrap();
    let settings = &config.settings;
    assert_eq!(settings.workloads.len(), 2);
    let camera = &settings.workloads[&"camera".parse().unwrap()];
    assert_eq!(camera.limits.memory_mib, Some(64));
    assert_eq!((settings.watch.interval_s, settings.watch.services.len()), (7, 1));
    let again = read(&config.show()).unwrap();
    assert_eq!(again.settings.workloads, settings.workloads);
    assert_eq!(again.settings.watch, settings.watch);
    let options = settings.options("host", None);
    assert_eq!(
        (options.workloads.machine.len(), options.watch.services.len()),
        (2, 1)
    );
}

#[test]
fn every_mistake_is_said_at_its_line() {
    for (from, to, line, says) in [
        ("memory_mib: 64", "memory: 64", 7, "memory_mib"),
        ("memory_mib: 64", "memory_mib: 1", 7, "4 to 1048576"),
        (
            "program: /usr/bin/camera",
            "program: camera",
            5,
            "an absolute path",
        ),
        (
            "image: localhost/tracker:4",
            "arguments: [x]",
            8,
            "a container needs one",
        ),
        ("  camera:", "  Camera:", 4, "no name for a workload"),
        (
            "after: [camera]",
            "after: [tracker]",
            11,
            "cannot wait for itself",
        ),
        ("unit: ssh.service", "unit: ssh", 13, "the full name of a unit"),
        ("interval_s: 7", "interval_s: 0", 2, "1 to 3600"),
    ] {
        assert_eq!(FILE.matches(from).count(), 1, "{from}");
        let error = read(&FILE.replace(from, to)).expect_err(to);
        let said: Vec<_> = error.each().iter().map(ToString::to_string).collect();
        let places: Vec<_> = error
            .each()
            .iter()
            .map(|each| each.place().map(|(_, line)| line))
            .collect();
        let found = said
            .iter()
            .zip(&places)
            .any(|(said, place)| said.contains(says) && *place == Some(line));
        assert!(
            found,
            "{to}: {said:?} at {places:?}, expected {says:?} at line {line}"
        );
    }
}
