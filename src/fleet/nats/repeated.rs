//! Repeats requests that a server may have dropped.

use super::error::away;
use crate::fleet::StreamError;
use std::time::Duration;
use tokio::time::timeout;

/// How long each attempt may take, in fifths of the time for all.
const FIFTHS: [u32; 4] = [1, 1, 1, 2];

/// Asks the server, and asks again if there is no answer soon, for at most `patience`. The servers of a cluster drop
/// requests while they have no leader, and a new consumer can get a place on a server that is dead. So the request must
/// be one that may be made twice.
pub(super) async fn repeated<T>(
    patience: Duration,
    ask: impl AsyncFn() -> Result<T, StreamError>,
) -> Result<T, StreamError> {
    for fifths in FIFTHS {
        if let Ok(answer) = timeout(patience / 5 * fifths, ask()).await {
            return answer;
        }
    }
    Err(away("the server did not answer in time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_request_without_an_answer_is_repeated_for_a_limited_time() {
        let asked = Cell::new(0);
        let patience = Duration::from_millis(100);
        let answered_at = |attempt: u32| {
            asked.set(0);
            let ask = async || {
                asked.set(asked.get() + 1);
                if asked.get() < attempt {
                    std::future::pending::<()>().await;
                }
                Ok(asked.get())
            };
            repeated(patience, ask)
        };
        for attempt in 1..=4 {
            assert_eq!(answered_at(attempt).await.expect("answered"), attempt);
        }
        let began = tokio::time::Instant::now();
        assert!(matches!(answered_at(5).await, Err(StreamError::Away(_))));
        assert!(asked.get() == 4 && began.elapsed() >= patience);
        let failed = repeated(patience, async || Err::<(), _>(StreamError::Gone)).await;
        assert!(matches!(failed, Err(StreamError::Gone)), "an answer is not repeated, even if it is an error");
    }
}
