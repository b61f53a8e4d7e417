//! Options that every operator's command takes.

use std::io::IsTerminal;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::moment::parse_duration;

/// Where the server is, and how answers are written.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// Address of the server
    #[arg(
        long,
        global = true,
        env = "MUSTER_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:7700"
    )]
    pub server: String,

    /// A PEM file with the authorities of which one must have issued the server's certificate [default: those that the system trusts]
    #[arg(long, global = true, env = "MUSTER_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<std::path::PathBuf>,

    /// Send the token or session also to another computer in plain HTTP, where everybody on the way can read it
    #[arg(long, global = true, env = "MUSTER_ALLOW_PLAIN_HTTP")]
    pub allow_plain_http: bool,

    /// How data is written: a table for people; JSON or YAML for programs (with --follow and --watch: JSON lines, or one
    /// YAML document after the other)
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    pub output: OutputFormat,

    /// Write without colours; also when NO_COLOR is set, or when the output is no terminal
    #[arg(long, global = true)]
    pub no_color: bool,

    /// Longest time to wait for an answer: 500ms, 15s, 2m
    #[arg(long, global = true, value_name = "TIME", default_value = "15s", value_parser = parse_duration)]
    pub timeout: Duration,
}

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// One JSON document, or JSON lines where it goes on.
    Json,
    /// YAML documents.
    Yaml,
}

impl GlobalOptions {
    /// Whether errors are written in colour.
    pub(super) fn colour_on_stderr(&self) -> bool {
        self.colour_allowed() && std::io::stderr().is_terminal()
    }

    /// Whether data is written in colour.
    pub(super) fn colour_on_stdout(&self) -> bool {
        self.colour_allowed() && std::io::stdout().is_terminal()
    }

    /// Source: no-color.org: set and not empty means no colour.
    fn colour_allowed(&self) -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        !self.no_color && !is_set("NO_COLOR") && !is_dumb
    }
}
