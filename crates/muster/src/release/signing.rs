//! `muster release sign`, `keys`, `refresh`: who vouches for releases. All of it is done by `muster_release::tuf`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use muster_model::Timestamp;
use muster_release::tuf::online::{Lifetimes, refresh};
use muster_release::tuf::repository::{Wanted, countersign, rotate};
use muster_release::tuf::root::Roots;
use muster_release::tuf::{Ceremony, Change, Keys, OnlineKeys, PrivateKey, PublicKey, Repository, Role};
use muster_release::{DiskError, Folder};
use muster_runtime::Clock;
use semver::Version;

use super::{ReleaseError, shown};
use crate::operator::OutputFormat;

/// What is signed.
#[derive(Clone, Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:\n  muster release sign ./releases car-app 1.4.0 --keys ./alice\n  \
    muster release sign ./releases car-app 1.4.0 --keys ./alice --withdraw\n  \
    muster release sign ./releases --renew --keys ./alice\n\n\
    If the keys at hand are not enough, the list waits in FOLDER/metadata/N.targets.pending.json until others have signed\n\
    it with `muster release keys sign`. Nothing is built on a list that is not vouched for."
)]
pub(crate) struct SignOptions {
    /// The folder of releases
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The product
    #[arg(
        value_name = "PRODUCT",
        requires = "version",
        required_unless_present = "renew"
    )]
    product: Option<String>,
    /// The version
    #[arg(value_name = "VERSION")]
    version: Option<Version>,
    /// Your directory with your keys and the root
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// Take the release off the list: machines take it no more
    #[arg(long, requires = "product")]
    withdraw: bool,
    /// Sign the list again as it is: for a later end, or after keys were replaced
    #[arg(long, conflicts_with_all = ["product", "withdraw"])]
    renew: bool,
    /// For how long the list is good
    #[arg(long, value_name = "DAYS", default_value = "180")]
    expires_days: u32,
}

/// What the server does by itself.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  muster release refresh ./releases --root ./alice/1.root.json --keys ./server\n\n\
    For folders that are published without a server of Muster: call it after each change, and at least as often as it says."
)]
pub(crate) struct RefreshOptions {
    /// The folder of releases
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// A root that you believe; newer ones in the folder must follow from it
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The directory with snapshot.pem and timestamp.pem
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// For how long a snapshot is good
    #[arg(long, value_name = "HOURS", default_value = "168", value_parser = clap::value_parser!(u32).range(1..=8_760))]
    snapshot_hours: u32,
    /// For how long a timestamp is good: so long something new can be kept from machines
    #[arg(long, value_name = "HOURS", default_value = "24", value_parser = clap::value_parser!(u32).range(1..=8_760))]
    timestamp_hours: u32,
}

/// Keys and the root.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Hold the ceremony: make keys, and the first root
    New(NewOptions),
    /// Make one key, for a person who joins: FILE and its public half beside it, `.pub`
    Make {
        /// The private key: bob.pem
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Make the keys of a server where they are not there, and write their public halves beside them
    Online {
        /// The directory of the server
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Show who may sign what
    Show {
        /// Your directory with the root
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Change who may sign what: makes the next root
    Rotate(RotateOptions),
    /// Sign a root or a list of releases that waits for signatures, or only look at it
    Sign {
        /// The file: N.root.pending.json or N.targets.pending.json
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Your directory with your keys and the root
        #[arg(long, value_name = "DIR")]
        keys: PathBuf,
        /// Show what would be signed, and sign nothing
        #[arg(long)]
        look: bool,
    },
    /// Put the roots that you know into a folder of releases
    Publish {
        /// The folder of releases
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Your directory with the roots
        #[arg(long, value_name = "DIR")]
        keys: PathBuf,
    },
}

/// The ceremony.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  muster release keys online ./server\n  \
    muster release keys new ./ceremony --root-keys 3 --root-threshold 2 --online ./server\n\n\
    Afterwards give each person one of the files root-N.pem and targets-N.pem with a copy of 1.root.json, and remove them here.")]
pub(crate) struct NewOptions {
    /// A directory without a root
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Keys that may change who may sign what
    #[arg(long, value_name = "N", default_value = "3")]
    root_keys: usize,
    /// So many of them must sign
    #[arg(long, value_name = "N", default_value = "2")]
    root_threshold: u64,
    /// Keys that may sign releases
    #[arg(long, value_name = "N", default_value = "2")]
    targets_keys: usize,
    /// So many of them must sign
    #[arg(long, value_name = "N", default_value = "1")]
    targets_threshold: u64,
    /// The directory of the server, with snapshot.pub and timestamp.pub [default: keys for the server are made here]
    #[arg(long, value_name = "DIR")]
    online: Option<PathBuf>,
    /// For how long the root is good
    #[arg(long, value_name = "DAYS", default_value = "365")]
    expires_days: u32,
}

/// What is different in the next root.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  muster release keys rotate ./alice --remove targets=3f9a --add targets=bob.pub\n  \
    muster release keys rotate ./alice --threshold targets=2\n  \
    muster release keys rotate ./alice     # the same root, for another year\n\n\
    If the keys at hand are not enough, it waits in DIR/N.root.pending.json until others have signed it with\n\
    `muster release keys sign`. After keys of `targets` were replaced, sign the list again: `muster release sign FOLDER --renew`."
)]
pub(crate) struct RotateOptions {
    /// Your directory with your keys and the root
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// A key that comes, by its public half; once for each
    #[arg(long, value_name = "ROLE=FILE", value_parser = parse_of_role)]
    add: Vec<(Role, String)>,
    /// A key that goes, by the first digits of its id; once for each
    #[arg(long, value_name = "ROLE=ID", value_parser = parse_of_role)]
    remove: Vec<(Role, String)>,
    /// How many must sign; once for each role
    #[arg(long, value_name = "ROLE=N", value_parser = parse_threshold)]
    threshold: Vec<(Role, u64)>,
    /// For how long the root is good
    #[arg(long, value_name = "DAYS", default_value = "365")]
    expires_days: u32,
}

pub(super) fn parse_of_role(text: &str) -> Result<(Role, String), String> {
    match text.split_once('=') {
        Some((role, word)) if !word.is_empty() => Ok((role.parse()?, word.to_owned())),
        _ => Err("ROLE=WORD is accepted, with the roles root, targets, snapshot and timestamp".to_owned()),
    }
}

pub(super) fn parse_threshold(text: &str) -> Result<(Role, u64), String> {
    let (role, number) = parse_of_role(text)?;
    let number = number
        .parse()
        .map_err(|_| format!("{number:?} is no whole number"))?;
    Ok((role, number))
}

fn now() -> Timestamp {
    Timestamp::from_millis(Clock::start().wall_ms())
}

pub(super) fn sign(options: &SignOptions, format: OutputFormat) -> Result<ExitCode, ReleaseError> {
    let wanted = match (options.product.clone(), options.version.clone()) {
        (Some(product), Some(version)) if options.withdraw => Wanted::Withdraw { product, version },
        (Some(product), Some(version)) => Wanted::Add { product, version },
        _ => Wanted::Renew,
    };
    // One that is there: a folder that is made by a slip of the hand would be signed as empty.
    drop(Folder::open(&options.folder)?);
    let folder = Folder::create(&options.folder)?;
    let keys = Keys::open(&options.keys)?;
    let mut progress = Repository::of(&folder).sign(&keys, &wanted, now(), options.expires_days)?;
    progress.path = options.folder.join(&progress.path);
    tell(&shown::Signed::new(&progress), format)
}

pub(super) fn refreshed(options: &RefreshOptions, format: OutputFormat) -> Result<ExitCode, ReleaseError> {
    drop(Folder::open(&options.folder)?);
    let folder = Folder::create(&options.folder)?;
    let root = fs::read(&options.root).map_err(|source| DiskError {
        doing: "read",
        path: options.root.clone(),
        source,
    });
    let lifetimes = Lifetimes {
        snapshot_s: options.snapshot_hours * 3_600,
        timestamp_s: options.timestamp_hours * 3_600,
    };
    let keys = OnlineKeys::open(&options.keys)?;
    let root = root.map_err(muster_release::tuf::TufError::from)?;
    let done = refresh(&folder, &root, &keys, lifetimes, now())?;
    let told = shown::Refreshed::new(&done);
    shown::print(&told, &told.words(), format).map_err(ReleaseError::Output)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn keys(command: KeysCommand, format: OutputFormat) -> Result<ExitCode, ReleaseError> {
    match command {
        KeysCommand::New(options) => {
            let public = |directory: &PathBuf, name: &str| PublicKey::read(&directory.join(name));
            let online = match &options.online {
                Some(server) => Some((public(server, "snapshot.pub")?, public(server, "timestamp.pub")?)),
                None => None,
            };
            let ceremony = Ceremony {
                root_keys: options.root_keys,
                root_threshold: options.root_threshold,
                targets_keys: options.targets_keys,
                targets_threshold: options.targets_threshold,
                online,
                days: options.expires_days,
            };
            ceremony.hold(&options.directory, now())?;
            show(&options.directory, format)
        }
        KeysCommand::Make { file } => {
            let public = PrivateKey::make(&file)?.public();
            public.write(&file.with_extension("pub"))?;
            made(&[("key", &public, file.with_extension("pub"))], format)
        }
        KeysCommand::Online { directory } => {
            let (snapshot, timestamp) = OnlineKeys::open_or_make(&directory)?.public();
            let both = [
                ("snapshot", &snapshot, directory.join("snapshot.pub")),
                ("timestamp", &timestamp, directory.join("timestamp.pub")),
            ];
            for (_, public, path) in &both {
                if !path.exists() {
                    public.write(path)?;
                }
            }
            made(&both, format)
        }
        KeysCommand::Show { directory } => show(&directory, format),
        KeysCommand::Rotate(options) => {
            let mut change = Change {
                remove: options.remove,
                thresholds: options.threshold,
                days: options.expires_days,
                add: Vec::new(),
            };
            for (role, file) in options.add {
                change.add.push((role, PublicKey::read(Path::new(&file))?));
            }
            let progress = rotate(&Keys::open(&options.directory)?, &change, now())?;
            tell(&shown::Signed::new(&progress), format)
        }
        KeysCommand::Sign { file, keys, look } => {
            let progress = countersign(&file, &Keys::open(&keys)?, look)?;
            tell(&shown::Signed::new(&progress), format)
        }
        KeysCommand::Publish { folder, keys } => {
            let folder = Folder::create(&folder)?;
            let new = Repository::of(&folder).publish(&Roots::open(&keys)?)?;
            let told = shown::Published { new_roots: new };
            shown::print(&told, &told.words(), format).map_err(ReleaseError::Output)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(directory: &Path, format: OutputFormat) -> Result<ExitCode, ReleaseError> {
    let roots = Roots::open(directory)?;
    let own: Vec<(String, PathBuf)> = Keys::open(directory)?
        .private()
        .iter()
        .map(|key| (key.public().id(), key.path().to_owned()))
        .collect();
    let told = shown::Root::new(roots.latest(), &own);
    shown::print(&told, &told.words(), format).map_err(ReleaseError::Output)?;
    Ok(ExitCode::SUCCESS)
}

fn made(
    keys: &[(&'static str, &PublicKey, PathBuf)],
    format: OutputFormat,
) -> Result<ExitCode, ReleaseError> {
    let told = shown::Made::new(keys);
    shown::print(&told, &told.words(), format).map_err(ReleaseError::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// What was signed, and by whom it still has to be.
fn tell(told: &shown::Signed, format: OutputFormat) -> Result<ExitCode, ReleaseError> {
    shown::print(told, &told.words(), format).map_err(ReleaseError::Output)?;
    Ok(ExitCode::SUCCESS)
}
