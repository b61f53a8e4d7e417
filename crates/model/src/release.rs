//! Which releases a machine is to run, and how far it is with them.
//!
//! [`DesiredReleases`] is the section `release` of the desired state: what the fleet assigns, product by product. [`UpdatesReport`] is the
//! section `updates` of the reported state: what runs, by the machine's own word after its start, and what is under way. An assignment
//! names a release by the SHA-256 of its manifest, so both sides mean the same bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::vocabulary::{UpdatePhase, words};

/// The section of the desired state that assigns releases.
pub const SECTION: &str = "release";
/// Products of one machine.
pub const PRODUCTS_MAX: usize = 16;
/// Longest name of a product.
pub const PRODUCT_MAX_CHARS: usize = 64;
/// Longest version.
pub const VERSION_MAX_CHARS: usize = 64;
/// Reasons that are told at once.
pub const WHY_MAX: usize = 16;
/// Longest reason, in characters.
pub const WHY_MAX_CHARS: usize = 500;
/// The longest manifest that is assigned, in bytes.
pub const MANIFEST_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// What a machine is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DesiredReleases {
    /// All updates of the machine stop before their next step, for this reason. What is on probation still proves itself or is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub stopped: Option<String>,
    /// By product.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, Assignment>))]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Assignment>"))]
    pub products: BTreeMap<ProductName, Assignment>,
}

/// One release for one machine: the director's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Grows with every assignment of this product to this machine. The same number again is the same assignment.
    pub number: u64,
    /// What is to be done.
    #[serde(default)]
    pub act: Act,
    /// The version, for people.
    pub version: String,
    /// The SHA-256 of the manifest, in hexadecimal: what is to run; with `go_back`, what is to be left.
    pub manifest: ManifestDigest,
    /// How long that manifest is, in bytes.
    pub manifest_bytes: u64,
    /// After this moment, in server time, the machine does not begin with it any more.
    pub until: Timestamp,
    /// The rollout that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub rollout: Option<String>,
}

words! {
    /// What is to be done with a release.
    #[derive(Default)]
    Act {
        /// It is to run.
        #[default]
        Install => "install",
        /// If it runs, the version before it is to run again.
        GoBack => "go_back",
    }
}

/// Names what releases are of: 1 to 64 of a-z, 0-9, -, _ and ., a letter or digit first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct ProductName(String);

impl ProductName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProductName {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = |byte: u8| word(byte) || b"-_.".contains(&byte);
        let begins = text.bytes().next().is_some_and(word);
        if begins && text.len() <= PRODUCT_MAX_CHARS && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            let given = text.chars().take(2 * PRODUCT_MAX_CHARS).collect();
            Err(ReleaseError::Product(given))
        }
    }
}

impl TryFrom<String> for ProductName {
    type Error = ReleaseError;

    fn try_from(text: String) -> Result<Self, ReleaseError> {
        text.parse()
    }
}

impl From<ProductName> for String {
    fn from(name: ProductName) -> Self {
        name.0
    }
}

impl fmt::Display for ProductName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ProductName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The SHA-256 of a manifest: 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct ManifestDigest(String);

impl ManifestDigest {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ManifestDigest {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let fits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReleaseError::Digest(text.chars().take(100).collect()))
        }
    }
}

impl TryFrom<String> for ManifestDigest {
    type Error = ReleaseError;

    fn try_from(text: String) -> Result<Self, ReleaseError> {
        text.parse()
    }
}

impl From<ManifestDigest> for String {
    fn from(digest: ManifestDigest) -> Self {
        digest.0
    }
}

impl fmt::Display for ManifestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ManifestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why releases cannot be desired so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The name of a product.
    #[error(
        "{0:?} is no name of a product: 1 to {PRODUCT_MAX_CHARS} of a-z, 0-9, -, _ and . are accepted, a letter or digit first"
    )]
    Product(String),
    /// The digest of a manifest.
    #[error("{0:?} is no SHA-256: 64 lower-case hexadecimal digits are accepted")]
    Digest(String),
    /// Too many products.
    #[error("{0} products: at most {PRODUCTS_MAX} are accepted")]
    TooMany(usize),
    /// A text that is too long or empty.
    #[error("{place}: {chars} characters: 1 to {most} are accepted")]
    Text {
        /// Which.
        place: String,
        /// How long it is.
        chars: usize,
        /// How long it may be.
        most: usize,
    },
    /// A length that no manifest has.
    #[error("{product}: manifest_bytes: {bytes}: 1 to {MANIFEST_MAX_BYTES} are accepted")]
    Length {
        /// Of which product.
        product: ProductName,
        /// What was given.
        bytes: u64,
    },
}

impl DesiredReleases {
    /// Whether a machine would take it.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`] with what is wrong first.
    pub fn check(&self) -> Result<(), ReleaseError> {
        let text = |place: &str, text: &str, most: usize| match text.chars().count() {
            chars if (1..=most).contains(&chars) => Ok(()),
            chars => Err(ReleaseError::Text {
                place: place.to_owned(),
                chars,
                most,
            }),
        };
        if let Some(why) = &self.stopped {
            text("stopped", why, WHY_MAX_CHARS)?;
        }
        if self.products.len() > PRODUCTS_MAX {
            return Err(ReleaseError::TooMany(self.products.len()));
        }
        for (product, assignment) in &self.products {
            text(
                &format!("{product}: version"),
                &assignment.version,
                VERSION_MAX_CHARS,
            )?;
            if let Some(rollout) = &assignment.rollout {
                text(&format!("{product}: rollout"), rollout, PRODUCT_MAX_CHARS)?;
            }
            if !(1..=MANIFEST_MAX_BYTES).contains(&assignment.manifest_bytes) {
                return Err(ReleaseError::Length {
                    product: product.clone(),
                    bytes: assignment.manifest_bytes,
                });
            }
        }
        Ok(())
    }
}

/// What a machine says of its releases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct UpdatesReport {
    /// It begins nothing, because somebody stopped all updates.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Each product that it has or is to have, by name.
    pub products: Vec<ProductReport>,
}

impl UpdatesReport {
    /// What it says of one product.
    pub fn product(&self, name: &str) -> Option<&ProductReport> {
        self.products.iter().find(|product| product.product == name)
    }

    /// The phase of the update that is furthest from its end, for a line about the whole machine.
    pub fn phase(&self) -> UpdatePhase {
        let updates = self.products.iter().filter_map(|product| product.update.as_ref());
        let phases = updates.map(|update| update.phase);
        phases.max_by_key(|phase| phase.urgency()).unwrap_or_default()
    }
}

/// One product on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ReleasedProduct), schemars(rename = "ReleasedProduct"))]
pub struct ProductReport {
    /// Which.
    pub product: String,
    /// What runs, or lies there to be used; absent where nothing ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub running: Option<RunningRelease>,
    /// What lies whole in the other slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub other: Option<ReleaseName>,
    /// The last assignment that it took up, and how far that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub update: Option<UpdateReport>,
}

/// Which release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct ReleaseName {
    /// Its version.
    pub version: String,
    /// Its counter.
    pub counter: u64,
    /// The SHA-256 of its manifest.
    pub manifest: ManifestDigest,
}

/// A release that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct RunningRelease {
    /// Which.
    #[serde(flatten)]
    pub release: ReleaseName,
    /// It proved itself. False: it is on probation.
    pub confirmed: bool,
    /// Which start of the product this is, of all since it is there; a proof of a start is a greater number than before. Zero: it was
    /// never started.
    pub start: u64,
    /// When it was started, by the machine's wall clock; absent where nothing of it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub started_at: Option<Timestamp>,
}

/// How far an assignment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct UpdateReport {
    /// Which assignment.
    pub number: u64,
    /// What it asks for.
    #[serde(default)]
    pub act: Act,
    /// Of which version.
    pub version: String,
    /// The SHA-256 of its manifest.
    pub manifest: ManifestDigest,
    /// How far.
    pub phase: UpdatePhase,
    /// Why it waits, was refused or was taken back, for a person, each thing by itself: `driving`, `battery 31 % < 40 %`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// Bytes that came over the network for it.
    pub fetched_bytes: u64,
    /// Bytes that have to come over the network in all, as far as that is known.
    pub to_fetch_bytes: u64,
    /// Since when it is in this phase, by the machine's wall clock.
    pub since: Timestamp,
}

#[cfg(test)]
mod tests;
