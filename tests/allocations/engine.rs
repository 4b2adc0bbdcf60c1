//! A decision allocates nothing, whichever line of the rule decides. Reading a caller allocates nothing either.
//!
//! The allocator of this program has a count for each thread, because the test harness allocates at any time.

use crate::counted;
use dialback::store::MemoryStore;
use dialback::{
    AgentId, Applied, Call, Caller, Change, Decision, DialPlan, Direction, E164, Engine, EnvironmentId, Event,
    Lookback, NumberId, Outcome, Reason, Service, Timestamp,
};
use std::hint::black_box;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: u64 = 86_400_000;

fn number(digits: &str) -> E164 {
    E164::from_digits(digits).expect("digits")
}

/// Returns a contact for each line of the rule from the third on, with the question that reaches that line.
fn questions() -> [(Reason, E164, Caller); 9] {
    let ours = number("15550100");
    let contact = |last: &str| Caller::Number(number(&format!("4930123456{last}")));
    [
        (Reason::UnknownNumber, number("15559999"), contact("9")),
        (Reason::AnonymousCaller, ours, Caller::Withheld),
        (Reason::NoHistory, ours, contact("0")),
        (Reason::NoCallbackAgent, ours, contact("4")),
        (Reason::NumberNotOwned, ours, contact("5")),
        (Reason::CallbackAgentUnpublished, ours, contact("6")),
        (Reason::OutcomeNotEligible, ours, contact("7")),
        (Reason::Expired, ours, contact("8")),
        (Reason::Matched, ours, contact("9")),
    ]
}

/// Returns an engine in which source agent n called contact n last, and feeds one callback agent that fails at line
/// n. The last source feeds more callback agents than an entry holds inline, all of which own the number.
fn engine() -> Engine {
    let engine = Engine::new();
    engine.configure(EnvironmentId::from_u128(1), NOW, changes()).expect("it is valid");
    for call in calls() {
        assert_eq!(engine.apply(&call).expect("there is room"), Applied::Recorded);
    }
    engine
}

fn changes() -> Vec<Change> {
    let id = NumberId::from_u128(1);
    let mut changes = vec![
        Change::EnvironmentSet { name: "acme".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() },
        Change::NumberAdded { id, number: number("15550100") },
    ];
    let mut agent = |agent: AgentId, direction, numbers: Vec<NumberId>, published| {
        changes.push(Change::AgentCreated { id: agent, name: "agent".into(), label: None, direction });
        changes.push(Change::CallingSet { id: agent, direction, numbers: Some(numbers) });
        if published {
            changes.push(Change::AgentPublished { id: agent });
        }
    };
    for line in 4..=9 {
        agent(source(line), Direction::Outbound, vec![id], true);
        agent(callback(line), Direction::Inbound, if line == 5 { vec![] } else { vec![id] }, line != 6);
    }
    (10..30).for_each(|more| agent(callback(more), Direction::Inbound, vec![id], true));
    changes.extend((5..=9).map(|line| Change::CallbackSet {
        id: callback(line),
        sources: vec![source(line)],
        outcomes: (line == 7).then(|| std::iter::once(Outcome::Voicemail).collect()),
        lookback: (line == 8).then(|| Lookback::from_days(1)),
    }));
    changes.extend((10..30).map(|more| Change::CallbackSet {
        id: callback(more),
        sources: vec![source(9)],
        outcomes: Some(std::iter::once(Outcome::Failed).collect()),
        lookback: None,
    }));
    changes
}

fn calls() -> Vec<Event> {
    let call = |line| {
        Event::Call(Call {
            environment: EnvironmentId::from_u128(1),
            agent: source(line),
            from: number("15550100"),
            to: number(&format!("4930123456{line}")),
            at: Timestamp::from_millis(NOW.millis() - 2 * DAY),
            outcome: Outcome::Busy,
        })
    };
    (4..=9).map(call).collect()
}

fn source(line: u128) -> AgentId {
    AgentId::from_u128(0x100 + line)
}

fn callback(line: u128) -> AgentId {
    AgentId::from_u128(0x200 + line)
}

#[test]
fn decision_allocates_nothing() {
    let canary = counted(|| drop(black_box(Box::new(1)))).1;
    assert_eq!(canary, 2, "the counter counts");

    let engine = engine();
    let questions = questions();
    assert_eq!(questions.map(|(reason, ..)| reason), Reason::ALL, "every line of the rule");

    // A thread's first decision may allocate the thread's own state: its shard of the counters and of the plan's
    // reference counts.
    engine.resolve(questions[8].1, questions[8].2, NOW);
    let decides = |mut resolve: Box<dyn FnMut(E164, Caller) -> Decision + '_>, which: &str| {
        for (reason, dialed, caller) in questions {
            let (decision, allocations) = counted(|| resolve(dialed, caller));
            assert_eq!(decision.reason, reason, "{which}");
            assert_eq!(allocations, 0, "{which}: {reason}");
        }
    };
    decides(Box::new(|dialed, caller| engine.resolve(dialed, caller, NOW)), "engine");
    let mut reader = engine.reader();
    decides(Box::new(move |dialed, caller| reader.resolve(dialed, caller, NOW)), "reader");

    // A batch of more calls than are resolved at a time gives the same decisions.
    let calls: Vec<_> = questions.iter().cycle().take(100).map(|(_, dialed, caller)| (*dialed, *caller)).collect();
    let mut decisions = vec![engine.resolve(questions[0].1, questions[0].2, NOW); calls.len()];
    let allocations = counted(|| engine.resolve_batch(&calls, NOW, &mut decisions)).1;
    assert_eq!(allocations, 0, "batch");
    let one_by_one = calls.iter().map(|(dialed, caller)| engine.resolve(*dialed, *caller, NOW));
    assert!(decisions.iter().copied().eq(one_by_one));

    // This also holds directly after the plan has changed.
    let mut reader = engine.reader();
    reader.resolve(questions[8].1, questions[8].2, NOW);
    let publish = Change::AgentPublished { id: callback(9) };
    engine.configure(EnvironmentId::from_u128(1), NOW, vec![publish]).expect("it is valid");
    let (decision, allocations) = counted(|| engine.resolve(questions[8].1, questions[8].2, NOW));
    assert_eq!((decision.generation, allocations), (2, 0));
    assert_eq!(reader.resolve(questions[8].1, questions[8].2, NOW), decision);

    reading_a_caller_allocates_nothing();
    routing_a_counted_call_allocates_nothing();
}

fn routing_a_counted_call_allocates_nothing() {
    // Each of the service's threads has its own allocation count.
    let service = Service::builder(MemoryStore).start().expect("nothing to read");
    let plan = service.configure(EnvironmentId::from_u128(1), NOW, |_| Ok(changes())).expect("it is valid");
    service.record(calls()).expect("it is durable");
    for (reason, dialed, caller) in questions() {
        let (routed, allocations) = counted(|| service.route_on(&plan, dialed, caller, NOW));
        assert_eq!((routed.decision.reason, allocations), (reason, 0));
        assert_eq!(routed.tally.is_some(), reason != Reason::UnknownNumber, "{reason} is counted");
    }
}

fn reading_a_caller_allocates_nothing() {
    let germany = DialPlan::new("49", "0", "00").expect("a dial plan");
    let texts = [
        "+4930123456",
        "+49 (0)30 12-34.56",
        "030/123456",
        "00 49 30 123456",
        "tel:+49-30-123456;ext=9",
        "\"Ann, of sales\" <sip:%2B4930123456;npdi@10.0.0.1:5060;user=phone>;tag=1",
        "",
        "anonymous",
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
        "sip:alice@example.com",
        "123456789012345678901234567890",
        "<sip:",
    ];
    for text in texts {
        for plan in [DialPlan::NONE, germany] {
            let allocations = counted(|| Caller::parse(black_box(text), &plan)).1;
            assert_eq!(allocations, 0, "{text:?}");
        }
    }
}
