//! The bytes of a connection, below the HTTP parser.

mod heads;
mod refusal;
mod stream;

pub(crate) use refusal::full as full_answer;
pub(crate) use stream::Wire;
