//! Reads a JSON object or a query field by field, and collects all errors.

use crate::event::{Context, ContextError};
use crate::http::Api;
use crate::http::middleware::body_budget::Room;
use crate::http::request::unknown::{Unknown, is_name};
use crate::http::response::error::{FieldErrors, Refusal};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::convert::Infallible;
use std::ops::RangeInclusive;

/// The fields that have not been read yet, and the errors in those that have.
///
/// ```text
/// let name = form.required("name", read::name);
/// let label = form.optional("label", read::name);
/// let (name, label) = form.finish(|| Some((name?, label)))?;
/// ```
pub(in crate::http) struct Form {
    fields: Map<String, Value>,
    errors: FieldErrors,
    /// The prefix of the field names in errors: the path of this form within the whole body.
    within: String,
    /// The digest of the body, if the request has an idempotency key; else empty.
    digest: Vec<u8>,
    /// The reserved memory of the fields.
    room: Room,
    unknown: Unknown,
    /// The field `context`, from the text of the body.
    context: Option<Result<Context, ContextError>>,
}

/// An error in a value: the end of the sentence "The … field …". It never quotes the value.
#[derive(Debug)]
pub(in crate::http) struct Wrong {
    /// The index of the wrong item, if the value is a list.
    item: Option<usize>,
    what: Cow<'static, str>,
}

/// A field for which null has a meaning.
pub(in crate::http) enum Given<T> {
    /// The field is missing, or has an error that has been recorded.
    Missing,
    Null,
    Value(T),
}

impl<T> Given<T> {
    /// Returns the value, or `None` if the field is missing or null.
    pub(in crate::http) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Null | Self::Missing => None,
        }
    }

    /// Returns the value, `None` for null, and `held` for a missing field.
    pub(in crate::http) fn or(self, held: Option<T>) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Null => None,
            Self::Missing => held,
        }
    }
}

impl Wrong {
    pub(in crate::http) fn item(self, item: usize) -> Self {
        Self { item: Some(item), ..self }
    }
}

impl<T: Into<Cow<'static, str>>> From<T> for Wrong {
    fn from(what: T) -> Self {
        Self { item: None, what: what.into() }
    }
}

impl Form {
    pub(in crate::http) fn new(value: Value) -> Result<Self, Refusal> {
        match value {
            Value::Object(fields) => Ok(Self::of(fields, String::new())),
            _ => Err(Refusal::invalid_field("body", "The body must be a JSON object.")),
        }
    }

    /// Sets the digest of the body from which the form was read.
    pub(in crate::http) fn with_digest(self, digest: Vec<u8>) -> Self {
        Self { digest, ..self }
    }

    /// Sets the reserved memory of the fields.
    pub(in crate::http) fn in_room(self, room: Room) -> Self {
        Self { room, ..self }
    }

    /// Sets the field `context`, as the body has it.
    pub(in crate::http) fn with_context(self, context: Option<Result<Context, ContextError>>) -> Self {
        Self { context, ..self }
    }

    /// Sets what happens to fields that are not read. Without it, they are refused.
    pub(in crate::http) fn with_unknown(mut self, unknown: Unknown) -> Self {
        if let Some((header, what)) = unknown.error() {
            self.error(header, &what.into());
        }
        Self { unknown, ..self }
    }

    /// Refuses unknown fields whatever the request wants.
    pub(in crate::http) fn strict(self) -> Self {
        self.with_unknown(Unknown::Refused)
    }

    /// Returns the digest of the body, or an empty slice if the request has no idempotency key.
    pub(in crate::http) fn digest(&self) -> &[u8] {
        &self.digest
    }

    fn of(fields: Map<String, Value>, within: String) -> Self {
        let (errors, digest) = (FieldErrors::new(), Vec::new());
        Self { fields, errors, within, digest, room: Room::default(), unknown: Unknown::default(), context: None }
    }

    /// Reads a required field.
    pub(in crate::http) fn required<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        let value = self.optional(field, read);
        if value.is_none() && !self.has_error(field) {
            self.error(field, &"is required".into());
        }
        value
    }

    /// Reads an optional field. Null counts as missing.
    pub(in crate::http) fn optional<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.nullable(field, read).value()
    }

    /// Reads a field for which null and missing differ.
    pub(in crate::http) fn nullable<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Given<T> {
        let Some(value) = self.fields.remove(field) else { return Given::Missing };
        if value.is_null() {
            return Given::Null;
        }
        match read(&value) {
            Ok(value) => Given::Value(value),
            Err(wrong) => {
                self.error(field, &wrong);
                Given::Missing
            }
        }
    }

    /// Reads the optional field `context`. Null counts as missing.
    pub(in crate::http) fn context(&mut self) -> Option<Context> {
        let context = self.context.take();
        self.optional("context", |_| match context {
            Some(context) => context.map_err(|error| error.to_string().into()),
            None => Err("must be a JSON object".into()),
        })
    }

    /// Returns the name under which the client sent a field that has two: `name`, unless only `other` is there. Records an error
    /// if both are there with different values.
    pub(in crate::http) fn either<'a>(&mut self, name: &'a str, other: &'a str) -> &'a str {
        let is_given = |field: &str| self.fields.get(field).is_some_and(|value| !value.is_null());
        if !is_given(name) && is_given(other) {
            self.fields.remove(name);
            return other;
        }
        let second = self.fields.remove(other).filter(|second| !second.is_null());
        if second.is_some() && second.as_ref() != self.fields.get(name) {
            self.error(other, &format!("must equal the {name} field, which is another name of it").into());
        }
        name
    }

    /// Returns whether the request has the field, and not as null.
    pub(in crate::http) fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    /// Returns whether the field is null, and removes it if so.
    pub(in crate::http) fn is_null(&mut self, field: &str) -> bool {
        let is_null = self.fields.get(field).is_some_and(Value::is_null);
        if is_null {
            self.fields.remove(field);
        }
        is_null
    }

    /// Reads a required list of objects, each as a form. `read` may return `None` only after it has recorded an error.
    pub(in crate::http) fn objects<T>(
        &mut self,
        field: &str,
        sizes: RangeInclusive<usize>,
        read: impl Fn(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let (least, most) = (*sizes.start(), *sizes.end());
        let items = self.required(field, |value| match value {
            Value::Array(items) if sizes.contains(&items.len()) => Ok(items.clone()),
            Value::Array(_) => Err(format!("must have between {least} and {most} items").into()),
            _ => Err("must be a list".into()),
        })?;
        let mut all = Vec::with_capacity(items.len());
        for (place, item) in items.into_iter().enumerate() {
            let Value::Object(fields) = item else {
                self.error(field, &Wrong::from("must be an object").item(place));
                continue;
            };
            let form = Self::of(fields, format!("{}{field}.{place}.", self.within));
            let mut form = form.with_unknown(self.unknown.clone());
            all.extend(read(&mut form));
            form.settle_unread();
            self.errors.append(&mut form.errors);
        }
        Some(all)
    }

    /// Records an error in a field.
    pub(in crate::http) fn error(&mut self, field: &str, wrong: &Wrong) {
        let field = format!("{}{field}", self.within);
        let field = wrong.item.map_or_else(|| field.clone(), |item| format!("{field}.{item}"));
        let what = format!("The {field} field {}.", wrong.what);
        self.errors.entry(field).or_default().push(what);
    }

    /// Returns the value of `make`. `make` may return `None` only if a required field is missing.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` if an error was recorded, or if a field was not read and unknown fields are refused.
    pub(in crate::http) fn finish<T>(mut self, make: impl FnOnce() -> Option<T>) -> Result<T, Refusal> {
        self.settle_unread();
        match make() {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Refusal::invalid(self.errors)),
        }
    }

    /// Reads all fields as one value. Unknown fields are refused. Its memory stays reserved while the second result exists.
    pub(in crate::http) fn whole<T: DeserializeOwned>(
        mut self,
        required: &[&str],
        optional: &[&str],
    ) -> Result<(T, Room), Refusal> {
        let is_known = |field: &str| required.contains(&field) || optional.contains(&field);
        let unknown = self.fields.keys().filter(|field| !is_known(field));
        for field in unknown.cloned().collect::<Vec<_>>() {
            self.refuse(&field);
        }
        for field in required.iter().filter(|field| !self.fields.contains_key(**field)).collect::<Vec<_>>() {
            self.error(field, &"is required".into());
        }
        if !self.errors.is_empty() {
            return Err(Refusal::invalid(self.errors));
        }
        let value = serde_json::from_value(Value::Object(self.fields)).map_err(|error| {
            let text = error.to_string();
            // The rest of the text can repeat a value.
            let named = ["unknown field `", "missing field `"].iter().find_map(|kind| {
                let name = text.strip_prefix(kind)?.split('`').next()?;
                is_name(name).then(|| format!("The body has an {kind}{name}`.").replace("an missing", "a missing"))
            });
            Refusal::invalid_field("body", named.unwrap_or_else(|| "The body has a field of a wrong type.".into()))
        })?;
        Ok((value, self.room))
    }

    fn settle_unread(&mut self) {
        for field in std::mem::take(&mut self.fields).into_iter().map(|(field, _)| field) {
            if !self.unknown.ignores(&self.within, &field) {
                self.refuse(&field);
            }
        }
    }

    fn refuse(&mut self, field: &str) {
        self.error(if is_name(field) { field } else { "body" }, &"is unknown".into());
    }

    fn has_error(&self, field: &str) -> bool {
        let field = &*format!("{}{field}", self.within);
        let of_field =
            |name: &String| name.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.errors.keys().any(of_field)
    }
}

/// A query as a form. A parameter with an empty value counts as missing.
pub(in crate::http) struct QueryForm(pub(in crate::http) Form);

impl FromRequestParts<Api> for QueryForm {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let mut form = Form::of(Map::new(), String::new()).with_unknown(Unknown::of(&parts.extensions));
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = if value.is_empty() { Value::Null } else { Value::String(value.into_owned()) };
            if form.fields.insert(name.into_owned(), value).is_some() {
                form.error("query", &"names a parameter twice".into());
            }
        }
        Ok(Self(form))
    }
}
