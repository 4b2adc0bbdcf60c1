//! Takes the values of a record out of a JSON object.
//!
//! A column is a path: the names of nested fields with dots between them. Only the values at these paths are read. A
//! number keeps the digits that are in the file.

use super::record::{Form, Record};
use crate::import::report::rejection::Rejection;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The place of a value in an object: the names of nested fields with dots between them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::import) struct Path {
    pub(in crate::import) text: String,
    pub(in crate::import) spelling: Spelling,
}

/// How names may differ from a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum Spelling {
    /// In upper and lower case. The user named it, so a name that does not differ has precedence.
    Named,
    /// In upper and lower case.
    Case,
    /// In all but letters and digits: `start_time`, `Start Time` and `startTime` are one name.
    Letters,
}

impl Spelling {
    /// Returns whether the name is this one, but for the spelling.
    pub(in crate::import) fn is_same(self, wanted: &str, name: &str) -> bool {
        self.rest(wanted, name).is_some_and(|(rest, _)| rest.is_empty())
    }

    /// Returns the rest of the path after this name, and whether the name is spelled exactly so.
    fn rest<'a>(self, path: &'a str, name: &str) -> Option<(&'a str, bool)> {
        let ends = |rest: &&str| rest.is_empty() || rest.starts_with('.');
        if let Some(rest) = path.strip_prefix(name).filter(ends) {
            return Some((rest, true));
        }
        let rest = match self {
            Self::Named | Self::Case => {
                let (head, rest) = path.split_at_checked(name.len())?;
                head.eq_ignore_ascii_case(name).then_some(rest)?
            }
            Self::Letters => rest_after_letters(path, name)?,
        };
        Some((rest, false)).filter(|(rest, _)| ends(rest))
    }
}

fn rest_after_letters<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let mut rest = path.trim_start_matches(|c| !is_letter(c));
    for letter in name.chars().filter(|c| is_letter(*c)) {
        let next = rest.chars().next().filter(|next| next.eq_ignore_ascii_case(&letter))?;
        rest = rest[next.len_utf8()..].trim_start_matches(|c| !is_letter(c));
    }
    Some(rest)
}

/// Reads objects, without an allocation for each value.
pub(in crate::import) struct Picker {
    paths: Vec<Path>,
    found: Vec<Option<Found>>,
    record: Record,
}

/// A value of an object.
#[derive(Clone)]
struct Found {
    text: String,
    form: Form,
    /// Whether all names are spelled exactly as the user named them.
    is_exact: bool,
}

impl Picker {
    /// Creates a reader of objects whose columns have these paths.
    pub(in crate::import) fn new(paths: Vec<Path>) -> Self {
        Self { found: vec![None; paths.len()], paths, record: Record::default() }
    }

    /// Returns the values of one object. A value that is null is empty, and one that is not there is missing.
    pub(in crate::import) fn pick(&mut self, object: &[u8]) -> Result<&Record, Rejection> {
        self.found.fill(None);
        let wanted = self.paths.iter().enumerate().map(Column::of).collect();
        let mut reader = serde_json::Deserializer::from_slice(object);
        let picked = reader.deserialize_map(Pick { wanted, found: &mut self.found }).and_then(|()| reader.end());
        // The error's text can hold a value of the record.
        picked.map_err(|_| Rejection::NotJson)?;
        self.record.clear();
        for found in &self.found {
            let (text, form) =
                found.as_ref().map_or(("", Form::Missing), |Found { text, form, .. }| (text.as_str(), *form));
            self.record.push(text.as_bytes(), form);
        }
        Ok(&self.record)
    }
}

/// Returns the paths of an object's values, or `None` if it is no object.
pub(in crate::import) fn paths(object: &[u8]) -> Option<Vec<String>> {
    let mut paths = Vec::new();
    let Outline::Object(inner) = serde_json::from_slice(object).ok()? else { return None };
    let mut left = MOST_BYTES;
    list(inner, "", &mut paths, &mut left);
    paths.sort_unstable();
    Some(paths)
}

/// The most bytes of all paths together. Each path repeats the names around it, so there could be many more than in the
/// object.
const MOST_BYTES: usize = 1 << 20;

/// Adds the paths of an object, while bytes are left for them.
fn list(object: Vec<(String, Outline)>, prefix: &str, paths: &mut Vec<String>, left: &mut usize) {
    for (name, value) in object {
        let length = prefix.len() + name.len();
        if *left < length {
            return;
        }
        let path = format!("{prefix}{name}");
        match value {
            Outline::Object(inner) if !inner.is_empty() => list(inner, &format!("{path}."), paths, left),
            _ => {
                *left -= length;
                paths.push(path);
            }
        }
    }
}

/// The names of an object's fields, without their values.
enum Outline {
    Object(Vec<(String, Outline)>),
    Other,
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OutlineVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let mut inner = Vec::new();
        while let Some(entry) = map.next_entry()? {
            inner.push(entry);
        }
        Ok(Outline::Object(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Outline, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Outline::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Outline, E> {
        Ok(Outline::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Outline, E> {
        Ok(Outline::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Outline, E> {
        Ok(Outline::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Outline, E> {
        Ok(Outline::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Outline, E> {
        Ok(Outline::Other)
    }

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline::Other)
    }
}

/// A column that is expected in an object.
#[derive(Clone, Copy)]
struct Column<'a> {
    /// The number of the column, from 0.
    place: usize,
    /// The path from here.
    path: &'a str,
    spelling: Spelling,
    /// Whether all names before this object are spelled exactly as the user named them.
    is_exact: bool,
}

impl<'a> Column<'a> {
    fn of((place, path): (usize, &'a Path)) -> Self {
        Self { place, path: &path.text, spelling: path.spelling, is_exact: path.spelling == Spelling::Named }
    }
}

/// Reads one object.
struct Pick<'a> {
    wanted: Vec<Column<'a>>,
    found: &'a mut [Option<Found>],
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { wanted, found } = self;
        while let Some(name) = map.next_key::<String>()? {
            let (mut inner, mut here) = (Vec::new(), Vec::new());
            for column in &wanted {
                let Some((rest, is_exact)) = column.spelling.rest(column.path, &name) else { continue };
                let column = Column { is_exact: column.is_exact && is_exact, ..*column };
                match rest.strip_prefix('.') {
                    Some(path) => inner.push(Column { path, ..column }),
                    None => here.push(column),
                }
            }
            if here.is_empty() && inner.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: &RawValue = map.next_value()?;
            for column in here {
                let (text, form) = text(value).map_err(A::Error::custom)?;
                set(column, found, text, form);
            }
            descend(value, inner, found).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// Reads the values at these paths from a value of an object.
fn descend(value: &RawValue, wanted: Vec<Column<'_>>, found: &mut [Option<Found>]) -> Result<(), serde_json::Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    if !value.get().starts_with('{') {
        let form = if value.get() == "null" { Form::Missing } else { Form::Nested };
        for column in wanted {
            set(column, found, String::new(), form);
        }
        return Ok(());
    }
    serde_json::Deserializer::from_str(value.get()).deserialize_map(Pick { wanted, found })
}

/// Returns the text of a value. A number, true and false have the text that they have in the file.
fn text(value: &RawValue) -> Result<(String, Form), serde_json::Error> {
    Ok(match value.get().as_bytes().first() {
        Some(b'"') => (serde_json::from_str(value.get())?, Form::Quoted),
        Some(b'{' | b'[') => (String::new(), Form::Nested),
        _ if value.get() == "null" => (String::new(), Form::Plain),
        _ => (value.get().to_owned(), Form::Plain),
    })
}

fn set(Column { place, is_exact, .. }: Column<'_>, found: &mut [Option<Found>], text: String, form: Form) {
    let form = match &found[place] {
        Some(known) if known.is_exact && !is_exact => return,
        Some(known) if known.is_exact == is_exact => Form::Repeated,
        _ => form,
    };
    found[place] = Some(Found { text, form, is_exact });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(paths: &[&str], object: &str) -> Result<Vec<(String, Form)>, Rejection> {
        let path = |path: &&str| Path { text: (*path).to_owned(), spelling: Spelling::Case };
        let mut picker = Picker::new(paths.iter().map(path).collect());
        let record = picker.pick(object.as_bytes())?;
        let text = |at| String::from_utf8_lossy(record.get(at).expect("a value")).into_owned();
        Ok((0..record.len()).map(|at| (text(at), record.form(at).expect("a value"))).collect())
    }

    fn forms(paths: &[&str], object: &str) -> Vec<Form> {
        pick(paths, object).expect("an object").into_iter().map(|(_, form)| form).collect()
    }

    #[test]
    fn values_are_found_by_path() {
        let object = r#"{"to": {"number": "+1", "x": [{"number": 7}]}, "at": 12125550143.0, "ok": true,
            "name": "a\"\u00e9\n", "none": null, "b.c": "d", "z": {"a": {"b": 1e400}}}"#;
        let paths = ["to.number", "at", "ok", "name", "none", "nowhere", "b.c", "z.a.b"];
        let read = pick(&paths, object).expect("an object");
        let texts: Vec<_> = read.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["+1", "12125550143.0", "true", "a\"é\n", "", "", "d", "1e400"]);
        assert_eq!((read[0].1, read[1].1, read[4].1), (Form::Quoted, Form::Plain, Form::Plain));
    }

    #[test]
    fn value_that_is_no_text_or_given_twice_is_marked() {
        assert_eq!(forms(&["a", "b", "c.d"], r#"{"a": {}, "b": [1], "c": "d"}"#), [Form::Nested; 3]);
        assert_eq!(forms(&["a"], r#"{"a": 1, "a": 1}"#), [Form::Repeated]);
        assert_eq!(forms(&["a"], r#"{"a": null, "a": 1}"#), [Form::Repeated]);
        assert_eq!(forms(&["a.b"], r#"{"a": {"b": 1}, "a.b": 1}"#), [Form::Repeated]);
        assert_eq!(forms(&["a.b"], r#"{"a": {"b": 1}, "a": {"b": 2}}"#), [Form::Repeated]);
        assert_eq!(forms(&["a.b"], r#"{"a": null, "a": {"b": 1}}"#), [Form::Repeated]);
        assert_eq!(forms(&["a"], r#"{"A": 1, "A": 1}"#), [Form::Repeated]);
        assert_eq!(forms(&["a", "a.b"], r#"{"a": {"b": 1}}"#), [Form::Nested, Form::Plain]);
    }

    #[test]
    fn names_that_differ_in_spelling_alone_are_one_field_given_twice() {
        let form = |path: &str, spelling, object: &str| {
            let mut picker = Picker::new(vec![Path { text: path.to_owned(), spelling }]);
            picker.pick(object.as_bytes()).expect("an object").form(0)
        };
        for (path, spelling, object) in [
            ("status", Spelling::Case, r#"{"Status": "busy", "status": "failed"}"#),
            ("status", Spelling::Case, r#"{"status": "busy", "STATUS": "busy"}"#),
            ("start_time", Spelling::Letters, r#"{"Start Time": 1, "start_time": 2}"#),
            ("a.b", Spelling::Case, r#"{"a": {"b": 1}, "A": {"b": 1}}"#),
            ("a.b", Spelling::Named, r#"{"A": {"b": 1}, "a": {"B": 1}}"#),
        ] {
            assert_eq!(form(path, spelling, object), Some(Form::Repeated), "{path} {object}");
        }
        assert_eq!(form("a.b", Spelling::Named, r#"{"a": {"b": 1}, "A": {"b": 1}}"#), Some(Form::Plain));
    }

    #[test]
    fn value_that_an_object_lacks_is_missing_and_null_is_empty() {
        assert_eq!(
            forms(&["a", "b", "c.d", "e.f"], r#"{"b": null, "c": null, "e": {}}"#),
            [Form::Missing, Form::Plain, Form::Missing, Form::Missing]
        );
    }

    #[test]
    fn names_are_found_in_other_spellings_and_those_that_the_user_spelled_have_precedence() {
        let pick = |path: &str, spelling, object: &str| {
            let mut picker = Picker::new(vec![Path { text: path.to_owned(), spelling }]);
            let record = picker.pick(object.as_bytes()).expect("an object");
            (record.form(0) != Some(Form::Missing))
                .then(|| String::from_utf8_lossy(record.get(0).unwrap()).into_owned())
        };
        for (path, spelling, object, expected) in [
            ("start_time", Spelling::Letters, r#"{"startTime": 1}"#, Some("1")),
            ("start_time", Spelling::Named, r#"{"Start_Time": 1, "start_time": 2, "START_TIME": 3}"#, Some("2")),
            ("start_time", Spelling::Named, r#"{"Start_Time": 1}"#, Some("1")),
            ("start_time", Spelling::Letters, r#"{"start": 1, "start_time_2": 2, "_": 3}"#, None),
            ("a_b.c_d", Spelling::Letters, r#"{"aB": {"C D": 1}, "a_b": 7}"#, Some("")),
            ("a_b.c_d", Spelling::Letters, r#"{"aB": {"C D": 1, "x": 2}}"#, Some("1")),
            ("from", Spelling::Case, r#"{"From": 1}"#, Some("1")),
            ("from", Spelling::Case, r#"{"fr_om": 1, "fromé": 2}"#, None),
            ("é.from", Spelling::Case, r#"{"é": {"FROM": 1}}"#, Some("1")),
        ] {
            assert_eq!(pick(path, spelling, object).as_deref(), expected, "{path} {object}");
        }
    }

    #[test]
    fn text_that_is_no_object_is_rejected_without_its_values() {
        for object in ["", "[]", "1", "\"15550100\"", r#"{"a": 15550100"#, r#"{"a": "\ud800"}"#, "{} {}", "{\"a\": 01}"]
        {
            let error = pick(&["a"], object).expect_err(object).to_string();
            assert!(!error.contains("5550100"), "{error}");
        }
        assert!(pick(&["a"], "{\"a\": \"\u{fffd}\"}").is_ok());
        let mut picker = Picker::new(vec![Path { text: "a".to_owned(), spelling: Spelling::Case }]);
        assert!(picker.pick(b"{\"a\": \"\xff\"}").is_err());
        let deep = format!("{{\"b\": {}{}, \"a\": 1}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(pick(&["a"], &deep).is_ok());
    }

    #[test]
    fn paths_of_an_object_are_listed() {
        let object =
            br#"{"from": {"number": -1.5}, "at": [1, {"x": 2}], "to": null, "a": {}, "s": "x", "i": -1, "b": true}"#;
        assert_eq!(paths(object).expect("an object"), ["a", "at", "b", "from.number", "i", "s", "to"]);
        assert_eq!(paths(b"[]"), None);
    }

    #[test]
    fn paths_take_a_bounded_amount_of_memory() {
        let keys: Vec<_> = (0..8_000).map(|key| format!("\"{key}\":1")).collect();
        let object = format!("{{\"{}\":{{{}}}}}", "n".repeat(60_000), keys.join(","));
        let bytes: usize = paths(object.as_bytes()).expect("an object").iter().map(String::len).sum();
        assert!((1..=MOST_BYTES).contains(&bytes), "{bytes}");
    }
}
