//! The commands from parsed command line to written output, against a server of the test's own.
//!
//! Golden files lie beside this file under `snapshots/`.

/// Compares with a golden file. Its name does not depend on the crate that these modules are compiled into.
macro_rules! golden {
    ($name:literal, $text:expr) => {{
        let text = $text;
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, text);
        });
    }};
}

mod calibration;
mod changes;
mod commands;
mod desired;
mod live;
mod parsing;
mod shown;
mod stop;
mod workloads;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use jiff::tz::{Offset, TimeZone};
use muster_client::test_server::{Fleet, TestServer, start};
use muster_client::{Backoff, Client, ClientOptions};
use tokio::sync::watch;
use tokio::time::Duration;

use super::session::Session;
use super::text::Look;
use super::{CompletionsOptions, GlobalOptions, OperatorCommand, OperatorError, carry_out};

/// A parser as `main` has one.
#[derive(Debug, Parser)]
#[command(name = "muster", after_help = super::EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    #[command(flatten)]
    Operator(OperatorCommand),
    Completions(CompletionsOptions),
    /// A command of somebody else, with an option of the same name.
    Sim {
        #[arg(long)]
        server: String,
    },
}

/// What was written so far, and a way to wait for more.
#[derive(Clone)]
struct Written {
    bytes: Arc<Mutex<Vec<u8>>>,
    length: watch::Sender<usize>,
}

impl Written {
    fn new() -> Self {
        Self {
            bytes: Arc::default(),
            length: watch::channel(0).0,
        }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("output is UTF-8")
    }

    async fn wait_for(&self, wanted: &str) -> String {
        let mut length = self.length.subscribe();
        let found = length.wait_for(|_| self.text().contains(wanted));
        let in_time = tokio::time::timeout(Duration::from_secs(10), found).await;
        assert!(in_time.is_ok(), "{wanted:?} never came, but {:?}", self.text());
        self.text()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut all = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        let length = all.len();
        drop(all);
        self.length.send_replace(length);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A terminal, and what is seen on it.
struct Terminal {
    out: Written,
    notes: Written,
    /// What the person there types; none where nobody sits there.
    answers: Option<String>,
    look: Look,
}

impl Terminal {
    fn new(width: Option<u16>) -> Self {
        Self {
            out: Written::new(),
            notes: Written::new(),
            answers: None,
            look: Look { width, colour: false },
        }
    }

    async fn run(&self, server: &str, line: &[&str]) -> Result<(), OperatorError> {
        let words = ["muster"].iter().chain(line);
        let arguments = Arguments::try_parse_from(words).expect("a command line");
        let Command::Operator(command) = arguments.command else {
            panic!("not an operator's command");
        };
        let options = ClientOptions {
            backoff: Backoff {
                least: Duration::from_millis(1),
                most: Duration::from_millis(5),
            },
            ..ClientOptions::default()
        };
        let now = jiff::Timestamp::from_millisecond(start().as_millis()).expect("moment");
        let mut session = Session {
            client: Client::new(server, options).expect("address"),
            format: arguments.global.output,
            look: self.look,
            screen_lines: None,
            now: now.to_zoned(TimeZone::fixed(Offset::constant(1))),
            out: Box::new(self.out.clone()),
            notes: Box::new(self.notes.clone()),
            answers: self
                .answers
                .clone()
                .map(|text| Box::new(std::io::Cursor::new(text)) as Box<dyn std::io::BufRead + Send>),
        };
        carry_out(command, &mut session).await
    }
}

async fn server(fleet: Fleet) -> TestServer {
    TestServer::start(fleet).await.expect("a free port")
}

/// Both outputs of a command that succeeds, as a person at a terminal of this width sees them.
async fn seen(fleet: Fleet, width: Option<u16>, line: &[&str]) -> String {
    let server = server(fleet).await;
    let terminal = Terminal::new(width);
    terminal.run(server.address(), line).await.expect("success");
    let address = server.address();
    let text = format!("{}--- notes\n{}", terminal.out.text(), terminal.notes.text());
    text.replace(address, "http://server")
}

/// What a command that fails says, and its exit code.
async fn refused(server: &str, line: &[&str]) -> (String, u8) {
    let error = Terminal::new(None).run(server, line).await.expect_err("failure");
    let mut report = Vec::new();
    error.report(&mut report, false);
    let text = String::from_utf8(report)
        .expect("UTF-8")
        .replace(server, "http://server");
    (text, error.exit_code())
}
