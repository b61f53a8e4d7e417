//! The columns of the table of machines.

use clap::ValueEnum;
use muster_model::{Presence, StatusWord, Timestamp};
use muster_protocol::api::MachineSummary;

use crate::operator::text::{
    Cell, Column, Look, Paint, Table, UNKNOWN, age, coordinates, number, percent, short_id_chars,
    status_sign, temperature, word_or_unknown,
};

/// A column, as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ColumnName {
    /// The name that is shown
    Name,
    /// The kind of machine
    Kind,
    /// Where it belongs
    Region,
    /// Its status, with a sign
    Status,
    /// Why its status is that one
    Reason,
    /// What it is doing
    Mode,
    /// Charge of the battery; ↑ while charging
    Battery,
    /// The hottest zone
    #[value(alias = "temperature")]
    Temp,
    /// Processor time in use
    Cpu,
    /// Memory in use
    Memory,
    /// How full the fullest disk is
    Disk,
    /// Speed over ground
    Speed,
    /// Where it is
    Location,
    /// How present it is
    Presence,
    /// What its safety node says
    Safety,
    /// Its labels
    Labels,
    /// The version of its runtime
    Version,
    /// When anything was last heard of it
    LastSeen,
    /// When it last reported its state
    Reported,
    /// As much of its id as tells it from the others
    Id,
    /// Its whole id
    FullId,
}

use ColumnName as C;

const USUAL: &[ColumnName] = &[
    C::Name,
    C::Kind,
    C::Region,
    C::Status,
    C::Mode,
    C::Battery,
    C::Temp,
    C::Cpu,
    C::Version,
    C::LastSeen,
    C::Id,
];

const WIDE: &[ColumnName] = &[
    C::Name,
    C::Kind,
    C::Region,
    C::Status,
    C::Mode,
    C::Battery,
    C::Temp,
    C::Cpu,
    C::Memory,
    C::Disk,
    C::Presence,
    C::Safety,
    C::Version,
    C::LastSeen,
    C::FullId,
    C::Labels,
    C::Reason,
];

pub(super) fn chosen(named: &[ColumnName], wide: bool) -> Vec<ColumnName> {
    match (named, wide) {
        ([], true) => WIDE.to_vec(),
        ([], false) => USUAL.to_vec(),
        (named, _) => named.to_vec(),
    }
}

/// A table of machines.
pub(super) struct MachineTable {
    columns: Vec<ColumnName>,
    table: Table,
    id_chars: usize,
}

impl MachineTable {
    /// `rows` are those whose ids are to be told apart.
    pub(super) fn new(columns: Vec<ColumnName>, rows: &[MachineSummary]) -> Self {
        let heads: Vec<Column> = columns.iter().copied().map(head).collect();
        Self {
            columns,
            table: Table::new(heads),
            id_chars: short_id_chars(rows.iter().map(|row| &row.id)),
        }
    }

    /// Adds a machine as seen from this moment.
    pub(super) fn push(&mut self, row: &MachineSummary, at: Timestamp) {
        let cells = self
            .columns
            .iter()
            .map(|column| cell(*column, row, at, self.id_chars));
        // What is shown of a machine that was not heard of for long is old.
        let is_old = row.presence == Presence::Lost;
        let cells = cells.map(|cell| if is_old { cell.dimmed() } else { cell });
        self.table.push(cells.collect());
    }

    /// More machines come after the first ones were written.
    pub(super) fn going_on(mut self) -> Self {
        self.table = self.table.going_on();
        self
    }

    pub(super) fn take_lines(&mut self, look: Look) -> String {
        self.table.take_lines(look)
    }
}

fn head(column: ColumnName) -> Column {
    match column {
        C::Name => Column::left("NAME", u8::MAX).room(12),
        C::Kind => Column::left("KIND", 60).room(8),
        C::Region => Column::left("REGION", 55).room(8),
        C::Status => Column::left("STATUS", u8::MAX).room(11),
        C::Reason => Column::left("REASON", 35).room(24),
        C::Mode => Column::left("MODE", 70).room(12),
        C::Battery => Column::right("BATTERY", 80).room(7),
        C::Temp => Column::right("TEMP", 50).room(8),
        C::Cpu => Column::right("CPU", 45).room(5),
        C::Memory => Column::right("MEMORY", 44).room(6),
        C::Disk => Column::right("DISK", 43).room(5),
        C::Speed => Column::right("SPEED", 42).room(8),
        C::Location => Column::left("LOCATION", 41),
        C::Presence => Column::left("PRESENCE", 40).room(8),
        C::Safety => Column::left("SAFETY", 40).room(15),
        C::Labels => Column::left("LABELS", 30),
        C::Version => Column::left("VERSION", 32),
        C::LastSeen => Column::right("LAST SEEN", 90),
        C::Reported => Column::right("REPORTED", 31),
        C::Id | C::FullId => Column::left("ID", 20),
    }
}

fn cell(column: ColumnName, row: &MachineSummary, at: Timestamp, id_chars: usize) -> Cell {
    match column {
        C::Name => Cell::new(word_or_unknown(&row.name)),
        C::Kind => Cell::new(word_or_unknown(&row.kind)),
        C::Region => Cell::new(word_or_unknown(&row.region)),
        C::Status => {
            let (sign, paint) = status_sign(row.status);
            Cell::painted(format!("{sign} {}", row.status), paint)
        }
        C::Reason => Cell::new(match (row.status, row.status_reason.as_str()) {
            (StatusWord::Ok | StatusWord::Parked, "") => "",
            (_, reason) => reason,
        }),
        C::Mode => Cell::new(row.mode.map_or(UNKNOWN, |mode| mode.as_str())),
        C::Battery => battery(row),
        C::Temp => Cell::new(temperature(row.temperature_celsius)),
        C::Cpu => Cell::new(percent(row.cpu_percent)),
        C::Memory => Cell::new(percent(row.memory_percent)),
        C::Disk => Cell::new(percent(row.disk_percent)),
        C::Speed => Cell::new(number(row.speed_m_per_s, 1, "m/s")),
        C::Location => Cell::new(match (row.latitude_degrees, row.longitude_degrees) {
            (Some(latitude), Some(longitude)) => coordinates(latitude, longitude),
            (Some(_) | None, _) => UNKNOWN.to_owned(),
        }),
        C::Presence => Cell::new(row.presence.as_str()),
        C::Safety => Cell::new(row.safety.map_or(UNKNOWN, |safety| safety.as_str())),
        C::Labels => Cell::new(labels(row)),
        C::Version => Cell::new(word_or_unknown(&row.version)),
        C::LastSeen => Cell::new(age(row.last_seen, at)),
        C::Reported => Cell::new(
            row.reported_at
                .map_or_else(|| UNKNOWN.to_owned(), |then| age(then, at)),
        ),
        C::Id => Cell::painted(&row.id.to_string()[..id_chars], Paint::Dim),
        C::FullId => Cell::painted(row.id.to_string(), Paint::Dim),
    }
}

fn battery(row: &MachineSummary) -> Cell {
    let text = percent(row.battery_percent);
    let is_low = row.battery_percent.is_some_and(|percent| percent < 20.0);
    match row.charging {
        Some(true) => Cell::painted(format!("↑ {text}"), Paint::Good),
        Some(false) | None if is_low => Cell::painted(text, Paint::Bad),
        Some(false) | None => Cell::new(text),
    }
}

fn labels(row: &MachineSummary) -> String {
    let pairs = row.labels.iter().map(|(key, value)| match value.as_str() {
        "" => key.clone(),
        value => format!("{key}={value}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}
