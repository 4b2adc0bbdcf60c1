//! The sample data: a clinic's agents and numbers, last month's calls, and today's inbound calls. All numbers are
//! from the range reserved for fiction (+1 212 555 0100 to 0199).

use dialback::declaration::{Declaration, Wish};
use dialback::{
    AgentId, Call, Caller, Change, Configuration, DialPlan, E164, EnvironmentId, Event, Lookback, Outcome, Plan,
    Timestamp,
};

/// The agents and numbers.
const CONFIGURATION: &str = include_str!("../../../../examples/demo.toml");

pub(crate) const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(0x0de0_0000_0000_4000_8000_0000_0000_0001);

const SALES: AgentId = agent(0x01);
const APPOINTMENT_REMINDERS: AgentId = agent(0x02);
pub(crate) const RENEWAL_REMINDERS: AgentId = agent(0x03);
const SURVEYS: AgentId = agent(0x04);
pub(crate) const RENEWALS_DESK: AgentId = agent(0x14);

const MAIN: &str = "+12125550100";
const SECOND: &str = "+12125550101";
const NOT_OURS: &str = "+12125550199";

/// The inbound call whose decision the demo's first request changes.
pub(crate) const UNCLAIMED: (&str, &str) = (MAIN, "+12125550143");

const fn agent(last: u128) -> AgentId {
    AgentId::from_u128(0x0de0_0000_0000_4000_8000_0000_0001_0000 + last)
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

/// Returns the changes that make the environment of `examples/demo.toml`: first the environment itself, then the rest.
pub(crate) fn configurations(now: Timestamp) -> [Vec<Change>; 2] {
    let declared: Declaration = toml::from_str(CONFIGURATION).expect("the sample is a valid document");
    let (name, dial_plan, lookback) = (String::new(), DialPlan::NONE, Lookback::default());
    let first = vec![Change::EnvironmentSet { name, dial_plan, lookback }];
    let configuration = Configuration::new(1, ENVIRONMENT, now, first.clone());
    let plan = Plan::new().with(&configuration).expect("an environment can be created");
    let compared = declared.compare(&plan, ENVIRONMENT, Wish { prune: false, at: now }, &mut || {
        unreachable!("each entity of the sample has an id")
    });
    [first, compared.expect("the sample is possible").changes]
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
