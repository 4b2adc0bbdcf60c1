//! Long lists, page by page.

use super::form::Form;
use super::read;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

const DEFAULT_PER_PAGE: usize = 20;
const MAX_PER_PAGE: usize = 100;
const MAX_PAGE: usize = 1_000_000_000;

/// A page, as a query has it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(super) struct Asked {
    #[param(minimum = 1, maximum = 100, default = 20)]
    per_page: Option<u32>,
    #[param(minimum = 1, maximum = 1_000_000_000, default = 1)]
    page: Option<u32>,
}

/// Which part of a list is asked for.
#[derive(Clone, Copy)]
pub(super) struct Page {
    number: usize,
    per_page: usize,
}

/// Where in the list a page is.
#[derive(Serialize, ToSchema)]
pub(super) struct Meta {
    current_page: usize,
    per_page: usize,
    total: usize,
    last_page: usize,
}

impl Page {
    /// As the query has it; `None` where it says nothing of pages.
    pub(super) fn read(form: &mut Form) -> Option<Self> {
        let per_page = form.optional("per_page", |value| read::digits(value, 1..=MAX_PER_PAGE));
        let number = form.optional("page", |value| read::digits(value, 1..=MAX_PAGE));
        let asked = per_page.is_some() || number.is_some();
        asked.then(|| Self { number: number.unwrap_or(1), per_page: per_page.unwrap_or(DEFAULT_PER_PAGE) })
    }

    /// The first page of the usual size.
    pub(super) fn first() -> Self {
        Self { number: 1, per_page: DEFAULT_PER_PAGE }
    }

    /// Whether the page shows the item that has so many before it.
    pub(super) fn shows(self, before: usize) -> bool {
        let first = (self.number - 1).saturating_mul(self.per_page);
        (first..first.saturating_add(self.per_page)).contains(&before)
    }

    /// Where in the whole the page is.
    pub(super) fn meta(self, total: usize) -> Meta {
        let Self { number, per_page } = self;
        let last_page = total.div_ceil(per_page).max(1);
        Meta { current_page: number, per_page, total, last_page }
    }
}

/// What an unpaged list says of itself: that it is one page.
pub(super) fn whole(total: usize) -> Meta {
    Meta { current_page: 1, per_page: total.max(1), total, last_page: 1 }
}
