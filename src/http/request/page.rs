//! Pages of long lists.

use super::form::Form;
use super::read;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

const DEFAULT_PER_PAGE: usize = 20;
const MAX_PER_PAGE: usize = 100;
const MAX_PAGE: usize = 1_000_000_000;

/// The query parameters of a page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct Asked {
    #[param(minimum = 1, maximum = 100, default = 20)]
    per_page: Option<u32>,
    #[param(minimum = 1, maximum = 1_000_000_000, default = 1)]
    page: Option<u32>,
}

/// The page that a request asks for.
#[derive(Clone, Copy)]
pub(in crate::http) struct Page {
    number: usize,
    per_page: usize,
}

/// The position of a page in its list.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Meta {
    current_page: usize,
    per_page: usize,
    total: usize,
    last_page: usize,
}

impl Page {
    /// Reads the page from a query. Returns `None` if the query has neither `per_page` nor `page`.
    pub(in crate::http) fn read(form: &mut Form) -> Option<Self> {
        let per_page = form.optional("per_page", |value| read::digits(value, 1..=MAX_PER_PAGE));
        let number = form.optional("page", |value| read::digits(value, 1..=MAX_PAGE));
        let asked = per_page.is_some() || number.is_some();
        asked.then(|| Self { number: number.unwrap_or(1), per_page: per_page.unwrap_or(DEFAULT_PER_PAGE) })
    }

    /// Returns the first page, of the default size.
    pub(in crate::http) fn first() -> Self {
        Self { number: 1, per_page: DEFAULT_PER_PAGE }
    }

    /// Returns whether the page shows the item with this many items before it.
    pub(in crate::http) fn shows(self, before: usize) -> bool {
        let first = (self.number - 1).saturating_mul(self.per_page);
        (first..first.saturating_add(self.per_page)).contains(&before)
    }

    /// Returns the position of the page in a list of `total` items.
    pub(in crate::http) fn meta(self, total: usize) -> Meta {
        let Self { number, per_page } = self;
        let last_page = total.div_ceil(per_page).max(1);
        Meta { current_page: number, per_page, total, last_page }
    }
}

/// Returns the `meta` of a list without pages: one page with all items.
pub(in crate::http) fn whole(total: usize) -> Meta {
    Meta { current_page: 1, per_page: total.max(1), total, last_page: 1 }
}
