//! Tasks and shutdown.

use std::time::Duration;

use crate::errors::chain;
use crate::{Clock, OnEnd, Shutdown, Tasks};

#[tokio::test]
async fn a_task_that_is_needed_takes_everything_down() {
    let tasks = Tasks::new(Shutdown::new());
    tasks.spawn("writer", OnEnd::ShutDown, async { Err::<(), _>("disk is gone") });
    tasks.shutdown().requested().await;
    assert_eq!(tasks.shutdown().reason(), Some("writer ended: disk is gone"));
    assert_eq!(
        tasks.finish(Duration::from_secs(1)).await,
        ["writer: disk is gone"]
    );
}

#[tokio::test]
async fn a_panic_is_a_failure_and_not_the_end() {
    let tasks = Tasks::new(Shutdown::new());
    tasks.spawn("small", OnEnd::Continue, async {
        if true {
            panic!("planted");
        }
        Ok::<(), String>(())
    });
    assert_eq!(tasks.finish(Duration::from_secs(1)).await, ["small: panicked"]);
    assert!(!tasks.shutdown().is_requested());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_end_is_cut_off() {
    let tasks = Tasks::new(Shutdown::new());
    tasks.spawn(
        "stuck",
        OnEnd::ShutDown,
        std::future::pending::<Result<(), String>>(),
    );
    assert!(tasks.finish(Duration::from_secs(5)).await.is_empty());
}

#[tokio::test]
async fn a_part_ends_with_the_whole_and_can_end_alone() {
    let whole = Shutdown::new();
    let (one, other) = (whole.child(), whole.child());
    one.request("done");
    assert!(!whole.is_requested() && !other.is_requested());
    whole.request("all");
    other.requested().await;
}

#[test]
fn an_error_shows_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::fmt::Error);
    let text = chain(&Outer(std::fmt::Error));
    assert!(text.starts_with("outer: ") && text.len() > 10, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_simulated_clock_goes_with_the_timers_of_its_runtime() {
    let clock = Clock::simulated(1_000_000);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!((clock.mono_ms(), clock.wall_ms()), (3_600_000, 4_600_000));
    tokio::time::sleep_until(clock.instant_at(4_000_000)).await;
    assert_eq!(clock.mono_ms(), 4_000_000);
}

#[test]
fn a_clock_is_the_systems_where_nothing_is_simulated() {
    let clock = Clock::start();
    let system = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    assert!((clock.wall_ms() - system).abs() < 10_000);
    assert!(clock.mono_ms() < 10_000);
}
