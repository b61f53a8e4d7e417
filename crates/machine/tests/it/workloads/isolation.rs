//! What a workload may not do, tried by real processes.

use std::collections::BTreeMap;

use muster_model::workload::report::{GrantState, WorkloadPhase};
use muster_model::workload::{RestartPolicy, Workload};

use super::{Bench, all, granted, shell, steady};

/// Runs a workload that asks for something as well as it can be given. Where it cannot be given, says so, and sees that the machine
/// refuses the workload where it may not do without.
async fn with_or_refused(bench: &Bench, name: &str, what: &str, strict: &str) -> bool {
    let report = bench
        .until_one(name, "it ran", |one| !one.granted.is_empty())
        .await;
    let state = granted(&report, what);
    if state == GrantState::Granted {
        return true;
    }
    println!(
        "THIS COMPUTER DOES NOT GRANT {what}: {state}. What it would do is not shown; that it is refused is."
    );
    let refused = bench.until_phase(strict, WorkloadPhase::Failed).await;
    assert_eq!(granted(&refused, what), state);
    assert!(refused.reason.unwrap().contains(what));
    false
}

fn best_effort(mut workload: Workload) -> (Workload, Workload) {
    let strict = workload.clone();
    workload.best_effort = true;
    (workload, strict)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_processes_are_limited() {
    let directory = tempfile::tempdir().unwrap();
    let mut hungry = shell("tail /dev/zero");
    hungry.limits.memory_mib = Some(16);
    hungry.restart.policy = RestartPolicy::Never;
    let (hungry, hungry_strict) = best_effort(hungry);
    let mut forks = shell("for n in 1 2 3 4 5 6 7 8; do sleep 600 & done; echo forked; wait");
    forks.limits.processes = Some(4);
    forks.restart.policy = RestartPolicy::Never;
    let (forks, forks_strict) = best_effort(forks);
    let mut slow = shell("echo busy; while :; do :; done");
    slow.limits.cpu_percent = Some(20);
    let (slow, slow_strict) = best_effort(slow);
    let bench = Bench::start(
        directory.path(),
        all(&[
            ("hungry", hungry),
            ("hungry-strict", hungry_strict),
            ("forks", forks),
            ("forks-strict", forks_strict),
            ("slow", slow),
            ("slow-strict", slow_strict),
        ]),
    )
    .await;
    if with_or_refused(&bench, "hungry", "memory", "hungry-strict").await {
        for name in ["hungry", "hungry-strict"] {
            let report = bench.until_phase(name, WorkloadPhase::Failed).await;
            let exit = report.last_exit.unwrap();
            assert!(exit.contains("(out of memory)"), "{exit}");
        }
    }
    if with_or_refused(&bench, "forks", "processes", "forks-strict").await {
        let log = bench.until_said("forks-strict", "ork").await;
        assert!(
            log.iter().any(|line| line.to_lowercase().contains("cannot fork")),
            "{log:?}"
        );
    }
    if with_or_refused(&bench, "slow", "cpu", "slow-strict").await {
        let report = bench
            .until_one("slow-strict", "its use is counted", |one| {
                one.cpu_percent.is_some()
            })
            .await;
        let percent = report.cpu_percent.unwrap();
        println!("figure cpu quota 20 %: used {percent} %");
        assert!((1.0..30.0).contains(&percent), "{percent}");
        assert!(report.memory_bytes.is_some());
    }
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_changes_and_rights_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut nobody = shell(
        "id -u; id -g; grep -E 'CapBnd|CapEff|NoNewPrivs|Seccomp:' /proc/self/status; echo over; exec sleep 600",
    );
    nobody.user = Some("65534:65534".into());
    nobody.limits.open_files = Some(77);
    let (nobody, strict) = best_effort(nobody);
    let mut unknown = steady();
    unknown.user = Some("no-such-user".into());
    unknown.best_effort = true;
    let root = shell(
        "grep -E 'CapEff' /proc/self/status; mount -t tmpfs none /mnt || echo refused; ulimit -n; echo over",
    );
    let bench = Bench::start(
        directory.path(),
        all(&[
            ("nobody", nobody),
            ("strict", strict),
            ("unknown", unknown),
            ("root", root),
        ]),
    )
    .await;
    if with_or_refused(&bench, "nobody", "user", "strict").await {
        let log = bench.until_said("strict", "over").await;
        assert_eq!(log[..2], ["65534", "65534"]);
        for part in [
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(log.iter().any(|line| line.contains(part)), "{part} in {log:?}");
        }
    }
    let log = bench.until_said("root", "over").await;
    assert!(
        log.iter().any(|line| line == "CapEff:\t0000000000000000"),
        "{log:?}"
    );
    assert!(log.iter().any(|line| line == "refused"), "{log:?}");
    // Never as somebody else, not even with the best effort.
    let report = bench.until_phase("unknown", WorkloadPhase::Failed).await;
    assert!(report.reason.unwrap().contains("no user \"no-such-user\" here"));
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn system_calls_are_refused_by_the_profile_and_not_without_it() {
    let directory = tempfile::tempdir().unwrap();
    // An unshared user namespace needs no rights: only the filter stands against it.
    let text = "unshare --user true && echo unshared; echo over";
    let with = shell(text);
    let mut without = shell(text);
    without.seccomp = muster_model::workload::SeccompProfile::None;
    let bench = Bench::start(directory.path(), all(&[("with", with), ("without", without)])).await;
    let log = bench.until_said("with", "over").await;
    assert!(
        log.iter().any(|line| line.contains("Operation not permitted")),
        "{log:?}"
    );
    assert!(!log.contains(&"unshared".to_owned()), "{log:?}");
    let log = bench.until_said("without", "over").await;
    if std::process::Command::new("unshare")
        .args(["--user", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        assert!(log.contains(&"unshared".to_owned()), "{log:?}");
    } else {
        println!("THIS COMPUTER HAS NO USER NAMESPACES: that they are there without a profile is not shown");
    }
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_network_and_little_to_write() {
    let directory = tempfile::tempdir().unwrap();
    let room = tempfile::tempdir().unwrap();
    let mut alone = shell("cat /proc/net/dev; echo over; exec sleep 600");
    alone.network = false;
    let (alone, alone_strict) = best_effort(alone);
    let mut reads = shell(
        "echo x > $ROOM/in && echo wrote; echo x > $OUTSIDE/out || echo refused; echo > /dev/null && echo null; echo over; exec sleep 600",
    );
    reads.filesystem.read_only = true;
    reads.filesystem.writable = vec![room.path().display().to_string()];
    reads.environment = BTreeMap::from([
        ("ROOM".into(), room.path().display().to_string()),
        ("OUTSIDE".into(), directory.path().display().to_string()),
    ]);
    let (reads, reads_strict) = best_effort(reads);
    let bench = Bench::start(
        directory.path(),
        all(&[
            ("alone", alone),
            ("alone-strict", alone_strict),
            ("reads", reads),
            ("reads-strict", reads_strict),
        ]),
    )
    .await;
    if with_or_refused(&bench, "alone", "network", "alone-strict").await {
        let log = bench.until_said("alone-strict", "over").await;
        let interfaces: Vec<_> = log.iter().filter_map(|line| line.split_once(':')).collect();
        assert!(interfaces.iter().all(|(name, _)| name.trim() == "lo"), "{log:?}");
        assert!(!interfaces.is_empty(), "{log:?}");
    }
    if with_or_refused(&bench, "reads", "read_only", "reads-strict").await {
        let log = bench.until_said("reads-strict", "over").await;
        for part in ["wrote", "refused", "null"] {
            assert!(log.iter().any(|line| line == part), "{part} in {log:?}");
        }
        assert!(room.path().join("in").exists() && !directory.path().join("out").exists());
    }
    bench.clear().await;
}
