//! What is set for recordings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_model::TopicPattern;
use muster_runtime::config::{Key, some_text, whole};

use super::Settings;
use crate::recording::Options;

/// Where recordings are in the data directory, unless they are elsewhere.
const USUAL: &str = "recordings";
/// Patterns of one list.
const PATTERNS_MAX: usize = 64;

/// Whether and how a machine records.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Whether it does.
    pub enabled: bool,
    /// Where; none: in its data directory.
    pub directory: Option<PathBuf>,
    /// Everything else.
    pub options: Options,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            enabled: true,
            directory: None,
            options: Options::new(""),
        }
    }
}

impl Recording {
    /// Where the recordings of a machine with this data directory are.
    pub fn directory(&self, data: &Path) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| data.join(USUAL))
    }

    /// How it records, if it does.
    pub(super) fn options(&self, data: &Path) -> Option<Options> {
        self.enabled.then(|| Options {
            directory: self.directory(data),
            ..self.options.clone()
        })
    }
}

/// A key for a number of seconds.
macro_rules! seconds {
    ($path:literal, $field:ident, $accepted:literal, $least:literal, $most:literal) => {
        Key {
            path: $path,
            accepted: $accepted,
            set: |settings, text| {
                settings.recording.options.$field = Duration::from_secs(whole(text, $least, $most)?);
                Ok(())
            },
            get: |settings| Some(settings.recording.options.$field.as_secs().to_string()),
        }
    };
}

/// A key for a number of megabytes.
macro_rules! megabytes {
    ($path:literal, $field:ident, $accepted:literal, $least:literal, $most:literal) => {
        Key {
            path: $path,
            accepted: $accepted,
            set: |settings, text| {
                settings.recording.options.$field = whole(text, $least, $most)? << 20;
                Ok(())
            },
            get: |settings| Some((settings.recording.options.$field >> 20).to_string()),
        }
    };
}

/// A key for a list of topics.
macro_rules! topics {
    ($path:literal, $field:ident, $accepted:literal) => {
        Key {
            path: $path,
            accepted: $accepted,
            set: |settings, text| {
                settings.recording.options.$field = patterns(text)?;
                Ok(())
            },
            get: |settings| {
                let patterns = settings.recording.options.$field.iter().map(ToString::to_string);
                Some(patterns.collect::<Vec<_>>().join(","))
            },
        }
    };
}

/// `recording.enabled`.
pub(super) const ENABLED: Key<Settings> = Key {
    path: "recording.enabled",
    accepted: "whether the machine records what is said in it: on or off",
    set: |settings, text| {
        settings.recording.enabled = match text {
            "on" | "true" => true,
            "off" | "false" => false,
            _ => return Err(None),
        };
        Ok(())
    },
    get: |settings| Some(if settings.recording.enabled { "on" } else { "off" }.to_owned()),
};

/// `recording.directory`.
pub(super) const DIRECTORY: Key<Settings> = Key {
    path: "recording.directory",
    accepted: "a directory, for the recordings of this machine alone",
    set: |settings, text| {
        settings.recording.directory = Some(some_text(text, 4_096)?.into());
        Ok(())
    },
    get: |settings| {
        settings
            .recording
            .directory
            .as_ref()
            .map(|path| path.display().to_string())
    },
};

/// `recording.max_mb`.
pub(super) const MAX_MB: Key<Settings> = megabytes!(
    "recording.max_mb",
    bytes_max,
    "megabytes of all recordings together: 8 to 1000000",
    8,
    1_000_000
);

/// `recording.file_mb`.
pub(super) const FILE_MB: Key<Settings> = megabytes!(
    "recording.file_mb",
    segment_bytes_max,
    "megabytes of one recording: 1 to 1000",
    1,
    1_000
);

/// `recording.reserve_mb`.
pub(super) const RESERVE_MB: Key<Settings> = megabytes!(
    "recording.reserve_mb",
    reserve_bytes,
    "megabytes that stay free on the disk: 0 to 1000000",
    0,
    1_000_000
);

/// `recording.upload_kib_per_s`.
pub(super) const UPLOAD_KIB_PER_S: Key<Settings> = Key {
    path: "recording.upload_kib_per_s",
    accepted: "KiB a second at most when a recording is brought to the server: 0 (as many as go) to 1000000",
    set: |settings, text| {
        settings.recording.options.upload_bytes_per_s = whole(text, 0, 1_000_000)? << 10;
        Ok(())
    },
    get: |settings| Some((settings.recording.options.upload_bytes_per_s >> 10).to_string()),
};

/// `recording.max_age_s`.
pub(super) const MAX_AGE_S: Key<Settings> = seconds!(
    "recording.max_age_s",
    age_max,
    "seconds after which what is not kept is removed: 60 to 31536000",
    60,
    31_536_000
);

/// `recording.file_s`.
pub(super) const FILE_S: Key<Settings> = seconds!(
    "recording.file_s",
    segment_every,
    "seconds of one recording: 10 to 3600",
    10,
    3_600
);

/// `recording.before_s`.
pub(super) const BEFORE_S: Key<Settings> = seconds!(
    "recording.before_s",
    before,
    "seconds that are kept before what went wrong: 1 to 3600",
    1,
    3_600
);

/// `recording.after_s`.
pub(super) const AFTER_S: Key<Settings> = seconds!(
    "recording.after_s",
    after,
    "seconds that are kept after what went wrong: 1 to 600",
    1,
    600
);

/// `recording.kept_max`.
pub(super) const KEPT_MAX: Key<Settings> = Key {
    path: "recording.kept_max",
    accepted: "recordings that are kept because something went wrong: 0 to 1000",
    set: |settings, text| {
        settings.recording.options.kept_max = usize::try_from(whole(text, 0, 1_000)?).map_err(|_| None)?;
        Ok(())
    },
    get: |settings| Some(settings.recording.options.kept_max.to_string()),
};

/// `recording.include`.
pub(super) const INCLUDE: Key<Settings> = topics!(
    "recording.include",
    include,
    "topics that are recorded, like event.>,state; nothing: all"
);

/// `recording.exclude`.
pub(super) const EXCLUDE: Key<Settings> = topics!(
    "recording.exclude",
    exclude,
    "topics that are not recorded, like telemetry,log"
);

fn patterns(text: &str) -> Result<Vec<TopicPattern>, Option<String>> {
    let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let patterns: Result<Vec<TopicPattern>, _> = texts.map(str::parse).collect();
    let patterns = patterns.map_err(|error| Some(error.to_string()))?;
    if patterns.len() > PATTERNS_MAX {
        return Err(Some(format!("at most {PATTERNS_MAX} topics")));
    }
    Ok(patterns)
}
