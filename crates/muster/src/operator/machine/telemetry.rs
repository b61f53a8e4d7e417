//! `muster machine telemetry`: a machine's measurements, the latest and how they went.

use clap::Args;
use muster_client::TelemetryQuery;
use muster_protocol::api::{Series, Telemetry};

use crate::operator::error::OperatorError;
use crate::operator::find::find;
use crate::operator::session::Session;
use crate::operator::text::{Cell, Column, Paint, Table, UNKNOWN, age, local_time, number};

/// Signs in one drawing of a series.
const DRAWING_SIGNS: usize = 24;
const SIGNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Debug, Args)]
pub struct TelemetryOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Only metrics whose names begin so; several with commas
    #[arg(long, short, value_name = "METRIC,…", value_delimiter = ',')]
    pub metric: Vec<String>,

    /// From this moment on: 14:03, `yesterday 14:03`, `10m ago`, `2026-11-21 14:03`, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,

    /// Before this moment
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
}

pub(super) async fn run(options: TelemetryOptions, session: &mut Session) -> Result<(), OperatorError> {
    let query = TelemetryQuery {
        from: session.moment(options.from.as_deref())?,
        to: session.moment(options.to.as_deref())?,
    };
    let found = find(session, &options.machine, None).await?;
    let mut telemetry = session.client.machine_telemetry(found.id, &query).await?;
    let wanted = |series: &Series| {
        let mut names = options.metric.iter();
        options.metric.is_empty() || names.any(|name| series.metric.starts_with(name.as_str()))
    };
    telemetry.series.retain(wanted);
    if !session.is_table() {
        return session.document(&telemetry);
    }
    if telemetry.series.is_empty() {
        session.note(&format!(
            "the server holds no such measurements of {}",
            found.title()
        ));
        return Ok(());
    }
    let text = render(&telemetry, session);
    session.print(&text)
}

fn render(telemetry: &Telemetry, session: &Session) -> String {
    let from = local_time(telemetry.from, session.zone());
    let to = local_time(telemetry.to, session.zone());
    let span = session.look.paint(&format!("{from} to {to}"), Paint::Dim);
    let mut table = Table::new([
        Column::left("METRIC", u8::MAX),
        Column::right("LATEST", u8::MAX),
        Column::left("UNIT", 250),
        Column::right("LEAST", 100),
        Column::right("MEAN", 90),
        Column::right("GREATEST", 100),
        Column::right("AGE", 110),
        Column::left("COURSE", 80),
    ]);
    for series in &telemetry.series {
        table.push(row(series, telemetry));
    }
    format!("{span}\n\n{}", table.take_lines(session.look))
}

fn row(series: &Series, telemetry: &Telemetry) -> Vec<Cell> {
    let points = &series.points;
    let latest = points.last();
    let figure = |value: Option<f64>| Cell::new(number(value, digits(series), ""));
    let count: f64 = points.iter().map(|point| f64::from(point.count)).sum();
    let sum: f64 = points
        .iter()
        .map(|point| point.mean * f64::from(point.count))
        .sum();
    let value = number(latest.map(|point| point.mean), digits(series), "");
    vec![
        Cell::new(&series.metric),
        Cell::new(value),
        Cell::painted(&series.unit, Paint::Dim),
        figure(points.iter().map(|point| point.min).reduce(f64::min)),
        figure((count > 0.0).then(|| sum / count)),
        figure(points.iter().map(|point| point.max).reduce(f64::max)),
        Cell::new(latest.map_or_else(|| UNKNOWN.to_owned(), |point| age(point.at, telemetry.to))),
        Cell::painted(draw(points.iter().map(|point| point.mean).collect()), Paint::Note),
    ]
}

/// Large figures need no digits behind the point.
fn digits(series: &Series) -> usize {
    let greatest = series
        .points
        .iter()
        .map(|point| point.max.abs())
        .fold(0.0, f64::max);
    match greatest {
        greatest if greatest >= 1_000.0 => 0,
        greatest if greatest >= 10.0 => 1,
        _ => 2,
    }
}

/// The course of a series in a few signs.
pub(in crate::operator) fn draw(values: Vec<f64>) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let per_sign = values.len().div_ceil(DRAWING_SIGNS).max(1);
    let height = (greatest - least).max(f64::MIN_POSITIVE);
    values
        .chunks(per_sign)
        .map(|chunk| {
            let mean = chunk.iter().sum::<f64>() / chunk.len() as f64;
            let share = ((mean - least) / height).clamp(0.0, 1.0);
            SIGNS[(share * (SIGNS.len() - 1) as f64).round() as usize]
        })
        .collect()
}
