//! The bytes of a connection, below the HTTP parser.

mod heads;
mod host;
mod linger;
mod refusal;
mod stream;

pub(crate) use host::names_one_host;
pub(crate) use refusal::full as full_answer;
pub(crate) use stream::Wire;
