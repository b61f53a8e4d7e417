//! Completions for shells, written for the whole of `muster`.

use std::io::Write;

use clap::Args;
use clap_complete::Shell;

use super::error::OperatorError;

/// Write the completions of a shell to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  muster completions bash > ~/.local/share/bash-completion/completions/muster
  muster completions zsh > ~/.zfunc/_muster
  muster completions fish > ~/.config/fish/completions/muster.fish")]
pub struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Writes the completions of the whole command line, `root`.
///
/// # Errors
///
/// The output cannot be written.
pub fn write_completions(
    options: &CompletionsOptions,
    root: &mut clap::Command,
    to: &mut dyn Write,
) -> Result<(), OperatorError> {
    let name = root.get_name().to_owned();
    // Into memory first: clap_complete panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, root, name, &mut script);
    to.write_all(&script)?;
    Ok(())
}
