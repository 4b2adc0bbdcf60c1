//! Schemas that several requests and responses share, generated from the library's own enumerations.

use crate::decision::Reason;
use crate::event::{Direction, Role};
use crate::http::response::actor::KINDS;
use crate::outcome::{CountsFrom, Outcome};
use crate::plan::MAX_SOURCES;
use crate::record::RecordedDoor;
use crate::store::{Durability, EventKind};
use serde_json::{Value, json};
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Array, Object};

/// A number with a leading `+`.
const E164: &str = r"^\+[1-9][0-9]{0,14}$";

/// `true`, in each successful response.
pub(in crate::http) fn yes() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).build()
}

/// `false`, in each error.
pub(in crate::http) fn no() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([false])).build()
}

pub(in crate::http) fn code() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Z]+(_[A-Z]+)*$")).build()
}

pub(in crate::http) fn direction() -> Object {
    one_of([Direction::Inbound, Direction::Outbound].map(Direction::name))
}

/// A direction, or null for an agent without one.
pub(in crate::http) fn direction_or_null() -> Object {
    one_of_or_null([Direction::Inbound, Direction::Outbound].map(Direction::name))
}

pub(in crate::http) fn agent_status() -> Object {
    one_of(["draft", "published"])
}

pub(in crate::http) fn number_status() -> Object {
    one_of(["active", "inactive"])
}

/// How the default agent of a number is chosen.
pub(in crate::http) fn default_choice() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(auto|nobody|[0-9a-f-]{36})$")).build()
}

/// A choice of the default agent in a request: null is another form of `nobody`.
pub(in crate::http) fn any_default_choice() -> Object {
    ObjectBuilder::new().schema_type(or_null(Type::String)).pattern(Some("^(auto|nobody|[0-9A-Fa-f-]{36})$")).build()
}

pub(in crate::http) fn role() -> Object {
    one_of([Role::Environment, Role::Gateway, Role::Operator].map(Role::name))
}

/// The attestation that an environment requires.
pub(in crate::http) fn required_attestation() -> Object {
    one_of(["A", "B"])
}

/// The status from which calls count.
pub(in crate::http) fn counts_from() -> Object {
    one_of(CountsFrom::ALL.map(CountsFrom::name))
}

/// The status from which calls count, in a request.
pub(in crate::http) fn counts_from_or_null() -> Object {
    one_of_or_null(CountsFrom::ALL.map(CountsFrom::name))
}

/// An actor in a request: a kind, or the id of a token.
pub(in crate::http) fn wanted_actor() -> Object {
    let pattern = format!("^({}|[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})$", KINDS.join("|"));
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build()
}

/// The kinds of actors.
pub(in crate::http) fn actor_kind() -> Object {
    one_of(KINDS)
}

pub(in crate::http) fn format() -> Object {
    one_of(["json", "text"])
}

pub(in crate::http) fn decision() -> Object {
    one_of(["callback", "default", "unrouted"])
}

/// The doors through which calls are routed.
pub(in crate::http) fn door() -> Object {
    one_of(RecordedDoor::ALL.map(RecordedDoor::name))
}

/// The types of events.
pub(in crate::http) fn event_kind() -> Object {
    one_of(EventKind::ALL.map(EventKind::name))
}

/// A list of types of events.
pub(in crate::http) fn event_kinds() -> Array {
    ArrayBuilder::new().items(event_kind()).min_items(Some(1)).build()
}

/// A list of types of events, or null.
pub(in crate::http) fn event_kinds_or_null() -> Array {
    ArrayBuilder::new().schema_type(or_null(Type::Array)).items(event_kind()).min_items(Some(1)).build()
}

/// The address of a webhook in a request.
pub(in crate::http) fn receiver() -> Object {
    let format = SchemaFormat::Custom("https-url".into());
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).max_length(Some(2048)).build()
}

/// The status of a webhook.
pub(in crate::http) fn webhook_status() -> Object {
    one_of(["active", "failing", "disabled"])
}

/// Why a webhook is disabled, or null.
pub(in crate::http) fn why_disabled() -> Object {
    let words = [json!("by_request"), json!("gone"), json!("failing"), Value::Null];
    ObjectBuilder::new().schema_type(or_null(Type::String)).enum_values(Some(words)).build()
}

pub(in crate::http) fn reason() -> Object {
    one_of(Reason::ALL.map(Reason::name))
}

/// An outcome in a response.
pub(in crate::http) fn outcome() -> Object {
    one_of(Outcome::ALL.map(Outcome::public_name))
}

/// An outcome in a request.
pub(in crate::http) fn any_outcome() -> Object {
    one_of(Outcome::ALL.map(Outcome::public_name).into_iter().chain([Outcome::NoAnswer.name()]))
}

/// A list of outcomes in a response.
pub(in crate::http) fn outcomes() -> Array {
    ArrayBuilder::new().items(outcome()).build()
}

/// A list of outcomes in a request. Null counts as missing.
pub(in crate::http) fn any_outcomes() -> Array {
    ArrayBuilder::new().schema_type(or_null(Type::Array)).items(any_outcome()).min_items(Some(1)).build()
}

/// The platform's id of a call.
pub(in crate::http) fn call_id() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,128}$")).build()
}

/// The platform's id of a call in a report. Null counts as missing.
pub(in crate::http) fn call_id_or_null() -> Object {
    ObjectBuilder::new().schema_type(or_null(Type::String)).pattern(Some("^[!-~]{1,128}$")).build()
}

/// A phone number in E.164 form.
pub(in crate::http) fn number() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(E164)).build()
}

/// A phone number as it is held, or null.
pub(in crate::http) fn number_or_null() -> Object {
    ObjectBuilder::new().schema_type(or_null(Type::String)).pattern(Some(r"^\+?[0-9]{1,15}$")).build()
}

/// A phone number as it is held: in E.164 form, or as digits that no dial plan could convert.
pub(in crate::http) fn held_number() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^\+?[0-9]{1,15}$")).build()
}

/// A country, or null if it is unknown.
pub(in crate::http) fn country() -> Object {
    ObjectBuilder::new().schema_type(or_null(Type::String)).pattern(Some("^[A-Z]{2}$")).build()
}

/// The type of each number.
pub(in crate::http) fn voice() -> Object {
    one_of(["voice"])
}

/// The types of numbers that a list can be asked for.
pub(in crate::http) fn number_type() -> Object {
    one_of(["voice", "sms", "whatsapp", "mms", "fax"])
}

/// The lengths of national numbers.
pub(in crate::http) fn lengths() -> Array {
    let length = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(15)).build();
    ArrayBuilder::new().items(length).max_items(Some(15)).build()
}

/// Source agents: at least one, none twice.
pub(in crate::http) fn sources() -> Array {
    some_sources().build()
}

/// Source agents; null means none.
pub(in crate::http) fn sources_or_null() -> Array {
    some_sources().schema_type(or_null(Type::Array)).build()
}

fn some_sources() -> ArrayBuilder {
    ArrayBuilder::new().items(uuid()).min_items(Some(1)).max_items(Some(MAX_SOURCES)).unique_items(true)
}

/// A list of ids without duplicates. Null counts as missing.
pub(in crate::http) fn identities() -> Array {
    ArrayBuilder::new().schema_type(or_null(Type::Array)).items(uuid()).unique_items(true).build()
}

fn uuid() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build()
}

fn or_null(schema_type: Type) -> SchemaType {
    SchemaType::from_iter([schema_type, Type::Null])
}

/// A phone number in any form that the environment's dial plan accepts.
pub(in crate::http) fn any_number() -> Object {
    let format = SchemaFormat::Custom("phone-number".into());
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build()
}

/// A date and time.
pub(in crate::http) fn moment() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).min_length(Some(20)).build()
}

/// A date and time, or null.
pub(in crate::http) fn moment_or_null() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    ObjectBuilder::new().schema_type(or_null(Type::String)).format(Some(format)).min_length(Some(20)).build()
}

/// The errors: a list of sentences, or lists of sentences by field.
pub(in crate::http) fn errors() -> Schema {
    let texts = || ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String));
    let by_field = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(texts()));
    OneOfBuilder::new().item(texts()).item(by_field).into()
}

/// The durability of an acknowledgement, if it is less than synced.
pub(in crate::http) fn durability() -> Object {
    one_of([Durability::Buffered, Durability::Memory].map(Durability::name))
}

fn one_of_or_null<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    let words = words.into_iter().map(|word| json!(word)).chain([Value::Null]);
    ObjectBuilder::new().schema_type(or_null(Type::String)).enum_values(Some(words)).build()
}

fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    let words: Vec<Value> = words.into_iter().map(|word| json!(word)).collect();
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}
