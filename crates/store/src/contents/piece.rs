//! A file of the store, piece by piece: in larger ones than `object_store` makes, each of which costs a change of threads.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures_util::{Stream, stream};

use super::error::ContentError;

/// What is read at once.
const PIECE_BYTES: u64 = 256 * 1024;

/// A range of a file that lies on the disk; `sha256` names it in errors.
pub fn pieces_of_file(
    file: File,
    range: Range<u64>,
    sha256: [u8; 32],
) -> impl Stream<Item = Result<Bytes, ContentError>> + Send + 'static {
    stream::try_unfold((file, range), move |(file, left)| async move {
        if left.is_empty() {
            return Ok(None);
        }
        let end = left.end.min(left.start + PIECE_BYTES);
        let reading = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; usize::try_from(end - left.start).unwrap_or(0)];
            file.read_exact_at(&mut piece, left.start)?;
            Ok((piece, file))
        });
        let read: io::Result<_> = reading.await.unwrap_or_else(|ended| Err(io::Error::other(ended)));
        let (piece, file) = read.map_err(|error| ContentError::store("read", sha256, error))?;
        Ok(Some((Bytes::from(piece), (file, end..left.end))))
    })
}
