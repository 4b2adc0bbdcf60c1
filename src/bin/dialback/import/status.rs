//! Reads the status of a call in the words of the program that recorded it.

use dialback::Outcome;

/// Which words to use where one word has several meanings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Vocabulary {
    /// The API's words: an `answered` call is still going on.
    Events,
    /// The words of records that are written after the call, such as Asterisk's: an `ANSWERED` call is completed.
    FinalRecords,
}

/// Returns the outcome that `status` names. Case is ignored, and spaces and hyphens count as underscores. `None` for
/// an unknown word.
///
/// An empty status is [`Outcome::Initiated`]: the call was placed, and nothing more is known. It has the lowest rank,
/// so that any other report of the call outranks it.
pub(super) fn outcome(status: &str, vocabulary: Vocabulary) -> Option<Outcome> {
    if status.is_empty() {
        return Some(Outcome::Initiated);
    }
    if status.bytes().all(|byte| byte.is_ascii_digit()) {
        return sip_outcome(status);
    }
    let (_, outcome) = WORDS.iter().find(|(word, _)| same_word(word, status))?;
    match (*outcome, vocabulary) {
        (Outcome::Answered, Vocabulary::FinalRecords) => Some(Outcome::Completed),
        (outcome, _) => Some(outcome),
    }
}

/// Returns the outcome for the final (or last provisional) response code to the INVITE.
fn sip_outcome(code: &str) -> Option<Outcome> {
    let code: u16 = code.parse().ok().filter(|_| code.len() == 3)?;
    Some(match code {
        180 | 182 | 183 => Outcome::Ringing,
        100..=199 => Outcome::Initiated,
        200..=299 => Outcome::Completed,
        // 603 is a contact that declines the call, which usually means that the contact is busy.
        486 | 600 | 603 => Outcome::Busy,
        408 | 480 | 487 => Outcome::NoAnswer,
        300..=699 => Outcome::Failed,
        _ => return None,
    })
}

fn same_word(word: &str, status: &str) -> bool {
    word.len() == status.len()
        && word.bytes().zip(status.bytes()).all(|(ours, theirs)| match theirs {
            b' ' | b'-' => ours == b'_',
            _ => ours.eq_ignore_ascii_case(&theirs),
        })
}

/// The API's words, Asterisk's dispositions and dial statuses, FreeSWITCH's hangup causes, and the words of hosted
/// platforms. Frequent words come first, because the list is searched in order.
const WORDS: &[(&str, Outcome)] = &[
    ("COMPLETED", Outcome::Completed),
    ("ANSWERED", Outcome::Answered),
    ("NO_ANSWER", Outcome::NoAnswer),
    ("BUSY", Outcome::Busy),
    ("FAILED", Outcome::Failed),
    ("VOICEMAIL", Outcome::Voicemail),
    ("NORMAL_CLEARING", Outcome::Completed),
    ("ORIGINATOR_CANCEL", Outcome::NoAnswer),
    ("USER_BUSY", Outcome::Busy),
    ("NO_USER_RESPONSE", Outcome::NoAnswer),
    ("CALL_REJECTED", Outcome::Busy),
    ("CONGESTION", Outcome::Failed),
    ("CANCEL", Outcome::NoAnswer),
    ("INITIATED", Outcome::Initiated),
    ("RINGING", Outcome::Ringing),
    // Asterisk.
    ("ANSWER", Outcome::Answered),
    ("NOANSWER", Outcome::NoAnswer),
    ("CHANUNAVAIL", Outcome::Failed),
    ("UNKNOWN", Outcome::Initiated),
    // FreeSWITCH: ended after an answer (if the record has no answer time, see `answered`).
    ("ATTENDED_TRANSFER", Outcome::Completed),
    ("BLIND_TRANSFER", Outcome::Completed),
    ("MANAGER_REQUEST", Outcome::Completed),
    ("SUCCESS", Outcome::Completed),
    // The call was not picked up in time, or the caller gave up.
    ("ALLOTTED_TIMEOUT", Outcome::NoAnswer),
    ("PROGRESS_TIMEOUT", Outcome::NoAnswer),
    ("SUBSCRIBER_ABSENT", Outcome::NoAnswer),
    ("LOSE_RACE", Outcome::NoAnswer),
    ("PICKED_OFF", Outcome::NoAnswer),
    ("NO_PICKUP", Outcome::NoAnswer),
    ("CANCELED", Outcome::NoAnswer),
    ("CANCELLED", Outcome::NoAnswer),
    ("DECLINED", Outcome::Busy),
    // The call never reached the contact, or broke off.
    ("UNALLOCATED_NUMBER", Outcome::Failed),
    ("NO_ROUTE_TRANSIT_NET", Outcome::Failed),
    ("NO_ROUTE_DESTINATION", Outcome::Failed),
    ("CHANNEL_UNACCEPTABLE", Outcome::Failed),
    ("NUMBER_CHANGED", Outcome::Failed),
    ("REDIRECTION_TO_NEW_DESTINATION", Outcome::Failed),
    ("EXCHANGE_ROUTING_ERROR", Outcome::Failed),
    ("DESTINATION_OUT_OF_ORDER", Outcome::Failed),
    ("INVALID_NUMBER_FORMAT", Outcome::Failed),
    ("FACILITY_REJECTED", Outcome::Failed),
    ("NORMAL_UNSPECIFIED", Outcome::Failed),
    ("NORMAL_CIRCUIT_CONGESTION", Outcome::Failed),
    ("NETWORK_OUT_OF_ORDER", Outcome::Failed),
    ("NORMAL_TEMPORARY_FAILURE", Outcome::Failed),
    ("SWITCH_CONGESTION", Outcome::Failed),
    ("ACCESS_INFO_DISCARDED", Outcome::Failed),
    ("REQUESTED_CHAN_UNAVAIL", Outcome::Failed),
    ("PRE_EMPTED", Outcome::Failed),
    ("FACILITY_NOT_SUBSCRIBED", Outcome::Failed),
    ("OUTGOING_CALL_BARRED", Outcome::Failed),
    ("INCOMING_CALL_BARRED", Outcome::Failed),
    ("BEARERCAPABILITY_NOTAUTH", Outcome::Failed),
    ("BEARERCAPABILITY_NOTAVAIL", Outcome::Failed),
    ("BEARERCAPABILITY_NOTIMPL", Outcome::Failed),
    ("SERVICE_UNAVAILABLE", Outcome::Failed),
    ("CHAN_NOT_IMPLEMENTED", Outcome::Failed),
    ("FACILITY_NOT_IMPLEMENTED", Outcome::Failed),
    ("SERVICE_NOT_IMPLEMENTED", Outcome::Failed),
    ("INVALID_CALL_REFERENCE", Outcome::Failed),
    ("INCOMPATIBLE_DESTINATION", Outcome::Failed),
    ("INVALID_MSG_UNSPECIFIED", Outcome::Failed),
    ("MANDATORY_IE_MISSING", Outcome::Failed),
    ("MANDATORY_IE_LENGTH_ERROR", Outcome::Failed),
    ("MESSAGE_TYPE_NONEXIST", Outcome::Failed),
    ("WRONG_MESSAGE", Outcome::Failed),
    ("WRONG_CALL_STATE", Outcome::Failed),
    ("IE_NONEXIST", Outcome::Failed),
    ("INVALID_IE_CONTENTS", Outcome::Failed),
    ("RECOVERY_ON_TIMER_EXPIRE", Outcome::Failed),
    ("PROTOCOL_ERROR", Outcome::Failed),
    ("INTERWORKING", Outcome::Failed),
    ("CRASH", Outcome::Failed),
    ("SYSTEM_SHUTDOWN", Outcome::Failed),
    ("MEDIA_TIMEOUT", Outcome::Failed),
    ("GATEWAY_DOWN", Outcome::Failed),
    ("INVALID_GATEWAY", Outcome::Failed),
    ("INVALID_PROFILE", Outcome::Failed),
    ("INVALID_URL", Outcome::Failed),
    ("USER_CHALLENGE", Outcome::Failed),
    ("USER_NOT_REGISTERED", Outcome::Failed),
    ("NONE", Outcome::Failed),
    ("UNSPECIFIED", Outcome::Failed),
    // Hosted platforms.
    ("QUEUED", Outcome::Initiated),
    ("IN_PROGRESS", Outcome::Answered),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_names_are_accepted() {
        for ours in Outcome::ALL {
            assert_eq!(outcome(ours.name(), Vocabulary::Events), Some(ours));
            assert_eq!(outcome(&ours.name().to_uppercase(), Vocabulary::Events), Some(ours));
        }
    }

    #[test]
    fn gateway_words_are_accepted() {
        for (word, expected) in [
            ("NO ANSWER", Outcome::NoAnswer),
            ("no-answer", Outcome::NoAnswer),
            ("Congestion", Outcome::Failed),
            ("CANCEL", Outcome::NoAnswer),
            ("NORMAL_CLEARING", Outcome::Completed),
            ("ORIGINATOR_CANCEL", Outcome::NoAnswer),
            ("call_rejected", Outcome::Busy),
            ("UNALLOCATED_NUMBER", Outcome::Failed),
            ("", Outcome::Initiated),
        ] {
            assert_eq!(outcome(word, Vocabulary::Events), Some(expected), "{word:?}");
        }
        for word in ["perhaps", "NO__ANSWER", "NO ANSWERS", "-", "ÄNSWERED"] {
            assert_eq!(outcome(word, Vocabulary::Events), None, "{word:?}");
        }
    }

    #[test]
    fn sip_codes_map_to_outcomes() {
        for (code, expected) in [
            ("100", Some(Outcome::Initiated)),
            ("180", Some(Outcome::Ringing)),
            ("200", Some(Outcome::Completed)),
            ("302", Some(Outcome::Failed)),
            ("404", Some(Outcome::Failed)),
            ("408", Some(Outcome::NoAnswer)),
            ("480", Some(Outcome::NoAnswer)),
            ("486", Some(Outcome::Busy)),
            ("487", Some(Outcome::NoAnswer)),
            ("503", Some(Outcome::Failed)),
            ("600", Some(Outcome::Busy)),
            ("603", Some(Outcome::Busy)),
            ("0", None),
            ("0200", None),
            ("700", None),
            ("99999999999", None),
        ] {
            assert_eq!(outcome(code, Vocabulary::Events), expected, "{code}");
        }
    }

    #[test]
    fn answered_means_completed_only_in_final_records() {
        assert_eq!(outcome("ANSWERED", Vocabulary::Events), Some(Outcome::Answered));
        assert_eq!(outcome("ANSWERED", Vocabulary::FinalRecords), Some(Outcome::Completed));
        assert_eq!(outcome("BUSY", Vocabulary::FinalRecords), Some(Outcome::Busy));
    }

    #[test]
    fn each_word_is_listed_once() {
        let mut words: Vec<_> = WORDS.iter().map(|(word, _)| word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), WORDS.len());
    }
}
