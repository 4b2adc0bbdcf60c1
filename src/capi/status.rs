//! The result of a function of the C interface.

use crate::number::NumberError;
use crate::plan::ConfigError;
use crate::service::ServiceError;
use crate::store::StoreError;
use std::borrow::Cow;
use std::ffi::CStr;

/// The result of a call. No status stops the process, and the handle stays usable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Status {
    /// Success.
    Ok = 0,
    /// A pointer that must not be null is null, or the handle is 0.
    Null = 1,
    /// The handle is closed or was never opened.
    Closed = 2,
    /// A text is not UTF-8.
    InvalidUtf8 = 3,
    /// The buffer is too short. `needed` holds the required length.
    ShortBuffer = 4,
    /// A size field, UUID, outcome, time or count is not valid.
    InvalidArgument = 5,
    /// A text is not a phone number.
    NotANumber = 6,
    /// The text is not JSON, or not a list of changes.
    InvalidJson = 7,
    /// The configuration was rejected and none of it is in force. The message begins with the code of the reason.
    Refused = 8,
    /// The store cannot be written. The change is not in force; after a restart it may or may not be. Decisions
    /// continue.
    NotDurable = 9,
    /// The history holds as many pairs as it may, or the ids and contexts of an environment take as many bytes as they may.
    /// The part of the change that fits is in force.
    Full = 10,
    /// The data directory cannot be opened or read.
    Store = 11,
    /// The largest number of open handles is reached.
    TooManyHandles = 12,
    /// The handle was opened before this process was forked. The operation needs a thread that exists only in the
    /// parent process.
    Forked = 13,
    /// A bug in the library: it panicked, and the panic was caught.
    Panicked = 14,
    /// The engine is in memory only, and keeps no ids and contexts of calls.
    NotKept = 15,
    /// The id of a call belongs to another call.
    CallIdReused = 16,
    /// The disk did not answer in time.
    NotInTime = 17,
}

impl Status {
    pub(super) const ALL: [Self; 18] = [
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
        Self::NotKept,
        Self::CallIdReused,
        Self::NotInTime,
    ];

    /// Returns a short description of the status.
    pub(super) const fn message(self) -> &'static CStr {
        match self {
            Self::Ok => c"success",
            Self::Null => c"a required pointer is null, or the handle is 0",
            Self::Closed => c"the handle is closed or was never opened",
            Self::InvalidUtf8 => c"a text is not UTF-8",
            Self::ShortBuffer => c"the buffer is too short",
            Self::InvalidArgument => c"an argument is not valid",
            Self::NotANumber => c"not a phone number",
            Self::InvalidJson => c"the text is not JSON, or not a list of changes",
            Self::Refused => c"the configuration was rejected",
            Self::NotDurable => c"the store cannot be written",
            Self::Full => c"the history is full: open it with a higher max_pairs",
            Self::Store => c"the data directory cannot be opened or read",
            Self::TooManyHandles => c"too many open handles: close one first",
            Self::Forked => c"the handle was opened before this process was forked: open it after the fork",
            Self::Panicked => c"the library panicked, which is a bug; the panic was caught",
            Self::NotKept => c"an engine in memory keeps no ids and contexts of calls: open a data directory",
            Self::CallIdReused => c"the id of a call belongs to another call",
            Self::NotInTime => c"the disk did not answer in time",
        }
    }
}

/// An error: its status and the text for [`dialback_last_error`](super::dialback_last_error). The text holds no phone
/// number.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) message: Cow<'static, str>,
}

impl Failure {
    pub(super) fn new(status: Status, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into() }
    }

    /// Puts the name of the argument in front of the message.
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
            ServiceError::ContextsFull(full) => Self::new(Status::Full, full.to_string()),
            ServiceError::CallsNotKept => Status::NotKept.into(),
            ServiceError::CallIdReused => Self::new(Status::CallIdReused, error.to_string()),
            // The remaining errors of the service come from a fleet, and the C interface cannot join a fleet.
            error => Self::new(Status::NotDurable, error.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Status::Store, error.to_string())
    }
}
