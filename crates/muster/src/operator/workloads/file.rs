//! Workloads in a file of the person who desires them: read, and refused with the place where they cannot be meant.

use std::path::Path;

use muster_model::workload::{Workload, Workloads, check_all};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::operator::error::OperatorError;
use crate::operator::machine::desired::{read_text, unreadable};

use super::usage;

const HINT: &str = "`docs/how-to/run-workloads.md` explains every key";

/// A part of a machine's own file is taken as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    workloads: Workloads,
}

/// The workloads of a file in the words of the person who wrote it, if each of them can be meant.
pub(super) fn read(file: &Path) -> Result<Map<String, Value>, OperatorError> {
    let text = read_text(file)?;
    parse(&text)
        .map_err(|why| usage(format!("{}: {why}", file.display()), HINT))
        .and_then(|given| {
            if given.is_empty() {
                return Err(unreadable(file, "it holds no workloads"));
            }
            Ok(given)
        })
}

fn parse(text: &str) -> Result<Map<String, Value>, String> {
    // By way of YAML's own values: they refuse a name that stands there twice, of which JSON's would keep the last.
    let document: yaml_serde::Value = yaml_serde::from_str(text).map_err(|error| error.to_string())?;
    let given: Value = yaml_serde::from_value(document).map_err(|error| error.to_string())?;
    let Value::Object(mut given) = given else {
        return Err("it holds no workloads by name".to_owned());
    };
    // Read once more from the text, so that an error has its line.
    let (read, given) = if is_part(&given) {
        let Some(Value::Object(inner)) = given.remove("workloads") else {
            return Err("workloads: it holds none by name".to_owned());
        };
        let read = yaml_serde::from_str::<Part>(text).map(|part| part.workloads);
        (read, inner)
    } else {
        (yaml_serde::from_str::<Workloads>(text), given)
    };
    let read = read.map_err(|error| error.to_string())?;
    check_all(&read).map_err(|error| error.to_string())?;
    Ok(given)
}

/// Whether this is not one workload called `workloads`, but the part of that name.
fn is_part(given: &Map<String, Value>) -> bool {
    let inner = given.get("workloads");
    given.len() == 1
        && inner.is_some_and(|inner| inner.get("program").is_none() && inner.get("image").is_none())
}

/// Whether all that would be desired can be meant together.
pub(super) fn check(all: &Map<String, Value>) -> Result<(), OperatorError> {
    let read: Result<Workloads, _> = serde_json::from_value(Value::Object(all.clone()));
    let checked = read.map_err(|error| error.to_string());
    checked
        .and_then(|all| check_all(&all).map_err(|error| error.to_string()))
        .map_err(|why| usage(format!("together with what is desired already: {why}"), HINT))
}

/// A definition with every default, so that two of them can be compared; as it is, if this program does not understand it.
pub(super) fn in_full(definition: &Value) -> Value {
    let read: Result<Workload, _> = serde_json::from_value(definition.clone());
    let full = read.ok().and_then(|workload| serde_json::to_value(workload).ok());
    full.unwrap_or_else(|| definition.clone())
}
