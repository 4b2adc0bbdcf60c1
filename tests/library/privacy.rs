//! Phone numbers are personal data: no `Debug` and no `Display` of a public type reveals a whole number.

use dialback::history::{LastCall, Register};
use dialback::service::{Consumed, Recovered};
use dialback::slot::{AgentSlot, NumberSlot, Scope};
use dialback::store::{Batch, CallChanges, Entry, MemoryStore, NewRecord, StoreError, Stored};
use dialback::{
    AgentId, ApplyError, Call, Caller, Change, ConfigError, Configuration, DialPlan, Direction, E164, Engine,
    EnvironmentId, Erasure, Event, Lookback, NumberError, NumberId, Outcome, Role, Service, ServiceError, StoredAnswer,
    StoredAnswerBody, Timestamp, TokenId,
};
use std::fmt::{Debug, Display};

/// Two distinctive numbers: the tenant's and a contact's.
const OURS: &str = "15559786423";
const CONTACT: &str = "4915297867531";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);

fn ours() -> E164 {
    E164::from_digits(OURS).expect("digits")
}

fn contact() -> E164 {
    E164::from_digits(CONTACT).expect("digits")
}

/// Returns whether six consecutive digits of a number appear, from which a reader could guess the rest.
fn gives_away(text: &str) -> bool {
    [OURS, CONTACT].iter().any(|number| (0..=number.len() - 6).any(|at| text.contains(&number[at..at + 6])))
}

#[derive(Default)]
struct Texts(Vec<String>);

impl Texts {
    fn debug(&mut self, value: impl Debug) {
        self.0.extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    fn both(&mut self, value: impl Debug + Display) {
        self.0.push(format!("{value}"));
        self.debug(value);
    }

    fn check(&self) {
        for text in &self.0 {
            assert!(!gives_away(text), "{text}");
        }
    }
}

fn call() -> Call {
    let (from, to) = (ours(), contact());
    Call { environment: ENVIRONMENT, agent: AgentId::from_u128(2), from, to, at: NOW, outcome: Outcome::Busy }
}

fn configuration() -> Configuration {
    let (source, callback, number) = (AgentId::from_u128(2), AgentId::from_u128(3), NumberId::from_u128(4));
    let germany = DialPlan::new("49", "0", "00").expect("a dial plan");
    let mut changes = vec![
        Change::EnvironmentSet { name: "acme".into(), dial_plan: germany, lookback: Lookback::default() },
        Change::NumberAdded { id: number, number: ours() },
        Change::TokenIssued {
            id: TokenId::from_u128(5),
            role: Role::Environment,
            label: "token".into(),
            digest: [7; 32],
        },
    ];
    for (id, direction) in [(source, Direction::Outbound), (callback, Direction::Inbound)] {
        changes.push(Change::AgentCreated { id, name: "agent".into(), label: None, direction });
        changes.push(Change::CallingSet { id, direction, numbers: Some(vec![number]) });
        changes.push(Change::AgentPublished { id });
    }
    changes.push(Change::CallbackSet { id: callback, sources: vec![source], outcomes: None, lookback: None });
    let body = Some(StoredAnswerBody(format!("{{\"number\":\"{}\"}}", ours().to_plus_form())));
    let answer = StoredAnswer { key: [1; 16], request: [2; 16], status: 201, revision: None, body, about: None };
    changes.push(Change::AnswerGiven { scope: ENVIRONMENT, answer });
    Configuration::new(1, ENVIRONMENT, NOW, changes)
}

/// Returns an engine that holds both numbers.
fn engine() -> Engine {
    let engine = Engine::new();
    let _applied = engine.apply(&Event::Configuration(configuration())).expect("it is valid");
    let _applied = engine.apply(&Event::Call(call())).expect("there is room");
    engine
}

#[test]
fn numbers_and_callers_mask() {
    let mut texts = Texts::default();
    texts.both(contact());
    texts.0.push(format!("{:>40} {:-<40}", contact(), ours()));
    texts.debug(contact().digits());
    texts.debug(contact().to_plus_form());
    texts.debug([Caller::Number(contact()), Caller::Withheld, Caller::Unusable]);
    let germany = DialPlan::new("49", "0", "00").expect("a dial plan");
    texts.debug(germany);
    for text in [&format!("{CONTACT}999"), &format!("+{CONTACT}x"), &format!("sip:{CONTACT}*@host"), CONTACT] {
        texts.debug(Caller::parse(text, &germany));
        texts.debug(E164::parse(text, &germany));
        texts.debug(E164::parse_international(text));
    }
    texts.both(NumberError::NotANumber);
    texts.check();
}

#[test]
fn events_mask() {
    let mut texts = Texts::default();
    texts.debug(call());
    texts.debug(Event::Call(call()));
    texts.debug(Event::Erasure(Erasure { environment: ENVIRONMENT, contact: contact(), until: NOW, is_ahead: false }));
    texts.debug(Event::Configuration(configuration()));
    configuration().changes.into_iter().for_each(|change| texts.debug(change));
    texts.check();
}

#[test]
fn an_engine_and_its_answers_mask() {
    let engine = engine();
    let mut texts = Texts::default();
    for caller in [Caller::Number(contact()), Caller::Number(ours()), Caller::Withheld] {
        texts.debug(engine.resolve(ours(), caller, NOW));
        texts.debug(engine.explain(ours(), caller, NOW));
    }
    texts.debug(engine.reader());
    texts.debug(engine.history());
    texts.debug(engine.metrics());
    engine.history().for_each(|scope, contact, register| texts.debug((scope, contact, register, register.read())));
    texts.debug(engine);
    texts.check();
}

#[test]
fn plans_and_their_views_mask() {
    let plan = engine().plan();
    let mut texts = Texts::default();
    texts.debug(&plan);
    for environment in plan.environments() {
        texts.debug(environment);
        environment.agents().for_each(|agent| texts.debug((agent, agent.callback(), agent.callback_agents())));
        environment.numbers().for_each(|number| texts.debug((number, number.owners(), number.default_agent())));
    }
    texts.debug(plan.dialed(ours()).expect("it is held"));
    plan.tokens().for_each(|token| texts.debug(token));
    texts.check();
}

#[test]
fn errors_mask() {
    let engine = engine();
    let mut texts = Texts::default();
    // Applies each change again. Most are rejected, and their errors are checked.
    for change in configuration().changes {
        if let Err(error) = engine.configure(ENVIRONMENT, NOW, vec![change]) {
            texts.both(ServiceError::from(error.clone()));
            texts.both(StoreError::from(error.clone()));
            texts.both(ApplyError::from(error));
        }
    }
    let twin = Change::NumberAdded { id: NumberId::from_u128(9), number: ours() };
    let taken = engine.configure(ENVIRONMENT, NOW, vec![twin]);
    assert_eq!(taken, Err(ConfigError::NumberTaken(NumberId::from_u128(9))));
    texts.both(taken.expect_err("it is taken"));

    let small = Engine::with_max_pairs(0);
    let _applied = small.apply(&Event::Configuration(configuration())).expect("it is valid");
    let full = small.apply(&Event::Call(call())).expect_err("it is full");
    texts.both(full);
    texts.both(ServiceError::NotDurable("the disk is gone".into()));
    texts.check();
}

#[test]
fn the_service_and_what_it_stores_mask() {
    let service = Service::builder(MemoryStore).engine(engine()).start().expect("nothing is stored");
    let mut texts = Texts::default();
    texts.debug(service.record(vec![Event::Configuration(configuration()), Event::Call(call())]));
    texts.debug(&service);
    texts.debug((MemoryStore, Recovered::default()));
    let scope = Scope::from(NumberSlot::new(0).expect("the first"));
    let register = Register::call(NOW, Outcome::Busy, AgentSlot::new(0).expect("the first"));
    texts.debug(Batch {
        configurations: vec![configuration()],
        registers: vec![(scope, contact(), register)],
        outbox: vec![Entry { number: 1, events: contact().to_plus_form().as_bytes().to_vec() }],
        records: vec![new_record()],
        ..Batch::default()
    });
    let key = contact().to_plus_form().as_bytes().to_vec();
    texts.debug(CallChanges { calls: vec![(key.clone(), Some(key.clone()))], ids: vec![(key, None)], bytes: vec![] });
    texts.debug(Consumed { events: vec![Event::Call(call())], ..Consumed::default() });
    texts.debug([Stored::Configuration(configuration()), Stored::Registers(vec![(scope, contact(), register)])]);
    texts.debug(LastCall::Erased { until: NOW, is_ahead: false });
    texts.check();
}

/// Ids and contexts may contain phone numbers.
#[test]
#[cfg(all(feature = "__testing", feature = "store"))]
fn reports_with_ids_and_contexts_mask() {
    use dialback::testing::lasting::LastingStore;
    use dialback::{CallId, Context, Details, Update};
    let service = Service::builder(LastingStore::new([7; 32])).engine(engine()).start().expect("nothing is stored");
    let id = CallId::new(CONTACT).expect("an id");
    let context = Context::new(&format!("{{\"n\":\"{CONTACT}\"}}")).expect("an object");
    let details = Details { id: Some(id.clone()), context: Some(context.clone()) };
    let (environment, outcome) = (ENVIRONMENT, Outcome::Busy);
    let update = Update { environment, id: id.clone(), from: Some(ours()), outcome, context: Some(context) };
    let reused = Event::reported(Call { to: ours(), ..call() }, details.clone());
    let mut texts = Texts::default();
    for event in [Event::reported(call(), details), Event::Update(Box::new(update)), reused] {
        texts.debug(&event);
        match service.record(vec![event]).expect("durable").remove(0) {
            Ok(applied) => texts.debug(applied),
            Err(error) => texts.both(error),
        }
    }
    texts.both(Context::new(&format!("[{CONTACT}]")).expect_err("no object"));
    texts.debug(service.known_call(ENVIRONMENT, &id));
    texts.debug(service.known_calls(ENVIRONMENT, contact(), 9));
    texts.check();
}

fn new_record() -> NewRecord {
    NewRecord {
        environment: Scope::from(NumberSlot::new(0).expect("the first")),
        id: 1,
        at: NOW,
        contact: Some(contact()),
        called_at: None,
        answered: None,
        text: contact().to_plus_form().as_bytes().to_vec(),
    }
}

/// Returns the error for a stored configuration that cannot be parsed.
#[test]
#[cfg(feature = "serde")]
fn errors_of_the_parser_mask() {
    let mut texts = Texts::default();
    for number in [
        format!("\"{CONTACT}x\""),
        format!("\"+0{CONTACT}\""),
        format!("\"++{CONTACT}\""),
        CONTACT.into(),
        format!("-{CONTACT}"),
        format!("{CONTACT}.5"),
    ] {
        let id = NumberId::from_u128(4);
        let json = format!("{{\"number_added\":{{\"id\":\"{id}\",\"number\":{number}}}}}");
        texts.both(serde_json::from_str::<Change>(&json).expect_err("it is no number"));
    }
    texts.check();
}

#[test]
#[cfg(feature = "store")]
fn the_embedded_store_masks() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = dialback::store::FjallStore::open(directory.path()).expect("it opens");
    let mut texts = Texts::default();
    texts.debug(&store);
    let register = Register::call(NOW, Outcome::Busy, AgentSlot::new(0).expect("the first"));
    let scope = Scope::from(NumberSlot::new(0).expect("the first"));
    let mut batch = Batch {
        configurations: vec![configuration()],
        registers: vec![(scope, contact(), register)],
        ..Batch::default()
    };
    batch.configurations[0].sequence = 3;
    dialback::store::EventStore::commit(&mut store, &batch).expect("it is written");
    let error = Service::builder(store).start().expect_err("the first configuration is missing");
    texts.both(error);
    texts.check();
}

/// Canary: the check must find a number.
#[test]
fn number_check_finds_a_number() {
    assert!(gives_away(&format!("{}", contact().digits())), "digits are the door that says so");
    assert!(gives_away(&format!("{}", ours().to_plus_form())));
    assert!(gives_away("555978"));
    assert!(!gives_away("+491********31"));
}
