//! How a machine brings a file to the server: beside the link, by HTTP, in pieces.
//!
//! `HEAD` on the path answers how many bytes the server has on its disk, as [`OFFSET`]. `PATCH` with [`OFFSET`] and [`LENGTH`] appends a
//! piece there, and is answered with the new [`OFFSET`] when that is on the disk. The last piece carries [`DIGEST`] of the whole.
//! Source: the resumable uploads of the IETF (draft-ietf-httpbis-resumable-upload), RFC 9530 for the digest.

use muster_model::MachineId;

/// The route, with places for the machine's id and the command's.
pub const ROUTE: &str = "/machine/{id}/uploads/{command}";
/// Bytes from the beginning of the file.
pub const OFFSET: &str = "upload-offset";
/// Bytes of the whole file.
pub const LENGTH: &str = "upload-length";
/// `?1` where the whole file is here already.
pub const COMPLETE: &str = "upload-complete";
/// The digest of the whole file: `sha-256=:` base64 `:`.
pub const DIGEST: &str = "repr-digest";
/// What a piece is. Source: the same draft.
pub const CONTENT_TYPE: &str = "application/partial-upload";
/// Most bytes of one piece.
pub const PIECE_MAX_BYTES: usize = 256 * 1024;
/// A file is brought within so long after the command for it was given, or not at all: a day, and what the command may have waited.
pub const WITHIN_MS: i64 = 2 * 24 * 3_600_000;

/// The path for one command.
pub fn path(machine: MachineId, command_id: &str) -> String {
    format!("/machine/{machine}/uploads/{command_id}")
}
