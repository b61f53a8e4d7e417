use muster_model::Timestamp;
use muster_model::recording::Kind;
use tempfile::TempDir;

use super::*;

const PIECE: usize = 1_000;
/// Before anything here was written.
const NOW: Timestamp = Timestamp::from_millis(0);

struct Place {
    folder: TempDir,
    recordings: Recordings,
}

fn open(folder: &TempDir, bytes_max: u64) -> Recordings {
    let directory = DataDirectory::open(folder.path().join("data")).unwrap();
    let options = RecordingsOptions {
        bytes_max,
        reserve_bytes: 0,
    };
    Recordings::open(&directory, options, NOW).unwrap()
}

fn place(bytes_max: u64) -> Place {
    let folder = TempDir::new().unwrap();
    let recordings = open(&folder, bytes_max);
    Place { folder, recordings }
}

fn part(number: u128) -> Part {
    Part {
        machine: MachineId::from_uuid(Uuid::from_u128(7)),
        command: Uuid::from_u128(number),
    }
}

fn name(second: i64) -> Name {
    Name {
        kind: Kind::Kept("estop".to_owned()),
        from: Timestamp::from_millis(second * 1_000),
        to: Timestamp::from_millis(second * 1_000 + 900),
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|byte| (byte * 31 % 251) as u8).collect()
}

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn bring(recordings: &Recordings, part: Part, content: &[u8]) {
    for (index, piece) in content.chunks(PIECE).enumerate() {
        let offset = (index * PIECE) as u64;
        let end = recordings
            .append(part, offset, content.len() as u64, piece)
            .unwrap();
        assert_eq!(end, offset + piece.len() as u64);
    }
}

#[test]
fn what_comes_in_pieces_has_its_name_when_all_of_it_is_right() {
    let place = place(1 << 20);
    let content = content(3_500);
    bring(&place.recordings, part(1), &content);
    assert_eq!(place.recordings.list(part(1).machine).unwrap(), []);
    let state = place.recordings.part(part(1)).unwrap().unwrap();
    assert_eq!((state.offset, state.length), (3_500, 3_500));
    place
        .recordings
        .finish(part(1), &name(5), digest(&content), b"why")
        .unwrap();
    let listed = place.recordings.list(part(1).machine).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].bytes, listed[0].about.as_slice()),
        (3_500, &b"why"[..])
    );
    let path = place.recordings.path(part(1).machine, &name(5).file()).unwrap();
    assert_eq!(fs::read(path).unwrap(), content);
    assert_eq!(place.recordings.part(part(1)).unwrap(), None);
    assert_eq!(place.recordings.usage().0, 3_500);
}

#[test]
fn one_goes_on_where_it_was_after_a_restart() {
    let place = place(1 << 20);
    let content = content(2_500);
    place
        .recordings
        .append(part(1), 0, 2_500, &content[..1_000])
        .unwrap();
    drop(place.recordings);
    let recordings = open(&place.folder, 1 << 20);
    assert_eq!(recordings.usage().0, 2_500, "its whole length is taken");
    assert_eq!(recordings.part(part(1)).unwrap().unwrap().offset, 1_000);
    recordings
        .append(part(1), 1_000, 2_500, &content[1_000..])
        .unwrap();
    recordings
        .finish(part(1), &name(5), digest(&content), b"")
        .unwrap();
    assert_eq!(recordings.list(part(1).machine).unwrap().len(), 1);
}

#[test]
fn a_piece_that_does_not_fit_changes_nothing() {
    let place = place(1 << 20);
    let content = content(2_000);
    let append = |offset, length, piece: &[u8]| place.recordings.append(part(1), offset, length, piece);
    append(0, 2_000, &content[..1_000]).unwrap();
    let have = |error| matches!(error, Err(RecordingsError::Offset { have: 1_000, .. }));
    assert!(have(append(0, 2_000, &content[..1_000])), "the same again");
    assert!(have(append(1_500, 2_000, &content[1_500..])), "a gap");
    let length = |error| matches!(error, Err(RecordingsError::Length { known: 2_000, .. }));
    assert!(length(append(1_000, 3_000, &content[1_000..])), "another length");
    assert!(length(append(1_000, 2_000, &[0; 1_001])), "more than its length");
    let early = place.recordings.finish(part(1), &name(5), digest(&content), b"");
    assert!(matches!(early, Err(RecordingsError::Offset { .. })));
    append(1_000, 2_000, &content[1_000..]).unwrap();
    place
        .recordings
        .finish(part(1), &name(5), digest(&content), b"")
        .unwrap();
}

#[test]
fn what_came_with_other_content_is_thrown_away_and_can_come_again() {
    let place = place(3_000);
    let content = content(2_000);
    let mut other = content.clone();
    other[1_234] ^= 1;
    bring(&place.recordings, part(1), &other);
    let finished = place.recordings.finish(part(1), &name(5), digest(&content), b"");
    assert!(matches!(finished, Err(RecordingsError::Digest)), "{finished:?}");
    assert_eq!(place.recordings.usage().0, 0);
    bring(&place.recordings, part(1), &content);
    place
        .recordings
        .finish(part(1), &name(5), digest(&content), b"")
        .unwrap();
}

#[test]
fn nothing_is_removed_to_make_room() {
    let place = place(3_000);
    let content = content(2_000);
    bring(&place.recordings, part(1), &content);
    place
        .recordings
        .finish(part(1), &name(5), digest(&content), b"")
        .unwrap();
    let full = place.recordings.append(part(2), 0, 2_000, &content[..PIECE]);
    assert!(
        matches!(
            full,
            Err(RecordingsError::Full {
                used: 2_000,
                max: 3_000,
                needed: 2_000
            })
        ),
        "{full:?}"
    );
    let trouble = place.recordings.trouble(part(2)).unwrap();
    assert!(trouble.contains("remove some"), "{trouble}");
    place.recordings.remove(part(1).machine, &name(5).file()).unwrap();
    let machine = part(1).machine;
    assert_eq!(place.recordings.list(machine).unwrap(), []);
    assert_eq!(place.recordings.removed(machine).unwrap().len(), 1);
    bring(&place.recordings, part(2), &content);
    assert_eq!(place.recordings.trouble(part(2)), None);
}

#[test]
fn the_same_file_again_takes_the_place_of_the_first() {
    let place = place(10_000);
    let content = content(2_000);
    for command in 1..3 {
        bring(&place.recordings, part(command), &content);
        place
            .recordings
            .finish(part(command), &name(5), digest(&content), b"")
            .unwrap();
    }
    assert_eq!(place.recordings.usage().0, 2_000);
    assert_eq!(place.recordings.list(part(1).machine).unwrap().len(), 1);
}

#[test]
fn names_that_are_none_lead_nowhere() {
    let place = place(10_000);
    for file in ["../../lock", "about-x", "part-x", "", "/etc/passwd"] {
        let found = place.recordings.path(part(1).machine, file);
        assert!(matches!(found, Err(RecordingsError::Unknown)), "{file}");
        let removed = place.recordings.remove(part(1).machine, file);
        assert!(matches!(removed, Err(RecordingsError::Unknown)), "{file}");
    }
}

#[test]
fn a_disk_that_must_stay_free_takes_nothing() {
    let folder = TempDir::new().unwrap();
    let directory = DataDirectory::open(folder.path().join("data")).unwrap();
    let options = RecordingsOptions {
        bytes_max: u64::MAX,
        reserve_bytes: u64::MAX,
    };
    let recordings = Recordings::open(&directory, options, NOW).unwrap();
    let refused = recordings.append(part(1), 0, 10, &[0; 10]);
    assert!(
        matches!(refused, Err(RecordingsError::DiskFull { .. })),
        "{refused:?}"
    );
    assert_eq!(recordings.usage().0, 0);
}

#[test]
fn what_nobody_goes_on_with_is_removed_after_days() {
    let place = place(10_000);
    let content = content(2_000);
    place
        .recordings
        .append(part(1), 0, 2_000, &content[..1_000])
        .unwrap();
    bring(&place.recordings, part(2), &content);
    let finish = |number, second| {
        place
            .recordings
            .finish(part(number), &name(second), digest(&content), b"why")
            .unwrap();
    };
    finish(2, 5);
    bring(&place.recordings, part(3), &content);
    finish(3, 6);
    let machine = part(1).machine;
    place.recordings.remove(machine, &name(6).file()).unwrap();
    drop(place.recordings);
    let again = |now_ms| {
        let directory = DataDirectory::open(place.folder.path().join("data")).unwrap();
        let options = RecordingsOptions {
            bytes_max: 10_000,
            reserve_bytes: 0,
        };
        Recordings::open(&directory, options, Timestamp::from_millis(now_ms)).unwrap()
    };
    let soon = again(0);
    assert_eq!(
        (
            soon.parts(machine).unwrap().len(),
            soon.removed(machine).unwrap().len()
        ),
        (1, 1)
    );
    drop(soon);
    // Year 2100.
    let late = again(4_102_444_800_000);
    assert_eq!(
        (
            late.parts(machine).unwrap().len(),
            late.removed(machine).unwrap().len()
        ),
        (0, 0)
    );
    assert_eq!(
        (late.list(machine).unwrap().len(), late.usage().0),
        (1, 2_000),
        "what is complete stays"
    );
}
