//! The hash chain: every event's hash covers the event and the hash of the one before, so no flipped bit goes unseen.
//!
//! It finds corruption. It does not stop somebody who can write the file, and not the loss of the newest events.

use muster_model::{LogPosition, StreamVersion, Timestamp};

/// The first 16 bytes of a BLAKE3 hash.
pub(super) type Hash = [u8; 16];

/// The hash before the first event.
pub(super) const GENESIS: Hash = [0; 16];

/// All of an event that its hash covers.
pub(super) struct Link<'a> {
    pub(super) position: LogPosition,
    pub(super) stream: &'a str,
    pub(super) version: StreamVersion,
    pub(super) previous: LogPosition,
    pub(super) recorded_at: Timestamp,
    pub(super) body: &'a [u8],
}

impl Link<'_> {
    /// The hash of this event, after the one with the hash `before`.
    pub(super) fn hash(&self, before: &Hash) -> Hash {
        // One buffer for all the small fields: the hasher is fastest when fed in few pieces.
        let mut head = [0_u8; 16 + 5 * 8];
        head[..16].copy_from_slice(before);
        let numbers = [
            self.position.0,
            self.version.0,
            self.previous.0,
            self.recorded_at.as_millis() as u64,
            self.stream.len() as u64,
        ];
        for (slot, number) in head[16..].chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&head)
            .update(self.stream.as_bytes())
            .update(self.body);
        shorten(&hasher.finalize())
    }
}

/// The hash of a kept snapshot.
pub(super) fn snapshot(stream: &str, position: LogPosition, stored: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&position.0.to_le_bytes())
        .update(&(stream.len() as u64).to_le_bytes())
        .update(stream.as_bytes())
        .update(stored);
    shorten(&hasher.finalize())
}

/// The hash of bytes that stand for themselves.
pub(super) fn plain(bytes: &[u8]) -> Hash {
    shorten(&blake3::hash(bytes))
}

/// The hash of a head of known length and what follows it.
pub(super) fn parts(head: &[u8; 40], rest: &[u8]) -> Hash {
    shorten(&blake3::Hasher::new().update(head).update(rest).finalize())
}

fn shorten(hash: &blake3::Hash) -> Hash {
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_bytes()[..16]);
    short
}
