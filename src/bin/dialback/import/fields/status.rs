//! Reads the status of a call in the words of the program that recorded it.

use super::words::{self, SipCode};
use crate::import::report::rejection::{Quoted, Rejection};
use crate::import::report::seen::{ReadAs, Seen};
use dialback::Outcome;
use std::str::FromStr;

/// The program whose words a status has, where one word has several meanings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum Vocabulary {
    /// The API's words: an `answered` call is still going on. Also the words of all gateways.
    Events,
    /// Asterisk writes its records after the call: an `ANSWERED` call is completed. Databases hold numbers.
    Asterisk,
    /// FreeSWITCH: hangup causes. The time of the answer decides whether a call was answered.
    Freeswitch,
    /// Kamailio: SIP codes of final responses.
    Kamailio,
    Twilio,
    Retell,
    Vapi,
}

impl Vocabulary {
    /// Returns whether records are written after the call, so that several may describe one call.
    pub(in crate::import) fn is_final(self) -> bool {
        self != Self::Events
    }
}

/// `--status`: the outcome of a word, whatever the format says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OwnWord {
    word: String,
    outcome: Outcome,
}

impl FromStr for OwnWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, outcome) = text
            .rsplit_once('=')
            .ok_or_else(|| format!("`{text}` is not of the form WORD=OUTCOME, such as SALE=completed"))?;
        Ok(Self { word: word.trim().to_owned(), outcome: parse_outcome(outcome)? })
    }
}

/// `--unknown-status`: the outcome of a word that is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unknown {
    /// The line is rejected.
    Reject,
    Outcome(Outcome),
}

impl FromStr for Unknown {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "reject" { Ok(Self::Reject) } else { parse_outcome(text).map(Self::Outcome) }
    }
}

fn parse_outcome(text: &str) -> Result<Outcome, String> {
    let names = Outcome::ALL.map(Outcome::name).join(", ");
    text.trim().parse().map_err(|_| format!("`{}` is not an outcome: use one of {names}", text.trim()))
}

/// Reads statuses, and counts how each word was read.
pub(in crate::import) struct Statuses {
    vocabulary: Vocabulary,
    own: Vec<OwnWord>,
    unknown: Unknown,
    pub(in crate::import) seen: Seen,
}

/// The other facts of a record that bear on the outcome of its call.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(in crate::import) struct Evidence {
    /// Whether the record has the time of an answer. `None` if no column holds it.
    pub(in crate::import) answered: Option<bool>,
    /// Whether the record says that a machine answered.
    pub(in crate::import) voicemail: bool,
}

impl Statuses {
    pub(in crate::import) fn new(vocabulary: Vocabulary, own: &[OwnWord], unknown: Unknown) -> Self {
        Self { vocabulary, own: own.to_vec(), unknown, seen: Seen::default() }
    }

    /// Returns the outcome of a call with this status. `None` if the record is of no outcome: 401 and 407 ask for
    /// credentials, and the answer to the next INVITE is the outcome.
    ///
    /// Case is ignored, and spaces and hyphens count as underscores. An empty status is [`Outcome::Initiated`]: the
    /// call was placed, and nothing more is known. It has the lowest rank, so that any other report of the call
    /// outranks it.
    pub(in crate::import) fn read(&mut self, status: &str, evidence: Evidence) -> Result<Option<Outcome>, Rejection> {
        let read = self.meaning(status, evidence);
        self.seen.count(status, read);
        match read {
            ReadAs::Outcome(outcome) => Ok(Some(outcome)),
            ReadAs::NoOutcome => Ok(None),
            ReadAs::Rejected => Err(Rejection::Status(Quoted::new(status))),
        }
    }

    fn meaning(&self, status: &str, Evidence { answered, voicemail }: Evidence) -> ReadAs {
        // The last one counts, as with `--map`.
        if let Some(own) = self.own.iter().rev().find(|own| words::same_word(&own.word, status)) {
            return ReadAs::Outcome(own.outcome);
        }
        // A known answer outranks a guess at the word.
        let known = self.known(status).or(match self.unknown {
            Unknown::Reject => None,
            Unknown::Outcome(outcome) => Some(Word::of(outcome)),
        });
        let by_answer = self.vocabulary == Vocabulary::Freeswitch;
        let outcome = match (known, answered) {
            (Some(Word { meaning: ReadAs::Outcome(Outcome::Voicemail), .. }), _) => Outcome::Voicemail,
            // A call that was answered is completed, whatever ended it.
            (_, Some(true)) if by_answer => Outcome::Completed,
            (Some(Word { is_cause: true, .. }), Some(true)) => Outcome::Completed,
            (Some(Word { meaning: ReadAs::Outcome(Outcome::Answered | Outcome::Completed), .. }), Some(false)) => {
                Outcome::NoAnswer
            }
            (Some(Word { meaning: ReadAs::Outcome(outcome), .. }), _) => outcome,
            (Some(word), _) => return word.meaning,
            (None, _) => return ReadAs::Rejected,
        };
        match outcome {
            Outcome::Answered | Outcome::Completed if voicemail => ReadAs::Outcome(Outcome::Voicemail),
            outcome => ReadAs::Outcome(outcome),
        }
    }

    /// Returns the meaning of the word by itself. `None` for an unknown word.
    fn known(&self, status: &str) -> Option<Word> {
        if status.is_empty() {
            return Some(Word::of(Outcome::Initiated));
        }
        if status.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.number(status).map(|meaning| Word { meaning, is_cause: false });
        }
        let of_platform = match self.vocabulary {
            Vocabulary::Retell => words::of_retell(status),
            Vocabulary::Vapi => words::of_vapi(status),
            _ => None,
        };
        if let Some(outcome) = of_platform {
            return Some(Word::of(outcome));
        }
        if let Some(outcome) = words::of_word(status) {
            let is_answered = words::same_word("ANSWERED", status) || words::same_word("ANSWER", status);
            let is_over = is_answered && self.vocabulary.is_final();
            return Some(Word::of(if is_over { Outcome::Completed } else { outcome }));
        }
        if self.vocabulary == Vocabulary::Asterisk {
            // Its records have a disposition. FreeSWITCH's template `asterisk` has a cause in the same column.
            return None;
        }
        words::of_cause(status).map(|outcome| Word { is_cause: true, ..Word::of(outcome) })
    }

    fn number(&self, status: &str) -> Option<ReadAs> {
        if self.vocabulary == Vocabulary::Asterisk {
            return words::of_disposition(status).map(ReadAs::Outcome);
        }
        Some(match words::of_sip_code(status)? {
            SipCode::Outcome(outcome) => ReadAs::Outcome(outcome),
            SipCode::Challenge => ReadAs::NoOutcome,
        })
    }
}

/// The meaning of a word.
#[derive(Clone, Copy)]
struct Word {
    meaning: ReadAs,
    /// Whether it is a hangup cause, which says why the call ended, and not whether it had been answered.
    is_cause: bool,
}

impl Word {
    fn of(outcome: Outcome) -> Self {
        Self { meaning: ReadAs::Outcome(outcome), is_cause: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Answered, Busy, Completed, Failed, Initiated, NoAnswer, Voicemail};

    const NOTHING_ELSE: Evidence = Evidence { answered: None, voicemail: false };

    fn read(vocabulary: Vocabulary, status: &str, evidence: Evidence) -> Result<Option<Outcome>, Rejection> {
        Statuses::new(vocabulary, &[], Unknown::Reject).read(status, evidence)
    }

    fn outcome(vocabulary: Vocabulary, status: &str) -> Option<Outcome> {
        read(vocabulary, status, NOTHING_ELSE).ok().flatten()
    }

    #[test]
    fn api_names_are_accepted() {
        for ours in Outcome::ALL {
            assert_eq!(outcome(Vocabulary::Events, ours.name()), Some(ours));
            assert_eq!(outcome(Vocabulary::Events, &ours.name().to_uppercase()), Some(ours));
        }
    }

    #[test]
    fn gateway_words_are_accepted() {
        for (word, expected) in [
            ("NO ANSWER", NoAnswer),
            ("no-answer", NoAnswer),
            ("Congestion", Failed),
            ("CANCEL", NoAnswer),
            ("NORMAL_CLEARING", Completed),
            ("ORIGINATOR_CANCEL", NoAnswer),
            ("call_rejected", Busy),
            ("UNALLOCATED_NUMBER", Failed),
            ("", Initiated),
        ] {
            assert_eq!(outcome(Vocabulary::Events, word), Some(expected), "{word:?}");
        }
        for word in ["perhaps", "NO__ANSWER", "NO ANSWERS", "-", "ÄNSWERED"] {
            let rejected = read(Vocabulary::Events, word, NOTHING_ELSE);
            assert_eq!(rejected, Err(Rejection::Status(Quoted::new(word))), "{word:?}");
        }
    }

    #[test]
    fn answered_means_completed_only_in_final_records() {
        assert_eq!(outcome(Vocabulary::Events, "ANSWERED"), Some(Answered));
        assert_eq!(outcome(Vocabulary::Asterisk, "ANSWERED"), Some(Completed));
        assert_eq!(outcome(Vocabulary::Asterisk, "BUSY"), Some(Busy));
        assert_eq!(outcome(Vocabulary::Twilio, "in-progress"), Some(Answered), "a call that is still going on");
    }

    #[test]
    fn numbers_are_dispositions_in_asterisk_and_sip_codes_elsewhere() {
        for (number, expected) in [("8", Completed), ("0", NoAnswer), ("4", Busy), ("2", Failed), ("1", Initiated)] {
            assert_eq!(outcome(Vocabulary::Asterisk, number), Some(expected), "{number}");
            assert_eq!(outcome(Vocabulary::Kamailio, number), None, "{number}");
        }
        assert_eq!(outcome(Vocabulary::Kamailio, "200"), Some(Completed));
        assert!(read(Vocabulary::Asterisk, "200", NOTHING_ELSE).is_err());
    }

    #[test]
    fn challenge_is_no_outcome() {
        for vocabulary in [Vocabulary::Events, Vocabulary::Kamailio] {
            for code in ["401", "407"] {
                assert_eq!(read(vocabulary, code, NOTHING_ELSE), Ok(None), "{code}");
            }
        }
    }

    #[test]
    fn freeswitch_call_is_completed_exactly_if_it_was_answered() {
        let with = |answered| Evidence { answered: Some(answered), voicemail: false };
        for cause in
            ["ALLOTTED_TIMEOUT", "MEDIA_TIMEOUT", "ORIGINATOR_CANCEL", "NORMAL_CLEARING", "NO_ANSWER", "NEW", ""]
        {
            assert_eq!(read(Vocabulary::Freeswitch, cause, with(true)), Ok(Some(Completed)), "{cause}");
            assert_ne!(read(Vocabulary::Freeswitch, cause, with(false)), Ok(Some(Completed)), "{cause}");
        }
        assert_eq!(read(Vocabulary::Freeswitch, "NORMAL_CLEARING", with(false)), Ok(Some(NoAnswer)));
        // Without the format too, a hangup cause does not say whether the call had been answered.
        assert_eq!(read(Vocabulary::Events, "ORIGINATOR_CANCEL", with(true)), Ok(Some(Completed)));
        assert_eq!(read(Vocabulary::Events, "completed", with(false)), Ok(Some(NoAnswer)));
        assert_eq!(read(Vocabulary::Events, "failed", with(true)), Ok(Some(Failed)));
    }

    #[test]
    fn unknown_word_is_completed_only_as_far_as_the_record_says_so() {
        let unknown = |vocabulary, evidence| {
            Statuses::new(vocabulary, &[], Unknown::Outcome(Completed)).read("SOMETHING_NEW", evidence)
        };
        let answered = |answered| Evidence { answered: Some(answered), voicemail: false };
        for vocabulary in [Vocabulary::Events, Vocabulary::Freeswitch] {
            assert_eq!(unknown(vocabulary, answered(false)), Ok(Some(NoAnswer)));
            assert_eq!(unknown(vocabulary, answered(true)), Ok(Some(Completed)));
        }
        assert_eq!(unknown(Vocabulary::Twilio, Evidence { answered: None, voicemail: true }), Ok(Some(Voicemail)));
        assert_eq!(unknown(Vocabulary::Events, NOTHING_ELSE), Ok(Some(Completed)));
    }

    #[test]
    fn hangup_cause_is_no_disposition_of_asterisk() {
        assert_eq!(
            read(Vocabulary::Asterisk, "NORMAL_CLEARING", NOTHING_ELSE),
            Err(Rejection::Status(Quoted::new("NORMAL_CLEARING")))
        );
    }

    #[test]
    fn last_meaning_of_an_own_word_counts() {
        let own: Vec<OwnWord> = ["ANSWERED=failed", "answered=busy"].map(|word| word.parse().unwrap()).into();
        let mut statuses = Statuses::new(Vocabulary::Asterisk, &own, Unknown::Reject);
        assert_eq!(statuses.read("ANSWERED", NOTHING_ELSE), Ok(Some(Busy)));
    }

    #[test]
    fn machine_that_answered_is_voicemail() {
        let machine = Evidence { answered: None, voicemail: true };
        assert_eq!(read(Vocabulary::Twilio, "completed", machine), Ok(Some(Voicemail)));
        assert_eq!(read(Vocabulary::Twilio, "busy", machine), Ok(Some(Busy)));
    }

    #[test]
    fn own_words_come_first_and_unknown_words_are_read_as_the_user_says() {
        let own: Vec<OwnWord> =
            ["SALE=completed", "drop call=no-answer", "401=failed"].map(|word| word.parse().unwrap()).into();
        let mut statuses = Statuses::new(Vocabulary::Freeswitch, &own, Unknown::Outcome(Failed));
        let evidence = Evidence { answered: Some(true), voicemail: true };
        assert_eq!(statuses.read("sale", evidence), Ok(Some(Completed)));
        assert_eq!(statuses.read("Drop-Call", NOTHING_ELSE), Ok(Some(NoAnswer)));
        assert_eq!(statuses.read("401", NOTHING_ELSE), Ok(Some(Failed)));
        assert_eq!(statuses.read("AA", NOTHING_ELSE), Ok(Some(Failed)));
        let own = ["=voicemail".parse().unwrap()];
        assert_eq!(
            Statuses::new(Vocabulary::Events, &own, Unknown::Reject).read("", NOTHING_ELSE),
            Ok(Some(Voicemail))
        );
        for text in ["SALE", "SALE=", "SALE=perhaps"] {
            assert!(text.parse::<OwnWord>().is_err(), "{text}");
        }
        assert_eq!("reject".parse(), Ok(Unknown::Reject));
        assert_eq!("no_answer".parse(), Ok(Unknown::Outcome(NoAnswer)));
        assert!("perhaps".parse::<Unknown>().is_err());
    }
}
