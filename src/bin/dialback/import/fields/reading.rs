//! Converts a record into a call.

use super::moment::TimeReader;
use super::phone::Phones;
use super::spreadsheet;
use super::status::{Evidence, Statuses, Vocabulary};
use super::yes_no::yes_or_no;
use crate::import::columns::format::Format;
use crate::import::columns::layout::Shape;
use crate::import::columns::map::{Detail, Field};
use crate::import::destination::roster::Roster;
use crate::import::error::ImportError;
use crate::import::file::record::Record;
use crate::import::options::Options;
use crate::import::report::rejection::{Quoted, Rejection};
use dialback::{Call, CallId, Context, Details, E164, EnvironmentId, Outcome, Timestamp};

/// The state that all calls of a file share.
pub(in crate::import) struct Reading {
    environment: EnvironmentId,
    pub(in crate::import) roster: Roster,
    times: TimeReader,
    phones: Phones,
    pub(in crate::import) statuses: Statuses,
}

impl Reading {
    pub(in crate::import) fn new(
        environment: EnvironmentId,
        roster: Roster,
        options: &Options,
        now: Timestamp,
    ) -> Self {
        let vocabulary = options.format.map_or(Vocabulary::Events, Format::vocabulary);
        Self {
            environment,
            roster,
            times: TimeReader::new(options.time_zone.rules.clone(), options.dates, now),
            phones: Phones::new(options.strip_prefix.clone(), options.bare_digits_international),
            statuses: Statuses::new(vocabulary, &options.status, options.unknown_status),
        }
    }

    /// Returns whether the records of this file are written after the calls.
    pub(in crate::import) fn are_final(options: &Options) -> bool {
        options.format.is_some_and(|format| format.vocabulary().is_final())
    }

    /// Converts a record. `None` for a record that is not of a call's outcome, which is skipped. Missing entities are
    /// created last, so that a rejected line creates nothing.
    pub(in crate::import) fn call(
        &mut self,
        record: &Record,
        shape: &Shape,
    ) -> Result<Result<Option<(Call, Details)>, Rejection>, ImportError> {
        let (parts, agent) = match self.parts(record, shape) {
            Ok(Some(parts)) => parts,
            Ok(None) => return Ok(Ok(None)),
            Err(rejection) => return Ok(Err(rejection)),
        };
        if let Err(rejection) = self.roster.check_number(parts.from) {
            return Ok(Err(rejection));
        }
        let agent = match self.roster.agent(agent)? {
            Ok(agent) => agent,
            Err(rejection) => return Ok(Err(rejection)),
        };
        self.roster.add_number(parts.from)?;
        let Parts { from, to, at, outcome, details } = parts;
        Ok(Ok(Some((Call { environment: self.environment, agent, from, to, at, outcome }, details))))
    }

    fn parts<'a>(&mut self, record: &'a Record, shape: &'a Shape) -> Result<Option<(Parts, &'a str)>, Rejection> {
        // First, because a request for credentials is not a call, whatever else its record holds.
        let Some(outcome) = self.outcome(record, shape)? else { return Ok(None) };
        let plan = self.roster.dial_plan();
        let from = self.phones.ours(shape.text(record, Field::From)?, plan);
        let from = from.map_err(|error| Rejection::Number(Field::From, error))?;
        let to = self.phones.dialed(shape.text(record, Field::To)?, plan);
        let to = to.map_err(|error| Rejection::Number(Field::To, error))?;
        let at = self.at(record, shape)?;
        let agent = shape.text(record, Field::Agent)?;
        let details = details(record, shape)?;
        Ok(Some((Parts { from, to, at, outcome, details }, agent)))
    }

    fn outcome(&mut self, record: &Record, shape: &Shape) -> Result<Option<Outcome>, Rejection> {
        if let Some(field) = shape.lacking(record) {
            return Err(Rejection::Missing(field.name()));
        }
        let says = |field, read: &dyn Fn(&str) -> Option<bool>| {
            let text = spreadsheet::plain(shape.text(record, field)?);
            read(text).ok_or_else(|| Rejection::Unclear(field, Quoted::new(text)))
        };
        let answered = if shape.has(record, Field::Answered) {
            Some(says(Field::Answered, &|text| self.times.is_answered(text))?)
        } else {
            None
        };
        let voicemail = says(Field::Voicemail, &is_voicemail)?;
        let status = spreadsheet::plain(shape.text(record, Field::Status)?);
        self.statuses.read(status, Evidence { answered, voicemail })
    }

    fn at(&self, record: &Record, shape: &Shape) -> Result<Timestamp, Rejection> {
        let text = |field| shape.text(record, field).map(spreadsheet::plain);
        let with_time;
        let mut at = text(Field::At)?;
        if shape.has(record, Field::Time) && !at.is_empty() {
            with_time = format!("{at} {}", text(Field::Time)?);
            at = &with_time;
        }
        if at.is_empty() {
            at = text(Field::Placed)?;
        }
        self.times.read(at).map_err(|error| Rejection::Time(error, Quoted::new(at)))
    }
}

struct Parts {
    from: E164,
    to: E164,
    at: Timestamp,
    outcome: Outcome,
    details: Details,
}

/// Returns the id and the context of a call. Each field of the context is a string, and one that is empty is left out.
fn details(record: &Record, shape: &Shape) -> Result<Details, Rejection> {
    let mut id = None;
    let mut context = serde_json::Map::new();
    for detail in shape.details(record) {
        let (detail, text) = detail?;
        // An apostrophe at the beginning may belong to a name.
        let text = spreadsheet::without_formula(text);
        if text.is_empty() {
            continue;
        }
        match detail {
            Detail::CallId => {
                let why = "must be 1 to 128 visible ASCII characters without a space";
                id = Some(CallId::new(text).ok_or_else(|| Rejection::Detail(format!("`{}`", detail.name()), why))?);
            }
            Detail::Context(key) => {
                context.insert(key.clone(), text.into());
            }
        }
    }
    let context = (!context.is_empty()).then(|| Context::new(&serde_json::Value::from(context).to_string()));
    Ok(Details { id, context: context.transpose().map_err(Rejection::Context)? })
}

/// Returns whether the text says that a machine answered: yes or no, or the words of Twilio's `AnsweredBy`. `None` for
/// other texts.
fn is_voicemail(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    let is_machine = text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("machine"));
    if is_machine || is(&["voicemail", "1"]) {
        return Some(true);
    }
    if is(&["human", "fax", "unknown", "0"]) { Some(false) } else { yes_or_no(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voicemail_is_a_yes_or_a_machine() {
        for (text, expected) in [
            ("true", Some(true)),
            ("machine_end_beep", Some(true)),
            ("Machine_start", Some(true)),
            ("", Some(false)),
            ("human", Some(false)),
            ("False", Some(false)),
            ("perhaps", None),
            ("éééé", None),
        ] {
            assert_eq!(is_voicemail(text), expected, "{text}");
        }
    }
}
