//! Where things are: the repository, the cache outside it, cargo's target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The repository this run works on.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The repository's top folder.
    pub(crate) root: PathBuf,
    /// Tools and downloads that outlive a clone.
    pub(crate) cache: PathBuf,
}

impl Workspace {
    /// Finds the repository around the current folder. Not from a path baked in at build time: a cached executable
    /// may serve another clone.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        let Some(root) = here
            .ancestors()
            .find(|folder| folder.join("crates/xtask/Cargo.toml").is_file())
        else {
            bail!("{} is not inside a clone of Muster", here.display());
        };
        Ok(Self {
            root: root.to_owned(),
            cache: cache_folder(|name| std::env::var_os(name).map(PathBuf::from)),
        })
    }

    /// The folder in which tools installed by `cargo xtask` live.
    pub(crate) fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// A path inside the repository.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// A command that runs in `folder` of the repository, finds our own tools, asks no questions and prints no colours.
    pub(crate) fn command(&self, folder: &str, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path(folder));
        command.env("PATH", self.search_path());
        command.env("CARGO_TERM_COLOR", "never").env_remove("FORCE_COLOR");
        if program == "cargo" {
            // Cargo has its own word for it; the tests it runs look at colours themselves.
            command.env_remove("NO_COLOR");
        } else {
            command.env("NO_COLOR", "1");
        }
        // What `cargo run` told *us* would make build scripts of others believe that their input changed.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&*name);
            }
        }
        command
    }

    /// Where an executable is, looking where [`Workspace::command`] looks.
    pub(crate) fn which(&self, program: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.search_path())
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
    }

    /// What `cargo metadata --no-deps` says.
    pub(crate) fn metadata(&self) -> Result<Value> {
        let output = self
            .command(".", "cargo", &["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cargo cannot be started")?;
        if !output.status.success() {
            bail!(
                "cargo metadata failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).context("cargo metadata printed something that is not JSON")
    }

    /// The `muster` executable that tests from outside start: `MUSTER_BIN`, or the one that `cargo build` makes.
    pub(crate) fn muster_executable(&self) -> Result<PathBuf> {
        if let Some(path) = std::env::var_os("MUSTER_BIN") {
            return std::path::absolute(path).context("MUSTER_BIN cannot be made an absolute path");
        }
        Ok(self.target()?.join("debug/muster"))
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> Result<PathBuf> {
        let metadata = self.metadata()?;
        let target = metadata["target_directory"].as_str();
        Ok(PathBuf::from(
            target.context("cargo metadata names no target folder")?,
        ))
    }

    fn search_path(&self) -> std::ffi::OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([self.tools().join("bin")]);
        std::env::join_paths(folders).unwrap_or(path)
    }
}

/// `$MUSTER_CACHE`, `$XDG_CACHE_HOME/muster` or `$HOME/.cache/muster`: the first that is set and not empty.
fn cache_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let set = |name: &str| variable(name).filter(|value| !value.as_os_str().is_empty());
    set("MUSTER_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("muster")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/muster")))
        .unwrap_or_else(|| std::env::temp_dir().join("muster-cache"))
}

/// The scripts of a `package.json`, if there is such a file and it has this one.
pub(crate) fn has_script(package: &Path, script: &str) -> bool {
    let text = std::fs::read_to_string(package).unwrap_or_default();
    serde_json::from_str::<Value>(&text).is_ok_and(|value| value["scripts"][script].is_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cache_folder_that_is_set_wins() {
        let check = |set: &[(&str, &str)], expected: &str| {
            let found = cache_folder(|name| {
                set.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| PathBuf::from(value))
            });
            assert_eq!(found, Path::new(expected));
        };
        check(
            &[("MUSTER_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")],
            "/a",
        );
        check(
            &[("MUSTER_CACHE", ""), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")],
            "/b/muster",
        );
        check(&[("HOME", "/c")], "/c/.cache/muster");
    }
}
