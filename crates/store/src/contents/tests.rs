use std::convert::Infallible;

use futures_util::stream;
use tempfile::TempDir;

use super::*;

struct Place {
    folder: TempDir,
    contents: Contents,
}

fn open(folder: &TempDir, reserve_bytes: u64) -> Contents {
    let directory = DataDirectory::open(folder.path().join("data")).unwrap();
    Contents::open(&directory, ContentsOptions { reserve_bytes }).unwrap()
}

fn place() -> Place {
    let folder = TempDir::new().unwrap();
    let contents = open(&folder, 0);
    Place { folder, contents }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|byte| (byte * 31 % 251) as u8).collect()
}

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

/// Content in pieces of an odd length.
fn pieces(content: &[u8]) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let pieces: Vec<_> = content
        .chunks(77_777)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    stream::iter(pieces)
}

async fn read(contents: &Contents, sha256: [u8; 32], range: Range<u64>) -> Vec<u8> {
    let mut pieces = contents.read(sha256, range).await.unwrap();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        whole.extend_from_slice(&piece.unwrap());
    }
    whole
}

/// All files of the store, half-written ones too.
fn files(place: &Place) -> Vec<String> {
    let root = place.folder.path().join("data").join(FOLDER);
    let mut all = Vec::new();
    for folder in fs::read_dir(root).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            all.push(file.unwrap().file_name().into_string().unwrap());
        }
    }
    all
}

#[tokio::test]
async fn what_comes_is_there_whole_and_again_is_nothing_new() {
    let place = place();
    // Of one piece, of several parts, of exactly one part, and of nothing.
    for length in [5, 2 * PART_BYTES + 4_321, PART_BYTES, 0] {
        let content = content(length);
        let (sha256, length) = (digest(&content), content.len() as u64);
        assert_eq!(place.contents.length(sha256).await.unwrap(), None);
        let put = place.contents.put(sha256, length, pieces(&content)).await;
        assert_eq!(put.unwrap(), PutContent::New);
        assert_eq!(place.contents.length(sha256).await.unwrap(), Some(length));
        let put = place.contents.put(sha256, length, pieces(&content)).await;
        assert_eq!(put.unwrap(), PutContent::There);
        assert_eq!(place.contents.whole(sha256, length).await.unwrap(), content);
        if length > 3 {
            assert_eq!(
                read(&place.contents, sha256, 2..length - 1).await,
                content[2..content.len() - 1]
            );
            assert!(place.contents.read(sha256, 2..length + 1).await.is_err());
        }
    }
    let listed: Vec<_> = place.contents.list().collect().await;
    assert_eq!(listed.len(), 4);
    assert_eq!(files(&place).len(), 4, "{:?}", files(&place));
}

#[tokio::test]
async fn what_is_not_what_it_is_said_to_be_leaves_nothing() {
    let place = place();
    for length in [1_000, PART_BYTES + 1_000] {
        let content = content(length);
        let (sha256, length) = (digest(&content), length as u64);
        let mut other = content.clone();
        other[500] ^= 1;
        let mut longer = content.clone();
        longer.push(0);
        for (what, came) in [
            ("other bytes", other),
            ("longer", longer),
            ("shorter", content[..999].to_vec()),
        ] {
            let put = place.contents.put(sha256, length, pieces(&came)).await;
            assert!(matches!(put, Err(ContentError::Wrong { .. })), "{what}: {put:?}");
        }
        let cut = pieces(&content)
            .take(1)
            .map(|piece| piece.map_err(|never| match never {}));
        let cut = cut.chain(stream::iter([Err("the line was cut")]));
        let put = place.contents.put(sha256, length, cut).await;
        let Err(ContentError::CutOff { taken, why, .. }) = put else {
            panic!("{put:?}");
        };
        assert!(taken > 0 && why == "the line was cut", "{taken} {why}");
        assert_eq!(place.contents.length(sha256).await.unwrap(), None);
    }
    // What was begun is taken away on another thread.
    let mut left = files(&place);
    for _ in 0..100 {
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        left = files(&place);
    }
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_is_damaged_is_found_and_replaced() {
    let place = place();
    let content = content(3_000);
    let (sha256, length) = (digest(&content), 3_000);
    place
        .contents
        .put(sha256, length, pieces(&content))
        .await
        .unwrap();
    let path = place.contents.disk.path(sha256);
    for damage in [vec![0; 3_000], vec![0; 10]] {
        fs::write(&path, damage).unwrap();
        let found = place.contents.verify(sha256, length).await;
        assert!(matches!(found, Err(ContentError::Wrong { .. })), "{found:?}");
        let put = place.contents.put(sha256, length, pieces(&content)).await;
        assert_eq!(put.unwrap(), PutContent::New);
        place.contents.verify(sha256, length).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_left_half_written_is_gone_after_a_start() {
    let place = place();
    let content = content(3_000);
    let (sha256, length) = (digest(&content), 3_000);
    place
        .contents
        .put(sha256, length, pieces(&content))
        .await
        .unwrap();
    let path = place.contents.disk.path(sha256);
    let half = path.with_file_name(format!("{}#1", hex(digest(b"another"))));
    fs::write(&half, b"half").unwrap();
    drop(place.contents);
    let contents = open(&place.folder, 0);
    assert!(!half.exists());
    contents.verify(sha256, length).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_must_stay_free_takes_nothing() {
    let folder = TempDir::new().unwrap();
    let contents = open(&folder, u64::MAX);
    let put = contents.put(digest(b"x"), 1, pieces(b"x")).await;
    assert!(matches!(put, Err(ContentError::NoRoom { .. })), "{put:?}");
}
