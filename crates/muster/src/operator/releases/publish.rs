//! `muster release publish`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use muster_protocol::api::{RELEASE_CONTENTS_MAX, ReleaseContent, ReleaseContents};
use muster_release::folder::Release;
use muster_release::tuf::METADATA;
use muster_release::{Folder, FolderError};
use serde::Serialize;

use crate::operator::error::OperatorError;
use crate::operator::recordings::fetch::Progress;
use crate::operator::session::Session;
use crate::operator::text::{bytes, clean};

/// Contents that are sent at once.
const SENT_AT_ONCE: usize = 4;
/// The longest document that vouches for releases.
const METADATA_MAX_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  muster release publish ./releases\n  muster release publish ./releases car-app/1.4.0 car-maps\n\n\
    What the server has already is not sent again: after a cut line, give the same command again. A release appears on\n\
    the server when all of it is there. Its counter must be higher than those of the product's releases on the server."
)]
pub struct PublishOptions {
    /// The folder of releases
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Only these: PRODUCT, or PRODUCT/VERSION [default: all that are in the folder]
    #[arg(value_name = "RELEASE")]
    releases: Vec<String>,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Published {
    releases: Vec<PublishedRelease>,
    sent_contents: usize,
    sent_bytes: u64,
    metadata: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PublishedRelease {
    product: String,
    version: String,
    manifest: String,
    is_new: bool,
}

pub(super) async fn run(options: PublishOptions, session: &mut Session) -> Result<(), OperatorError> {
    let chosen = chosen(&options)?;
    let mut published = Published::default();
    send(&options.folder, &chosen, &mut published, session).await?;
    for release in chosen {
        let manifest = &release.manifest;
        let encoded = manifest.encode().map_err(|error| unusable(&error))?;
        let (product, version) = (manifest.product.clone(), manifest.version.to_string());
        let answer = session
            .client
            .publish_release(&product, &version, encoded)
            .await?;
        if session.is_table() {
            let was = if answer.is_new {
                "is published"
            } else {
                "was there already"
            };
            session.print(&format!("{} {was}\n", clean(&format!("{product} {version}"))))?;
        }
        published.releases.push(PublishedRelease {
            product,
            version,
            manifest: release.digest.to_string(),
            is_new: answer.is_new,
        });
    }
    for (name, document) in metadata(&options.folder)? {
        if session.client.put_release_metadata(&name, document).await? {
            published.metadata.push(name);
        }
    }
    if !session.is_table() {
        return session.document(&published);
    }
    let vouched = match published.metadata.len() {
        0 => String::new(),
        documents => format!(", {documents} documents that vouch for releases"),
    };
    session.print(&format!(
        "{} contents sent ({}){vouched}\n",
        published.sent_contents,
        bytes(published.sent_bytes)
    ))
}

/// The releases that are meant, in the order in which the server takes them.
fn chosen(options: &PublishOptions) -> Result<Vec<Release>, OperatorError> {
    let folder = Folder::open(&options.folder).map_err(|error| refused(&error))?;
    let products = folder.products().map_err(|error| refused(&error))?;
    let mut chosen = Vec::new();
    let mut met = vec![false; options.releases.len()];
    for product in &products {
        for release in folder.versions(product).map_err(|error| refused(&error))? {
            let title = format!("{product}/{}", release.manifest.version);
            let meant = options
                .releases
                .iter()
                .position(|word| word == product || *word == title);
            if let Some(index) = meant {
                met[index] = true;
            }
            if meant.is_some() || options.releases.is_empty() {
                chosen.push(release);
            }
        }
    }
    if let Some(index) = met.iter().position(|met| !met) {
        return Err(OperatorError::Usage {
            what: format!(
                "{} is not in {}",
                options.releases[index],
                options.folder.display()
            ),
            hint: format!(
                "PRODUCT or PRODUCT/VERSION is accepted; there are {}",
                products.join(", ")
            ),
        });
    }
    if chosen.is_empty() {
        return Err(OperatorError::Usage {
            what: format!("there is no release in {}", options.folder.display()),
            hint: "`muster release create` makes one".to_owned(),
        });
    }
    Ok(chosen)
}

/// Sends what the server lacks.
async fn send(
    folder: &Path,
    chosen: &[Release],
    published: &mut Published,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let mut contents = BTreeMap::new();
    for release in chosen {
        contents.extend(release.manifest.contents());
    }
    let all: Vec<ReleaseContent> = contents
        .iter()
        .map(|(digest, bytes)| ReleaseContent {
            sha256: digest.to_string(),
            bytes: *bytes,
        })
        .collect();
    let mut missing = Vec::new();
    for part in all.chunks(RELEASE_CONTENTS_MAX) {
        let contents = part.to_vec();
        let lacking = session
            .client
            .missing_contents(&ReleaseContents { contents })
            .await?;
        missing.extend(lacking.contents);
    }
    let total: u64 = missing.iter().map(|content| content.bytes).sum();
    let (client, count) = (session.client.clone(), missing.len());
    let mut progress = Progress::default();
    let sending = stream::iter(missing).map(|content| {
        let (client, path) = (client.clone(), place(folder, &content.sha256));
        async move {
            let file = std::fs::File::open(&path).map_err(|error| OperatorError::Usage {
                what: format!("{} cannot be read: {error}", path.display()),
                hint: "`muster release check FOLDER` says what is wrong with the folder".to_owned(),
            })?;
            client.put_content(&content, file).await?;
            Ok::<_, OperatorError>(content.bytes)
        }
    });
    let mut sending = std::pin::pin!(sending.buffer_unordered(SENT_AT_ONCE));
    loop {
        progress.show(&format!(
            "{} of {}, {} of {count} contents",
            bytes(published.sent_bytes),
            bytes(total),
            published.sent_contents
        ));
        let sent = sending.try_next().await;
        match sent.inspect_err(|_| progress.end())? {
            Some(sent) => {
                published.sent_bytes += sent;
                published.sent_contents += 1;
            }
            None => break,
        }
    }
    progress.end();
    Ok(())
}

/// Where a content lies in a folder of releases.
fn place(folder: &Path, sha256: &str) -> PathBuf {
    folder
        .join("blobs")
        .join(sha256.get(..2).unwrap_or_default())
        .join(sha256)
}

/// The documents of a folder that vouch for releases, in the order in which readers need them: what another names comes before it.
fn metadata(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, OperatorError> {
    let place = folder.join(METADATA);
    let failed = |error: std::io::Error| OperatorError::Usage {
        what: format!("{} cannot be read: {error}", place.display()),
        hint: "`muster release publish` takes a folder that `muster release create` made".to_owned(),
    };
    let entries = match std::fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(order) = order(&name) else {
            continue;
        };
        if entry.metadata().map_err(failed)?.len() > METADATA_MAX_BYTES {
            return Err(OperatorError::Usage {
                what: format!("{} is too long", entry.path().display()),
                hint: format!("up to {METADATA_MAX_BYTES} bytes are accepted"),
            });
        }
        found.push((order, name, std::fs::read(entry.path()).map_err(failed)?));
    }
    found.sort();
    Ok(found
        .into_iter()
        .map(|(_, name, document)| (name, document))
        .collect())
}

/// Role and version, by the name of a document.
fn order(name: &str) -> Option<(usize, u64)> {
    let stem = name.strip_suffix(".json")?;
    if stem == "timestamp" {
        return Some((3, 0));
    }
    let (version, role) = stem.split_once('.')?;
    let role = ["root", "targets", "snapshot"]
        .iter()
        .position(|known| *known == role)?;
    Some((role, version.parse().ok()?))
}

fn refused(error: &FolderError) -> OperatorError {
    OperatorError::Usage {
        what: format!(
            "the folder cannot be used: {}",
            muster_runtime::errors::chain(error)
        ),
        hint: "`muster release check FOLDER` says what is wrong with it".to_owned(),
    }
}

fn unusable(error: &dyn std::error::Error) -> OperatorError {
    OperatorError::Usage {
        what: format!(
            "a manifest cannot be used: {}",
            muster_runtime::errors::chain(error)
        ),
        hint: "`muster release check FOLDER` says what is wrong with it".to_owned(),
    }
}
