//! How a machine gets a release from the server: beside the link, by HTTP, as much as it lacks.
//!
//! Three things are served, each by `GET`: [`MANIFESTS`] and [`BLOBS`] by the SHA-256 of their content, 64 lower-case hexadecimal digits, and
//! [`METADATA`] by the file name of TUF. What is named by its digest never changes, so its `ETag` is strong, and a machine that was cut off goes
//! on with `Range: bytes=N-` and `If-Range`. A range counts bytes as they are sent, in the coding that the answer names.
//!
//! A blob is sent plain, with `Content-Encoding: zstd`, or, where the machine offers a file it has with `Available-Dictionary` (`:` base64 of its
//! SHA-256 `:`), with `Content-Encoding: dcz`: what is shortest, of those that `Accept-Encoding` names. What comes out is compared with the name.
//! Source: RFC 9110 (ranges, codings), RFC 9842 (dictionaries).

use muster_model::MachineId;

/// The route, with places for the machine's id, the kind and the name.
pub const ROUTE: &str = "/machine/{id}/releases/{kind}/{name}";
/// Manifests, by their digest.
pub const MANIFESTS: &str = "manifests";
/// Contents of files, by their digest.
pub const BLOBS: &str = "blobs";
/// What vouches for manifests, by the names of TUF: `timestamp.json`, `3.root.json` …
pub const METADATA: &str = "metadata";
/// Compressed.
pub const ZSTD: &str = "zstd";
/// Compressed with a file that the machine has: 8 bytes, the SHA-256 of that file, and a zstd frame. Source: RFC 9842, 4.
pub const DCZ: &str = "dcz";
/// What a body in the coding [`DCZ`] begins with: a zstd frame to be skipped, of 32 bytes. Source: RFC 9842, 4.
pub const DCZ_MAGIC: [u8; 8] = [0x5e, 0x2a, 0x4d, 0x18, 0x20, 0x00, 0x00, 0x00];
/// The header by which a machine offers a file.
pub const AVAILABLE_DICTIONARY: &str = "available-dictionary";
/// The longest file that is used as a dictionary: both ends hold it in memory.
pub const DICTIONARY_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The most that a reader has to keep of what came before, as the power of two that zstd calls a window.
pub const WINDOW_LOG_MAX: u32 = 27;

/// The path of one thing.
pub fn path(machine: MachineId, kind: &str, name: &str) -> String {
    format!("/machine/{machine}/releases/{kind}/{name}")
}
