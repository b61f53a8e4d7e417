//! How a provider is set up, and which of its groups gets what.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use muster_model::access::{Grant, Role, Scope};
use muster_protocol::api::access::GRANTS_MAX;
use reqwest::Url;

/// Longest issuer, name, client id, secret or list of scopes, in bytes.
const TEXT_MAX_BYTES: usize = 2_048;
/// Most groups that get something.
const GROUPS_MAX: usize = 1_000;

/// A secret that somebody set. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// This one; white space around it, as at the end of a file, is no part of it.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// How a provider is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What it calls itself, exactly.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// By what it knows that it is us; absent: by the proof of PKCE alone.
    pub client_secret: Option<ClientSecret>,
    /// What people call it: the word on the button.
    pub name: String,
    /// Under which address people reach this server; absent: the one that it listens at.
    pub public_url: Option<String>,
    /// What it is asked for.
    pub scopes: String,
    /// Which claim names the groups of a person.
    pub groups_claim: String,
    /// Which group gets what.
    pub grants: GroupGrants,
    /// Who may have issued the provider's certificate; absent: whom the system trusts.
    pub ca_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            name: "the provider".to_owned(),
            public_url: None,
            scopes: "openid profile email".to_owned(),
            groups_claim: "groups".to_owned(),
            grants: GroupGrants::default(),
            ca_file: None,
        }
    }
}

impl Settings {
    /// Refuses what cannot work.
    ///
    /// # Errors
    ///
    /// What, in words.
    pub fn check(&self) -> Result<(), String> {
        let issuer = endpoint(&self.issuer, true).map_err(|why| format!("oidc.issuer: {why}"))?;
        if issuer.query().is_some() || issuer.fragment().is_some() {
            return Err("oidc.issuer: it has neither ? nor #".to_owned());
        }
        if let Some(address) = &self.public_url {
            let url = Url::parse(address).map_err(|error| format!("oidc.public_url: {error}"))?;
            let fits = matches!(url.scheme(), "https" | "http") && url.path() == "/" && url.has_host();
            if !fits || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
                return Err("oidc.public_url: https://HOST, without a path".to_owned());
            }
        }
        let texts = [
            ("oidc.client_id", self.client_id.as_str()),
            ("oidc.name", &self.name),
            ("oidc.scopes", &self.scopes),
            ("oidc.groups_claim", &self.groups_claim),
        ];
        for (key, text) in texts {
            if text.trim().is_empty() || text.len() > TEXT_MAX_BYTES || text.chars().any(char::is_control) {
                return Err(format!("{key}: 1 to {TEXT_MAX_BYTES} bytes"));
            }
        }
        let secret = self.client_secret.as_ref().map(ClientSecret::reveal);
        if secret.is_some_and(|secret| secret.is_empty() || secret.len() > TEXT_MAX_BYTES) {
            return Err(format!("oidc.client_secret: 1 to {TEXT_MAX_BYTES} bytes"));
        }
        if !self.scopes.split(' ').any(|scope| scope == "openid") {
            return Err("oidc.scopes: openid is one of them".to_owned());
        }
        if self.grants.0.is_empty() {
            return Err("oidc.grants: without any nobody gets in; such as fleet-admins=admin".to_owned());
        }
        Ok(())
    }

    /// Whether the provider is a program on this computer, spoken with in plain: for tests.
    pub(super) fn is_plain(&self) -> bool {
        self.issuer.starts_with("http://")
    }
}

/// An address of a provider: over TLS, or plain on this computer's loopback where that is allowed.
pub(super) fn endpoint(text: &str, plain_allowed: bool) -> Result<Url, String> {
    if text.len() > TEXT_MAX_BYTES {
        return Err("it is too long".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("{text:?} is no address: {error}"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address with a name or a password in it is not accepted".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if plain_allowed && is_loopback => Ok(url),
        _ => Err(format!("{text:?}: https is needed")),
    }
}

/// Which group gets what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupGrants(Vec<(String, Grant)>);

impl GroupGrants {
    /// What somebody gets who is in these groups; each grant once.
    pub fn of(&self, groups: &[String]) -> Vec<Grant> {
        let mut grants: Vec<Grant> = Vec::new();
        for (group, grant) in &self.0 {
            if groups.contains(group) && !grants.contains(grant) && grants.len() < GRANTS_MAX {
                grants.push(grant.clone());
            }
        }
        grants
    }
}

/// `GROUP=ROLE` or `GROUP=ROLE:SCOPE`, with `;` between them. A group with `=` or `;` in its name stands in double quotes.
impl FromStr for GroupGrants {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (group, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted
                    .split_once('"')
                    .and_then(|(group, after)| Some((group, after.trim_start().strip_prefix('=')?))),
                None => rest.split_once('=').map(|(group, after)| (group.trim(), after)),
            }
            .ok_or_else(|| format!("{rest:?}: GROUP=ROLE is expected"))?;
            let (grant, after) = after.split_once(';').unwrap_or((after, ""));
            let (role, scope) = grant.split_once(':').unwrap_or((grant, "*"));
            let role: Role = (Role::ALL.iter().copied())
                .find(|known| known.as_str() == role.trim())
                .ok_or_else(|| format!("{role:?} is no role: viewer, operator, engineer or admin"))?;
            let scope: Scope = scope
                .parse()
                .map_err(|error: muster_model::access::ScopeError| format!("{scope:?}: {error}"))?;
            if group.is_empty() {
                return Err("a group has a name".to_owned());
            }
            all.push((group.to_owned(), Grant { role, scope }));
            rest = after.trim();
        }
        if all.len() > GROUPS_MAX {
            return Err(format!("at most {GROUPS_MAX} groups"));
        }
        Ok(Self(all))
    }
}

impl fmt::Display for GroupGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (group, grant)) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            if group.contains(['=', ';']) {
                write!(f, "{between}\"{group}\"={}", grant.role)?;
            } else {
                write!(f, "{between}{group}={}", grant.role)?;
            }
            if !grant.scope.is_everything() {
                write!(f, ":{}", grant.scope)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_and_written_the_same() {
        let text = "fleet-admins=admin; munich-ops=operator:label.site=munich; \"cn=a;b,dc=x\"=viewer";
        let grants: GroupGrants = text.parse().unwrap();
        assert_eq!(grants.to_string(), text);
        let got = grants.of(&[
            "munich-ops".to_owned(),
            "cn=a;b,dc=x".to_owned(),
            "other".to_owned(),
        ]);
        let said: Vec<String> = got.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["operator on label.site=munich", "viewer"]);
        assert!(grants.of(&[]).is_empty());
        for wrong in [
            "x",
            "x=king",
            "=admin",
            "x=viewer:kind=car",
            "x=viewer:",
            "\"x=admin",
        ] {
            assert!(wrong.parse::<GroupGrants>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_can_work_is_accepted() {
        let good = Settings {
            issuer: "https://id.example/realms/fleet".to_owned(),
            client_id: "muster".to_owned(),
            client_secret: Some(ClientSecret::new("very secret\n")),
            grants: "a=admin".parse().unwrap(),
            ..Settings::default()
        };
        assert_eq!(good.check(), Ok(()));
        assert!(!format!("{good:?}").contains("very secret"));
        let wrong = |change: fn(&mut Settings)| {
            let mut settings = good.clone();
            change(&mut settings);
            settings.check().unwrap_err()
        };
        for (key, change) in [
            (
                "oidc.issuer",
                (|s| s.issuer = "http://id.example".to_owned()) as fn(&mut Settings),
            ),
            ("oidc.issuer", |s| s.issuer = "https://a:b@id.example".to_owned()),
            ("oidc.issuer", |s| s.issuer = "https://id.example/?x".to_owned()),
            ("oidc.client_id", |s| s.client_id.clear()),
            ("oidc.client_secret", |s| {
                s.client_secret = Some(ClientSecret::new(" "));
            }),
            ("oidc.scopes", |s| s.scopes = "profile".to_owned()),
            ("oidc.grants", |s| s.grants = GroupGrants::default()),
            ("oidc.public_url", |s| {
                s.public_url = Some("https://x.example/fleet".to_owned());
            }),
        ] {
            assert!(wrong(change).starts_with(key), "{key}: {}", wrong(change));
        }
    }
}
