//! Releases that the server has: what they are, how they come there, and what they cost on the way to machines.

use muster_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};

/// Contents that are asked for at once.
pub const RELEASE_CONTENTS_MAX: usize = 10_000;
/// Machines that are named with a release; all of them are counted.
pub const RELEASE_MACHINES_MAX: usize = 100;
/// Other versions that deltas are told for: those with the highest counters.
pub const RELEASE_DELTAS_MAX: usize = 20;

document! {
    /// A release in the catalogue.
    ReleaseSummary {
        /// What it is a release of.
        product: String,
        /// Its version, for people.
        version: String,
        /// A number that only grows: machines take none with a lower one.
        counter: u64,
        /// What kind of thing it is: `tree`, `executable`, `agent` or `image`.
        payload: String,
        /// The SHA-256 of its manifest, in hexadecimal: it stands for the release.
        manifest: String,
        /// How long the manifest is.
        manifest_bytes: u64,
        /// Bytes of all its files.
        bytes: u64,
        /// How many files.
        files: u64,
        /// Which machines it is for.
        fits: ReleaseFits,
        /// Since when it is here.
        published_at: Timestamp,
        /// Who published it.
        published_by: String,
    }
}

document! {
    /// Which machines a release is for. What is empty asks for nothing.
    ReleaseFits {
        /// Processors, one of which the machine has.
        architectures: Vec<String>,
        /// Kinds of machines, one of which it is.
        kinds: Vec<String>,
    }
}

document! {
    /// A page of releases: by product, of one the highest counter first.
    ReleasePage {
        /// The releases.
        items: Vec<ReleaseSummary>,
        /// Where the next page begins; absent on the last one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        next_cursor: Option<String>,
    }
}

document! {
    /// All there is to know of a release.
    Release {
        /// What the list says.
        #[serde(flatten)]
        summary: ReleaseSummary,
        /// Files, directories and links.
        entries: u64,
        /// Different contents: what two files share is one.
        contents: u64,
        /// Bytes of the different contents.
        content_bytes: u64,
        /// The file that is started; of an image its reference. Absent where nothing is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        starts: Option<String>,
        /// What is run before the change.
        before: Vec<ReleaseHook>,
        /// What is run after the change, before the first start of the new version.
        after: Vec<ReleaseHook>,
        /// When the new version is healthy; absent where nothing is asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        health: Option<ReleaseHealth>,
        /// What must hold of a machine: `battery_percent>=40`, `mode in parked,docked`.
        preconditions: Vec<String>,
        /// Who runs it, of the machines that whoever asks may see.
        running: ReleaseRunning,
    }
}

document! {
    /// A command around the change of a release.
    ReleaseHook {
        /// A program and its arguments.
        command: Vec<String>,
        /// After so long it has failed.
        within_s: u64,
    }
}

document! {
    /// When a new version is healthy.
    ReleaseHealth {
        /// All of them must hold: `process`, `port=8080`, `command=bin/app --check`.
        checks: Vec<String>,
        /// For so long without a break.
        hold_s: u64,
        /// And that within this time after the start.
        within_s: u64,
    }
}

document! {
    /// Who runs a release, by the machines' own last word.
    ReleaseRunning {
        /// How many.
        machines: u64,
        /// Of these, how many have proved it: the others are on probation.
        confirmed: u64,
        /// The first of them, at most 100.
        some: Vec<MachineId>,
    }
}

document! {
    /// Some content.
    ReleaseContent {
        /// Its SHA-256, in hexadecimal.
        sha256: String,
        /// How long it is.
        bytes: u64,
    }
}

document! {
    /// Contents, at most 10,000.
    ReleaseContents {
        /// Each once.
        contents: Vec<ReleaseContent>,
    }
}

document! {
    /// What became of a release that was published.
    ReleasePublished {
        /// The release.
        release: ReleaseSummary,
        /// Whether it was not there before.
        is_new: bool,
    }
}

document! {
    /// What a machine has to fetch for a release: bytes on the way, each content in the shortest form that the server has for it. The manifest
    /// comes besides.
    ReleaseDeltas {
        /// What it is a release of.
        product: String,
        /// Its version.
        version: String,
        /// Bytes of its different contents as they are.
        content_bytes: u64,
        /// For a machine that has nothing. Null while it is being found out: ask again.
        #[cfg_attr(feature = "schema", schema(required = true))]
        full_bytes: Option<u64>,
        /// For machines that have another version: those with the highest counters first.
        items: Vec<ReleaseDelta>,
    }
}

document! {
    /// What a machine has to fetch that has another version.
    ReleaseDelta {
        /// The version that it has.
        from: String,
        /// Its counter.
        counter: u64,
        /// Bytes on the way. Null while it is being found out: ask again.
        #[cfg_attr(feature = "schema", schema(required = true))]
        bytes: Option<u64>,
        /// Contents that come.
        contents: u64,
        /// Contents that the machine has already.
        shared: u64,
    }
}
