//! What is set for releases.

use muster_runtime::config::{Key, some_text, whole};

use super::Settings;

/// `releases.root`.
pub(super) const ROOT: Key<Settings> = Key {
    path: "releases.root",
    accepted: "a file with the root of trust for releases; without one there, the machine takes none",
    set: |settings, text| {
        settings.releases.root = Some(some_text(text, 4_096)?.into());
        Ok(())
    },
    get: |settings| {
        settings
            .releases
            .root
            .as_ref()
            .map(|path| path.display().to_string())
    },
};

/// `releases.fetch_kib_per_s`.
pub(super) const FETCH_KIB_PER_S: Key<Settings> = Key {
    path: "releases.fetch_kib_per_s",
    accepted: "KiB a second at most when a release is fetched: 0 (as many as go) to 1000000",
    set: |settings, text| {
        settings.releases.bytes_per_s = whole(text, 0, 1_000_000)? << 10;
        Ok(())
    },
    get: |settings| Some((settings.releases.bytes_per_s >> 10).to_string()),
};
