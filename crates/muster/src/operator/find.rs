//! Which machine a person means: by id, by the beginning of an id, or by name.

use muster_client::MachineQuery;
use muster_model::{MachineId, Timestamp};
use muster_protocol::api::MachineSummary;

use super::error::OperatorError;
use super::session::Session;
use super::text::word_or_unknown;

/// Most machines that are looked through.
const SEARCH_MAX: usize = 1_000;
/// Most machines that an error lists.
const LIST_MAX: usize = 10;
/// The longest text that is looked for, in characters.
const GIVEN_MAX_CHARS: usize = 128;

/// A machine that was found.
pub(super) struct Found {
    pub(super) id: MachineId,
    /// Its name, where it had to be looked up anyway.
    pub(super) name: Option<String>,
}

impl Found {
    pub(super) fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }
}

/// The one machine that is meant. A whole id is taken as it is; otherwise an exact name comes before a name in other
/// letters (`Frida` for `frida`), and that before the beginning of an id.
pub(super) async fn find(
    session: &Session,
    given: &str,
    at: Option<Timestamp>,
) -> Result<Found, OperatorError> {
    let given = given.trim();
    if let Ok(id) = given.parse() {
        return Ok(Found { id, name: None });
    }
    let named = search(session, name_filter(given), at).await?;
    let exact = named.iter().filter(|row| row.name == given);
    if let Some(found) = one_of(given, exact.collect())? {
        return Ok(found);
    }
    let lower = given.to_lowercase();
    let alike = named.iter().filter(|row| row.name.to_lowercase() == lower);
    if let Some(found) = one_of(given, alike.collect())? {
        return Ok(found);
    }
    let by_id = search(session, id_filter(&lower), at).await?;
    let begins = by_id.iter().filter(|row| row.id.to_string().starts_with(&lower));
    if let Some(found) = one_of(given, begins.collect())? {
        return Ok(found);
    }
    Err(OperatorError::NoSuchMachine {
        given: given.chars().take(GIVEN_MAX_CHARS).collect(),
        similar: named.iter().take(LIST_MAX).map(describe).collect(),
    })
}

fn one_of(given: &str, rows: Vec<&MachineSummary>) -> Result<Option<Found>, OperatorError> {
    match rows.as_slice() {
        [] => Ok(None),
        [row] => Ok(Some(Found {
            id: row.id,
            name: Some(row.name.clone()),
        })),
        several => {
            let mut candidates: Vec<String> =
                several.iter().take(LIST_MAX).map(|row| describe(row)).collect();
            if several.len() > LIST_MAX {
                candidates.push(format!("… and {} more", several.len() - LIST_MAX));
            }
            Err(OperatorError::Ambiguous {
                given: given.to_owned(),
                candidates,
            })
        }
    }
}

fn describe(row: &MachineSummary) -> String {
    let kind = word_or_unknown(&row.kind);
    let region = word_or_unknown(&row.region);
    format!("{}  {}  {kind} in {region}", row.id, word_or_unknown(&row.name))
}

async fn search(
    session: &Session,
    filter: Option<String>,
    at: Option<Timestamp>,
) -> Result<Vec<MachineSummary>, OperatorError> {
    let Some(filter) = filter else {
        return Ok(Vec::new());
    };
    let query = MachineQuery {
        filter: Some(filter),
        at,
        ..MachineQuery::default()
    };
    Ok(session.client.machines_all(&query, SEARCH_MAX).await?.items)
}

/// Every word of the name must be in it. What a filter cannot hold is left out: names are compared afterwards.
fn name_filter(given: &str) -> Option<String> {
    let is_separator = |character: char| character.is_whitespace() || matches!(character, ',' | '|');
    let given: String = given.chars().take(GIVEN_MAX_CHARS).collect();
    let words = given.split(is_separator).filter(|word| !word.is_empty());
    let terms: Vec<String> = words.take(8).map(|word| format!("name~{word}")).collect();
    (!terms.is_empty()).then(|| terms.join(" "))
}

fn id_filter(given: &str) -> Option<String> {
    let is_part = given
        .chars()
        .all(|character| character.is_ascii_hexdigit() || character == '-');
    (is_part && !given.is_empty() && given.len() <= 36).then(|| format!("id~{given}"))
}
