//! What people set for a server. How the layers work is `muster_runtime::config`.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;

use muster_fleet::access::AccessMode;
use muster_fleet::access::provider::settings as provider;
use muster_fleet::identity::tls::OwnCertificate;
use muster_fleet::{Options, OptionsError, identity};
use muster_runtime::config::{Key, Settings as Layered, some_text, whole};
use muster_runtime::logging::Format;

/// Everything that can be set, as it is in the end.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) options: Options,
    pub(super) identity: identity::Options,
    /// People's own certificate and key.
    pub(super) own_certificate: Option<PathBuf>,
    pub(super) own_key: Option<PathBuf>,
    /// Where people sign in besides; in force if it has an issuer.
    pub(super) provider: provider::Settings,
    /// A file with the secret by which the provider knows this server.
    pub(super) client_secret_file: Option<PathBuf>,
    pub(super) log_level: String,
    pub(super) log_format: Format,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            options: Options::new(PathBuf::from("muster-data/server")),
            identity: identity::Options::default(),
            own_certificate: None,
            own_key: None,
            provider: provider::Settings::default(),
            client_secret_file: None,
            log_level: "info".to_owned(),
            log_format: Format::Text,
        }
    }
}

/// A key that holds a whole number within bounds.
macro_rules! number {
    ($path:literal, $accepted:literal, $least:literal, $most:literal, $type:ty, $($field:tt)+) => {
        Key {
            path: $path,
            accepted: $accepted,
            set: |settings: &mut Settings, text| {
                // The bounds fit into the field.
                settings.options.$($field)+ = whole(text, $least, $most)? as $type;
                Ok(())
            },
            get: |settings| Some(settings.options.$($field)+.to_string()),
        }
    };
}

impl Layered for Settings {
    const KEYS: &'static [Key<Self>] = &[
        Key {
            path: "data",
            accepted: "a directory, for this server alone",
            set: |settings, text| {
                settings.options.data = some_text(text, 4_096)?.into();
                Ok(())
            },
            get: |settings| Some(settings.options.data.display().to_string()),
        },
        Key {
            path: "access",
            accepted: "who is let in: sign-in (whoever proves who they are), or trust-loopback (everybody on this computer, as an admin; for trying and testing)",
            set: |settings, text| {
                settings.options.access = match text {
                    "sign-in" => AccessMode::SignIn,
                    "trust-loopback" => AccessMode::TrustLoopback,
                    _ => return Err(None),
                };
                Ok(())
            },
            get: |settings| Some(settings.options.access.as_str().to_owned()),
        },
        Key {
            path: "listen",
            accepted: "an address and port, such as 127.0.0.1:7700 or 0.0.0.0:7700",
            set: |settings, text| {
                settings.options.listen = text.parse().map_err(|_| None)?;
                Ok(())
            },
            get: |settings| Some(settings.options.listen.to_string()),
        },
        Key {
            path: "admin_listen",
            accepted: "an address and port of this computer's loopback, such as 127.0.0.1:7701, or none",
            set: |settings, text| {
                settings.options.admin_listen = if text == "none" {
                    None
                } else {
                    Some(loopback(text)?)
                };
                Ok(())
            },
            get: |settings| {
                let address = settings.options.admin_listen;
                Some(address.map_or_else(|| "none".to_owned(), |address| address.to_string()))
            },
        },
        Key {
            path: "tls.names",
            accepted: "names and addresses that people and machines reach the server by, such as fleet.example,10.0.0.5: 1 to 64",
            set: |settings, text| {
                settings.identity.names = names(text)?;
                Ok(())
            },
            get: |settings| Some(settings.identity.names.join(",")),
        },
        Key {
            path: "tls.certificate_file",
            accepted: "a PEM file with the certificate that people's browsers are shown, and the chain behind it",
            set: |settings, text| {
                settings.own_certificate = Some(some_text(text, 4_096)?.into());
                Ok(())
            },
            get: |settings| Some(settings.own_certificate.as_ref()?.display().to_string()),
        },
        Key {
            path: "tls.key_file",
            accepted: "a PEM file with the key of tls.certificate_file",
            set: |settings, text| {
                settings.own_key = Some(some_text(text, 4_096)?.into());
                Ok(())
            },
            get: |settings| Some(settings.own_key.as_ref()?.display().to_string()),
        },
        Key {
            path: "oidc.issuer",
            accepted: "a provider at which people sign in, as it calls itself: https://id.example",
            set: |settings, text| {
                settings.provider.issuer = some_text(text, 2_048)?;
                Ok(())
            },
            get: |settings| Some(settings.provider.issuer.clone()).filter(|issuer| !issuer.is_empty()),
        },
        Key {
            path: "oidc.client_id",
            accepted: "what the provider calls this server",
            set: |settings, text| {
                settings.provider.client_id = some_text(text, 2_048)?;
                Ok(())
            },
            get: |settings| Some(settings.provider.client_id.clone()).filter(|id| !id.is_empty()),
        },
        Key {
            path: "oidc.client_secret",
            accepted: "the secret by which the provider knows this server; better in a file, see oidc.client_secret_file",
            // What is wrong with it is said later, without saying it.
            set: |settings, text| {
                settings.provider.client_secret = Some(provider::ClientSecret::new(text));
                Ok(())
            },
            get: |settings| {
                settings
                    .provider
                    .client_secret
                    .as_ref()
                    .map(|_| "(not shown)".to_owned())
            },
        },
        Key {
            path: "oidc.client_secret_file",
            accepted: "a file with the secret by which the provider knows this server",
            set: |settings, text| {
                settings.client_secret_file = Some(some_text(text, 4_096)?.into());
                Ok(())
            },
            get: |settings| Some(settings.client_secret_file.as_ref()?.display().to_string()),
        },
        Key {
            path: "oidc.name",
            accepted: "what people call the provider: the word on the button",
            set: |settings, text| {
                settings.provider.name = some_text(text, 60)?;
                Ok(())
            },
            get: |settings| Some(settings.provider.name.clone()),
        },
        Key {
            path: "oidc.public_url",
            accepted: "under which address browsers reach this server, such as https://fleet.example",
            set: |settings, text| {
                settings.provider.public_url = Some(some_text(text, 2_048)?);
                Ok(())
            },
            get: |settings| settings.provider.public_url.clone(),
        },
        Key {
            path: "oidc.scopes",
            accepted: "what the provider is asked for, with openid among it and spaces between",
            set: |settings, text| {
                settings.provider.scopes = some_text(text, 2_048)?;
                Ok(())
            },
            get: |settings| Some(settings.provider.scopes.clone()),
        },
        Key {
            path: "oidc.groups_claim",
            accepted: "the claim that names the groups of a person, such as groups or realm_access.roles",
            set: |settings, text| {
                settings.provider.groups_claim = some_text(text, 2_048)?;
                Ok(())
            },
            get: |settings| Some(settings.provider.groups_claim.clone()),
        },
        Key {
            path: "oidc.grants",
            accepted: "which group gets what: GROUP=ROLE or GROUP=ROLE:SCOPE with ; between them, such as fleet-admins=admin; munich=operator:label.site=munich",
            set: |settings, text| {
                settings.provider.grants = text.parse().map_err(Some)?;
                Ok(())
            },
            get: |settings| Some(settings.provider.grants.to_string()).filter(|grants| !grants.is_empty()),
        },
        Key {
            path: "oidc.ca_file",
            accepted: "a PEM file with the only authorities that may have issued the provider's certificate",
            set: |settings, text| {
                settings.provider.ca_file = Some(some_text(text, 4_096)?.into());
                Ok(())
            },
            get: |settings| Some(settings.provider.ca_file.as_ref()?.display().to_string()),
        },
        Key {
            path: "machines_listen",
            accepted: "an address and port for machines with certificates, such as 127.0.0.1:7702 or 0.0.0.0:7702",
            set: |settings, text| {
                settings.identity.machines_listen = text.parse().map_err(|_| None)?;
                Ok(())
            },
            get: |settings| Some(settings.identity.machines_listen.to_string()),
        },
        Key {
            path: "identity.certificate_lifetime_s",
            accepted: "seconds that certificates of machines live: 10 to 63072000",
            set: |settings, text| {
                settings.identity.certificate_lifetime_s = whole(text, 10, 63_072_000)? as u32;
                Ok(())
            },
            get: |settings| Some(settings.identity.certificate_lifetime_s.to_string()),
        },
        Key {
            path: "identity.ask_again_s",
            accepted: "seconds after which machines ask again whether to renew, at the latest: 1 to 86400",
            set: |settings, text| {
                settings.identity.ask_again_s = whole(text, 1, 86_400)? as u32;
                Ok(())
            },
            get: |settings| Some(settings.identity.ask_again_s.to_string()),
        },
        number!(
            "connections",
            "connections that may stand at once: 1 to 1000000",
            1,
            1_000_000,
            usize,
            connections_max
        ),
        number!(
            "shards",
            "parts that the machines are spread over: 1 to 256",
            1,
            256,
            usize,
            shards
        ),
        number!(
            "machines_max",
            "machines that the fleet may have: 1 to 10000000",
            1,
            10_000_000,
            u64,
            machines_max
        ),
        number!(
            "recordings_max_bytes",
            "bytes of the recordings that machines brought: 0 to 1000000000000000",
            0,
            1_000_000_000_000_000,
            u64,
            recordings_max_bytes
        ),
        number!(
            "machines.heartbeat_every_ms",
            "milliseconds between two heartbeats: 1000 to 3600000",
            1_000,
            3_600_000,
            u32,
            shard.heartbeat_interval_ms
        ),
        number!(
            "machines.ping_every_ms",
            "milliseconds between two pings: 100 to 10000, because a machine gives up after 30000 without any",
            100,
            10_000,
            u64,
            ping_every_ms
        ),
        number!(
            "machines.lost_after_ms",
            "milliseconds without a connection until a machine is shown as lost: 100 to 3600000",
            100,
            3_600_000,
            u64,
            shard.reconnect_grace_ms
        ),
        number!(
            "machines.messages_per_second",
            "messages a second that one machine may send for long: 1 to 1000000",
            1,
            1_000_000,
            u32,
            shard.limits.messages_per_s
        ),
        number!(
            "machines.messages_burst",
            "messages that one machine may send at once: 1 to 1000000",
            1,
            1_000_000,
            u32,
            shard.limits.messages_burst
        ),
        number!(
            "machines.sessions_per_second",
            "sessions a second that one machine may open for long: 1 to 1000000",
            1,
            1_000_000,
            u32,
            shard.sessions_per_s
        ),
        number!(
            "machines.sessions_burst",
            "sessions that one machine may open at once: 1 to 1000000",
            1,
            1_000_000,
            u32,
            shard.sessions_burst
        ),
        number!(
            "machines.stop_lifetime_s",
            "seconds that a remote stop waits for a machine that is away: 1 to 86400",
            1,
            86_400,
            u64,
            stop_lifetime_s
        ),
        Key {
            path: "machines.compression",
            accepted: "whether messages of machines are compressed: auto (where the machine offers it) or off",
            set: |settings, text| {
                settings.options.set_compression(match text {
                    "auto" => true,
                    "off" => false,
                    _ => return Err(None),
                });
                Ok(())
            },
            get: |settings| {
                let word = if settings.options.compression() {
                    "auto"
                } else {
                    "off"
                };
                Some(word.to_owned())
            },
        },
        Key {
            path: "log.level",
            accepted: "error, warn, info, debug, trace, or a filter like muster_fleet=debug,info",
            set: |settings, text| {
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
                let word = match settings.log_format {
                    Format::Text => "text",
                    Format::Json => "json",
                };
                Some(word.to_owned())
            },
        },
    ];

    fn disagreements(&self) -> Vec<(&'static str, &'static str)> {
        let (options, shard) = (&self.options, &self.options.shard);
        let admin = options.admin_listen.filter(|admin| admin.port() != 0);
        let signs_in = options.access == AccessMode::SignIn;
        let machines = Some(self.identity.machines_listen);
        let machines = machines.filter(|machines| signs_in && machines.port() != 0);
        let pairs = [
            (
                machines.is_some_and(|machines| machines == options.listen || Some(machines) == admin),
                "machines_listen",
                "another port than those of listen and admin_listen",
            ),
            (
                !signs_in && !options.listen.ip().is_loopback(),
                "listen",
                "an address of this computer's loopback, because everybody there is let in (access is trust-loopback)",
            ),
            (
                self.own_certificate.is_some() != self.own_key.is_some(),
                "tls.key_file",
                "both tls.certificate_file and tls.key_file, or neither",
            ),
            (
                self.provider.issuer.is_empty() && self.provider != provider::Settings::default(),
                "oidc.issuer",
                "one, because other keys of oidc are set",
            ),
            (
                self.provider.client_secret.is_some() && self.client_secret_file.is_some(),
                "oidc.client_secret_file",
                "either oidc.client_secret or oidc.client_secret_file",
            ),
            (
                !self.provider.issuer.is_empty()
                    && self.provider.public_url.is_none()
                    && options.listen.ip().is_unspecified(),
                "oidc.public_url",
                "one, because listen does not say under which address browsers reach the server",
            ),
            (
                admin == Some(options.listen),
                "admin_listen",
                "another port than that of listen",
            ),
            (
                shard.sessions_burst < shard.sessions_per_s,
                "machines.sessions_burst",
                "at least machines.sessions_per_second",
            ),
            (
                shard.limits.messages_burst < shard.limits.messages_per_s,
                "machines.messages_burst",
                "at least machines.messages_per_second",
            ),
        ];
        let disagreeing = pairs.into_iter().filter(|(disagree, ..)| *disagree);
        disagreeing.map(|(_, key, accepted)| (key, accepted)).collect()
    }
}

impl Settings {
    /// The server's options; what follows from others follows here.
    ///
    /// # Errors
    ///
    /// The file with the provider's secret cannot be read.
    pub(super) fn options(&self) -> Result<Options, OptionsError> {
        let mut options = self.options.clone();
        if !self.provider.issuer.is_empty() {
            let mut provider = self.provider.clone();
            if provider.client_secret.is_none() {
                provider.client_secret = self.client_secret()?;
            }
            options.provider = Some(provider);
        }
        let interval_ms = u64::from(options.shard.heartbeat_interval_ms);
        options.shard.degraded_after_ms = interval_ms * 3 / 2;
        options.shard.lost_after_ms = interval_ms * 3;
        if options.access == AccessMode::SignIn {
            let mut identity = self.identity.clone();
            // An address that is listened at is a name of the server.
            for address in [options.listen.ip(), identity.machines_listen.ip()] {
                let name = address.to_string();
                if !address.is_unspecified() && !identity.names.contains(&name) {
                    identity.names.push(name);
                }
            }
            let own = self.own_certificate.clone().zip(self.own_key.clone());
            identity.own = own.map(|(certificate, key)| OwnCertificate { certificate, key });
            options.identity = Some(identity);
        }
        Ok(options)
    }

    /// The provider's secret in the file that was named, or that systemd was told to hand over.
    fn client_secret(&self) -> Result<Option<provider::ClientSecret>, OptionsError> {
        let handed = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|folder| PathBuf::from(folder).join("muster-oidc-client-secret"))
            .filter(|path| path.exists());
        let Some(path) = self.client_secret_file.clone().or(handed) else {
            return Ok(None);
        };
        let read = || {
            let mut text = String::new();
            // One byte more than is accepted, so that what is too long is seen to be.
            std::fs::File::open(&path)?
                .take(SECRET_MAX_BYTES + 1)
                .read_to_string(&mut text)?;
            Ok::<_, std::io::Error>(text)
        };
        match read() {
            Ok(text) => Ok(Some(provider::ClientSecret::new(&text))),
            Err(error) => {
                let why = format!("oidc.client_secret_file: {}: {error}", path.display());
                Err(OptionsError::Provider(why))
            }
        }
    }
}

/// Longest file with the provider's secret, in bytes.
const SECRET_MAX_BYTES: u64 = 4_096;
/// Most names of a server.
const NAMES_MAX: usize = 64;

/// Names and addresses, with those of loopback, by which programs on the server's own computer reach it.
fn names(text: &str) -> Result<Vec<String>, Option<String>> {
    let mut names = identity::Options::default().names;
    for name in text.split([',', ' ']).filter(|name| !name.is_empty()) {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-.:[]*".contains(c);
        if name.len() > 253 || !name.chars().all(fits) {
            return Err(None);
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    if names.len() > NAMES_MAX {
        return Err(None);
    }
    Ok(names)
}

/// An address that only this computer reaches. Why no other is accepted is said by the server's own error, too.
fn loopback(text: &str) -> Result<SocketAddr, Option<String>> {
    let address: SocketAddr = text.parse().map_err(|_| None)?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(Some(OptionsError::NotLoopback { address }.to_string()))
    }
}

#[cfg(test)]
mod tests;
