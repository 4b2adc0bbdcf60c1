//! The sample data: a clinic's agents and numbers, last month's calls, and today's inbound calls. All numbers are
//! from the range reserved for fiction (+1 212 555 0100 to 0199).

use dialback::{
    AgentId, Call, Caller, Change, DialPlan, Direction, E164, EnvironmentId, Event, Lookback, NumberId, Outcome,
    OutcomeSet, Timestamp,
};

pub(crate) const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(0x0de0_0000_0000_4000_8000_0000_0000_0001);

const SALES: AgentId = agent(0x01);
const APPOINTMENT_REMINDERS: AgentId = agent(0x02);
pub(crate) const RENEWAL_REMINDERS: AgentId = agent(0x03);
const SURVEYS: AgentId = agent(0x04);
const FRONT_DESK: AgentId = agent(0x11);
const SALES_CALLBACKS: AgentId = agent(0x12);
const APPOINTMENTS_DESK: AgentId = agent(0x13);
pub(crate) const RENEWALS_DESK: AgentId = agent(0x14);
const SURVEY_CALLBACKS: AgentId = agent(0x15);

const MAIN: &str = "+12125550100";
const SECOND: &str = "+12125550101";
const NOT_OURS: &str = "+12125550199";

/// The inbound call whose decision the demo's first request changes.
pub(crate) const UNCLAIMED: (&str, &str) = (MAIN, "+12125550143");

const fn agent(last: u128) -> AgentId {
    AgentId::from_u128(0x0de0_0000_0000_4000_8000_0000_0001_0000 + last)
}

fn number(last: u128) -> NumberId {
    NumberId::from_u128(0x0de0_0000_0000_4000_8000_0000_0002_0000 + last)
}

fn e164(text: &str) -> E164 {
    E164::parse_international(text).expect("the sample's numbers are valid")
}

fn dial_plan() -> DialPlan {
    DialPlan::new("1", "1", "011").expect("the dial plan of North America")
}

/// An inbound call as a trunk reports it.
pub(crate) struct InboundCall {
    pub(crate) caller: &'static str,
    pub(crate) dialed: &'static str,
}

impl InboundCall {
    pub(crate) fn read(&self) -> (E164, Caller) {
        (e164(self.dialed), Caller::parse(self.caller, &dial_plan()))
    }
}

pub(crate) fn configurations() -> Vec<Vec<Change>> {
    let environment = Change::EnvironmentSet {
        name: "Riverside Clinic".into(),
        dial_plan: dial_plan(),
        lookback: Lookback::default(),
    };
    let numbers = [(1, MAIN), (2, SECOND)].map(|(id, text)| Change::NumberAdded { id: number(id), number: e164(text) });
    vec![[environment].into_iter().chain(numbers).collect(), agents(), callbacks()]
}

fn agents() -> Vec<Change> {
    use Direction::{Inbound, Outbound};
    let (both, main) = (vec![number(1), number(2)], vec![number(1)]);
    let defaults = both.clone().into_iter().map(|number| Change::DefaultAgentSet { number, agent: Some(FRONT_DESK) });
    let agents = [
        (SALES, "Sales Outreach", Outbound, both.clone(), true),
        (APPOINTMENT_REMINDERS, "Appointment Reminders", Outbound, main.clone(), true),
        (RENEWAL_REMINDERS, "Renewal Reminders", Outbound, main.clone(), true),
        (SURVEYS, "Patient Surveys", Outbound, main.clone(), true),
        (FRONT_DESK, "Front Desk", Inbound, both, true),
        (SALES_CALLBACKS, "Sales Callbacks", Inbound, main.clone(), true),
        (APPOINTMENTS_DESK, "Appointments Desk", Inbound, main.clone(), true),
        (RENEWALS_DESK, "Renewals Desk", Inbound, main.clone(), true),
        (SURVEY_CALLBACKS, "Survey Callbacks", Inbound, main, false),
    ]
    .into_iter()
    .flat_map(|(id, name, direction, numbers, published)| {
        let created = Change::AgentCreated { id, name: name.into(), label: None, direction };
        let calling = Change::CallingSet { id, direction, numbers: Some(numbers) };
        let published = published.then_some(Change::AgentPublished { id });
        [created, calling].into_iter().chain(published)
    });
    agents.chain(defaults).collect()
}

fn callbacks() -> Vec<Change> {
    let set = |id, sources: &[AgentId], outcomes| Change::CallbackSet {
        id,
        sources: sources.to_vec(),
        outcomes,
        lookback: None,
    };
    let unanswered = OutcomeSet::from_iter([Outcome::NoAnswer, Outcome::Busy, Outcome::Voicemail]);
    vec![
        set(SALES_CALLBACKS, &[SALES], None),
        set(APPOINTMENTS_DESK, &[APPOINTMENT_REMINDERS], Some(unanswered)),
        set(SURVEY_CALLBACKS, &[SURVEYS], None),
    ]
}

/// Returns the outbound calls: agent, number, contact, age in hours, and outcome.
pub(crate) fn outbound_calls(now: Timestamp) -> Vec<Event> {
    let hours_ago = |hours: u64| Timestamp::from_millis(now.millis() - hours * 3_600_000);
    let call = |agent, from, to, hours, outcome| {
        let (from, to, at) = (e164(from), e164(to), hours_ago(hours));
        Event::Call(Call { environment: ENVIRONMENT, agent, from, to, at, outcome })
    };
    vec![
        call(SALES, MAIN, "+12125550140", 3, Outcome::NoAnswer),
        call(APPOINTMENT_REMINDERS, MAIN, "+12125550141", 26, Outcome::Voicemail),
        call(SALES, MAIN, "+12125550142", 200, Outcome::Completed),
        call(APPOINTMENT_REMINDERS, MAIN, "+12125550142", 20, Outcome::Busy),
        call(RENEWAL_REMINDERS, MAIN, "+12125550143", 5, Outcome::NoAnswer),
        call(SALES, SECOND, "+12125550144", 8, Outcome::NoAnswer),
        call(SURVEYS, MAIN, "+12125550145", 50, Outcome::Completed),
        call(APPOINTMENT_REMINDERS, MAIN, "+12125550146", 70, Outcome::Completed),
        call(SALES, MAIN, "+12125550147", 40 * 24, Outcome::NoAnswer),
    ]
}

/// Returns a dozen inbound calls. Together they reach each line of the rule.
pub(crate) fn inbound_calls() -> Vec<InboundCall> {
    let call = |caller, dialed| InboundCall { caller, dialed };
    vec![
        call("+12125550140", MAIN),
        call("(212) 555-0141", MAIN),
        call("\"Ann\" <sip:+12125550142@trunk.example>", MAIN),
        call("+12125550142", SECOND),
        call("+12125550143", MAIN),
        call("+12125550144", SECOND),
        call("+12125550145", MAIN),
        call("+12125550146", MAIN),
        call("+12125550147", MAIN),
        call("+12125550148", MAIN),
        call("anonymous", MAIN),
        call("+12125550140", NOT_OURS),
    ]
}
