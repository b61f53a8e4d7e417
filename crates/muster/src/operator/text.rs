//! How things look at a terminal: colours, tables, figures and ages.
//!
//! Text that came from a machine or a person is [`clean`]ed before it is written: it must not move the cursor.

mod figures;
mod table;

pub(super) use figures::{
    UNKNOWN, age, bytes, coordinates, local_time, number, percent, severity_paint, short_id_chars, span,
    status_sign, temperature, word_or_unknown,
};
pub(super) use table::{Cell, Column, Table};

use anstyle::{AnsiColor, Style};

/// How wide and how colourful the output is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Columns of the terminal; no limit where there is none.
    pub(super) width: Option<u16>,
    /// Whether there are colours.
    pub(super) colour: bool,
}

impl Look {
    pub(super) fn paint(self, text: &str, how: Paint) -> String {
        paint(text, how, self.colour)
    }
}

/// What a colour says. It is never the only sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Paint {
    #[default]
    Plain,
    /// A heading.
    Heading,
    /// Old, or of little interest.
    Dim,
    /// As it should be.
    Good,
    /// Under way.
    Busy,
    /// Needs a look.
    Warning,
    /// Broken, or dangerous.
    Bad,
    /// Something to read.
    Note,
    /// Not the present.
    Past,
}

impl Paint {
    pub(super) fn style(self) -> Style {
        let coloured = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => coloured(AnsiColor::Green),
            Self::Busy => coloured(AnsiColor::Blue),
            Self::Warning => coloured(AnsiColor::Yellow),
            Self::Bad => coloured(AnsiColor::Red).bold(),
            Self::Note => coloured(AnsiColor::Cyan),
            Self::Past => coloured(AnsiColor::Magenta).bold(),
        }
    }
}

/// Text in a colour, where there are colours.
pub(super) fn paint(text: &str, how: Paint, colour: bool) -> String {
    if colour && how != Paint::Plain {
        let style = how.style();
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// Text without anything that would steer the terminal, on one line.
pub(super) fn clean(text: &str) -> String {
    // Besides controls: what turns the direction of writing around can make a line read as another.
    let steers = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|character| match character {
            '\n' | '\r' | '\t' => ' ',
            other if steers(other) => '\u{fffd}',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests;
