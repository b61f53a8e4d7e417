//! Tables that fit the terminal: the least important columns go first, then what is left is cut short.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, Width};

use super::{Look, Paint, clean};

/// Columns between two columns.
const GAP: u16 = 2;

/// One column.
#[derive(Clone, Copy, Debug)]
pub(in crate::operator) struct Column {
    pub(in crate::operator) title: &'static str,
    /// Figures stand at the right.
    pub(in crate::operator) right: bool,
    /// Where there is no room the column with the least goes first; 255 always stays.
    pub(in crate::operator) keep: u8,
    /// The least width in a table that goes on: rows that come later may be wider than the first ones.
    pub(in crate::operator) room: u16,
}

impl Column {
    pub(in crate::operator) const fn left(title: &'static str, keep: u8) -> Self {
        Self {
            title,
            right: false,
            keep,
            room: 0,
        }
    }

    pub(in crate::operator) const fn right(title: &'static str, keep: u8) -> Self {
        Self {
            right: true,
            ..Self::left(title, keep)
        }
    }

    pub(in crate::operator) const fn room(self, room: u16) -> Self {
        Self { room, ..self }
    }
}

/// One cell: cleaned text and its colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator) struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    pub(in crate::operator) fn new(text: impl AsRef<str>) -> Self {
        Self::painted(text, Paint::Plain)
    }

    pub(in crate::operator) fn painted(text: impl AsRef<str>, paint: Paint) -> Self {
        let text = clean(text.as_ref());
        Self { text, paint }
    }

    /// The same cell, dimmed where it has no colour of its own.
    pub(in crate::operator) fn dimmed(mut self) -> Self {
        if self.paint == Paint::Plain {
            self.paint = Paint::Dim;
        }
        self
    }
}

/// A table that is filled row by row. Rows that come later keep to the widths of those that were written.
pub(in crate::operator) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    goes_on: bool,
    /// Widths of what was written; none before the first time.
    widths: Vec<u16>,
}

impl Table {
    pub(in crate::operator) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
            goes_on: false,
            widths: Vec::new(),
        }
    }

    /// More rows come after the first ones were written.
    pub(in crate::operator) fn going_on(mut self) -> Self {
        self.goes_on = true;
        self
    }

    pub(in crate::operator) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Takes the rows out as lines; the first time with the header.
    pub(in crate::operator) fn take_lines(&mut self, look: Look) -> String {
        let rows = std::mem::take(&mut self.rows);
        let is_first = self.widths.is_empty();
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_truncation_indicator("…");
        table.force_no_tty();
        if look.colour {
            table.enforce_styling();
        }
        if is_first {
            self.widths = self.content_widths(&rows);
            self.drop_columns(look.width);
            let titles = self.columns.iter().map(|column| {
                let paint = if column.title.is_empty() {
                    Paint::Plain
                } else {
                    Paint::Dim
                };
                styled(column.title, paint, column.right)
            });
            table.set_header(self.shown(titles));
        }
        for row in rows {
            let cells = row
                .iter()
                .zip(&self.columns)
                .map(|(cell, column)| styled(&cell.text, cell.paint, column.right));
            let mut line = comfy_table::Row::from(self.shown(cells));
            line.max_height(1);
            table.add_row(line);
        }
        if let Some(width) = look.width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        let widths: Vec<u16> = self.shown(self.widths.iter().copied());
        let rights = self.shown(self.columns.iter().map(|column| column.right));
        let last = widths.len().saturating_sub(1);
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { GAP }));
            let pads = if index == last { 0 } else { GAP };
            // The last one may end where it likes, unless its figures stand at the right.
            if index != last || rights.last() == Some(&true) {
                let least = widths.get(index).copied().unwrap_or(0) + pads;
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
            }
        }
        let lines = table.trim_fmt();
        if lines.is_empty() { lines } else { lines + "\n" }
    }

    /// What belongs to columns that are shown: a column that went has the width 0.
    fn shown<T>(&self, cells: impl Iterator<Item = T>) -> Vec<T> {
        cells
            .zip(&self.widths)
            .filter(|(_, width)| **width > 0)
            .map(|(cell, _)| cell)
            .collect()
    }

    fn content_widths(&self, rows: &[Vec<Cell>]) -> Vec<u16> {
        let mut table = comfy_table::Table::new();
        table.set_header(self.columns.iter().map(|column| column.title));
        for row in rows {
            table.add_row(row.iter().map(|cell| cell.text.as_str()));
        }
        let widths = table.column_max_content_widths();
        let least = |column: &Column| if self.goes_on { column.room.max(1) } else { 1 };
        let pairs = widths.into_iter().zip(&self.columns);
        pairs.map(|(width, column)| width.max(least(column))).collect()
    }

    fn drop_columns(&mut self, width: Option<u16>) {
        let Some(room) = width else { return };
        loop {
            let shown = self.widths.iter().filter(|width| **width > 0);
            let needed: u32 = shown.map(|width| u32::from(width + GAP)).sum();
            if needed <= u32::from(room + GAP) {
                return;
            }
            let candidates = self.columns.iter().enumerate();
            let least = candidates
                .filter(|(index, column)| self.widths[*index] > 0 && column.keep < u8::MAX)
                .min_by_key(|(_, column)| column.keep);
            match least {
                Some((index, _)) => self.widths[index] = 0,
                None => {
                    // Only what must stay is left: each gets its share.
                    let count = self.widths.iter().filter(|width| **width > 0).count();
                    let share = (room / u16::try_from(count).unwrap_or(1).max(1)).saturating_sub(GAP);
                    for width in self.widths.iter_mut().filter(|width| **width > 0) {
                        *width = (*width).min(share.max(1));
                    }
                    return;
                }
            }
        }
    }
}

fn styled(text: &str, paint: Paint, right: bool) -> comfy_table::Cell {
    let alignment = if right {
        CellAlignment::Right
    } else {
        CellAlignment::Left
    };
    let cell = comfy_table::Cell::new(text).set_alignment(alignment);
    match paint {
        Paint::Plain => cell,
        Paint::Heading => cell.add_attribute(Attribute::Bold),
        Paint::Dim => cell.add_attribute(Attribute::Dim),
        Paint::Good => cell.fg(Color::DarkGreen),
        Paint::Busy => cell.fg(Color::DarkBlue),
        Paint::Warning => cell.fg(Color::DarkYellow),
        Paint::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
        Paint::Note => cell.fg(Color::DarkCyan),
        Paint::Past => cell.fg(Color::DarkMagenta).add_attribute(Attribute::Bold),
    }
}
