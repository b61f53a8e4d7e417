//! What a profile in a file may say, and what is said of one that may not be used.

use super::*;

/// Reads a profile from a file of its own.
fn read(text: &str) -> Result<Faults, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("site.yaml");
    std::fs::write(&path, text).expect("a file");
    Faults::find(path.to_str().expect("a path in words")).map_err(|error| {
        let parent = format!("{}/", directory.path().display());
        error.to_string().replace(&parent, "")
    })
}

#[track_caller]
fn refused(text: &str, says: &str) {
    let error = read(text).expect_err(text);
    assert!(error.contains(says), "{error:?} should say {says:?}");
}

#[test]
fn a_file_says_what_strikes_how_often_and_how_long() {
    let text = "about: a cellar\nspared_percent: 80\nnetwork:\n  loss_percent: 3\npartition:\n  every: 10m\n  \
                hits: 40%\n  lasts: 5s..2m\n  one_way_percent: 10\nserver_crash:\n  every: 1d\n";
    let faults = read(text).expect("accepted");
    assert_eq!(
        (faults.name.as_str(), faults.about.as_str()),
        ("site", "a cellar")
    );
    assert_eq!((faults.spared_percent, faults.wire.loss_percent), (80, 3));
    let partition = &faults.strikes[&Fault::Partition];
    assert_eq!(partition.every, Some(10 * MINUTE));
    assert_eq!(partition.share_percent, Some(40));
    assert_eq!(partition.span, (5 * SECOND, 2 * MINUTE));
    assert_eq!(partition.one_way_percent, 10);
    assert_eq!(faults.strikes[&Fault::ServerCrash].every, Some(24 * HOUR));
    assert_eq!(faults.strikes.len(), 2);
}

#[test]
fn what_is_wrong_is_said_with_file_line_key_and_what_is_accepted() {
    refused(
        "reset:\n  evry: 1m\n",
        "site.yaml:2: there is no key \"reset.evry\" (did you mean \"every\"?)",
    );
    refused(
        "rest:\n  every: 1m\n",
        "site.yaml:1: there is no key \"rest\" (did you mean \"reset\"?)",
    );
    refused(
        "reset:\n  every: 10\n",
        "site.yaml:2: reset.every: \"10\" is not accepted: a unit is missing",
    );
    refused("reset:\n  every: 10 parsecs\n", "the units are ms, s, m, h and d");
    refused(
        "reset:\n  every: 10ms\n",
        "site.yaml:2: reset.every: \"10ms\" is not accepted: a time from 1s",
    );
    refused(
        "network:\n  loss_percent: 31\n",
        "site.yaml:2: network.loss_percent: \"31\" is not accepted: 0 to 30",
    );
    refused(
        "partition:\n  every: 1m\n  lasts: 2m..5s\n",
        "site.yaml:3: partition.lasts",
    );
    refused(
        "machine_crash:\n  every: 1m\n  hits: 0%\n",
        "site.yaml:3: machine_crash.hits",
    );
    refused(
        "partition:\n  lasts: 2m\n",
        "site.yaml:2: partition.lasts: \"2m..2m\" is not accepted: only together with every",
    );
    refused(
        "server_crash:\n  hits: one\n",
        "site.yaml:2: there is no key \"server_crash.hits\"",
    );
    refused("reset:\n  every: 1m\nreset:\n  every: 2m\n", "site.yaml:3");
    refused("- reset\n", "site.yaml:1");
}

#[test]
fn what_is_neither_a_name_nor_a_file_is_told_which_names_there_are() {
    let error = Faults::find("raido").expect_err("no such profile").to_string();
    assert!(
        error.contains("none, radio, power, server, disk, clock, suspend, all, hostile"),
        "{error}"
    );
    for name in Faults::NAMES {
        assert_eq!(Faults::find(name).expect("built in").name, *name);
    }
    Faults::find("not-there.yaml").expect_err("no such file");
}

#[test]
fn every_fault_can_be_written_and_is_in_the_profile_of_all() {
    use muster_runtime::config::Settings;
    let all = Faults::built_in("all").expect("built in");
    for fault in Fault::ALL {
        let key = format!("{}.every", fault.name());
        assert!(Faults::KEYS.iter().any(|known| known.path == key), "{key}");
        assert!(all.strikes.contains_key(fault), "{fault:?}");
    }
}

#[test]
fn dense_faults_come_as_often_as_asked_in_the_same_proportions() {
    let radio = Faults::built_in("radio").expect("built in");
    let dense = radio.clone().dense(3, 4_000);
    let a_second: f64 = dense
        .strikes
        .iter()
        .filter_map(|(fault, strike)| strike.interval(*fault, 3))
        .map(|interval| SECOND as f64 / interval as f64)
        .sum();
    assert!((a_second - 0.25).abs() < 0.01, "{a_second}");
    let proportion = |faults: &Faults| {
        let every = |fault| faults.strikes[&fault].every.expect("strikes") as f64;
        every(Fault::HalfOpen) / every(Fault::Reset)
    };
    assert!((proportion(&radio) - proportion(&dense)).abs() < 0.01);
}

#[path = "../../../../../fuzz/src/config.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
mod law;

#[test]
fn fuzz_no_file_breaks_profiles_and_what_is_shown_means_the_same() {
    let tokens = &[
        ": ",
        "\n  ",
        "every: ",
        "hits: ",
        "lasts: ",
        "..",
        "%",
        "ms",
        "s",
        "m",
        "h",
        "d",
        "one",
        "partition:\n",
        "drift:\n  ",
        "most_ppm: ",
        "&a ",
        "*a",
        "#",
    ];
    muster_mutate::Target::new("profile")
        .text()
        .tokens(tokens)
        .one_in(4)
        .check(|data| {
            law::config::<Faults>(data, |faults| {
                for strike in faults.strikes.values() {
                    assert!(strike.every.is_some_and(|every| every >= SECOND), "{strike:?}");
                    assert!(strike.span.0 <= strike.span.1, "{strike:?}");
                    assert!(
                        strike
                            .share_percent
                            .is_none_or(|share| (1..=100).contains(&share))
                    );
                    assert!(strike.one_way_percent <= 100);
                }
                assert!(faults.spared_percent <= 100 && faults.wire.loss_percent <= 100);
                for machines in [0, 1, 100_000] {
                    let dense = faults.clone().dense(machines, 1);
                    assert_eq!(dense.strikes.len(), faults.strikes.len());
                }
            })
        });
}
