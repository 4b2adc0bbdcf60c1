//! What a function of the C interface says of how it went.

use crate::number::NumberError;
use crate::plan::ConfigError;
use crate::service::ServiceError;
use crate::store::StoreError;
use std::borrow::Cow;
use std::ffi::CStr;

/// How a call went. Every function returns one; whatever it is, the process lives and the handle can be used on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Status {
    /// It is done.
    Ok = 0,
    /// A pointer that may not be null is, or the handle is zero.
    Null = 1,
    /// The handle was closed, or was never one.
    Closed = 2,
    /// A text is not UTF-8.
    InvalidUtf8 = 3,
    /// The buffer is too short; how long it must be is in `needed`.
    ShortBuffer = 4,
    /// A size field, an identity, an outcome, a moment or a count that cannot be.
    InvalidArgument = 5,
    /// A text is not a phone number.
    NotANumber = 6,
    /// The JSON is none, or is no list of changes.
    InvalidJson = 7,
    /// The configuration was refused and nothing of it is in force. The message begins with the code of the reason.
    Refused = 8,
    /// The store cannot be written. Nothing of it is in force; it may or may not be there after a restart. Decisions go on.
    NotDurable = 9,
    /// The history is at its ceiling; so much of it as fits is in force.
    Full = 10,
    /// The data directory cannot be opened or read.
    Store = 11,
    /// As many handles are open as there can be.
    TooManyHandles = 12,
    /// The handle was opened before this process was forked off, and this needs a thread that stayed behind.
    Forked = 13,
    /// A defect of the library: it panicked, and was caught.
    Panicked = 14,
}

impl Status {
    pub(super) const ALL: [Self; 15] = [
        Self::Ok,
        Self::Null,
        Self::Closed,
        Self::InvalidUtf8,
        Self::ShortBuffer,
        Self::InvalidArgument,
        Self::NotANumber,
        Self::InvalidJson,
        Self::Refused,
        Self::NotDurable,
        Self::Full,
        Self::Store,
        Self::TooManyHandles,
        Self::Forked,
        Self::Panicked,
    ];

    /// In a few words.
    pub(super) const fn message(self) -> &'static CStr {
        match self {
            Self::Ok => c"done",
            Self::Null => c"a null pointer or handle",
            Self::Closed => c"the handle is closed, or is none",
            Self::InvalidUtf8 => c"a text that is not UTF-8",
            Self::ShortBuffer => c"the buffer is too short",
            Self::InvalidArgument => c"an argument that cannot be",
            Self::NotANumber => c"not a phone number",
            Self::InvalidJson => c"not JSON, or no list of changes",
            Self::Refused => c"the configuration was refused",
            Self::NotDurable => c"the store cannot be written",
            Self::Full => c"the history is at its ceiling",
            Self::Store => c"the data directory cannot be opened or read",
            Self::TooManyHandles => c"too many open handles",
            Self::Forked => c"opened before this process was forked off",
            Self::Panicked => c"a defect of the library: it panicked, and was caught",
        }
    }
}

/// Why something was not done: the status, and what is to be said of it. Holds no phone number.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) message: Cow<'static, str>,
}

impl Failure {
    pub(super) fn new(status: Status, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into() }
    }

    /// With the name of the argument that it is about.
    #[must_use]
    pub(super) fn about(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message).into(), ..self }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::new(status, status.message().to_str().unwrap_or_default())
    }
}

impl From<NumberError> for Failure {
    fn from(error: NumberError) -> Self {
        Self::new(Status::NotANumber, error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Status::Refused, format!("{}: {error}", error.code()))
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Config(error) => error.into(),
            ServiceError::Full(full) => Self::new(Status::Full, full.to_string()),
            ServiceError::ShareUsed(used) => Self::new(Status::Full, used.to_string()),
            // The rest is what a node of a fleet may hear, which is opened from Rust and not from here.
            error => Self::new(Status::NotDurable, error.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Status::Store, error.to_string())
    }
}
