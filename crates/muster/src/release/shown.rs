//! What is said of releases: one document, and the same for people.

mod signed;

use std::io::{self, Write};

use muster_release::folder::{Added, Checked as Found, Release};
use muster_release::manifest::{HealthCheck, Hook, Manifest, Payload, Precondition, Test, What};
use muster_release::tuf::repository::Vouched;
use semver::Version;
use serde::Serialize;

pub(super) use self::signed::{Made, Published, Refreshed, Root, Signed, Vouching};
use crate::operator::OutputFormat;

/// Writes it in the format that was asked for.
pub(super) fn print(document: &impl Serialize, words: &str, format: OutputFormat) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        OutputFormat::Table => out.write_all(words.as_bytes())?,
        OutputFormat::Json => {
            serde_json::to_writer_pretty(&mut out, document)?;
            out.write_all(b"\n")?;
        }
        OutputFormat::Yaml => yaml_serde::to_writer(&mut out, document).map_err(io::Error::other)?,
    }
    out.flush()
}

/// A release that was made.
#[derive(Debug, Serialize)]
pub(super) struct Created {
    product: String,
    version: String,
    counter: u64,
    /// The SHA-256 of the manifest.
    manifest: String,
    entries: usize,
    bytes: u64,
    /// It was not in the folder before.
    is_new: bool,
    new_blobs: usize,
    new_bytes: u64,
    beside: Vec<Beside>,
}

/// What somebody lacks who has another version.
#[derive(Debug, Serialize)]
struct Beside {
    version: String,
    lacking_bytes: u64,
}

impl Created {
    pub(super) fn new(
        manifest: &Manifest,
        added: Added,
        beside: impl Iterator<Item = (Version, u64)>,
    ) -> Self {
        Self {
            product: manifest.product.clone(),
            version: manifest.version.to_string(),
            counter: manifest.counter,
            manifest: added.digest.to_string(),
            entries: manifest.entries.len(),
            bytes: manifest.bytes(),
            is_new: added.is_new,
            new_blobs: added.new_blobs,
            new_bytes: added.new_bytes,
            beside: beside
                .map(|(version, lacking_bytes)| Beside {
                    version: version.to_string(),
                    lacking_bytes,
                })
                .collect(),
        }
    }

    pub(super) fn words(&self) -> String {
        let mut lines = vec![
            format!(
                "release     {} {} (counter {})",
                self.product, self.version, self.counter
            ),
            format!("manifest    {}", self.manifest),
            format!("entries     {}", self.entries),
            format!("size        {} bytes", self.bytes),
            match self.is_new {
                true => format!("new here    {} blobs, {} bytes", self.new_blobs, self.new_bytes),
                false => "new here    nothing: this release was in the folder".to_owned(),
            },
        ];
        for beside in &self.beside {
            lines.push(format!(
                "from {:<7}{} bytes are lacking",
                beside.version, beside.lacking_bytes
            ));
        }
        lines.join("\n") + "\n"
    }
}

/// The releases of a product.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    product: String,
    releases: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    version: String,
    counter: u64,
    payload: &'static str,
    entries: usize,
    bytes: u64,
    manifest: String,
    /// Somebody vouches for it.
    is_signed: bool,
}

/// What the list of a folder says of a release.
pub(super) fn vouching(vouched: &Vouched, release: &Release) -> Option<Vouching> {
    let name = format!("{}/{}.json", release.manifest.product, release.manifest.version);
    let mut all = vouched.targets.targets.iter();
    let (_, target) = all.find(|(one, _)| one.raw() == name)?;
    (target.hashes.sha256[..] == release.digest.as_bytes()[..]).then(|| Vouching {
        list: vouched.targets.version.get(),
        until: vouched.targets.expires.to_string(),
        standing: vouched.standing.clone(),
    })
}

impl Listed {
    pub(super) fn new(releases: &[Release], by: impl Fn(&Release) -> Option<Vouching>) -> Self {
        let row = |release: &Release| Row {
            version: release.manifest.version.to_string(),
            counter: release.manifest.counter,
            payload: payload(&release.manifest.payload),
            entries: release.manifest.entries.len(),
            bytes: release.manifest.bytes(),
            manifest: release.digest.to_string(),
            is_signed: by(release).is_some(),
        };
        Self {
            product: releases
                .first()
                .map_or_else(String::new, |one| one.manifest.product.clone()),
            releases: releases.iter().map(row).collect(),
        }
    }

    pub(super) fn words(&self) -> String {
        let mut lines = vec![format!(
            "{:<16} {:>8}  {:<10} {:>7} {:>13}  {:<6}  MANIFEST",
            "VERSION", "COUNTER", "PAYLOAD", "ENTRIES", "BYTES", "SIGNED"
        )];
        for row in &self.releases {
            lines.push(format!(
                "{:<16} {:>8}  {:<10} {:>7} {:>13}  {:<6}  {}",
                row.version,
                row.counter,
                row.payload,
                row.entries,
                row.bytes,
                if row.is_signed { "yes" } else { "no" },
                &row.manifest[..12]
            ));
        }
        lines.join("\n") + "\n"
    }
}

const fn payload(payload: &Payload) -> &'static str {
    match payload {
        Payload::Agent(_) => "agent",
        Payload::Executable(_) => "executable",
        Payload::Image(_) => "image",
        Payload::Tree => "tree",
    }
}

/// One release with all that is in it.
#[derive(Debug, Serialize)]
pub(super) struct Whole {
    /// The SHA-256 of the manifest.
    digest: String,
    manifest_bytes: u64,
    bytes: u64,
    signed: Option<Vouching>,
    manifest: Manifest,
}

impl Whole {
    pub(super) fn new(signed: Option<Vouching>, release: Release) -> Self {
        Self {
            digest: release.digest.to_string(),
            manifest_bytes: release.manifest_bytes,
            bytes: release.manifest.bytes(),
            signed,
            manifest: release.manifest,
        }
    }

    pub(super) fn words(&self) -> String {
        let it = &self.manifest;
        let or_all = |words: Vec<&str>| {
            if words.is_empty() {
                "all".to_owned()
            } else {
                words.join(", ")
            }
        };
        let mut lines = vec![
            format!(
                "release     {} {} (counter {})",
                it.product, it.version, it.counter
            ),
            format!("manifest    {} ({} bytes)", self.digest, self.manifest_bytes),
            format!("signed      {}", Vouching::words(self.signed.as_ref())),
            format!("payload     {}", payload(&it.payload)),
        ];
        match &it.payload {
            Payload::Agent(started) | Payload::Executable(started) => {
                lines.push(format!("starts      {}", started.entry));
            }
            Payload::Image(image) => lines.push(format!("image       {}", image.reference)),
            Payload::Tree => {}
        }
        lines.push(format!(
            "kinds       {}",
            or_all(it.fits.kinds.iter().map(String::as_str).collect())
        ));
        lines.push(format!(
            "processors  {}",
            or_all(it.fits.architectures.iter().map(|one| one.as_str()).collect())
        ));
        lines.extend(
            it.preconditions
                .iter()
                .map(|one| format!("requires    {}", required(one))),
        );
        lines.extend(
            it.hooks
                .before
                .iter()
                .map(|hook| format!("before      {}", command(hook))),
        );
        lines.extend(
            it.hooks
                .after
                .iter()
                .map(|hook| format!("after       {}", command(hook))),
        );
        if let Some(health) = &it.health {
            for check in &health.checks {
                lines.push(format!(
                    "healthy     {}, for {} s, within {} s",
                    checked(check),
                    health.hold_s,
                    health.within_s
                ));
            }
        }
        lines.push(format!(
            "size        {} bytes in {} entries",
            self.bytes,
            it.entries.len()
        ));
        for entry in &it.entries {
            lines.push(match &entry.what {
                What::Directory => format!("  dir   {:>13}  {}/", "", entry.path),
                What::Link(link) => format!("  link  {:>13}  {} -> {}", "", entry.path, link.to),
                What::File(file) => {
                    let kind = if file.executable { "exec" } else { "file" };
                    format!(
                        "  {kind}  {:>13}  {}  {}",
                        file.length,
                        entry.path,
                        file.sha256.short()
                    )
                }
            });
        }
        lines.join("\n") + "\n"
    }
}

fn required(precondition: &Precondition) -> String {
    let reading = &precondition.reading;
    match &precondition.test {
        Test::AtLeast(least) => format!("{reading} >= {least}"),
        Test::AtMost(most) => format!("{reading} <= {most}"),
        Test::In(words) => format!("{reading} in {}", words.join(", ")),
    }
}

fn command(hook: &Hook) -> String {
    format!("{} (within {} s)", hook.command.join(" "), hook.within_s)
}

fn checked(check: &HealthCheck) -> String {
    match check {
        HealthCheck::Command(command) => format!("{} ends with 0", command.command.join(" ")),
        HealthCheck::Port(port) => format!("port {port} answers"),
        HealthCheck::Process => "the process stays up".to_owned(),
    }
}

/// What was found in a folder.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    manifests: usize,
    blobs: usize,
    bytes: u64,
    unused_blobs: usize,
    pub(super) findings: Vec<String>,
}

impl Checked {
    pub(super) fn new(found: Found) -> Self {
        Self {
            manifests: found.manifests,
            blobs: found.blobs,
            bytes: found.bytes,
            unused_blobs: found.unused,
            findings: found.findings,
        }
    }

    pub(super) fn words(&self) -> String {
        let mut lines = vec![
            format!("releases    {}", self.manifests),
            format!(
                "blobs       {} ({} bytes, {} of no release)",
                self.blobs, self.bytes, self.unused_blobs
            ),
        ];
        lines.push(match self.findings.len() {
            0 => "result      sound".to_owned(),
            found => format!("result      DAMAGED ({found})"),
        });
        lines.extend(self.findings.iter().map(|finding| format!("  {finding}")));
        lines.join("\n") + "\n"
    }
}
