//! The words for the status of a call, and their outcomes.

use dialback::Outcome;

/// Returns whether the words are equal. Case is ignored, and spaces and hyphens count as underscores.
pub(in crate::import) fn same_word(word: &str, status: &str) -> bool {
    let plain = |byte: u8| if matches!(byte, b' ' | b'-') { b'_' } else { byte.to_ascii_uppercase() };
    word.len() == status.len() && word.bytes().zip(status.bytes()).all(|(ours, theirs)| plain(ours) == plain(theirs))
}

/// Returns the outcome of a word of the API, of Asterisk or of hosted platforms.
pub(in crate::import) fn of_word(status: &str) -> Option<Outcome> {
    find(WORDS, status)
}

/// Returns the outcome of a hangup cause of FreeSWITCH, for a call that was never answered unless the cause says so.
pub(in crate::import) fn of_cause(status: &str) -> Option<Outcome> {
    find(CAUSES, status)
}

/// Returns the outcome of a disconnection reason of Retell AI, or of a call status that implies an outcome.
pub(in crate::import) fn of_retell(status: &str) -> Option<Outcome> {
    find(RETELL, status).or_else(|| begins(status, "error_").then_some(Outcome::Failed))
}

/// Returns the outcome of an ended reason of Vapi, or of a call status that implies an outcome. Vapi has hundreds of
/// reasons, so most are recognized by their parts.
pub(in crate::import) fn of_vapi(status: &str) -> Option<Outcome> {
    let word: String =
        status.to_ascii_lowercase().chars().map(|c| if matches!(c, ' ' | '_') { '-' } else { c }).collect();
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    let begins = |parts: &[&str]| parts.iter().any(|part| word.starts_with(part));
    if let Some(outcome) = find(VAPI, &word) {
        return Some(outcome);
    }
    if has(&["-480-", "-408-"]) {
        return Some(Outcome::NoAnswer);
    }
    if has(&["-486-", "-600-", "-603-"]) {
        return Some(Outcome::Busy);
    }
    let never_connected = has(&["failed-to-connect", "misdialed", "never-connected", "outbound-sip-"])
        || begins(&["call.start.", "assistant-not-", "assistant-request-", "assistant-join-"]);
    if never_connected {
        return Some(Outcome::Failed);
    }
    // The call was going on: it had been answered.
    let went_on = begins(&["pipeline-", "call.in-progress.", "call.ending.", "call.forwarding."])
        || begins(&["customer-ended-call", "assistant-ended-call", "assistant-said-", "assistant-forwarded-call"]);
    went_on.then_some(Outcome::Completed)
}

/// Returns the outcome of a disposition that a database holds as a number: the flags of Asterisk's `cdr.h`.
pub(in crate::import) fn of_disposition(number: &str) -> Option<Outcome> {
    Some(match number {
        "0" => Outcome::NoAnswer,
        // No disposition was set.
        "1" => Outcome::Initiated,
        "2" | "16" => Outcome::Failed,
        "4" => Outcome::Busy,
        "8" => Outcome::Completed,
        _ => return None,
    })
}

/// The meaning of a response code to an INVITE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum SipCode {
    Outcome(Outcome),
    /// The server asks for credentials, and the caller sends the INVITE again.
    Challenge,
}

/// Returns the meaning of the final (or last provisional) response code to the INVITE. `None` for numbers that are not
/// a code.
pub(in crate::import) fn of_sip_code(code: &str) -> Option<SipCode> {
    let code: u16 = code.parse().ok().filter(|_| code.len() == 3)?;
    Some(SipCode::Outcome(match code {
        401 | 407 => return Some(SipCode::Challenge),
        180..=183 => Outcome::Ringing,
        100 | 199 => Outcome::Initiated,
        200..=299 => Outcome::Completed,
        // 603 is a contact that declines the call, which usually means that the contact is busy.
        486 | 600 | 603 => Outcome::Busy,
        408 | 480 | 487 => Outcome::NoAnswer,
        300..=699 => Outcome::Failed,
        _ => return None,
    }))
}

fn find(words: &[(&str, Outcome)], status: &str) -> Option<Outcome> {
    words.iter().find(|(word, _)| same_word(word, status)).map(|(_, outcome)| *outcome)
}

fn begins(status: &str, prefix: &str) -> bool {
    status.get(..prefix.len()).is_some_and(|start| same_word(prefix, start))
}

const WORDS: &[(&str, Outcome)] = &[
    ("COMPLETED", Outcome::Completed),
    ("ANSWERED", Outcome::Answered),
    ("NO_ANSWER", Outcome::NoAnswer),
    ("BUSY", Outcome::Busy),
    ("FAILED", Outcome::Failed),
    ("VOICEMAIL", Outcome::Voicemail),
    ("INITIATED", Outcome::Initiated),
    ("RINGING", Outcome::Ringing),
    // Asterisk: dispositions and dial statuses.
    ("CONGESTION", Outcome::Failed),
    ("CANCEL", Outcome::NoAnswer),
    ("ANSWER", Outcome::Answered),
    ("NOANSWER", Outcome::NoAnswer),
    ("CHANUNAVAIL", Outcome::Failed),
    ("UNKNOWN", Outcome::Initiated),
    // Hosted platforms.
    ("CANCELED", Outcome::NoAnswer),
    ("CANCELLED", Outcome::NoAnswer),
    ("DECLINED", Outcome::Busy),
    ("QUEUED", Outcome::Initiated),
    ("IN_PROGRESS", Outcome::Answered),
];

/// FreeSWITCH. Frequent causes come first, because the list is searched in order.
const CAUSES: &[(&str, Outcome)] = &[
    ("NORMAL_CLEARING", Outcome::Completed),
    ("ORIGINATOR_CANCEL", Outcome::NoAnswer),
    ("USER_BUSY", Outcome::Busy),
    ("NO_USER_RESPONSE", Outcome::NoAnswer),
    ("CALL_REJECTED", Outcome::Busy),
    // Ended after an answer.
    ("ATTENDED_TRANSFER", Outcome::Completed),
    ("BLIND_TRANSFER", Outcome::Completed),
    ("MANAGER_REQUEST", Outcome::Completed),
    ("SUCCESS", Outcome::Completed),
    // Without an answer: the call was not picked up in time, or the caller gave up.
    ("ALLOTTED_TIMEOUT", Outcome::NoAnswer),
    ("PROGRESS_TIMEOUT", Outcome::NoAnswer),
    ("SUBSCRIBER_ABSENT", Outcome::NoAnswer),
    ("LOSE_RACE", Outcome::NoAnswer),
    ("PICKED_OFF", Outcome::NoAnswer),
    ("NO_PICKUP", Outcome::NoAnswer),
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
];

const RETELL: &[(&str, Outcome)] = &[
    ("USER_HANGUP", Outcome::Completed),
    ("AGENT_HANGUP", Outcome::Completed),
    ("DIAL_NO_ANSWER", Outcome::NoAnswer),
    ("VOICEMAIL_REACHED", Outcome::Voicemail),
    ("DIAL_BUSY", Outcome::Busy),
    ("USER_DECLINED", Outcome::Busy),
    ("DIAL_FAILED", Outcome::Failed),
    ("INVALID_DESTINATION", Outcome::Failed),
    ("CALL_TRANSFER", Outcome::Completed),
    ("TRANSFER_BRIDGED", Outcome::Completed),
    ("TRANSFER_CANCELLED", Outcome::Completed),
    ("INACTIVITY", Outcome::Completed),
    ("MAX_DURATION_REACHED", Outcome::Completed),
    ("IVR_REACHED", Outcome::Completed),
    ("MANUAL_STOPPED", Outcome::Completed),
    ("CALL_TAKE_OVER", Outcome::Completed),
    ("MACHINE_DETECTED", Outcome::Voicemail),
    ("TELEPHONY_PROVIDER_PERMISSION_DENIED", Outcome::Failed),
    ("TELEPHONY_PROVIDER_UNAVAILABLE", Outcome::Failed),
    ("SIP_ROUTING_ERROR", Outcome::Failed),
    ("CONCURRENCY_LIMIT_REACHED", Outcome::Failed),
    ("NO_CONCURRENCY_FALLBACK", Outcome::Failed),
    ("NO_VALID_PAYMENT", Outcome::Failed),
    ("SCAM_DETECTED", Outcome::Failed),
    ("MARKED_AS_SPAM", Outcome::Failed),
    ("NETWORK_BLOCKED", Outcome::Failed),
    ("REGISTERED_CALL_TIMEOUT", Outcome::Failed),
    // Values of `call_status` from which the outcome follows.
    ("REGISTERED", Outcome::Initiated),
    ("ONGOING", Outcome::Answered),
    ("ENDED", Outcome::Completed),
    ("ERROR", Outcome::Failed),
];

/// Reasons whose parts say nothing about the outcome.
const VAPI: &[(&str, Outcome)] = &[
    ("CUSTOMER_DID_NOT_ANSWER", Outcome::NoAnswer),
    ("CUSTOMER_BUSY", Outcome::Busy),
    ("VOICEMAIL", Outcome::Voicemail),
    ("SILENCE_TIMED_OUT", Outcome::Completed),
    ("EXCEEDED_MAX_DURATION", Outcome::Completed),
    ("MANUALLY_CANCELED", Outcome::Completed),
    ("PHONE_CALL_PROVIDER_CLOSED_WEBSOCKET", Outcome::Completed),
    ("VONAGE_COMPLETED", Outcome::Completed),
    ("VONAGE_DISCONNECTED", Outcome::Completed),
    ("VONAGE_REJECTED", Outcome::Failed),
    ("ASSISTANT_ERROR", Outcome::Completed),
    ("UNKNOWN_ERROR", Outcome::Completed),
    ("WORKER_SHUTDOWN", Outcome::Completed),
    ("SERVER_SHUTDOWN", Outcome::Completed),
    ("DB_ERROR", Outcome::Failed),
    ("DATABASE_ERROR", Outcome::Failed),
    ("NO_SERVER_AVAILABLE", Outcome::Failed),
    ("CUSTOMER_DID_NOT_GIVE_MICROPHONE_PERMISSION", Outcome::Failed),
    ("PHONE_CALL_PROVIDER_BYPASS_ENABLED_BUT_NO_CALL_RECEIVED", Outcome::Failed),
    // Values of `status` from which the outcome follows.
    ("SCHEDULED", Outcome::Initiated),
    ("QUEUED", Outcome::Initiated),
    ("RINGING", Outcome::Ringing),
    ("IN_PROGRESS", Outcome::Answered),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_listed_once() {
        for lists in [&[WORDS, CAUSES][..], &[RETELL], &[VAPI]] {
            let mut words: Vec<_> = lists.iter().flat_map(|list| list.iter().map(|(word, _)| word)).collect();
            let listed = words.len();
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), listed);
        }
    }

    #[test]
    fn sip_codes_map_to_outcomes_and_challenges_to_none() {
        for (code, expected) in [
            ("100", Some(Outcome::Initiated)),
            ("180", Some(Outcome::Ringing)),
            ("183", Some(Outcome::Ringing)),
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
            // Causes of Q.850, and no codes of SIP.
            ("102", None),
            ("127", None),
            ("16", None),
            ("0", None),
            ("0200", None),
            ("700", None),
            ("99999999999", None),
        ] {
            assert_eq!(of_sip_code(code), expected.map(SipCode::Outcome), "{code}");
        }
        assert_eq!((of_sip_code("401"), of_sip_code("407")), (Some(SipCode::Challenge), Some(SipCode::Challenge)));
    }

    #[test]
    fn reasons_of_platforms_map_to_outcomes() {
        for (reason, expected) in [
            ("user_hangup", Some(Outcome::Completed)),
            ("Dial_No_Answer", Some(Outcome::NoAnswer)),
            ("voicemail_reached", Some(Outcome::Voicemail)),
            ("user_declined", Some(Outcome::Busy)),
            ("error_llm_websocket_open", Some(Outcome::Failed)),
            ("error_", Some(Outcome::Failed)),
            ("not_connected", None),
            ("err", None),
            ("perhaps", None),
        ] {
            assert_eq!(of_retell(reason), expected, "{reason}");
        }
        for (reason, expected) in [
            ("customer-did-not-answer", Some(Outcome::NoAnswer)),
            ("Customer Did Not Answer", Some(Outcome::NoAnswer)),
            ("call.in-progress.error-providerfault-outbound-sip-480-temporarily-unavailable", Some(Outcome::NoAnswer)),
            ("call.in-progress.error-providerfault-outbound-sip-486-busy-here", Some(Outcome::Busy)),
            ("call.in-progress.error-providerfault-outbound-sip-503-service-unavailable", Some(Outcome::Failed)),
            ("call.in-progress.error-sip-telephony-provider-failed-to-connect-call", Some(Outcome::Failed)),
            ("call.in-progress.error-vapifault-openai-llm-failed", Some(Outcome::Completed)),
            ("call.start.error-get-transport", Some(Outcome::Failed)),
            ("twilio-reported-customer-misdialed", Some(Outcome::Failed)),
            ("assistant-said-end-call-phrase", Some(Outcome::Completed)),
            ("pipeline-error-openai-llm-failed", Some(Outcome::Completed)),
            ("customer-ended-call", Some(Outcome::Completed)),
            ("voicemail", Some(Outcome::Voicemail)),
            ("in-progress", Some(Outcome::Answered)),
            ("ended", None),
            ("perhaps", None),
            ("Ä", None),
        ] {
            assert_eq!(of_vapi(reason), expected, "{reason}");
        }
    }
}
