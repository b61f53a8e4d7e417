//! How the commands that run for long log.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use muster_runtime::logging::{Format, init};

use crate::rundown::{EXIT_CONFIGURATION, fail};

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogOptions {
    /// Which lines: error, warn, info, debug, trace, or a filter like muster_fleet=debug,info
    #[arg(long, env = "MUSTER_LOG", value_name = "FILTER", help_heading = "Logging")]
    log_level: Option<String>,
    /// How lines look
    #[arg(long, value_enum, default_value = "text", help_heading = "Logging")]
    log_format: LogFormat,
}

impl LogOptions {
    /// Sets logging up; `quiet` is the filter where none was asked for.
    pub(crate) fn start(&self, quiet: &str) -> Result<(), ExitCode> {
        let format = match self.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        };
        let filter = self.log_level.as_deref().unwrap_or(quiet);
        init(filter, format).map_err(|error| fail("MST-R001", &error, EXIT_CONFIGURATION))
    }
}
