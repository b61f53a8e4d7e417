//! Following pages to their end.

use muster_protocol::api::{Event, EventPage, LogLine, LogPage, MachinePage, MachineSummary, PAGE_LIMIT_MAX};

use crate::error::ClientError;

/// Most items that are gathered over pages, whatever the caller asks for.
pub const ITEMS_MAX: usize = 100_000;

/// A document that holds some of many items.
pub(crate) trait Paged {
    type Item;
    fn items(&mut self) -> &mut Vec<Self::Item>;
    fn next_cursor(&mut self) -> &mut Option<String>;
}

macro_rules! paged {
    ($($page:ty: $item:ty),+) => {
        $(impl Paged for $page {
            type Item = $item;
            fn items(&mut self) -> &mut Vec<$item> {
                &mut self.items
            }
            fn next_cursor(&mut self) -> &mut Option<String> {
                &mut self.next_cursor
            }
        })+
    };
}

paged!(MachinePage: MachineSummary, EventPage: Event, LogPage: LogLine);

/// The first page, with the items of those after it, up to `limit`. `next_cursor` is that of the last page read: null if
/// that was all there is. `fetch` gets a cursor and how many items to ask for.
pub(crate) async fn collect<P: Paged>(
    first_cursor: Option<String>,
    limit: usize,
    mut fetch: impl AsyncFnMut(Option<String>, u32) -> Result<P, ClientError>,
) -> Result<P, ClientError> {
    let limit = limit.min(ITEMS_MAX);
    let ask = |have: usize| {
        let left = u32::try_from(limit.saturating_sub(have)).unwrap_or(u32::MAX);
        left.clamp(1, PAGE_LIMIT_MAX)
    };
    let mut all = fetch(first_cursor.clone(), ask(0)).await?;
    let mut cursor = first_cursor;
    loop {
        let next = all.next_cursor().clone();
        // A cursor that stays where it was would lead in a circle.
        if next.is_none() || next == cursor || all.items().len() >= limit {
            all.items().truncate(limit);
            return Ok(all);
        }
        cursor = next;
        let mut page = fetch(cursor.clone(), ask(all.items().len())).await?;
        all.items().append(page.items());
        *all.next_cursor() = page.next_cursor().take();
    }
}

/// A query, written parameter by parameter; what is not given is left out.
#[derive(Default)]
pub(crate) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    pub(crate) fn with<T: ToString>(mut self, name: &'static str, value: Option<&T>) -> Self {
        if let Some(value) = value {
            self.0.push((name, value.to_string()));
        }
        self
    }

    /// Several values in one parameter, separated by commas.
    pub(crate) fn list<T: ToString>(mut self, name: &'static str, values: &[T]) -> Self {
        if !values.is_empty() {
            let words: Vec<String> = values.iter().map(T::to_string).collect();
            self.0.push((name, words.join(",")));
        }
        self
    }

    pub(crate) fn into_pairs(self) -> Vec<(&'static str, String)> {
        self.0
    }
}
