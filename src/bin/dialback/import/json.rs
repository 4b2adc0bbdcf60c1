//! Takes the values of a record out of a JSON object.
//!
//! A column is a path: the names of nested fields with dots between them. Only the values at these paths are read. A
//! number keeps the digits that are in the file.

use super::record::{Form, Record};
use super::rejection::Rejection;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Reads objects, without an allocation for each value.
pub(super) struct Picker {
    paths: Vec<String>,
    found: Vec<Option<(String, Form)>>,
    record: Record,
}

impl Picker {
    /// Creates a reader of objects whose columns have these paths.
    pub(super) fn new(paths: Vec<String>) -> Self {
        Self { found: vec![None; paths.len()], paths, record: Record::default() }
    }

    /// Returns the values of one object. A value that is missing or null is empty.
    pub(super) fn pick(&mut self, object: &[u8]) -> Result<&Record, Rejection> {
        self.found.fill(None);
        let wanted = self.paths.iter().map(String::as_str).enumerate().collect();
        let mut reader = serde_json::Deserializer::from_slice(object);
        let picked = reader.deserialize_map(Pick { wanted, found: &mut self.found }).and_then(|()| reader.end());
        // The error's text can hold a value of the record.
        picked.map_err(|_| Rejection::NotJson)?;
        self.record.clear();
        for found in &self.found {
            let (text, form) = found.as_ref().map_or(("", Form::Plain), |(text, form)| (text.as_str(), *form));
            self.record.push(text.as_bytes(), form);
        }
        Ok(&self.record)
    }
}

/// Returns the paths of an object's values, or `None` if it is no object.
pub(super) fn paths(object: &[u8]) -> Option<Vec<String>> {
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

/// Reads one object.
struct Pick<'a> {
    /// The columns that are expected in this object, each with its path from here.
    wanted: Vec<(usize, &'a str)>,
    found: &'a mut [Option<(String, Form)>],
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { wanted, found } = self;
        while let Some(name) = map.next_key::<String>()? {
            let mut inner = Vec::new();
            let mut here = Vec::new();
            for (column, path) in &wanted {
                match path.strip_prefix(name.as_str()) {
                    Some("") => here.push(*column),
                    Some(rest) => inner.extend(rest.strip_prefix('.').map(|rest| (*column, rest))),
                    None => {}
                }
            }
            if here.is_empty() && inner.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: &RawValue = map.next_value()?;
            for column in here {
                set(&mut found[column], text(value).map_err(A::Error::custom)?);
            }
            descend(value, inner, found).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// Reads the values at these paths from a value of an object.
fn descend(
    value: &RawValue,
    wanted: Vec<(usize, &str)>,
    found: &mut [Option<(String, Form)>],
) -> Result<(), serde_json::Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    if !value.get().starts_with('{') {
        let form = if value.get() == "null" { Form::Plain } else { Form::Nested };
        for (column, _) in wanted {
            set(&mut found[column], (String::new(), form));
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

fn set(place: &mut Option<(String, Form)>, (text, form): (String, Form)) {
    let form = if place.is_some() { Form::Repeated } else { form };
    *place = Some((text, form));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(paths: &[&str], object: &str) -> Result<Vec<(String, Form)>, Rejection> {
        let mut picker = Picker::new(paths.iter().map(|path| (*path).to_owned()).collect());
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
        assert_eq!(forms(&["a.b"], r#"{"a": null}"#), [Form::Plain]);
        assert_eq!(forms(&["a", "a.b"], r#"{"a": {"b": 1}}"#), [Form::Nested, Form::Plain]);
    }

    #[test]
    fn text_that_is_no_object_is_rejected_without_its_values() {
        for object in ["", "[]", "1", "\"15550100\"", r#"{"a": 15550100"#, r#"{"a": "\ud800"}"#, "{} {}", "{\"a\": 01}"]
        {
            let error = pick(&["a"], object).expect_err(object).to_string();
            assert!(!error.contains("5550100"), "{error}");
        }
        assert!(pick(&["a"], "{\"a\": \"\u{fffd}\"}").is_ok());
        let mut picker = Picker::new(vec!["a".to_owned()]);
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
