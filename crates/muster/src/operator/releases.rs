//! `muster release publish, list, info`: releases on a server. What is in a folder is [`crate::release`].

mod publish;

use clap::{Args, Subcommand};
use muster_protocol::api::{Release, ReleaseDeltas, ReleaseHook, ReleaseSummary};

use super::error::OperatorError;
use super::session::Session;
use super::text::{Cell, Column, Table, bytes, clean, local_time};

/// Releases that are listed.
const LISTED_MAX: usize = 10_000;
/// How long is waited for what machines have to fetch: large programs are packed for minutes.
const DELTAS_WITHIN: std::time::Duration = std::time::Duration::from_secs(600);

/// Releases on a server.
#[derive(Clone, Debug, Subcommand)]
pub enum ReleasesCommand {
    /// Bring releases of a folder to the server: contents that it lacks, manifests, and what vouches for them
    Publish(publish::PublishOptions),
    /// List the releases on the server
    List(ListOptions),
    /// Show a release on the server: what it asks for, who runs it, what machines have to fetch
    Info(InfoOptions),
}

#[derive(Clone, Debug, Args)]
pub struct ListOptions {
    /// Only those of this product
    #[arg(value_name = "PRODUCT")]
    product: Option<String>,
}

#[derive(Clone, Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Example:\n  muster release info car-app 1.4.0\n\n\
    What machines have to fetch is found out by packing it for them; the first time that takes a while."
)]
pub struct InfoOptions {
    /// The product
    #[arg(value_name = "PRODUCT")]
    product: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// Do not wait for what machines have to fetch, where it is not known yet
    #[arg(long)]
    no_wait: bool,
}

pub(super) async fn run(command: ReleasesCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        ReleasesCommand::Publish(options) => publish::run(options, session).await,
        ReleasesCommand::List(options) => list(options, session).await,
        ReleasesCommand::Info(options) => info(options, session).await,
    }
}

async fn list(options: ListOptions, session: &mut Session) -> Result<(), OperatorError> {
    let page = session
        .client
        .releases(options.product.as_deref(), LISTED_MAX)
        .await?;
    if !session.is_table() {
        return session.document(&page);
    }
    if page.items.is_empty() {
        session.note("there are none; `muster release publish FOLDER` brings them here");
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("PRODUCT", 255),
        Column::left("VERSION", 254),
        Column::right("COUNTER", 253),
        Column::left("KIND", 250),
        Column::right("SIZE", 252),
        Column::right("FILES", 249),
        Column::left("FOR", 251),
        Column::left("PUBLISHED", 248),
        Column::left("BY", 247),
    ]);
    for release in &page.items {
        table.push(vec![
            Cell::new(&release.product),
            Cell::new(&release.version),
            Cell::new(release.counter.to_string()),
            Cell::new(&release.payload),
            Cell::new(bytes(release.bytes)),
            Cell::new(release.files.to_string()),
            Cell::new(fits(release)),
            Cell::new(local_time(release.published_at, session.zone())),
            Cell::new(&release.published_by),
        ]);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}

/// `car, pi · aarch64`.
fn fits(release: &ReleaseSummary) -> String {
    let words = [&release.fits.kinds, &release.fits.architectures];
    let words: Vec<String> = words
        .into_iter()
        .filter(|words| !words.is_empty())
        .map(|words| words.join(", "))
        .collect();
    if words.is_empty() {
        return "all".to_owned();
    }
    clean(&words.join(" · "))
}

#[derive(serde::Serialize)]
struct Info<'a> {
    release: &'a Release,
    deltas: &'a ReleaseDeltas,
}

async fn info(options: InfoOptions, session: &mut Session) -> Result<(), OperatorError> {
    let (product, version) = (&options.product, &options.version);
    let release = session.client.release(product, version).await?;
    let until = tokio::time::Instant::now() + DELTAS_WITHIN;
    // The server answers within some seconds, with what it knows by then.
    let deltas = loop {
        let deltas = session.client.release_deltas(product, version).await?;
        let is_known = deltas.full_bytes.is_some() && deltas.items.iter().all(|item| item.bytes.is_some());
        if is_known || options.no_wait || tokio::time::Instant::now() > until {
            break deltas;
        }
    };
    if !session.is_table() {
        return session.document(&Info {
            release: &release,
            deltas: &deltas,
        });
    }
    let mut text = shown(&release, session);
    text.push_str("\nWhat a machine has to fetch\n");
    session.print(&text)?;
    let mut table = Table::new([
        Column::left("IT HAS", 255),
        Column::right("FETCHES", 254),
        Column::right("OF ALL", 253),
        Column::right("CONTENTS", 252),
        Column::right("SHARED", 251),
    ]);
    let of_all = |part: Option<u64>| match (part, deltas.content_bytes) {
        (Some(part), all) if all > 0 => format!("{:.1} %", part as f64 * 100.0 / all as f64),
        _ => String::new(),
    };
    let told = |part: Option<u64>| part.map_or_else(|| "being found out".to_owned(), bytes);
    table.push(vec![
        Cell::new("nothing"),
        Cell::new(told(deltas.full_bytes)),
        Cell::new(of_all(deltas.full_bytes)),
        Cell::new(release.contents.to_string()),
        Cell::new("0"),
    ]);
    for item in &deltas.items {
        let known = |count: u64| item.bytes.map_or(String::new(), |_| count.to_string());
        table.push(vec![
            Cell::new(&item.from),
            Cell::new(told(item.bytes)),
            Cell::new(of_all(item.bytes)),
            Cell::new(known(item.contents)),
            Cell::new(known(item.shared)),
        ]);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}

fn shown(release: &Release, session: &Session) -> String {
    let summary = &release.summary;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("{name:<12}{}\n", clean(&value)));
        }
    };
    line("release", format!("{} {}", summary.product, summary.version));
    line("counter", summary.counter.to_string());
    line("manifest", summary.manifest.clone());
    line(
        "kind",
        match &release.starts {
            Some(starts) => format!("{}: {starts}", summary.payload),
            None => summary.payload.clone(),
        },
    );
    line(
        "size",
        format!(
            "{} in {} files, {} of it different",
            bytes(summary.bytes),
            summary.files,
            bytes(release.content_bytes)
        ),
    );
    line("for", fits(summary));
    line("requires", release.preconditions.join("; "));
    let hooks = |hooks: &[ReleaseHook]| {
        let hooks: Vec<String> = hooks.iter().map(|hook| hook.command.join(" ")).collect();
        hooks.join("; ")
    };
    line("before", hooks(&release.before));
    line("after", hooks(&release.after));
    if let Some(health) = &release.health {
        let checks = health.checks.join(", ");
        line(
            "healthy",
            format!("{checks}: for {} s, within {} s", health.hold_s, health.within_s),
        );
    }
    let running = &release.running;
    let proved = match running.machines - running.confirmed.min(running.machines) {
        0 => String::new(),
        others => format!(", {others} of them on probation"),
    };
    line("runs on", format!("{} machines{proved}", running.machines));
    let when = local_time(summary.published_at, session.zone());
    line("published", format!("{when} by {}", summary.published_by));
    text
}
