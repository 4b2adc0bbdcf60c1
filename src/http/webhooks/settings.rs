//! The settings of a webhook, and its secrets.

use crate::store::{EventKind, EventKinds};
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The settings of a webhook.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::http) struct Settings {
    /// It may contain a secret of its owner: never log it.
    pub(in crate::http) url: String,
    /// The names of the types of events; `None` stands for all, also those of later versions.
    pub(in crate::http) types: Option<Vec<String>>,
    pub(in crate::http) description: String,
    pub(in crate::http) created_at: Timestamp,
    /// The newest first.
    secrets: Vec<Secret>,
    pub(in crate::http) disabled: Option<Disabled>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Secret {
    text: String,
    /// The first moment at which it does not sign any more.
    until: Option<Timestamp>,
}

/// Since when a webhook is disabled, and why.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(in crate::http) struct Disabled {
    pub(in crate::http) at: Timestamp,
    pub(in crate::http) why: Why,
}

/// Why a webhook is disabled.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(in crate::http) enum Why {
    Request,
    Gone,
    Failing,
}

impl Why {
    pub(in crate::http) fn name(self) -> &'static str {
        match self {
            Self::Request => "by_request",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// The settings that a request has.
#[derive(Clone)]
pub(in crate::http) struct Wanted {
    pub(in crate::http) url: String,
    pub(in crate::http) types: Option<Vec<String>>,
    pub(in crate::http) description: String,
}

impl Settings {
    /// Returns the settings of a new webhook, with a secret.
    pub(in crate::http) fn new(Wanted { url, types, description }: Wanted, now: Timestamp) -> Self {
        let secrets = vec![Secret { text: new_secret(), until: None }];
        Self { url, types, description, created_at: now, secrets, disabled: None }
    }

    /// Returns the kinds of events to send. A name that this version does not know stands for no kind.
    pub(super) fn kinds(&self) -> EventKinds {
        let Some(types) = &self.types else { return EventKinds::ALL };
        let known = types.iter().filter_map(|name| name.parse::<EventKind>().ok());
        known.fold(EventKinds::NONE, EventKinds::with)
    }

    /// Disables the webhook, unless it is disabled already.
    pub(in crate::http) fn disable(&mut self, disabled: Disabled) {
        self.disabled.get_or_insert(disabled);
    }

    /// Returns the secrets that sign now, the newest first.
    pub(in crate::http) fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        let valid = move |secret: &&Secret| secret.until.is_none_or(|until| now < until);
        self.secrets.iter().filter(valid).map(|secret| secret.text.as_str())
    }

    /// Returns the newest secret.
    pub(in crate::http) fn secret(&self) -> &str {
        self.secrets.first().map_or("", |secret| &secret.text)
    }

    /// Returns the end of the last secret's overlap, if it lasts.
    pub(in crate::http) fn overlap_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.secrets.iter().filter_map(|secret| secret.until).find(|until| now < *until)
    }

    /// Returns the settings with a new secret. The last one goes on signing until the end of the overlap; those before it do
    /// not.
    pub(in crate::http) fn rotated(&self, until: Timestamp) -> Self {
        let new = Secret { text: new_secret(), until: None };
        let old = self.secrets.first().map(|secret| Secret { until: Some(until), ..secret.clone() });
        Self { secrets: [new].into_iter().chain(old).collect(), ..self.clone() }
    }
}

/// Prints no address and no secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("disabled", &self.disabled).finish_non_exhaustive()
    }
}

/// Returns a new secret of 256 random bits, as the specification writes it.
fn new_secret() -> String {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).expect("the operating system provides random bytes");
    format!("whsec_{}", STANDARD.encode(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn settings() -> Settings {
        let url = "https://example.com/hooks?key=5557654321".to_owned();
        Settings::new(Wanted { url, types: None, description: String::new() }, NOW)
    }

    #[test]
    fn rotation_keeps_the_last_secret_for_the_overlap_and_no_earlier_one() {
        let first = settings();
        let second = first.rotated(NOW.plus_millis(1000));
        let signing = |settings: &Settings, now| settings.secrets(now).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(signing(&second, NOW), [second.secret(), first.secret()]);
        assert_eq!(signing(&second, NOW.plus_millis(1000)), [second.secret()]);
        let third = second.rotated(NOW.plus_millis(5000));
        assert_eq!(signing(&third, NOW), [third.secret(), second.secret()]);
        assert_eq!(third.overlap_until(NOW), Some(NOW.plus_millis(5000)));
        assert_eq!(third.overlap_until(NOW.plus_millis(5000)), None);
        assert_eq!(first.overlap_until(NOW), None);
        assert_ne!(first.secret(), second.secret());
    }

    #[test]
    fn settings_print_no_address_and_no_secret_and_read_back() {
        let settings = settings();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("5557654321") && !shown.contains(&settings.secret()[6..]), "{shown}");
        let text = serde_json::to_string(&settings).expect("JSON");
        let read: Settings = serde_json::from_str(&text).expect("JSON");
        assert_eq!((read.url.as_str(), read.secret()), (settings.url.as_str(), settings.secret()));
    }

    #[test]
    fn names_of_later_versions_are_kept_and_stand_for_nothing() {
        let types = Some(vec!["call.recorded".to_owned(), "later.kind".to_owned()]);
        let settings = Settings { types, ..settings() };
        assert_eq!(settings.kinds(), EventKinds::NONE.with(EventKind::CallRecorded));
    }
}
