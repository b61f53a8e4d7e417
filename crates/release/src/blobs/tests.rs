use std::fs;

use super::*;
use crate::files::Disk;

struct Place {
    folder: tempfile::TempDir,
    blobs: Blobs,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let files: Arc<dyn Files> = Arc::new(Disk::open(folder.path()).unwrap());
    Place {
        blobs: Blobs::open(files, Path::new("blobs")).unwrap(),
        folder,
    }
}

impl Place {
    fn path(&self, digest: Sha256Digest) -> PathBuf {
        self.folder.path().join(self.blobs.path(digest))
    }

    fn put(&self, content: &[u8]) -> Sha256Digest {
        let digest = Sha256Digest::of(content);
        self.blobs
            .put(digest, content.len() as u64, &mut &content[..])
            .unwrap();
        digest
    }
}

#[test]
fn what_is_put_can_be_read_and_put_again_is_nothing() {
    let place = place();
    for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 7] {
        let content: Vec<u8> = (0..length).map(|byte| (byte * 31 % 251) as u8).collect();
        let digest = place.put(&content);
        let mut read: Vec<u8> = Vec::new();
        let each = |piece: &[u8]| {
            read.extend(piece);
            Ok::<(), BlobError>(())
        };
        place.blobs.read(digest, length as u64, each).unwrap();
        assert_eq!(read, content);
        let again = place
            .blobs
            .put(digest, length as u64, &mut &b"never read"[..])
            .unwrap();
        assert_eq!(again, Put::There);
        assert!(place.blobs.has(digest, length as u64).unwrap());
        assert!(!place.blobs.has(digest, length as u64 + 1).unwrap());
    }
}

#[test]
fn content_that_is_not_what_it_is_said_to_be_leaves_nothing() {
    let place = place();
    let digest = Sha256Digest::of(b"right");
    // Endless content is not read to its end.
    let mut endless = io::repeat(b'x');
    let put = |content: &mut dyn Read| place.blobs.put(digest, 5, content).unwrap_err().to_string();
    assert!(put(&mut &b"wrong"[..]).contains("the SHA-256 of its content is"));
    assert!(put(&mut &b"righ"[..]).contains("it ends after 4 of 5 bytes"));
    assert!(put(&mut &b"rightly"[..]).contains("it goes on after 5 bytes"));
    assert!(put(&mut endless).contains("it goes on after 5 bytes"));
    assert!(matches!(
        place.blobs.verify(digest, 5),
        Err(BlobError::Missing { .. })
    ));
    assert_eq!(place.blobs.list().unwrap(), []);
}

#[test]
fn a_damaged_blob_is_refused_and_named_and_can_be_put_again() {
    let place = place();
    let digest = place.put(b"right");
    for damage in [&b"wrong"[..], b"righ", b"rightly", b""] {
        fs::write(place.path(digest), damage).unwrap();
        let error = place.blobs.verify(digest, 5).unwrap_err();
        assert_eq!(error.code(), "MST-U006");
        assert!(error.to_string().contains(&digest.to_string()), "{error}");
        place.put(b"right");
        place.blobs.verify(digest, 5).unwrap();
    }
}

#[test]
fn what_was_cut_off_is_no_blob_and_in_nobodys_way() {
    let place = place();
    let digest = place.put(b"right");
    fs::remove_file(place.path(digest)).unwrap();
    let left = place.path(digest).with_file_name(format!("{digest}.new"));
    fs::write(&left, "rig").unwrap();
    assert!(matches!(place.blobs.list().unwrap()[..], [Listed::Stray(_)]));
    place.put(b"right");
    assert_eq!(place.blobs.list().unwrap(), [Listed::Blob { digest, length: 5 }]);
}
