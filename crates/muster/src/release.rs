//! `muster release`: from a directory to a release in a folder, who vouches for it, and what is in that folder. What has to do with a
//! server is in [`crate::operator`].

mod options;
mod shown;
mod signing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use muster_release::folder::Release;
use muster_release::manifest::{FORMAT, Health, Hooks, Manifest, Payload, Precondition, Started};
use muster_release::tuf::repository::Vouched;
use muster_release::tuf::{Repository, TufError};
use muster_release::{Folder, FolderError, ManifestError, TreeError, tree};
use semver::Version;

use self::options::{
    Asked, HealthOption, parse_command, parse_for, parse_health, parse_require, parse_seconds,
};
use crate::operator::{self, GlobalOptions, OperatorCommand, OutputFormat, ReleasesCommand};
use crate::rundown::{self, EXIT_CONFIGURATION, EXIT_DATA, fail};

/// Releases in a folder.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Make a release of a directory or a program, and put it into a folder
    Create(Box<CreateOptions>),
    /// Show the releases of a product, or what is in one of them
    Show(ShowOptions),
    /// Read everything in a folder again, and say what is not as it should be
    Check(CheckOptions),
    /// Vouch for a release, or take that back
    Sign(signing::SignOptions),
    /// Who may sign what: keys, the root, and what waits for signatures
    #[command(subcommand)]
    Keys(signing::KeysCommand),
    /// Sign what the server signs by itself: snapshot and timestamp
    Refresh(signing::RefreshOptions),
    #[command(flatten)]
    OnServer(ReleasesCommand),
}

/// What is released.
#[derive(Clone, Debug, Args)]
#[command(
    // Here a version is that of a release.
    disable_version_flag = true,
    after_help = "Example:\n  muster release create ./app --product car-app --version 1.4.0 --counter 12 --for kind=car \\\n    \
    --executable bin/app --require 'battery_percent>=40' --require 'mode in parked,docked' --into ./releases\n\n\
    Hooks, health and requirements are a part of the release and change its digest."
)]
pub(crate) struct CreateOptions {
    /// A directory, or one program
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// What it is a release of: a-z, 0-9, -, _ and .
    #[arg(long, value_name = "NAME")]
    product: String,
    /// Its version, for people: 1.4.0
    #[arg(long, value_name = "VERSION")]
    version: Version,
    /// A number higher than that of every release before: machines take none with a lower one
    #[arg(long, value_name = "N")]
    counter: u64,
    /// The folder of releases; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
    /// The file of the directory that is started; where PATH is a program it is that
    #[arg(long, value_name = "ENTRY")]
    executable: Option<String>,
    /// Which machines it is for: kind=car, arch=aarch64; once for each [default: all]
    #[arg(long = "for", value_name = "WHAT=WORD", value_parser = parse_for)]
    fits: Vec<Asked>,
    /// What must hold of the machine: 'battery_percent>=40', 'temperature_celsius<=60', 'mode in parked,docked'; once for each
    #[arg(long, value_name = "TEST", value_parser = parse_require)]
    require: Vec<Precondition>,
    /// A command before the change, in words between spaces, no shell; once for each
    #[arg(long, value_name = "COMMAND", value_parser = parse_command)]
    pre: Vec<options::Command>,
    /// A command after the change; once for each
    #[arg(long, value_name = "COMMAND", value_parser = parse_command)]
    post: Vec<options::Command>,
    /// How long one of these commands may take: 1 to 3600 seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = parse_seconds)]
    hook_within: u64,
    /// When it is healthy: process, port=8080, command='bin/app --check'; once for each
    #[arg(long, value_name = "CHECK", value_parser = parse_health)]
    health: Vec<HealthOption>,
    /// How long all of that must hold without a break: 1 to 3600 seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = parse_seconds, requires = "health")]
    health_hold: u64,
    /// By when after the start: 1 to 3600 seconds
    #[arg(long, value_name = "S", default_value = "120", value_parser = parse_seconds, requires = "health")]
    health_within: u64,
}

/// Which release.
#[derive(Clone, Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Example:\n  muster release show ./releases car-app\n  muster release show ./releases car-app 1.4.0 --output json"
)]
pub(crate) struct ShowOptions {
    /// The folder of releases
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The product
    #[arg(value_name = "PRODUCT")]
    product: String,
    /// One version, with all that is in it
    #[arg(value_name = "VERSION")]
    version: Option<Version>,
}

/// Which folder.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0   everything is as it should be\n  1   something is not; each of it is a line"
)]
pub(crate) struct CheckOptions {
    /// The folder of releases
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Why a command ends.
#[derive(Debug, thiserror::Error)]
enum ReleaseError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("no release can be made of it")]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Tuf(#[from] TufError),
    #[error("--executable is for a directory, and {} is a file", path.display())]
    NoDirectory { path: PathBuf },
    #[error("the output cannot be written")]
    Output(#[source] std::io::Error),
}

impl ReleaseError {
    const fn code(&self) -> &'static str {
        match self {
            Self::Tree(error) => error.code(),
            Self::Manifest(error) => error.code(),
            Self::Folder(error) => error.code(),
            Self::Tuf(error) => error.code(),
            Self::NoDirectory { .. } => "MST-U017",
            Self::Output(_) => "MST-O006",
        }
    }

    const fn exit(&self) -> u8 {
        match self {
            Self::Manifest(_) | Self::NoDirectory { .. } => EXIT_CONFIGURATION,
            Self::Tuf(TufError::Asked { .. }) => EXIT_CONFIGURATION,
            Self::Folder(FolderError::Disk(_) | FolderError::InUse)
            | Self::Tuf(TufError::Disk(_) | TufError::Folder(FolderError::Disk(_) | FolderError::InUse)) => {
                EXIT_DATA
            }
            Self::Tree(_) | Self::Folder(_) | Self::Tuf(_) | Self::Output(_) => 1,
        }
    }
}

/// Carries the command out.
pub(crate) fn run(command: ReleaseCommand, global: GlobalOptions) -> ExitCode {
    let format = global.output;
    let done = match command {
        ReleaseCommand::Create(options) => create(*options, format),
        ReleaseCommand::Show(options) => show(&options, format),
        ReleaseCommand::Check(options) => check(&options, format),
        ReleaseCommand::Sign(options) => signing::sign(&options, format),
        ReleaseCommand::Keys(command) => signing::keys(command, format),
        ReleaseCommand::Refresh(options) => signing::refreshed(&options, format),
        ReleaseCommand::OnServer(command) => {
            return rundown::block_on(operator::run(OperatorCommand::Releases(command), global));
        }
    };
    done.unwrap_or_else(|error| fail(error.code(), &error as &dyn Error, error.exit()))
}

fn create(options: CreateOptions, format: OutputFormat) -> Result<ExitCode, ReleaseError> {
    let tree = tree::read(&options.path)?;
    let entry = match (options.path.is_dir(), options.executable) {
        (true, entry) => entry,
        (false, None) => tree.entries.first().map(|entry| entry.path.clone()),
        (false, Some(_)) => return Err(ReleaseError::NoDirectory { path: options.path }),
    };
    let hooks = |commands: Vec<options::Command>| {
        commands
            .into_iter()
            .map(|it| it.hook(options.hook_within))
            .collect()
    };
    let health = (!options.health.is_empty()).then(|| Health {
        checks: options
            .health
            .into_iter()
            .map(|HealthOption(check)| check)
            .collect(),
        hold_s: options.health_hold,
        within_s: options.health_within,
    });
    let manifest = Manifest {
        counter: options.counter,
        entries: tree.entries.clone(),
        fits: options::fits(options.fits),
        format: FORMAT,
        health,
        hooks: Hooks {
            after: hooks(options.post),
            before: hooks(options.pre),
        },
        payload: entry.map_or(Payload::Tree, |entry| Payload::Executable(Started { entry })),
        preconditions: options.require,
        product: options.product,
        version: options.version,
    };
    // Before a folder is made for it.
    manifest.check()?;
    let folder = Folder::create(&options.into)?;
    let contents = manifest.contents();
    let mut beside = BTreeMap::new();
    for release in folder.versions(&manifest.product)? {
        if release.manifest.version != manifest.version {
            let there = release.manifest.contents();
            let lacking = contents.iter().filter(|(digest, _)| !there.contains_key(digest));
            beside.insert(
                release.manifest.counter,
                (release.manifest.version, lacking.map(|(_, length)| length).sum()),
            );
        }
    }
    let added = folder.add(&manifest, &tree)?;
    let told = shown::Created::new(&manifest, added, beside.into_values());
    shown::print(&told, &told.words(), format).map_err(ReleaseError::Output)?;
    Ok(ExitCode::SUCCESS)
}

fn show(options: &ShowOptions, format: OutputFormat) -> Result<ExitCode, ReleaseError> {
    let folder = Folder::open(&options.folder)?;
    let releases = folder.versions(&options.product)?;
    if releases.is_empty() {
        return Err(FolderError::Missing {
            what: format!("{} (there are: {:?})", options.product, folder.products()?),
        }
        .into());
    }
    let vouched = vouched(&folder)?;
    let by = |release: &Release| vouched.as_ref().and_then(|it| shown::vouching(it, release));
    let printed = match &options.version {
        None => {
            let told = shown::Listed::new(&releases, by);
            shown::print(&told, &told.words(), format)
        }
        Some(version) => {
            let release = releases
                .into_iter()
                .find(|release| release.manifest.version == *version);
            let release = release.ok_or_else(|| FolderError::Missing {
                what: format!("{} {version}", options.product),
            })?;
            let told = shown::Whole::new(by(&release), release);
            shown::print(&told, &told.words(), format)
        }
    };
    printed.map_err(ReleaseError::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// Who vouches for what, by the roots in the folder itself.
fn vouched(folder: &Folder) -> Result<Option<Vouched>, ReleaseError> {
    let repository = Repository::of(folder);
    match repository.roots()? {
        Some(roots) => match repository.vouched(roots.latest()) {
            // Keys were replaced, and nobody has signed again.
            Err(TufError::NotVouched { .. }) => Ok(None),
            found => Ok(found?),
        },
        None => Ok(None),
    }
}

fn check(options: &CheckOptions, format: OutputFormat) -> Result<ExitCode, ReleaseError> {
    let told = shown::Checked::new(Folder::open(&options.folder)?.check()?);
    shown::print(&told, &told.words(), format).map_err(ReleaseError::Output)?;
    Ok(if told.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
