//! Makes one content shorter: a zstd frame, or a patch on a file that a machine has.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use futures_util::StreamExt;
use muster_protocol::link::release::{DCZ_MAGIC, WINDOW_LOG_MAX};
use muster_release::Sha256Digest;
use muster_release::digest::Hasher;
use muster_store::{ContentError, Contents};
use tokio::runtime::Handle;
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

/// The window of what needs no other file: what every reader of zstd must be able to hold. Source: RFC 8878, 3.1.1.1.2.
const WHOLE_WINDOW_LOG_MAX: u32 = 23;
const WINDOW_LOG_MIN: u32 = 10;
/// Up to here the shortest form is worth its time: some megabytes a second.
const THOROUGH_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Up to here a shorter one than the quickest.
const FAIR_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What is to be made shorter.
pub(super) struct Work {
    pub(super) contents: Contents,
    pub(super) digest: Sha256Digest,
    pub(super) length: u64,
    /// A file that the reader has, and its content.
    pub(super) dictionary: Option<(Sha256Digest, Vec<u8>)>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) bytes: u64,
    pub(super) sha256: Sha256Digest,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodingError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("it cannot be compressed, or what comes of it cannot be written")]
    Io(#[from] io::Error),
}

/// Writes it to a file, durably. Nothing comes of it where it does not become shorter. Blocks.
pub(super) fn make(work: &Work, to: &Path) -> Result<Option<Coded>, CodingError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(to)?;
    let mut shorter = Shorter {
        file: io::BufWriter::with_capacity(256 * 1024, file),
        hasher: Hasher::default(),
        bytes: 0,
        most: work.length.saturating_sub(1),
        is_longer: false,
    };
    let written = write(work, &mut shorter);
    if shorter.is_longer {
        return Ok(None);
    }
    written?;
    let Shorter {
        file, hasher, bytes, ..
    } = shorter;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    Ok(Some(Coded {
        bytes,
        sha256: hasher.finish(),
    }))
}

fn write(work: &Work, mut to: &mut Shorter) -> Result<(), CodingError> {
    let level = level(work.length);
    let mut encoder = match &work.dictionary {
        None => Encoder::new(to, level)?,
        Some((digest, dictionary)) => {
            to.write_all(&DCZ_MAGIC)?;
            to.write_all(digest.as_bytes())?;
            to = &mut *to;
            Encoder::with_ref_prefix(to, level, dictionary)?
        }
    };
    let reach = work
        .dictionary
        .as_ref()
        .map_or(0, |(_, bytes)| bytes.len() as u64);
    let window = match reach {
        0 => window_log(work.length).min(WHOLE_WINDOW_LOG_MAX),
        reach => window_log(work.length + reach).min(WINDOW_LOG_MAX),
    };
    encoder.set_parameter(CParameter::WindowLog(window))?;
    encoder.set_parameter(CParameter::EnableLongDistanceMatching(reach > 0))?;
    encoder.set_parameter(CParameter::ContentSizeFlag(true))?;
    encoder.set_pledged_src_size(Some(work.length))?;
    let mut hasher = Hasher::default();
    let here = Handle::current();
    let mut pieces = here.block_on(work.contents.read(*work.digest.as_bytes(), 0..work.length))?;
    while let Some(piece) = here.block_on(pieces.next()) {
        let piece = piece?;
        hasher.update(&piece);
        encoder.write_all(&piece)?;
    }
    encoder.finish()?;
    let found = hasher.finish();
    if found == work.digest {
        return Ok(());
    }
    Err(ContentError::Wrong {
        sha256: work.digest.to_string(),
        what: format!("the SHA-256 of its content is {found}"),
    }
    .into())
}

const fn level(length: u64) -> i32 {
    if length <= THOROUGH_MAX_BYTES {
        19
    } else if length <= FAIR_MAX_BYTES {
        12
    } else {
        6
    }
}

/// The power of two that holds so many bytes.
fn window_log(bytes: u64) -> u32 {
    (u64::BITS - bytes.leading_zeros()).max(WINDOW_LOG_MIN)
}

/// A file that is given up when it becomes as long as what it is made of.
struct Shorter {
    file: io::BufWriter<File>,
    hasher: Hasher,
    bytes: u64,
    most: u64,
    is_longer: bool,
}

impl Write for Shorter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.most {
            self.is_longer = true;
            return Err(io::Error::other("it does not become shorter"));
        }
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
