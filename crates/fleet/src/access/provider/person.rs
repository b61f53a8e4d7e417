//! Who it is here for whom a provider vouches, and what they get.

use std::net::IpAddr;

use muster_model::access::{Grant, PERSON_NAME_MAX_CHARS, PersonName};
use muster_store::{DocumentVersion, Precondition};

use super::{Identity, Provider, ProviderError};
use crate::access::directory::{DirectoryError, Kept};
use crate::access::records::{PersonRecord, Vouched};
use crate::access::signing_in::{Begun, SignInError};
use crate::access::{Access, PEOPLE_MAX};

/// Longest name to be shown, in characters.
const DISPLAY_NAME_MAX_CHARS: usize = 100;
/// How often it is tried again where somebody changed the person in between.
const TRIES: usize = 3;

impl Access {
    /// Signs somebody in for whom the provider vouches. What they get is what their groups get, each time anew: what that changed
    /// here is said, also where they are let in no more.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn enter(
        &self,
        provider: &Provider,
        who: &Identity,
        from: IpAddr,
        agent: &str,
        changed: &mut String,
    ) -> Result<Begun, ProviderError> {
        let issuer = &provider.settings.issuer;
        let grants = provider.settings.grants.of(&who.groups);
        let mut tries = 0;
        let name = loop {
            tries += 1;
            let found = self.directory.vouched(issuer, &who.subject);
            let done = match found {
                Some((name, kept)) => self.renew(name, &kept, who, &grants, changed).await,
                None => self.make(issuer, who, &grants, changed).await,
            };
            match done {
                Err(ProviderError::Here(SignInError::Directory(DirectoryError::Conflict { .. })))
                    if tries < TRIES => {}
                done => break done?,
            }
        };
        let era = self.directory.person(&name).map_or(0, |kept| kept.value.era);
        let begun = self.begin(name, era, from, agent, Some(issuer.clone())).await?;
        Ok(begun)
    }

    /// Somebody who was here before.
    async fn renew(
        &self,
        name: PersonName,
        kept: &Kept<PersonRecord>,
        who: &Identity,
        grants: &[Grant],
        changed: &mut String,
    ) -> Result<PersonName, ProviderError> {
        let record = PersonRecord {
            display_name: shown(&who.display_name),
            grants: grants.to_vec(),
            ..kept.value.clone()
        };
        if record.grants != kept.value.grants || record.display_name != kept.value.display_name {
            let version = Precondition::Version(DocumentVersion(kept.version));
            // Also if nothing is left: what they have besides, such as tokens, is worth nothing then.
            let what = record.what_changed(Some(&kept.value));
            self.put_vouched(&name, version, record).await?;
            *changed = what;
        }
        if kept.value.disabled {
            return Err(ProviderError::Disabled {
                name: name.to_string(),
            });
        }
        if grants.is_empty() {
            return Err(ProviderError::NoGrants {
                name: name.to_string(),
            });
        }
        Ok(name)
    }

    /// Somebody new.
    async fn make(
        &self,
        issuer: &str,
        who: &Identity,
        grants: &[Grant],
        changed: &mut String,
    ) -> Result<PersonName, ProviderError> {
        let name = who.names.iter().find_map(|name| reduced(name));
        let name = name.ok_or_else(|| ProviderError::Answer("the provider gives no name".to_owned()))?;
        if grants.is_empty() {
            return Err(ProviderError::NoGrants {
                name: name.to_string(),
            });
        }
        if name == PersonName::local() || self.directory.person(&name).is_some() {
            return Err(ProviderError::NameTaken {
                name: name.to_string(),
            });
        }
        if self.directory.people().len() >= PEOPLE_MAX {
            return Err(ProviderError::TooMany);
        }
        let record = PersonRecord {
            display_name: shown(&who.display_name),
            grants: grants.to_vec(),
            disabled: false,
            password: None,
            second_factor: None,
            provider: Some(Vouched {
                issuer: issuer.to_owned(),
                subject: who.subject.clone(),
            }),
            created_at: self.now(),
            era: 0,
        };
        let what = record.what_changed(None);
        self.put_vouched(&name, Precondition::Absent, record).await?;
        *changed = what;
        Ok(name)
    }

    async fn put_vouched(
        &self,
        name: &PersonName,
        precondition: Precondition,
        record: PersonRecord,
    ) -> Result<(), ProviderError> {
        let now = self.now();
        let put = self.directory.put_vouched(name, precondition, record, now).await;
        put.map(|_| ()).map_err(|error| ProviderError::Here(error.into()))
    }
}

/// What is accepted as a name here, of what the provider says: in small letters, with `-` for what is not accepted.
fn reduced(text: &str) -> Option<PersonName> {
    let lower = text.trim().to_lowercase();
    let accepted = |character: char| {
        let fits = character.is_ascii_lowercase() || character.is_ascii_digit() || ".-_@".contains(character);
        if fits { character } else { '-' }
    };
    let name: String = lower.chars().map(accepted).take(PERSON_NAME_MAX_CHARS).collect();
    name.trim_start_matches(['.', '-', '_', '@']).parse().ok()
}

fn shown(name: &str) -> String {
    let visible = name.chars().filter(|character| !character.is_control());
    visible.take(DISPLAY_NAME_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_reduced_to_what_is_accepted() {
        let name = |text: &str| reduced(text).map(|name| name.to_string());
        for (text, expected) in [
            ("Ada.Lovelace@Example.org", Some("ada.lovelace@example.org")),
            ("ada lovelace", Some("ada-lovelace")),
            ("_ada", Some("ada")),
            ("Änne", Some("nne")),
            ("auth0|12", Some("auth0-12")),
            ("", None),
            ("---", None),
            ("字", None),
        ] {
            assert_eq!(name(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(
            name(&"x".repeat(100)).map(|name| name.len()),
            Some(PERSON_NAME_MAX_CHARS)
        );
    }
}
