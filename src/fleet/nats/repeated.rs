//! Repeats requests that a server may have dropped.

use super::error::away;
use crate::fleet::StreamError;
use std::time::Duration;
use tokio::time::timeout;

/// How long each attempt may take, in tenths of the time for all. A cluster drops the requests of the time in which it
/// elects a leader, so the length of an attempt delays the node after an election.
const TENTHS: [u32; 7] = [1, 1, 1, 1, 2, 2, 2];

/// Asks the server, and asks again if there is no answer soon, for at most `patience`. The servers of a cluster drop
/// requests while they have no leader, and a new consumer can get a place on a server that is dead. So the request must
/// be one that may be made twice.
pub(super) async fn repeated<T>(
    patience: Duration,
    ask: impl AsyncFn() -> Result<T, StreamError>,
) -> Result<T, StreamError> {
    for tenths in TENTHS {
        if let Ok(answer) = timeout(patience / 10 * tenths, ask()).await {
            return answer;
        }
    }
    Err(away("the server did not answer in time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Asks a server that answers this attempt, and counts the attempts.
    async fn answered_at(attempt: u32, asked: &Cell<u32>) -> Result<(), StreamError> {
        asked.set(0);
        let ask = async || {
            asked.set(asked.get() + 1);
            if asked.get() < attempt {
                std::future::pending::<()>().await;
            }
            Ok(())
        };
        repeated(Duration::from_millis(100), ask).await
    }

    #[tokio::test]
    async fn a_request_without_an_answer_is_repeated_a_limited_number_of_times() {
        let asked = Cell::new(0);
        for attempt in 1..=7 {
            answered_at(attempt, &asked).await.expect("answered");
            assert_eq!(asked.get(), attempt);
        }
        assert!(matches!(answered_at(8, &asked).await, Err(StreamError::Away(_))));
        assert_eq!(asked.get(), 7);
        let failed = repeated(Duration::from_millis(100), async || Err::<(), _>(StreamError::Gone)).await;
        assert!(matches!(failed, Err(StreamError::Gone)), "an answer is not repeated, even if it is an error");
    }
}
