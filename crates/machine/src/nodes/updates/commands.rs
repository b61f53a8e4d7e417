//! Hooks and checks of a release. They run in the release's own directory; no shell reads them.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use muster_release::Manifest;
use muster_release::manifest::{HealthCheck, Hook, What};

use crate::nodes::workloads::run_command;

/// How long one check may take.
const CHECK_WITHIN: Duration = Duration::from_secs(5);
/// Where programs without a slash are looked for.
const PATHS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest word of a program about its failure.
const SAID_MAX_CHARS: usize = 200;

/// Runs commands one after the other, the first that fails ends it.
pub(super) fn run_all(manifest: &Manifest, directory: &Path, hooks: &[Hook]) -> Result<(), String> {
    for hook in hooks {
        run_one(
            manifest,
            directory,
            &hook.command,
            Duration::from_secs(hook.within_s),
        )?;
    }
    Ok(())
}

fn run_one(manifest: &Manifest, directory: &Path, words: &[String], within: Duration) -> Result<(), String> {
    let Some((first, arguments)) = words.split_first() else {
        return Ok(());
    };
    let mut command = Command::new(program(directory, first));
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", PATHS)
        .env("MUSTER_PRODUCT", &manifest.product)
        .env("MUSTER_VERSION", manifest.version.to_string());
    match run_command(command, within) {
        Ok((true, _)) => Ok(()),
        Ok((false, said)) => {
            let last = said
                .lines()
                .rfind(|line| !line.trim().is_empty())
                .unwrap_or("it failed");
            Err(format!(
                "{first}: {}",
                last.chars().take(SAID_MAX_CHARS).collect::<String>()
            ))
        }
        Err(error) => Err(format!("{first}: {error}")),
    }
}

/// A program with a slash lies in the release, or has an absolute path.
fn program(directory: &Path, word: &str) -> PathBuf {
    if word.contains('/') {
        directory.join(word)
    } else {
        PathBuf::from(word)
    }
}

/// A program that the release wants to run and that is nowhere: known before anything is changed.
pub(super) fn missing(manifest: &Manifest) -> Option<String> {
    let hooks = manifest.hooks.before.iter().chain(&manifest.hooks.after);
    let checks = manifest.health.iter().flat_map(|health| &health.checks);
    let commands = hooks
        .map(|hook| &hook.command)
        .chain(checks.filter_map(|check| match check {
            HealthCheck::Command(command) => Some(&command.command),
            HealthCheck::Port(_) | HealthCheck::Process => None,
        }));
    let missing = commands
        .filter_map(|words| words.first())
        .find(|word| !is_there(manifest, word))?;
    Some(format!("it runs {missing}, and this machine has no such program"))
}

fn is_there(manifest: &Manifest, word: &str) -> bool {
    if Path::new(word).is_absolute() {
        return Path::new(word).is_file();
    }
    if word.contains('/') {
        let path = word.strip_prefix("./").unwrap_or(word);
        return manifest
            .entries
            .iter()
            .any(|entry| entry.path == path && !matches!(entry.what, What::Directory));
    }
    PATHS
        .split(':')
        .any(|directory| Path::new(directory).join(word).is_file())
}

/// What is wrong with a version on probation; `processes` is what is wrong with what runs of it.
pub(super) fn check(manifest: &Manifest, directory: &Path, processes: Vec<String>) -> Vec<String> {
    let Some(health) = &manifest.health else {
        return processes;
    };
    let mut problems = Vec::new();
    for check in &health.checks {
        match check {
            HealthCheck::Process => problems.extend(processes.iter().cloned()),
            HealthCheck::Port(port) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
                if let Err(error) = TcpStream::connect_timeout(&address, CHECK_WITHIN) {
                    problems.push(format!("port {port}: {error}"));
                }
            }
            HealthCheck::Command(command) => {
                problems.extend(run_one(manifest, directory, &command.command, CHECK_WITHIN).err());
            }
        }
    }
    problems
}
