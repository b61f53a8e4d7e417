//! What a clock may say.

use super::kit::{DAY_MS, Machine, Publisher};

#[tokio::test]
async fn row_20_a_clock_that_was_set_back_makes_nothing_good_again() {
    let mut publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let frozen = publisher.mirror();
    let began = publisher.now;
    // The machine sees a timestamp of three days later; its clock is right.
    let mut machine = Machine::new(&publisher);
    publisher.now = began.plus_millis(3 * DAY_MS);
    publisher.refresh();
    let newer = publisher.mirror();
    machine.now.clock = publisher.now;
    machine.update(&newer).await.unwrap();
    // Its own list, frozen for another two days, by a clock that says that no time has passed. Without that it would be good.
    let later = publisher.now.plus_millis(2 * DAY_MS);
    machine.now.clock = later;
    assert_eq!(machine.refused(&newer).await.0, "MST-U021");
    machine.now.clock = began;
    machine.update(&newer).await.unwrap();
    // What another machine has, which never saw the newer one, is bound by what it knows of the time.
    let mut other = Machine::new(&publisher);
    other.now.clock = began;
    other.now.attested = Some(later);
    assert_eq!(other.refused(&frozen).await.0, "MST-U021");
    // The server said it once; from then on the clock may say what it wants.
    other.now.attested = None;
    for clock in [began, began.plus_millis(-10_000 * DAY_MS)] {
        other.now.clock = clock;
        let (code, words) = other.refused(&frozen).await;
        assert_eq!(code, "MST-U021", "{words}");
        assert!(!words.contains("clock"), "{words}");
    }
    publisher.now = later;
    publisher.refresh();
    other.update(&publisher.mirror()).await.unwrap();
}

#[tokio::test]
async fn row_20_a_timestamp_says_that_it_is_not_earlier() {
    let mut publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let began = publisher.now;
    // A list that ended, under a timestamp that the server signed after that: a clock set back does not help it.
    publisher.now = began.plus_millis(181 * DAY_MS);
    publisher.refresh();
    let mut machine = Machine::new(&publisher);
    machine.now.clock = began;
    let (code, words) = machine.refused(&publisher.mirror()).await;
    assert_eq!(code, "MST-U021", "{words}");
    assert!(
        words.starts_with("targets.json") && !words.contains("clock"),
        "{words}"
    );
}

#[tokio::test]
async fn row_20_a_clock_decades_ahead_blocks_no_longer_than_it_is() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let mirror = publisher.mirror();
    let mut machine = Machine::new(&publisher);
    machine.now.clock = publisher.now.plus_millis(40 * 365 * DAY_MS);
    let (code, words) = machine.refused(&mirror).await;
    assert_eq!(code, "MST-U021");
    assert!(words.contains("by the clock of this machine alone"), "{words}");
    // The server says what time it is: at once all is well, and it stays so for the next who ask with the right clock.
    machine.now.attested = Some(publisher.now);
    machine.update(&mirror).await.unwrap();
    machine.now.attested = None;
    assert_eq!(machine.refused(&mirror).await.0, "MST-U021");
    machine.now.clock = publisher.now;
    machine.update(&mirror).await.unwrap();
    // A server that was wrong itself is believed when it says better.
    machine.now.attested = Some(publisher.now.plus_millis(40 * 365 * DAY_MS));
    assert_eq!(machine.refused(&mirror).await.0, "MST-U021");
    machine.now.attested = Some(publisher.now);
    machine.update(&mirror).await.unwrap();
}

#[tokio::test]
async fn row_20_a_machine_that_begins_in_1970_waits_for_nothing() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let mut machine = Machine::new(&publisher);
    machine.now.clock = muster_model::Timestamp::EPOCH;
    machine.update(&publisher.mirror()).await.unwrap();
}
