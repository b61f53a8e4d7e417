//! Cursors of lists: where a page ended, as a text that comes back from clients.

use muster_fleet::api::paging;
use muster_model::MachineId;
use serde::{Deserialize, Serialize};

/// As the list of machines has them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Cursor {
    sort: String,
    key: Key,
    id: MachineId,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Key {
    Text(String),
    Number(f64),
    Absent,
}

/// A text that might be a cursor; and any JSON at all, as if it were in one.
pub fn cursor(data: &[u8]) -> bool {
    let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    let direct = std::str::from_utf8(data).is_ok_and(look);
    look(&hex) || direct
}

fn look(text: &str) -> bool {
    match paging::read::<Cursor>(text) {
        Ok(cursor) => {
            assert!(
                text.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{text:?} is nothing that was given out"
            );
            let written = paging::write(&cursor);
            // What is written may be longer than what was accepted only by how JSON spells it.
            if let Ok(again) = paging::read::<Cursor>(&written) {
                assert_eq!(again, cursor);
                assert_eq!(paging::write(&again), written);
            } else {
                assert!(written.len() > 2_048, "{text:?} became {written:?}");
            }
            true
        }
        Err(error) => {
            let said = format!("{error:?}");
            assert!(
                said.contains("MST-A001") && said.contains("query.cursor"),
                "{said}"
            );
            false
        }
    }
}
