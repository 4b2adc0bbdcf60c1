//! Converts a record into a call.

use super::error::ImportError;
use super::layout::Shape;
use super::map::Field;
use super::moment::TimeReader;
use super::record::Record;
use super::rejection::{Quoted, Rejection};
use super::roster::Roster;
use super::status::{self, Vocabulary};
use dialback::{Call, E164, EnvironmentId, Outcome, Timestamp};

/// The state that all calls of a file share.
pub(super) struct Reading {
    pub(super) environment: EnvironmentId,
    pub(super) roster: Roster,
    pub(super) times: TimeReader,
    pub(super) vocabulary: Vocabulary,
}

impl Reading {
    /// Converts a record. Missing entities are created last, so that a rejected line creates nothing.
    pub(super) fn call(&mut self, record: &Record, shape: &Shape) -> Result<Result<Call, Rejection>, ImportError> {
        let (parts, agent) = match self.parts(record, shape) {
            Ok(parts) => parts,
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
        let Parts { from, to, at, outcome } = parts;
        Ok(Ok(Call { environment: self.environment, agent, from, to, at, outcome }))
    }

    fn parts<'a>(&self, record: &'a Record, shape: &'a Shape) -> Result<(Parts, &'a str), Rejection> {
        let number = |field| {
            let text = shape.text(record, field)?;
            E164::parse(text, self.roster.dial_plan()).map_err(|error| Rejection::Number(field, error))
        };
        let (from, to) = (number(Field::From)?, number(Field::To)?);
        let to = self.roster.dial_plan().check(to).map_err(|error| Rejection::Number(Field::To, error))?;
        let at = shape.text(record, Field::At)?;
        let at = self.times.read(at).map_err(|error| Rejection::Time(error, Quoted::new(at)))?;
        let status = shape.text(record, Field::Status)?;
        let outcome = status::outcome(status, self.vocabulary);
        let outcome = outcome.ok_or_else(|| Rejection::Status(Quoted::new(status)))?;
        let answered = !shape.knows_answered() || is_answered(shape.text(record, Field::Answered)?);
        let outcome = match outcome {
            Outcome::Answered | Outcome::Completed if !answered => Outcome::NoAnswer,
            outcome => outcome,
        };
        Ok((Parts { from, to, at, outcome }, shape.text(record, Field::Agent)?))
    }
}

struct Parts {
    from: E164,
    to: E164,
    at: Timestamp,
    outcome: Outcome,
}

/// Returns whether the text is the time of an answer. Databases write a missing time as zeros or as the beginning of
/// 1970.
fn is_answered(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) && !text.starts_with("1970-01-01")
}
