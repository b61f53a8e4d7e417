//! GPIO chips and who uses which of their lines.

use gpiocdev::line::Direction;

use super::{Places, Sort, plain};
use crate::MetalError;
use crate::linux::files::{entries, number, optional};

/// A GPIO chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chip {
    /// Its name, which may change from boot to boot.
    pub name: String,
    /// Its label, which does not.
    pub label: String,
    /// How many lines it has.
    pub count: u32,
    /// Those that can be looked at.
    pub lines: Vec<Line>,
}

/// A line of a chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its offset on the chip.
    pub offset: u32,
    /// What the board calls it.
    pub name: String,
    /// Who has it; nobody, if empty.
    pub consumer: String,
    /// Whether it is set, and not read.
    pub is_output: bool,
    /// Whether it can be had.
    pub is_free: bool,
}

pub(super) fn gpio(places: &Places) -> Result<Sort, MetalError> {
    let mut sort = Sort::new("GPIO chips");
    let mut chips: Vec<String> = entries(&places.dev)?
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("gpiochip"))
        .collect();
    // A chip may be there without a file for it.
    for (name, _) in entries(&places.roots.sys.join("bus/gpio/devices"))? {
        if name.starts_with("gpiochip") && !chips.contains(&name) {
            chips.push(name);
        }
    }
    for name in &chips {
        match look(&places.dev.join(name), name) {
            Ok(chip) => chip.tell(&mut sort),
            Err(why) => sort.note(format!("{name}: {why}")),
        }
    }
    if chips.is_empty() {
        // Kernels without character devices have the old tree, which cannot be used, and says what is there.
        for (name, path) in entries(&places.roots.sys.join("class/gpio"))? {
            if let (Some(label), Some(lines)) =
                (optional(&path.join("label")), number::<u32>(&path.join("ngpio")))
            {
                sort.note(format!(
                    "{name}: {label}, {lines} lines; there is no /dev/gpiochip for it"
                ));
            }
        }
    }
    Ok(sort)
}

fn look(file: &std::path::Path, name: &str) -> Result<Chip, String> {
    if let Some(why) = super::rights(file) {
        return Err(why);
    }
    let refused = |error: gpiocdev::Error| format!("its lines cannot be looked at: {error}");
    let chip = gpiocdev::Chip::from_path(file).map_err(refused)?;
    let info = chip.info().map_err(refused)?;
    let mut lines = Vec::new();
    for offset in 0..info.num_lines {
        let Ok(line) = chip.line_info(offset) else {
            continue;
        };
        lines.push(Line {
            offset,
            name: line.name,
            consumer: line.consumer,
            is_output: line.direction == Direction::Output,
            is_free: !line.used,
        });
    }
    Ok(Chip {
        name: name.to_owned(),
        label: info.label,
        count: info.num_lines,
        lines,
    })
}

impl Chip {
    /// The chip and its lines in words, with an example that only needs its line.
    pub(super) fn tell(&self, sort: &mut Sort) {
        let chip = if self.label.is_empty() {
            &self.name
        } else {
            &self.label
        };
        sort.note(format!(
            "{}: {}, {} lines",
            self.name,
            plain(&self.label),
            self.count
        ));
        for line in &self.lines {
            let name = if line.name.is_empty() {
                "unnamed"
            } else {
                &line.name
            };
            let way = if line.is_output { "output" } else { "input" };
            let user = match (line.is_free, line.consumer.as_str()) {
                (true, _) => "free",
                (false, "") => "in use",
                (false, consumer) => consumer,
            };
            sort.note(format!("  line {}: {name}, {way}, {user}", line.offset));
        }
        if let Some(line) = self.lines.iter().find(|line| line.is_free) {
            sort.note(format!(
                "  such as: {{type: gpio, chip: {:?}, line: {}, direction: input, bias: pull_down}}",
                plain(chip),
                line.offset
            ));
        }
    }
}
