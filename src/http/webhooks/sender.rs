//! The interface of the code that sends the messages of webhooks.

use crate::id::EnvironmentId;
use std::pin::Pin;

/// A message to be sent with `POST`.
#[derive(Clone)]
pub struct Message {
    /// The environment whose webhook it is, so that a sender can be fair.
    pub environment: EnvironmentId,
    /// The address of the receiver. It may contain a secret of its owner: never log it.
    pub url: String,
    /// The headers, besides those of HTTP itself.
    pub headers: [(&'static str, String); 3],
    /// The content, which is JSON.
    pub body: Vec<u8>,
}

/// The result of an attempt to send a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// The receiver answered with this status. A redirect is not followed.
    Answered(u16),
    /// Why there was no answer. The text contains nothing of the address.
    Failed(&'static str),
    /// The sender had no place for the message, which says nothing of the receiver.
    Busy,
}

impl Sent {
    /// Returns whether the receiver accepted the message.
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Answered(200..=299))
    }
}

/// Sends messages. It limits the time of each, and decides which addresses it connects to.
pub trait Sender: Send + Sync {
    /// Checks an address before it is stored. An error is the end of the sentence "The url field …".
    ///
    /// # Errors
    /// The sender would never send to this address.
    fn check(&self, url: &str) -> Result<(), &'static str>;

    /// Returns the most messages that it sends at a time.
    fn most(&self) -> usize;

    /// Sends a message.
    fn send(&self, message: Message) -> Pin<Box<dyn Future<Output = Sent> + Send>>;
}
