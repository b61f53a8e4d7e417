//! Which machines a person means: `kind=car region=munich|berlin battery<20 label.line=3 frida`.
//!
//! Terms are separated by spaces or commas and all must hold. A term is a field, an operator and a value, or a bare
//! word that is looked for in name, id, kind, region and labels. Values of one term are separated by `|`: one must hold.
//! What holds spaces or commas goes between double quotes: `name="B-MU 1002"`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::status::StatusWord;
use crate::view::MachineView;
use crate::vocabulary::{Mode, Presence, Safety};

/// Longest filter, in bytes.
pub const FILTER_MAX_BYTES: usize = 1024;
/// Most terms in a filter.
pub const FILTER_MAX_TERMS: usize = 32;

/// Something of a machine that can be filtered and sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Its id.
    Id,
    /// The name that is shown.
    Name,
    /// Its kind.
    Kind,
    /// Its region.
    Region,
    /// Its status word.
    Status,
    /// How present it is.
    Presence,
    /// What it is doing.
    Mode,
    /// What safety says.
    Safety,
    /// The version of its runtime.
    Version,
    /// Charge of the battery in percent.
    Battery,
    /// The hottest zone in degrees Celsius.
    Temperature,
    /// Processor time in use in percent.
    Cpu,
    /// Memory in use in percent.
    Memory,
    /// How full the fullest disk is, in percent.
    Disk,
    /// When it was last heard of.
    LastSeen,
    /// One of its labels.
    Label(String),
}

/// The names of the fields, as people write them; `label.KEY` besides.
pub const FIELD_NAMES: &[&str] = &[
    "id",
    "name",
    "kind",
    "region",
    "status",
    "presence",
    "mode",
    "safety",
    "version",
    "battery",
    "temperature",
    "cpu",
    "memory",
    "disk",
    "last_seen",
];

/// What a field holds for one machine.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A word or a name.
    Text(String),
    /// A figure.
    Number(f64),
    /// Not known, or the machine has none.
    Absent,
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No such field.
    #[error("there is no field {name:?}: accepted are {}, and label.KEY", FIELD_NAMES.join(", "))]
    UnknownField {
        /// What was written.
        name: String,
    },
    /// A field with no value behind it.
    #[error("{term:?} has no value: write it like kind=car, battery<20 or name~frida")]
    NoValue {
        /// What was written.
        term: String,
    },
    /// Words have no order.
    #[error("{field:?} holds words: use = , != or ~ with it, not {operator:?}")]
    NotANumber {
        /// The field.
        field: String,
        /// The operator.
        operator: String,
    },
    /// A figure was wanted.
    #[error("{value:?} is not a number, and {field:?} holds numbers")]
    BadNumber {
        /// The field.
        field: String,
        /// What was written.
        value: String,
    },
    /// A word that the field never holds.
    #[error("{field:?} is never {value:?}: accepted are {accepted}")]
    NeverHeld {
        /// The field.
        field: String,
        /// What was written.
        value: String,
        /// What the field can hold.
        accepted: String,
    },
    /// A quote that never ends.
    #[error("a double quote is open in {text:?}: write it like name=\"B-MU 1002\"")]
    OpenQuote {
        /// What was written.
        text: String,
    },
    /// Too long.
    #[error("a filter has at most {FILTER_MAX_BYTES} bytes and {FILTER_MAX_TERMS} terms")]
    TooLong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    Contains,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Search(String),
    Words {
        field: Field,
        operator: Operator,
        values: Vec<String>,
    },
    Number {
        field: Field,
        operator: Operator,
        values: Vec<f64>,
    },
}

/// A filter over machines. The empty one lets every machine through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
}

impl Filter {
    /// Whether a machine passes.
    pub fn matches(&self, view: &MachineView) -> bool {
        self.terms.iter().all(|term| term.matches(view))
    }

    /// Whether every machine passes.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The first part that looks at something else than labels and ids, or that a machine without the label passes; none if
    /// all of it is decided by people.
    pub fn not_decided_by_people(&self) -> Option<String> {
        self.terms.iter().find_map(|term| match term {
            Term::Search(word) => Some(format!("the word {word:?}")),
            Term::Words {
                field: Field::Label(_) | Field::Id,
                operator: Operator::Is | Operator::Contains,
                ..
            } => None,
            Term::Words {
                field: Field::Label(_) | Field::Id,
                ..
            } => Some("!=".to_owned()),
            Term::Words { field, .. } | Term::Number { field, .. } => Some(field.as_written().to_owned()),
        })
    }
}

impl Filter {
    /// The parts that a machine does not pass, as people write them.
    pub fn unmet(&self, view: &MachineView) -> Vec<String> {
        let unmet = self.terms.iter().filter(|term| !term.matches(view));
        unmet.map(ToString::to_string).collect()
    }

    /// Whether some part of it looks at the id.
    pub fn looks_at_id(&self) -> bool {
        let by_id = |term: &Term| matches!(term, Term::Words { field: Field::Id, .. });
        self.terms.iter().any(by_id)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, operator, values) = match self {
            Self::Search(word) => return f.write_str(&quoted(word)),
            Self::Words {
                field,
                operator,
                values,
            } => (field, operator, values.join("|")),
            Self::Number {
                field,
                operator,
                values,
            } => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                (field, operator, values.join("|"))
            }
        };
        let sign = OPERATORS.iter().find(|(_, known)| known == operator);
        let sign = sign.map_or("", |(sign, _)| sign);
        f.write_str(field.as_written())?;
        if let Field::Label(key) = field {
            write!(f, ".{key}")?;
        }
        write!(f, "{sign}{}", quoted(&values))
    }
}

/// Between double quotes where it would be taken apart without.
fn quoted(text: &str) -> String {
    if text.contains([' ', ',', '\t', '\n']) {
        format!("\"{text}\"")
    } else {
        text.to_owned()
    }
}

impl Term {
    fn matches(&self, view: &MachineView) -> bool {
        match self {
            Self::Search(word) => {
                let has = |text: &str| text.to_lowercase().contains(word.as_str());
                has(&view.name())
                    || has(&view.id.to_string())
                    || has(view.kind())
                    || has(view.region())
                    || view
                        .profile
                        .labels
                        .iter()
                        .any(|(key, value)| has(&format!("{key}={value}")))
            }
            Self::Words {
                field,
                operator,
                values,
            } => {
                let held = match field.of(view) {
                    FieldValue::Text(text) => text.to_lowercase(),
                    FieldValue::Number(_) | FieldValue::Absent => String::new(),
                };
                match operator {
                    Operator::IsNot => values.iter().all(|value| *value != held),
                    Operator::Contains => values.iter().any(|value| held.contains(value.as_str())),
                    Operator::Is
                    | Operator::Less
                    | Operator::LessOrEqual
                    | Operator::Greater
                    | Operator::GreaterOrEqual => values.contains(&held),
                }
            }
            Self::Number {
                field,
                operator,
                values,
            } => {
                let FieldValue::Number(held) = field.of(view) else {
                    return *operator == Operator::IsNot;
                };
                let holds = |value: &f64| match operator {
                    Operator::Is | Operator::Contains => held == *value,
                    Operator::IsNot => held != *value,
                    Operator::Less => held < *value,
                    Operator::LessOrEqual => held <= *value,
                    Operator::Greater => held > *value,
                    Operator::GreaterOrEqual => held >= *value,
                };
                if *operator == Operator::IsNot {
                    values.iter().all(holds)
                } else {
                    values.iter().any(holds)
                }
            }
        }
    }
}

impl Field {
    /// As people write it; of a label without its key.
    const fn as_written(&self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Kind => "kind",
            Self::Region => "region",
            Self::Status => "status",
            Self::Presence => "presence",
            Self::Mode => "mode",
            Self::Safety => "safety",
            Self::Version => "version",
            Self::Battery => "battery",
            Self::Temperature => "temperature",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::LastSeen => "last_seen",
            Self::Label(_) => "label",
        }
    }

    /// What the field holds for one machine.
    pub fn of(&self, view: &MachineView) -> FieldValue {
        let text = |text: &str| {
            if text.is_empty() {
                FieldValue::Absent
            } else {
                FieldValue::Text(text.to_owned())
            }
        };
        let number = |value: Option<f64>| value.map_or(FieldValue::Absent, FieldValue::Number);
        match self {
            Self::Id => text(&view.id.to_string()),
            Self::Name => text(&view.name()),
            Self::Kind => text(view.kind()),
            Self::Region => text(view.region()),
            Self::Status => text(view.status().word.as_str()),
            Self::Presence => text(view.presence.as_str()),
            Self::Mode => text(view.reported.operation.as_ref().map_or("", |o| o.mode.as_str())),
            Self::Safety => text(view.reported.operation.as_ref().map_or("", |o| o.safety.as_str())),
            Self::Version => text(view.agent_version()),
            Self::Battery => number(view.battery_percent()),
            Self::Temperature => number(view.temperature_celsius()),
            Self::Cpu => number(view.cpu_percent()),
            Self::Memory => number(view.memory_percent()),
            Self::Disk => number(view.disk_percent()),
            Self::LastSeen => FieldValue::Number(view.last_seen.as_millis() as f64),
            Self::Label(key) => text(view.profile.labels.get(key).map_or("", String::as_str)),
        }
    }

    /// What a table is sorted by: words with a rank by their rank, so that `status` begins with what a person must see
    /// first; everything else by what it holds.
    pub fn rank(&self, view: &MachineView) -> FieldValue {
        match self {
            Self::Status => FieldValue::Number(f64::from(view.status().word as u8)),
            Self::Presence => FieldValue::Number(f64::from(view.presence as u8)),
            Self::Safety => match &view.reported.operation {
                Some(operation) => FieldValue::Number(f64::from(operation.safety as u8)),
                None => FieldValue::Absent,
            },
            other => other.of(view),
        }
    }

    fn holds_numbers(&self) -> bool {
        match self {
            Self::Battery | Self::Temperature | Self::Cpu | Self::Memory | Self::Disk | Self::LastSeen => {
                true
            }
            Self::Id
            | Self::Name
            | Self::Kind
            | Self::Region
            | Self::Status
            | Self::Presence
            | Self::Mode
            | Self::Safety
            | Self::Version
            | Self::Label(_) => false,
        }
    }

    /// The words the field can hold, where they are known.
    fn vocabulary(&self) -> Option<Vec<&'static str>> {
        match self {
            Self::Status => Some(StatusWord::ALL.iter().map(|word| word.as_str()).collect()),
            Self::Presence => Some(Presence::ALL.iter().map(|word| word.as_str()).collect()),
            Self::Mode => Some(Mode::ALL.iter().map(|word| word.as_str()).collect()),
            Self::Safety => Some(Safety::ALL.iter().map(|word| word.as_str()).collect()),
            _ => None,
        }
    }
}

impl FromStr for Field {
    type Err = FilterError;

    fn from_str(name: &str) -> Result<Self, FilterError> {
        Ok(match name {
            "id" => Self::Id,
            "name" => Self::Name,
            "kind" => Self::Kind,
            "region" => Self::Region,
            "status" => Self::Status,
            "presence" => Self::Presence,
            "mode" => Self::Mode,
            "safety" => Self::Safety,
            "version" => Self::Version,
            "battery" => Self::Battery,
            "temperature" => Self::Temperature,
            "cpu" => Self::Cpu,
            "memory" => Self::Memory,
            "disk" => Self::Disk,
            "last_seen" => Self::LastSeen,
            _ => match name.strip_prefix("label.") {
                Some(key) if !key.is_empty() => Self::Label(key.to_owned()),
                _ => {
                    return Err(FilterError::UnknownField {
                        name: name.to_owned(),
                    });
                }
            },
        })
    }
}

impl FieldValue {
    /// The order of a sorted table. What is absent comes last either way, so that a page starts with what is known.
    pub fn order(&self, other: &Self, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Absent, Self::Absent) => return Ordering::Equal,
            (Self::Absent, _) => return Ordering::Greater,
            (_, Self::Absent) => return Ordering::Less,
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        };
        if descending { order.reverse() } else { order }
    }
}

/// Longer operators first, so that `<=` is not read as `<`.
const OPERATORS: &[(&str, Operator)] = &[
    ("!=", Operator::IsNot),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=", Operator::Is),
    ("~", Operator::Contains),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.len() > FILTER_MAX_BYTES {
            return Err(FilterError::TooLong);
        }
        let words = words(text)?;
        let terms = words
            .iter()
            .map(|word| parse_term(word))
            .collect::<Result<Vec<_>, _>>()?;
        if terms.len() > FILTER_MAX_TERMS {
            Err(FilterError::TooLong)
        } else {
            Ok(Self { terms })
        }
    }
}

/// Splits at spaces and commas that stand outside of double quotes, and takes the quotes away.
fn words(text: &str) -> Result<Vec<String>, FilterError> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' | ',' | '\t' | '\n' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(character),
        }
    }
    if quoted {
        return Err(FilterError::OpenQuote {
            text: text.to_owned(),
        });
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

fn parse_term(word: &str) -> Result<Term, FilterError> {
    // The operator that stands first in the term, and of those that stand there the longest.
    let found = word.char_indices().find_map(|(at, _)| {
        OPERATORS
            .iter()
            .find(|(sign, _)| word[at..].starts_with(sign))
            .map(|found| (at, found))
    });
    let Some((at, (sign, operator))) = found else {
        return Ok(Term::Search(word.to_lowercase()));
    };
    let field: Field = word[..at].parse()?;
    let values: Vec<&str> = word[at + sign.len()..].split('|').collect();
    if values.iter().any(|value| value.is_empty()) {
        return Err(FilterError::NoValue {
            term: word.to_owned(),
        });
    }
    let name = || word[..at].to_owned();
    if field.holds_numbers() {
        let number = |value: &&str| {
            let parsed = value.parse::<f64>().ok().filter(|number| number.is_finite());
            parsed.ok_or_else(|| FilterError::BadNumber {
                field: name(),
                value: (*value).to_owned(),
            })
        };
        let values = values.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        return Ok(Term::Number {
            field,
            operator: *operator,
            values,
        });
    }
    match operator {
        Operator::Is | Operator::IsNot => {
            if let Some(vocabulary) = field.vocabulary()
                && let Some(odd) = values.iter().find(|value| !vocabulary.contains(*value))
            {
                let accepted = vocabulary.join(", ");
                return Err(FilterError::NeverHeld {
                    field: name(),
                    value: (*odd).to_owned(),
                    accepted,
                });
            }
        }
        Operator::Contains => {}
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            return Err(FilterError::NotANumber {
                field: name(),
                operator: (*sign).to_owned(),
            });
        }
    }
    let values = values.into_iter().map(str::to_lowercase).collect();
    Ok(Term::Words {
        field,
        operator: *operator,
        values,
    })
}
