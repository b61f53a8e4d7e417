//! Every key, with what is accepted for it.

use std::net::SocketAddr;
use std::time::Duration;

use muster_runtime::config::{Key, some_text, whole};
use muster_runtime::logging::Format;
use tracing::Level;

use super::{Settings, recording, releases, workloads};
use crate::options::Compression;

/// A key that sets a threshold of the same name.
macro_rules! threshold {
    ($field:ident, $accepted:literal, $least:literal, $most:literal) => {
        Key {
            path: concat!("thresholds.", stringify!($field)),
            accepted: $accepted,
            set: |settings, text| {
                let value: f64 = text.parse().map_err(|_| None)?;
                if !($least..=$most).contains(&value) {
                    return Err(None);
                }
                settings.thresholds.$field = value;
                Ok(())
            },
            get: |settings| Some(settings.thresholds.$field.to_string()),
        }
    };
}

/// Every key, in the order they are shown.
pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        path: "server",
        accepted: "the server's address, such as wss://fleet.example:7702, or ws://127.0.0.1:7700 on this computer",
        set: |settings, text| {
            settings.server = Some(text.parse().map_err(|_| None)?);
            Ok(())
        },
        get: |settings| settings.server.as_ref().map(ToString::to_string),
    },
    Key {
        path: "data",
        accepted: "a directory, for this machine alone",
        set: |settings, text| {
            settings.data = some_text(text, 4_096)?.into();
            Ok(())
        },
        get: |settings| Some(settings.data.display().to_string()),
    },
    Key {
        path: "name",
        accepted: "what people call the machine: 1 to 64 characters",
        set: |settings, text| {
            let printable = !text.chars().any(char::is_control);
            settings.name = Some(some_text(text, 64).and_then(|text| printable.then_some(text).ok_or(None))?);
            Ok(())
        },
        get: |settings| settings.name.clone(),
    },
    Key {
        path: "kind",
        accepted: "the kind of machine: 1 to 32 lower-case letters, digits and dashes",
        set: |settings, text| {
            settings.kind = Some(word(text)?);
            Ok(())
        },
        get: |settings| settings.kind.clone(),
    },
    Key {
        path: "region",
        accepted: "where the machine belongs: 1 to 32 lower-case letters, digits and dashes",
        set: |settings, text| {
            settings.region = Some(word(text)?);
            Ok(())
        },
        get: |settings| settings.region.clone(),
    },
    Key {
        path: "link.compression",
        accepted: "whether messages are compressed: auto (where the server wants it, too) or off",
        set: |settings, text| {
            settings.compression = match text {
                "auto" => Compression::Auto,
                "off" => Compression::Off,
                _ => return Err(None),
            };
            Ok(())
        },
        get: |settings| {
            Some(match settings.compression {
                Compression::Auto => "auto".to_owned(),
                Compression::Off => "off".to_owned(),
            })
        },
    },
    Key {
        path: "telemetry.interval_s",
        accepted: "seconds between two readings: 1 to 3600",
        set: |settings, text| {
            settings.telemetry.interval_ms = 1_000 * whole(text, 1, 3_600)?;
            Ok(())
        },
        get: |settings| Some((settings.telemetry.interval_ms / 1_000).to_string()),
    },
    Key {
        path: "telemetry.at_latest_s",
        accepted: "seconds after which what does not move is told all the same: 1 to 86400",
        set: |settings, text| {
            settings.telemetry.at_latest_ms = 1_000 * whole(text, 1, 86_400)?;
            Ok(())
        },
        get: |settings| Some((settings.telemetry.at_latest_ms / 1_000).to_string()),
    },
    Key {
        path: "log.level",
        accepted: "error, warn, info, debug, trace, or a filter like muster_machine=debug,info",
        set: |settings, text| {
            muster_runtime::logging::parse(text).ok_or(None)?;
            settings.log_level = some_text(text, 256)?;
            Ok(())
        },
        get: |settings| Some(settings.log_level.clone()),
    },
    Key {
        path: "log.format",
        accepted: "text or json",
        set: |settings, text| {
            settings.log_format = match text {
                "text" => Format::Text,
                "json" => Format::Json,
                _ => return Err(None),
            };
            Ok(())
        },
        get: |settings| {
            Some(match settings.log_format {
                Format::Text => "text".to_owned(),
                Format::Json => "json".to_owned(),
            })
        },
    },
    Key {
        path: "log.forward",
        accepted: "the least level that is sent to the server: off, error, warn or info",
        set: |settings, text| {
            settings.log_forward = match text {
                "off" => None,
                "error" => Some(Level::ERROR),
                "warn" => Some(Level::WARN),
                "info" => Some(Level::INFO),
                _ => return Err(None),
            };
            Ok(())
        },
        get: |settings| {
            Some(match settings.log_forward {
                None => "off".to_owned(),
                Some(level) => level.as_str().to_ascii_lowercase(),
            })
        },
    },
    threshold!(
        thermal_warning_celsius,
        "degrees Celsius: -50 to 200",
        -50.0,
        200.0
    ),
    threshold!(
        thermal_critical_celsius,
        "degrees Celsius: -50 to 200",
        -50.0,
        200.0
    ),
    threshold!(disk_warning_percent, "percent: 0 to 100", 0.0, 100.0),
    threshold!(disk_error_percent, "percent: 0 to 100", 0.0, 100.0),
    threshold!(battery_warning_percent, "percent: 0 to 100", 0.0, 100.0),
    threshold!(battery_error_percent, "percent: 0 to 100", 0.0, 100.0),
    threshold!(memory_warning_percent, "percent: 0 to 100", 0.0, 100.0),
    Key {
        path: "metal.sysfs_root",
        accepted: "a directory that holds proc, sys and etc of the machine",
        set: |settings, text| {
            settings.sysfs_root = Some(some_text(text, 4_096)?.into());
            Ok(())
        },
        get: |settings| {
            settings
                .sysfs_root
                .as_ref()
                .map(|path| path.display().to_string())
        },
    },
    Key {
        path: "limits.inbox_messages",
        accepted: "messages that may wait for each node: 16 to 65536",
        set: |settings, text| {
            settings.inbox_messages = usize::try_from(whole(text, 16, 65_536)?).map_err(|_| None)?;
            Ok(())
        },
        get: |settings| Some(settings.inbox_messages.to_string()),
    },
    Key {
        path: "limits.queue_messages",
        accepted: "messages that may wait in each queue of the link: 16 to 65536",
        set: |settings, text| {
            settings.queue_messages = usize::try_from(whole(text, 16, 65_536)?).map_err(|_| None)?;
            Ok(())
        },
        get: |settings| Some(settings.queue_messages.to_string()),
    },
    Key {
        path: "limits.outbox_records",
        accepted: "records that are kept without acknowledgement: 1000 to 100000000",
        set: |settings, text| {
            settings.outbox_records = whole(text, 1_000, 100_000_000)?;
            Ok(())
        },
        get: |settings| Some(settings.outbox_records.to_string()),
    },
    Key {
        path: "limits.connect_timeout_s",
        accepted: "seconds that making a connection may take: 1 to 60",
        set: |settings, text| {
            settings.connect_timeout = Duration::from_secs(whole(text, 1, 60)?);
            Ok(())
        },
        get: |settings| Some(settings.connect_timeout.as_secs().to_string()),
    },
    Key {
        path: "foxglove.listen",
        accepted: "off, or an address of this computer like 127.0.0.1:8765 (others come with machine identity)",
        set: |settings, text| {
            settings.foxglove = match text {
                "off" | "false" => None,
                _ => {
                    let address: SocketAddr = text.parse().map_err(|_| None)?;
                    Some(address)
                        .filter(|address| address.ip().is_loopback())
                        .ok_or(None)?
                        .into()
                }
            };
            Ok(())
        },
        get: |settings| {
            Some(
                settings
                    .foxglove
                    .map_or_else(|| "off".to_owned(), |address| address.to_string()),
            )
        },
    },
    releases::ROOT,
    releases::FETCH_KIB_PER_S,
    recording::ENABLED,
    recording::DIRECTORY,
    recording::MAX_MB,
    recording::FILE_MB,
    recording::RESERVE_MB,
    recording::UPLOAD_KIB_PER_S,
    recording::MAX_AGE_S,
    recording::FILE_S,
    recording::BEFORE_S,
    recording::AFTER_S,
    recording::KEPT_MAX,
    recording::INCLUDE,
    recording::EXCLUDE,
    workloads::INTERVAL_S,
    workloads::ROSBRIDGE,
];

fn word(text: &str) -> Result<String, Option<String>> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=32).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(None)
    }
}
