//! The differences between two states of an entity, for people.

use std::collections::HashSet;
use std::hash::Hash;

/// The most items of a list that are named.
const MOST: usize = 5;

/// The most characters of a name that are shown.
const MOST_CHARS: usize = 64;

/// The word for a value that is not there.
pub(super) const NONE: &str = "none";

/// What changes of an entity, each with its old and its new value.
#[derive(Default)]
pub(super) struct Differences(Vec<String>);

impl Differences {
    /// Adds a value, if it changes.
    pub(super) fn value<T: PartialEq>(&mut self, what: &str, old: T, new: T, text: impl Fn(T) -> String) {
        if old != new {
            let difference = format!("{what} {} -> {}", text(old), text(new));
            self.0.push(difference.trim_start().to_owned());
        }
    }

    /// Adds a list, if it changes: what joins it and what leaves it.
    pub(super) fn list<T: Copy + Eq + Hash>(&mut self, what: &str, old: &[T], new: &[T], text: impl Fn(T) -> String) {
        if old == new {
            return;
        }
        let (had, has): (HashSet<_>, HashSet<_>) = (old.iter().collect(), new.iter().collect());
        let added: Vec<_> = new.iter().filter(|item| !had.contains(item)).copied().collect();
        let removed: Vec<_> = old.iter().filter(|item| !has.contains(item)).copied().collect();
        for (verb, items) in [("added", &added), ("removed", &removed)] {
            if !items.is_empty() {
                self.0.push(format!("{what} {verb}: {}", named(items, &text)));
            }
        }
        if added.is_empty() && removed.is_empty() {
            self.0.push(format!("{what} in another order"));
        }
    }

    /// Adds a list of the same items in another order. Shows the part that changes.
    pub(super) fn order<T: Copy + PartialEq>(&mut self, what: &str, old: &[T], new: &[T], text: impl Fn(T) -> String) {
        let differs = |place: &usize| old[*place] != new[*place];
        let (Some(first), Some(last)) = ((0..new.len()).find(differs), (0..new.len()).rfind(differs)) else { return };
        let (old, new) = (named(&old[first..=last], &text), named(&new[first..=last], &text));
        self.0.push(format!("{what} {old} -> {new}"));
    }

    /// Adds a difference that has no values.
    pub(super) fn note(&mut self, text: String) {
        self.0.push(text);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Differences> for String {
    fn from(differences: Differences) -> Self {
        differences.0.join("; ")
    }
}

/// Returns the beginning of a name or label. A list of whole names would be long: each has up to a kilobyte.
pub(super) fn short(name: &str) -> String {
    match name.char_indices().nth(MOST_CHARS) {
        None => name.to_owned(),
        Some(_) => name.chars().take(MOST_CHARS - 1).chain(['…']).collect(),
    }
}

/// Returns the first items of a list, and how many more there are.
pub(super) fn named<T: Copy>(items: &[T], text: impl Fn(T) -> String) -> String {
    let mut names: Vec<_> = items.iter().take(MOST).map(|item| text(*item)).collect();
    if items.len() > MOST {
        names.push(format!("and {} more", items.len() - MOST));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_show_what_joins_and_what_leaves() {
        let compare = |old: &[u8], new: &[u8]| {
            let mut differences = Differences::default();
            differences.list("numbers", old, new, |item| item.to_string());
            String::from(differences)
        };
        assert_eq!(compare(&[1, 2], &[2, 3]), "numbers added: 3; numbers removed: 1");
        assert_eq!(compare(&[1, 2], &[2, 1]), "numbers in another order");
        assert_eq!(compare(&[1, 2], &[1, 2]), "");
        assert_eq!(compare(&[1, 2, 3], &[3, 1, 2]), "numbers in another order");
        assert_eq!(compare(&[], &[1, 2, 3, 4, 5, 6, 7]), "numbers added: 1, 2, 3, 4, 5, and 2 more");
    }
}
