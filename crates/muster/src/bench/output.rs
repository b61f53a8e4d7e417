//! The report as people and programs read it.

use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::error::{BenchError, Result};
use super::report::{Figure, Goal, Report};
use crate::operator::OutputFormat;

/// Writes the report to standard output.
pub(super) fn write(report: &Report, format: OutputFormat) -> Result<()> {
    let text = match format {
        OutputFormat::Table => table(report),
        OutputFormat::Json => {
            serde_json::to_string_pretty(report).map_err(|error| unwritable(&error))? + "\n"
        }
        // By way of JSON, so that both say the same: YAML has tags of its own for variants.
        OutputFormat::Yaml => serde_json::to_string(report)
            .map_err(|error| unwritable(&error))
            .and_then(|json| yaml_serde::from_str(&json).map_err(|error| unwritable(&error)))
            .and_then(|value: yaml_serde::Value| {
                yaml_serde::to_string(&value).map_err(|error| unwritable(&error))
            })?,
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Who read the output has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(BenchError::System {
            what: "the report cannot be written",
            source: error,
        }),
        Ok(()) => Ok(()),
    }
}

fn unwritable(error: &dyn std::fmt::Display) -> BenchError {
    BenchError::Load(format!("the report has no form that can be written: {error}"))
}

fn table(report: &Report) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["", "", "MEASURED", "GOAL", "", ""]);
    let mut scenario = "";
    for figure in &report.figures {
        let of = figure.name.split(['.', ' ']).next().unwrap_or_default();
        if of != scenario {
            scenario = of;
            table.add_row([scenario.to_uppercase().as_str()]);
        }
        table.add_row([
            format!("  {}", figure.what),
            figure.subject.clone(),
            value(figure),
            figure.goal.map(goal).unwrap_or_default(),
            match figure.met {
                Some(true) => "met".to_owned(),
                Some(false) => "MISSED".to_owned(),
                None => String::new(),
            },
            figure
                .limited_by
                .as_ref()
                .map(|by| format!("({by})"))
                .unwrap_or_default(),
        ]);
    }
    for column in [2, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    let loads = match report.seconds {
        1 => "a second".to_owned(),
        seconds => format!("{seconds} s"),
    };
    text += &format!(
        "\nMuster {} ({} build) on {}, {}: {} machines, loads of {loads}.\nHow each figure is taken: muster bench --methods\n",
        report.muster,
        report.build,
        report.host.in_words(),
        report.started_at,
        report.machines,
    );
    for note in &report.notes {
        text += &format!("NOTE: {note}\n");
    }
    text
}

fn value(figure: &Figure) -> String {
    format!("{} {}", number(figure.value), figure.unit)
        .trim_end()
        .to_owned()
}

fn goal(goal: Goal) -> String {
    match goal {
        Goal::AtMost(bound) => format!("≤ {}", number(bound)),
        Goal::AtLeast(bound) => format!("≥ {}", number(bound)),
    }
}

/// Three digits that mean something.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 10_000.0 => super::progress::thousands(value.round() as u64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}
