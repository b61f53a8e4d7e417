//! The manifest of a release: what is in it, what it is for, and what must hold.
//!
//! A manifest is data about files, never an archive: each file is named with its length and SHA-256, so nothing is unpacked, and paths are
//! checked before anything is written. [`Manifest::encode`] has one answer for one manifest (the form of RFC 8785: keys in order, no
//! white space, no fractions, what is empty left out), so that the digest of those bytes stands for the release. [`Manifest::decode`]
//! takes those bytes and no others. [`Manifest::check`] refuses the whole and says what is wrong, where, and what is accepted.

mod bounded;
mod check;
mod paths;
#[cfg(test)]
mod tests;

pub use check::product;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// A manifest is not longer.
pub const MANIFEST_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Files, directories and links of one release.
pub const ENTRIES_MAX: usize = 100_000;
/// One file.
pub const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// All files of a release together, what is there twice counted twice: it is written twice.
pub const RELEASE_MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// A path within a release: the path of its slot comes before it, and Linux takes 4,096 bytes.
pub const PATH_MAX_BYTES: usize = 1_024;
/// One name of a path.
pub const NAME_MAX_BYTES: usize = 255;
/// Names of a path.
pub const PATH_MAX_NAMES: usize = 64;
/// The name of a product, which is the name of a folder as well.
pub const PRODUCT_MAX_CHARS: usize = 64;
/// A version in text.
pub const VERSION_MAX_CHARS: usize = 64;
/// The greatest counter: up to here every reader of JSON has whole numbers exactly.
pub const COUNTER_MAX: u64 = (1 << 53) - 1;
/// Kinds of machines and architectures that a release names.
pub const FITS_MAX: usize = 32;
/// Hooks before, and after.
pub const HOOKS_MAX: usize = 8;
/// Words of a command, and bytes of all of them.
pub const COMMAND_MAX_WORDS: usize = 32;
/// Bytes of all words of a command.
pub const COMMAND_MAX_BYTES: usize = 4_096;
/// Checks of health.
pub const CHECKS_MAX: usize = 8;
/// Preconditions.
pub const PRECONDITIONS_MAX: usize = 16;
/// The longest time that a hook or the checks of health may ask for.
pub const TIME_MAX_S: u64 = 3_600;

/// How manifests are written that this version reads.
pub const FORMAT: u8 = 1;

/// What a release is. The fields stand in the order of their names: that is the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// A number that only grows: of two releases of a product a machine takes none with a lower one.
    pub counter: u64,
    /// Everything that is in it, in the order of the bytes of the paths.
    #[serde(deserialize_with = "bounded::list::<_, _, ENTRIES_MAX>")]
    pub entries: Vec<Entry>,
    /// Which machines it is for.
    #[serde(default, skip_serializing_if = "Fits::is_empty")]
    pub fits: Fits,
    /// How it is written: [`FORMAT`].
    pub format: u8,
    /// What must hold before the new version counts as healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// What is run before and after the change.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// What kind of thing it is.
    pub payload: Payload,
    /// What must hold of the machine itself when it is installed; unknown or stale means no.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded::list::<_, _, PRECONDITIONS_MAX>"
    )]
    pub preconditions: Vec<Precondition>,
    /// What it is a release of: `car-app`.
    pub product: String,
    /// Its version, for people. Machines compare the counter.
    #[serde(with = "bounded::version")]
    pub version: Version,
}

/// One file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where, from the root of the release, with `/` between names.
    pub path: String,
    /// What is there.
    pub what: What,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// A directory. Every directory that something lies in is an entry.
    Directory,
    /// A file.
    File(FileContent),
    /// A symbolic link.
    Link(LinkTarget),
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileContent {
    /// Mode 0755; else 0644. There is no other.
    pub executable: bool,
    /// Bytes, exactly.
    pub length: u64,
    /// Of the content.
    pub sha256: Sha256Digest,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkTarget {
    /// Relative to the directory in which the link lies, to something in the release.
    pub to: String,
}

/// What kind of thing a release is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Payload {
    /// Muster's own runtime of machines; `entry` is started.
    Agent(Started),
    /// A program; `entry` is started.
    Executable(Started),
    /// An image of a container: nothing is carried.
    Image(ImageReference),
    /// Files that somebody else knows how to use.
    Tree,
}

/// Which entry is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// The path of an executable file.
    pub entry: String,
}

/// An image in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageReference {
    /// With its digest: `registry.example/app@sha256:…`; a tag can come to mean something else.
    pub reference: String,
}

/// Which machines a release is for. What is empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fits {
    /// Processors, one of which the machine has; in order, none twice.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded::list::<_, _, FITS_MAX>"
    )]
    pub architectures: Vec<Architecture>,
    /// Kinds of machines, one of which it is; in order, none twice.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded::list::<_, _, FITS_MAX>"
    )]
    pub kinds: Vec<String>,
}

/// A processor, by the names that Rust and Linux use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64-bit ARM: a Raspberry Pi 3 to 5 with a 64-bit system.
    Aarch64,
    /// 32-bit ARM.
    Arm,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit PC.
    #[serde(rename = "x86_64")]
    X86_64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Aarch64, Self::Arm, Self::Riscv64, Self::X86_64];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
            Self::Riscv64 => "riscv64",
            Self::X86_64 => "x86_64",
        }
    }
}

/// Commands around the change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// After the change, before the first start of the new version.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded::list::<_, _, HOOKS_MAX>"
    )]
    pub after: Vec<Hook>,
    /// Before the change, while the old version may still run.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded::list::<_, _, HOOKS_MAX>"
    )]
    pub before: Vec<Hook>,
}

/// One command, run in the slot of the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// A program and its arguments. No shell reads them.
    #[serde(deserialize_with = "bounded::list::<_, _, COMMAND_MAX_WORDS>")]
    pub command: Vec<String>,
    /// After so long it has failed.
    pub within_s: u64,
}

/// When the new version is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// All of them must hold.
    #[serde(deserialize_with = "bounded::list::<_, _, CHECKS_MAX>")]
    pub checks: Vec<HealthCheck>,
    /// For so long without a break.
    pub hold_s: u64,
    /// And that within this time after the start.
    pub within_s: u64,
}

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HealthCheck {
    /// A command ends with 0.
    Command(HealthCommand),
    /// Something answers on this TCP port of the machine.
    Port(u16),
    /// The process stays up.
    Process,
}

/// A command that looks whether all is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCommand {
    /// A program and its arguments. No shell reads them.
    #[serde(deserialize_with = "bounded::list::<_, _, COMMAND_MAX_WORDS>")]
    pub command: Vec<String>,
}

/// What must hold of one reading of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precondition {
    /// Which: `battery_percent`, `mode`.
    pub reading: String,
    /// How it must be.
    pub test: Test,
}

/// How a reading must be. Whole numbers only: fractions have no single way to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Test {
    /// It or more.
    AtLeast(i32),
    /// It or less.
    AtMost(i32),
    /// One of these words.
    In(#[serde(deserialize_with = "bounded::list::<_, _, FITS_MAX>")] Vec<String>),
}

impl Fits {
    /// It asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.architectures.is_empty() && self.kinds.is_empty()
    }
}

impl Hooks {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.after.is_empty() && self.before.is_empty()
    }
}

impl Manifest {
    /// Reads a manifest. Size and counts are looked at before anything is made of them, and what comes back has passed [`Self::check`].
    ///
    /// # Errors
    ///
    /// [`ManifestError`], which says what and where.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_MAX_BYTES {
            return Err(ManifestError::TooLarge { bytes: bytes.len() });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(ManifestError::Malformed)?;
        manifest.check()?;
        if manifest.to_bytes() != bytes {
            return Err(ManifestError::NotCanonical);
        }
        Ok(manifest)
    }

    /// The bytes of a manifest whose digest stands for the release.
    ///
    /// # Errors
    ///
    /// If it does not pass [`Self::check`], or has become too long.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        let bytes = self.to_bytes();
        if bytes.len() > MANIFEST_MAX_BYTES {
            return Err(ManifestError::TooLarge { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("structs of strings and whole numbers can be written")
    }

    /// Every file with where it lies.
    pub fn files(&self) -> impl Iterator<Item = (&str, FileContent)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::File(file) => Some((entry.path.as_str(), *file)),
            What::Directory | What::Link(_) => None,
        })
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files().map(|(_, file)| file.length).sum()
    }

    /// Every content once, whatever its name and mode.
    pub fn contents(&self) -> std::collections::BTreeMap<Sha256Digest, u64> {
        self.files().map(|(_, file)| (file.sha256, file.length)).collect()
    }
}

/// Why a manifest is none.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is too long.
    #[error("a manifest of {bytes} bytes: up to {MANIFEST_MAX_BYTES} are accepted")]
    TooLarge {
        /// How long.
        bytes: usize,
    },
    /// It is no manifest.
    #[error("it is no manifest")]
    Malformed(#[source] serde_json::Error),
    /// Another way of writing: its digest would stand for nothing.
    #[error(
        "it is not written as manifests are: keys in order, nothing that is empty, no white space; \
         `muster release create` writes them so"
    )]
    NotCanonical,
    /// It says something that is not accepted.
    #[error("{place}: {what}; accepted: {accepted}")]
    Refused {
        /// Where in the manifest.
        place: String,
        /// What is wrong.
        what: String,
        /// What would not be.
        accepted: String,
    },
}

impl ManifestError {
    /// The stable code, with a page under `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::Malformed(_) | Self::NotCanonical => "MST-U001",
            Self::Refused { .. } => "MST-U002",
        }
    }
}
