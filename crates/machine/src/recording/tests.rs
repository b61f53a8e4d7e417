//! Files: written, cut off anywhere, read again, kept and thrown away.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_model::state::{NodeReport, Operation, StatePatch};
use muster_model::vocabulary::{Mission, NodeStatus, Safety as Region};
use muster_model::{Mode, Severity, Timestamp};
use muster_protocol::link::{LogReport, Telemetry};
use muster_reflex::link::LinkState;
use muster_runtime::Clock;

use super::cut::Wish;
use super::folder::{self, Entry};
use super::reader::{End, Reader};
use super::recorder::{Moment, News, Order, Recorder};
use super::segment::Segment;
use super::{About, Options, form};
use crate::message::{Finding, LinkReport, Message, Payload, Source, TrafficReading, Wanted, event};
use muster_model::recording::name::{Kind, Name};

const START_MS: i64 = 1_795_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(START_MS + ms)
}

fn message(ms: i64, payload: Payload) -> Arc<Message> {
    Arc::new(Message {
        topic: payload.topic(),
        at: at(ms),
        mono_ms: 0,
        payload,
    })
}

fn traffic(ms: i64) -> Arc<Message> {
    message(
        ms,
        Payload::Traffic(TrafficReading {
            receive_bytes_per_s: ms as f64,
            transmit_bytes_per_s: 0.1,
        }),
    )
}

/// One of each kind that is easily made; the others are in the recording of a whole machine (`tests/it/recorder.rs`).
fn payloads() -> Vec<Payload> {
    let operation = Operation {
        mode: Mode::Idle,
        safety: Region::EstopLatched,
        held_by: vec!["estop".to_owned()],
        at_rest: Some(true),
        authority: muster_model::vocabulary::Authority::None,
        mission: Mission::Idle,
    };
    let patch = StatePatch {
        operation: Some(Some(Arc::new(operation))),
        ..StatePatch::default()
    };
    vec![
        Payload::Sections(Source::Safety, Box::new(patch)),
        Payload::Wanted(vec![Wanted(muster_reflex::state::SectionKind::Network)]),
        Payload::Traffic(TrafficReading {
            receive_bytes_per_s: 1.0 / 3.0,
            transmit_bytes_per_s: 1e-9,
        }),
        Payload::Findings(
            Source::Health,
            vec![Finding {
                kind: "thermal.high".to_owned(),
                subject: "cpu".to_owned(),
                severity: Severity::Warning,
                message: "It is ħot".to_owned(),
            }],
        ),
        event("runtime.started", Severity::Info, "It began"),
        Payload::Telemetry(Telemetry { samples: Vec::new() }),
        Payload::Log(LogReport { lines: Vec::new() }),
        Payload::State(Box::default()),
        Payload::Node(NodeReport {
            name: "health".to_owned(),
            status: NodeStatus::Running,
            restarts: 2,
            last_failure: None,
        }),
        Payload::Link(LinkReport {
            state: LinkState::Reconnecting,
            reason: "no way".to_owned(),
        }),
        Payload::Mode(Mode::Idle),
    ]
}

#[test]
fn what_was_said_is_read_as_it_was_said() {
    for payload in payloads() {
        let mut text = Vec::new();
        form::write(&payload, &mut text).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert!(value.is_object(), "viewers want objects: {value}");
        let read = form::read(form::schema_name(&payload), &text).unwrap();
        assert_eq!(read, Some(payload));
    }
    assert_eq!(form::read("somebody.Elses", b"{}").unwrap(), None);
}

#[test]
fn every_form_has_a_schema_of_an_object() {
    for name in form::SCHEMA_NAMES {
        let schema = form::schema(name).unwrap_or_else(|| panic!("{name} has none: cargo xtask generate"));
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        assert_eq!(schema["type"], "object", "{name}");
        assert!(
            !schema.to_string().contains("$ref"),
            "{name}: viewers do not look elsewhere"
        );
    }
}

fn written(path: &Path, messages: impl IntoIterator<Item = Arc<Message>>) -> Segment {
    let mut about = About::default();
    about.machine.insert("name".to_owned(), "a machine".to_owned());
    let mut segment = Segment::create(path.to_owned(), &about).unwrap();
    for (place, message) in messages.into_iter().enumerate() {
        segment.write(&message).unwrap();
        if place % 40 == 39 {
            segment.sync().unwrap();
        }
    }
    segment
}

fn times(path: &Path) -> (Vec<u64>, Reader) {
    let mut reader = Reader::open(path).unwrap();
    let mut all = Vec::new();
    for recorded in reader.by_ref() {
        assert!(recorded.payload().unwrap().is_some());
        all.push(recorded.header.log_time);
    }
    (all, reader)
}

#[test]
fn a_file_is_in_the_order_of_the_bus() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("one");
    // Several within a millisecond, and a clock that goes back a little.
    let mut messages: Vec<_> = payloads()
        .into_iter()
        .map(|payload| message(5, payload))
        .collect();
    messages.push(traffic(4));
    messages.push(traffic(900));
    let count = messages.len();
    let finished = written(&path, messages).finish().unwrap();
    assert_eq!(finished.span, Some((at(5), at(900))));
    let (times, reader) = times(&path);
    assert_eq!((times.len(), finished.messages), (count, count as u64));
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert_eq!(reader.end(), Some(&End::Finished));
    assert_eq!(reader.about().machine["name"], "a machine");
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_read_as_far_as_it_is_sound() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    drop(written(&whole, (0..400).map(traffic)));
    let bytes = fs::read(&whole).unwrap();
    let mut most = 0;
    for length in (0..bytes.len()).step_by(97).chain([bytes.len()]) {
        let part = directory.path().join("rolling-20261121T070000.000Z.mcap.part");
        fs::write(&part, &bytes[..length]).unwrap();
        let recovered = folder::recover(directory.path(), &About::default()).unwrap();
        let [recovered] = &recovered[..] else {
            panic!("{recovered:?}")
        };
        assert!(!part.exists());
        assert!(recovered.messages >= most, "a longer file holds no less");
        most = recovered.messages;
        match &recovered.file {
            Some(file) => {
                let (times, reader) = times(&directory.path().join(file));
                assert_eq!((times.len() as u64, reader.end()), (most, Some(&End::Finished)));
                fs::remove_file(directory.path().join(file)).unwrap();
            }
            None => assert_eq!(most, 0),
        }
    }
    assert_eq!(most, 400, "every message that was put on the disk");
}

#[test]
fn a_flipped_bit_costs_what_comes_behind_it_and_nothing_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rolling-20261121T070000.000Z.mcap.part");
    drop(written(&path, (0..400).map(traffic)));
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut harmed = 0;
    for place in (0..whole.len()).step_by(whole.len() / 60) {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let recovered = folder::recover(directory.path(), &About::default()).unwrap();
        let messages = recovered[0].messages;
        harmed += u32::from(messages < 400);
        let Some(file) = &recovered[0].file else { continue };
        let file = directory.path().join(file);
        let expected: Vec<u64> = (0..messages)
            .map(|ms| super::segment::nanos(at(ms as i64)))
            .collect();
        assert_eq!(times(&file).0, expected, "nothing is read that was not written");
        fs::remove_file(file).unwrap();
    }
    assert!(harmed > 20, "{harmed} of 60 flipped bits were found");
}

#[test]
fn names_say_what_a_recording_is() {
    for kind in [
        Kind::Rolling,
        Kind::Kept("estop_latched".to_owned()),
        Kind::Pinned("node.failed".to_owned()),
    ] {
        let name = Name {
            kind,
            from: at(1),
            to: at(2_345),
        };
        assert_eq!(Name::of(&name.file()), Some(name));
    }
    for odd in [
        "",
        "rolling",
        "rolling-a-b.mcap",
        "kept-20261121T070000.123Z-20261121T070000.123Z.mcap",
        "x.mcap",
    ] {
        assert_eq!(Name::of(odd), None, "{odd}");
    }
    let odd = Kind::Pinned("../../etc/passwd of – somebody".to_owned());
    assert!(
        !Name {
            kind: odd,
            from: at(0),
            to: at(0)
        }
        .file()
        .contains('/')
    );
}

fn put(options: &Options, kind: Kind, from_s: i64, kilobytes: usize) -> String {
    let name = Name {
        kind,
        from: at(from_s * 1_000),
        to: at(from_s * 1_000 + 999),
    };
    fs::write(options.directory.join(name.file()), vec![0; kilobytes << 10]).unwrap();
    name.file()
}

fn bounded(directory: &Path) -> Options {
    Options {
        bytes_max: 100 << 10,
        age_max: Duration::from_secs(1_000),
        kept_max: 2,
        reserve_bytes: 0,
        ..Options::new(directory)
    }
}

fn left(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.file.as_str()).collect()
}

#[test]
fn the_oldest_that_nobody_needs_goes_first() {
    let directory = tempfile::tempdir().unwrap();
    let options = bounded(directory.path());
    let kept = |n: u32| Kind::Kept(format!("k{n}"));
    let old = put(&options, Kind::Rolling, 0, 1);
    let kept_1 = put(&options, kept(1), 100, 10);
    let pinned = put(&options, Kind::Pinned("p".to_owned()), 0, 10);
    let kept_2 = put(&options, kept(2), 200, 10);
    let kept_3 = put(&options, kept(3), 300, 10);
    let rolling: Vec<_> = (0..4)
        .map(|n| put(&options, Kind::Rolling, 1_000 + n, 20))
        .collect();
    let now = at(1_100_000);
    let room = folder::make_room(&options, now, None, 0).unwrap();
    assert_eq!(room.short_of, None);
    let files = left(&room.entries);
    assert!(!files.contains(&old.as_str()), "too old");
    assert!(!files.contains(&kept_1.as_str()), "one kept too many");
    assert_eq!(
        files,
        [&pinned, &kept_2, &kept_3, &rolling[1], &rolling[2], &rolling[3]],
        "110 KiB are too much: the oldest that rolls goes"
    );
    // What is waited for does not go; then what is kept goes, but for the newest, and what a person keeps never.
    let tight = Options {
        bytes_max: 65 << 10,
        ..options.clone()
    };
    let room = folder::make_room(&tight, now, Some(at(1_002_500)), 0).unwrap();
    assert_eq!(
        left(&room.entries),
        [&pinned, &kept_3, &rolling[2], &rolling[3]][..]
    );
    let none = Options {
        bytes_max: 15 << 10,
        ..options
    };
    let room = folder::make_room(&none, now, None, 0).unwrap();
    assert_eq!(left(&room.entries), [&pinned, &kept_3]);
    assert!(room.short_of.unwrap().contains("recording.max_mb"));
}

#[test]
fn the_disk_is_not_filled() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        reserve_bytes: u64::MAX,
        ..bounded(directory.path())
    };
    let file = put(&options, Kind::Rolling, 1_099, 1);
    let room = folder::make_room(&options, at(1_100_000), None, 0).unwrap();
    assert!(room.short_of.unwrap().contains("recording.reserve_mb"));
    assert!(!directory.path().join(file).exists(), "what can go, goes");
}

/// Looks until it is so.
async fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .is_ok(),
        "{what}"
    );
}

fn quick(directory: &Path) -> Options {
    Options {
        before: Duration::from_secs(100),
        after: Duration::from_millis(300),
        reserve_bytes: 0,
        retry_after: Duration::from_millis(50),
        ..Options::new(directory)
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(Clock::start().wall_ms())
}

fn said(payload: Payload) -> Order {
    Order::Messages(vec![Arc::new(Message {
        topic: payload.topic(),
        at: now(),
        mono_ms: 0,
        payload,
    })])
}

fn estop() -> Moment {
    Moment {
        why: "estop_latched".to_owned(),
        text: "Held by estop".to_owned(),
        at: now(),
        pinned: false,
    }
}

#[tokio::test]
async fn what_went_wrong_is_kept_with_what_was_before_and_after() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(quick(directory.path()), About::default(), Clock::start()).unwrap();
    for payload in payloads() {
        assert!(recorder.order(said(payload)));
    }
    assert!(recorder.order(Order::Keep(estop())));
    wait_until("the wish is on the disk first", || {
        Wish::all(directory.path()).len() == 1
    })
    .await;
    assert!(recorder.order(said(event("after", Severity::Info, "it"))));
    let mut news = Vec::new();
    wait_until("it is kept", || {
        news.extend(recorder.news());
        !news.is_empty()
    })
    .await;
    let [News::Kept { file, wish }] = &news[..] else {
        panic!("{news:?}")
    };
    assert_eq!(wish.why, "estop_latched");
    assert_eq!(Wish::all(directory.path()), []);
    let (times, reader) = times(&directory.path().join(file));
    assert_eq!(times.len(), payloads().len() + 1);
    assert_eq!(reader.kept().unwrap()["text"], "Held by estop");
    recorder.end().await;
    let all = folder::list(directory.path()).unwrap();
    assert!(
        all.iter()
            .all(|entry| Reader::open(&directory.path().join(&entry.file)).is_ok())
    );
    assert_eq!(
        all.iter()
            .filter(|entry| entry.name.kind == Kind::Rolling)
            .count(),
        1
    );
}

#[tokio::test]
async fn a_wish_outlives_a_power_cut() {
    let directory = tempfile::tempdir().unwrap();
    // As it is left behind: a file nobody finished, and the wish to keep it.
    let part = directory.path().join("rolling-20261121T070000.000Z.mcap.part");
    drop(written(&part, (0..80).map(traffic)));
    let wish = Wish {
        why: "fault_latched".to_owned(),
        text: String::new(),
        at: at(70),
        from: at(10),
        to: at(10_000),
        pinned: false,
    };
    wish.write(directory.path()).unwrap();
    let recorder = Recorder::start(quick(directory.path()), About::default(), Clock::start()).unwrap();
    let mut news = Vec::new();
    wait_until("it is kept", || {
        news.extend(recorder.news());
        news.len() == 2
    })
    .await;
    assert!(
        matches!(&news[0], News::Recovered(recovered) if recovered.messages == 80),
        "{news:?}"
    );
    let News::Kept { file, .. } = &news[1] else {
        panic!("{news:?}")
    };
    assert_eq!(
        times(&directory.path().join(file)).0.len(),
        70,
        "from when it was wished"
    );
    recorder.end().await;
}

#[tokio::test]
async fn a_disk_that_fails_pauses_and_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    // A file stands where the directory should be: as good as a disk that refuses.
    let place = directory.path().join("recordings");
    fs::write(&place, "").unwrap();
    let recorder = Recorder::start(quick(&place), About::default(), Clock::start()).unwrap();
    wait_until("it pauses", || recorder.paused().is_some()).await;
    assert!(recorder.order(said(payloads().remove(0))));
    wait_until("what is not written is counted", || recorder.dropped() == 1).await;
    fs::remove_file(&place).unwrap();
    wait_until("it goes on", || recorder.paused().is_none()).await;
    assert!(recorder.order(said(payloads().remove(0))));
    recorder.end().await;
    assert_eq!(folder::list(&place).unwrap().len(), 1);
}

#[test]
fn people_keep_and_remove_only_recordings() {
    let directory = tempfile::tempdir().unwrap();
    let options = bounded(directory.path());
    let file = put(&options, Kind::Rolling, 1, 1);
    fs::write(directory.path().join("secret"), "").unwrap();
    for odd in [
        "secret",
        "../x",
        "rolling-20261121T070000.000Z-20261121T070000.000Z.mcap",
    ] {
        assert!(folder::remove(directory.path(), odd).is_err(), "{odd}");
    }
    let pinned = folder::pin(directory.path(), &file, Some("why not")).unwrap();
    assert!(pinned.ends_with("-why_not.mcap"), "{pinned}");
    assert_eq!(folder::pin(directory.path(), &pinned, None).unwrap(), pinned);
    folder::remove(directory.path(), &pinned).unwrap();
    assert_eq!(folder::list(directory.path()).unwrap(), []);
}
