//! A declared environment: applying the document makes the environment as it says, and applying it again changes nothing.

use dialback::declaration::{
    Comparison, Declaration, DeclaredAgent, DeclaredCallback, DeclaredNumber, DeclaredSettings, Refused, Wish,
};
use dialback::plan::{AgentView, NumberView};
use dialback::{Change, Configuration, DialPlan, Direction, EnvironmentId, Lookback, Plan, Timestamp};
use proptest::prelude::*;
use proptest::sample::subsequence;
use uuid::Uuid;

const OURS: EnvironmentId = EnvironmentId::from_u128(1);
const OTHERS: EnvironmentId = EnvironmentId::from_u128(2);
const NUMBERS: [&str; 3] = ["+12125550100", "+12125550101", "+12125550102"];
const AGENTS: [&str; 6] = ["Ann", "Ben", "Cas", "Dot", "Eve", "Fay"];

fn with(plan: &Plan, environment: EnvironmentId, changes: Vec<Change>) -> Plan {
    let (sequence, at) = (plan.generation() + 1, Timestamp::from_secs(1_800_000_000));
    plan.with(&Configuration::new(sequence, environment, at, changes)).expect("possible")
}

fn empty() -> Plan {
    let set = |name: &str| Change::EnvironmentSet {
        name: name.into(),
        dial_plan: DialPlan::NONE,
        lookback: Lookback::default(),
    };
    with(&with(&Plan::new(), OURS, vec![set("Ours")]), OTHERS, vec![set("Others")])
}

fn compare(declared: &Declaration, plan: &Plan, prune: bool) -> Result<Comparison, Refused> {
    let mut last = plan.generation() << 32;
    let mut new_id = || {
        last += 1;
        Uuid::from_u128(last.into())
    };
    declared.compare(plan, OURS, Wish { prune, at: Timestamp::from_secs(1_800_000_000) }, &mut new_id)
}

fn apply(declared: &Declaration, plan: &Plan, prune: bool) -> Plan {
    let compared = compare(declared, plan, prune).unwrap_or_else(|refused| panic!("{refused:?}"));
    with(plan, OURS, compared.changes)
}

fn current(plan: &Plan) -> Declaration {
    Declaration::of(plan.environment(OURS).expect("it is there"))
}

/// Returns the document without ids and in an order of its own.
fn plain(declared: &Declaration) -> Declaration {
    let mut plain = declared.clone();
    for number in &mut plain.numbers {
        number.id = None;
    }
    for agent in &mut plain.agents {
        agent.id = None;
    }
    for number in &mut plain.numbers {
        number.order.clear();
    }
    plain.numbers.sort_by(|one, other| one.number.cmp(&other.number));
    plain.agents.sort_by(|one, other| one.name.cmp(&other.name));
    plain
}

fn statuses() -> impl Strategy<Value = Option<Vec<String>>> {
    prop_oneof![Just(None), Just(Some(vec!["no_answer".to_owned(), "busy".to_owned()]))].prop_map(|statuses| {
        // In the order in which the document names them.
        statuses.map(|statuses| {
            let set: dialback::OutcomeSet = statuses.iter().map(|name| name.parse().expect("a status")).collect();
            set.iter().map(|outcome| outcome.public_name().to_owned()).collect()
        })
    })
}

/// One agent's place in a document: whether it is there, whether it is outbound, its numbers, whether it is published,
/// whether it has a role, and the role's sources, look-back and statuses.
type Drawn = (bool, bool, Vec<&'static str>, bool, bool, u8, Option<u32>, Option<Vec<String>>);

fn agent() -> impl Strategy<Value = Drawn> {
    let numbers = subsequence(NUMBERS.to_vec(), 0..=NUMBERS.len());
    let lookback = prop_oneof![Just(None), (1u32..40).prop_map(Some)];
    (any::<bool>(), any::<bool>(), numbers, any::<bool>(), any::<bool>(), any::<u8>(), lookback, statuses())
}

/// A possible document: sources are outbound, roles are of inbound agents, and defaults are inbound owners.
fn document() -> impl Strategy<Value = Declaration> {
    (prop::array::uniform6(agent()), 1u32..60, prop::array::uniform3(any::<u8>())).prop_map(
        |(drawn, days, defaults)| {
            let present: Vec<_> = AGENTS.iter().zip(drawn).filter(|(_, drawn)| drawn.0).collect();
            let outbound: Vec<_> = present.iter().filter(|(_, drawn)| drawn.1).map(|(name, _)| **name).collect();
            let agents =
                present.iter().map(|(name, (_, is_outbound, numbers, published, has_role, mask, days, statuses))| {
                    let sources: Vec<String> = outbound
                        .iter()
                        .enumerate()
                        .filter(|(at, _)| mask >> at & 1 == 1)
                        .map(|(_, name)| (*name).to_owned())
                        .collect();
                    let has_role = *has_role && !is_outbound && !sources.is_empty();
                    DeclaredAgent {
                        name: (**name).into(),
                        id: None,
                        label: None,
                        direction: Some(if *is_outbound { Direction::Outbound } else { Direction::Inbound }),
                        numbers: numbers.iter().map(|number| (*number).to_owned()).collect(),
                        published: *published,
                        callback: has_role.then(|| DeclaredCallback {
                            sources,
                            statuses: statuses.clone(),
                            lookback_days: *days,
                        }),
                    }
                });
            let agents: Vec<_> = agents.collect();
            let used = |number: &str| agents.iter().any(|agent| agent.numbers.iter().any(|owned| owned == number));
            let numbers = NUMBERS.iter().zip(defaults).filter(|(number, drawn)| used(number) || drawn % 2 == 0);
            let numbers = numbers.map(|(number, drawn)| {
                let owns = |agent: &&DeclaredAgent| {
                    agent.direction == Some(Direction::Inbound) && agent.numbers.iter().any(|owned| owned == number)
                };
                let owner = agents.iter().find(owns).map(|agent| agent.name.clone());
                let default_agent = match drawn % 3 {
                    0 => None,
                    1 => Some("nobody".to_owned()),
                    _ => owner,
                };
                DeclaredNumber { number: (*number).into(), id: None, default_agent, order: Vec::new() }
            });
            let numbers = numbers.collect();
            let environment = DeclaredSettings {
                name: "Ours".into(),
                lookback_days: Some(days),
                country_code: "1".into(),
                national_prefix: "1".into(),
                international_prefix: "011".into(),
                ..DeclaredSettings::default()
            };
            Declaration { environment: Some(environment), numbers, agents }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn environment_becomes_as_declared_from_any_other(first in document(), second in document()) {
        let plan = apply(&first, &empty(), true);
        prop_assert_eq!(plain(&current(&plan)), plain(&first));
        let again = compare(&first, &plan, true).expect("possible");
        prop_assert!(again.changes.is_empty() && again.steps.is_empty(), "{:?}", again.steps);

        let plan = apply(&second, &plan, true);
        prop_assert_eq!(plain(&current(&plan)), plain(&second));
        prop_assert!(compare(&second, &plan, false).expect("possible").changes.is_empty());
        // The written document means the same, with ids.
        let written = current(&plan);
        prop_assert!(compare(&written, &plan, true).expect("possible").changes.is_empty());
        let text = serde_json::to_string(&written).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Declaration>(&text).expect("a document"), written);
    }
}

fn declared(text: &str) -> Declaration {
    serde_json::from_str(text).expect("a document")
}

#[test]
fn whole_number_may_be_written_with_a_point() {
    let text =
        r#"{"environment": {"name": "A", "lookback_days": 7.0, "national_number_lengths": [9.0, 10]}, "agents": []}"#;
    let settings = declared(text).environment.expect("it is there");
    assert_eq!((settings.lookback_days, settings.national_number_lengths), (Some(7), vec![9, 10]));
    for wrong in ["7.5", "-1", "4294967296", "\"7\""] {
        let text = text.replace("7.0", wrong);
        assert!(serde_json::from_str::<Declaration>(&text).is_err(), "{wrong}");
    }
}

#[test]
fn unnamed_entities_stay_unless_they_are_pruned() {
    let first = declared(
        r#"{"numbers": [{"number": "+12125550100"}, {"number": "+12125550101"}], "agents": [
            {"name": "Ann", "direction": "outbound"},
            {"name": "Ben", "direction": "inbound", "numbers": ["+12125550101"], "callback": {"sources": ["Ann"]}}]}"#,
    );
    let plan = apply(&first, &empty(), false);
    let second = declared(r#"{"agents": [{"name": "Cas", "direction": "inbound", "callback": {"sources": ["Ann"]}}]}"#);
    let kept = apply(&second, &plan, false);
    assert_eq!(current(&kept).agents.len(), 3);
    let Err(Refused::Wrong(wrong)) = compare(&second, &plan, true) else { panic!("its source would go") };
    assert_eq!(wrong[0].field, "agents.0.callback.sources.0");
    let third = declared(r#"{"agents": [{"name": "Ann", "direction": "outbound"}]}"#);
    let pruned = current(&apply(&third, &plan, true));
    assert_eq!((pruned.agents.len(), pruned.numbers.len()), (1, 0));
}

#[test]
fn agent_with_an_id_gets_the_declared_name_and_label() {
    let plan = apply(&declared(r#"{"agents": [{"name": "Ann", "direction": "inbound"}]}"#), &empty(), false);
    let mut document = current(&plan);
    (document.agents[0].name, document.agents[0].label) = ("Ben".into(), Some("Second shift".into()));
    let compared = compare(&document, &plan, true).expect("possible");
    assert!(matches!(compared.changes[..], [Change::AgentRenamed { .. }]), "{:?}", compared.changes);
    assert_eq!(compared.steps[0].to_string(), "~ agent Ann: name Ann -> Ben; label none -> Second shift");
    let plan = apply(&document, &plan, true);
    assert_eq!(current(&plan), document);
    assert!(compare(&document, &plan, true).expect("possible").changes.is_empty());
}

#[test]
fn draft_without_a_direction_stays_one_until_the_document_names_it() {
    let draft = r#"{"numbers": [{"number": "+12125550100"}], "agents": [
        {"name": "Ann", "published": false, "numbers": ["+12125550100"]}]}"#;
    let plan = apply(&declared(draft), &empty(), false);
    let written = current(&plan);
    assert_eq!((written.agents[0].direction, written.agents[0].numbers.len()), (None, 1));
    assert!(compare(&declared(draft), &plan, true).expect("possible").changes.is_empty());
    assert!(compare(&written, &plan, true).expect("possible").changes.is_empty());
    assert_eq!(current(&apply(&written, &empty(), false)).agents.len(), 1, "another installation reads it");
    for published in
        [draft.replace(r#""published": false"#, r#""published": true"#), draft.replace(r#""published": false, "#, "")]
    {
        let Err(Refused::Wrong(wrong)) = compare(&declared(&published), &plan, false) else { panic!("{published}") };
        assert_eq!(wrong[0].field, "agents.0.direction");
    }
    let inbound = draft.replace(r#""published": false"#, r#""direction": "inbound""#);
    let plan = apply(&declared(&inbound), &plan, false);
    assert_eq!(current(&plan).agents[0].direction, Some(Direction::Inbound));
    // A document without the direction keeps it.
    let role = r#"{"agents": [{"name": "Ann", "label": "Day"}, {"name": "Ben", "published": false}]}"#;
    let agents = current(&apply(&declared(role), &plan, false)).agents;
    assert_eq!((agents[0].direction, agents[1].direction), (Some(Direction::Inbound), None));
    let role = r#"{"agents": [{"name": "Ben", "published": false, "callback": {"sources": ["Ann"]}}]}"#;
    let Err(Refused::Wrong(wrong)) = compare(&declared(role), &plan, false) else { panic!("it is not inbound") };
    assert_eq!(wrong[0].field, "agents.0.callback");
}

#[test]
fn look_back_that_is_no_whole_number_of_days_is_written_in_seconds() {
    let document = declared(r#"{"environment": {"name": "Ours", "lookback_seconds": 90}}"#);
    let compared = compare(&document, &empty(), false).expect("possible");
    assert_eq!(compared.steps[0].to, "look-back 30 days -> 90 seconds");
    let plan = apply(&document, &empty(), false);
    assert_eq!(current(&plan), document);
    let whole_days = declared(r#"{"environment": {"name": "Ours", "lookback_seconds": 86400}}"#);
    let settings = current(&apply(&whole_days, &plan, false)).environment.expect("settings");
    assert_eq!((settings.lookback_days, settings.lookback_seconds), (Some(1), None));
}

#[test]
fn mistakes_are_named_by_field_and_without_their_values() {
    let taken = Change::NumberAdded {
        id: dialback::NumberId::from_u128(9),
        number: dialback::E164::parse_international("+12125550199").expect("a number"),
    };
    let plan = with(&empty(), OTHERS, vec![taken]);
    for (text, field) in [
        (r#"{"numbers": [{"number": "+12125550199"}]}"#, "numbers.0.number"),
        (r#"{"numbers": [{"number": "none"}]}"#, "numbers.0.number"),
        (r#"{"numbers": [{"number": "+12125550100"}, {"number": "+1 212 555 0100"}]}"#, "numbers.1.number"),
        (r#"{"numbers": [{"number": "+12125550100", "default_agent": "Ann"}]}"#, "numbers.0.default_agent"),
        (r#"{"agents": [{"name": "", "direction": "inbound"}]}"#, "agents.0.name"),
        (
            r#"{"agents": [{"name": "A", "direction": "inbound"}, {"name": "A", "direction": "inbound"}]}"#,
            "agents.0.name",
        ),
        (r#"{"agents": [{"name": "A", "direction": "inbound", "numbers": ["+12125550100"]}]}"#, "agents.0.numbers.0"),
        (
            r#"{"agents": [{"name": "A", "direction": "outbound", "callback": {"sources": ["A"]}}]}"#,
            "agents.0.callback",
        ),
        (
            r#"{"agents": [{"name": "A", "direction": "inbound", "callback": {"sources": [], "statuses": ["later"]}}]}"#,
            "agents.0.callback.statuses",
        ),
        (r#"{"environment": {"name": "A", "region": "XX"}}"#, "environment.region"),
        (r#"{"environment": {"name": "A", "region": "US", "country_code": "1"}}"#, "environment.region"),
        (r#"{"environment": {"name": "A", "lookback_days": 0}}"#, "environment.lookback_days"),
        (r#"{"environment": {"name": "A", "lookback_seconds": 59}}"#, "environment.lookback_seconds"),
        (
            r#"{"environment": {"name": "A", "lookback_days": 1, "lookback_seconds": 86400}}"#,
            "environment.lookback_seconds",
        ),
        (r#"{"environment": {"name": "A", "require_attestation": "C"}}"#, "environment.require_attestation"),
        (r#"{"environment": {"name": "A", "counts_from": "busy"}}"#, "environment.counts_from"),
    ] {
        let refused = compare(&declared(text), &plan, false);
        let Err(Refused::Wrong(wrong)) = refused else { panic!("{text}: {refused:?}") };
        assert_eq!(wrong[0].field, field, "{text}");
        assert!(!wrong[0].to_string().contains("0199"), "{}", wrong[0]);
    }
    // Two agents of one name in the environment: the document has to say which one it means.
    let agent = |last| Change::AgentCreated {
        id: dialback::AgentId::from_u128(last),
        name: "Ann".into(),
        label: None,
        direction: Direction::Inbound,
    };
    let plan = with(&plan, OURS, vec![agent(1), agent(2)]);
    let Err(Refused::Wrong(wrong)) =
        compare(&declared(r#"{"agents": [{"name": "Ann", "direction": "inbound"}]}"#), &plan, false)
    else {
        panic!("it is ambiguous")
    };
    assert!(wrong[0].what.contains("use an id"), "{}", wrong[0]);
    // A name in the document means the agent of the document, although the environment has others.
    let own = declared(
        r#"{"agents": [{"name": "Ann", "id": "00000000-0000-0000-0000-000000000007", "direction": "outbound"},
            {"name": "Ben", "direction": "inbound", "callback": {"sources": ["Ann"]}}]}"#,
    );
    let compared = compare(&own, &plan, false).expect("Ann is the one of the document");
    assert!(compared.steps.iter().any(|step| step.kind == "callback"), "{:?}", compared.steps);
}

/// The state from which steps are shown.
const SHOP: &str = r#"{"environment": {"name": "Ours", "region": "US"},
    "numbers": [{"number": "+12125550100", "default_agent": "Ben"}, {"number": "+12125550101"}],
    "agents": [
        {"name": "Ann", "label": "Day", "direction": "outbound", "numbers": ["+12125550100"]},
        {"name": "Ben", "direction": "inbound", "numbers": ["+12125550100"],
            "callback": {"sources": ["Ann"], "lookback_days": 3, "statuses": ["busy"]}}]}"#;

/// Returns the steps of a change of the shop, after which nothing is left to change.
fn steps(change: impl FnOnce(&mut Declaration)) -> Vec<String> {
    let plan = apply(&declared(SHOP), &empty(), false);
    let mut document = current(&plan);
    change(&mut document);
    let compared = compare(&document, &plan, false).expect("possible");
    let again = compare(&document, &with(&plan, OURS, compared.changes.clone()), false).expect("possible");
    assert!(again.changes.is_empty() && again.steps.is_empty(), "{:?}", again.steps);
    compared.steps.iter().map(ToString::to_string).collect()
}

/// A plan is for a person who decides whether to make the changes.
#[test]
fn steps_of_roles_show_old_and_new_values() {
    let of_role = |change: &dyn Fn(&mut DeclaredCallback)| {
        steps(|document| change(document.agents[1].callback.as_mut().expect("it has the role")))
    };
    assert_eq!(of_role(&|role| role.lookback_days = Some(5)), ["~ callback Ben: look-back 3 days -> 5 days"]);
    let environments = of_role(&|role| role.lookback_days = None);
    assert_eq!(environments, ["~ callback Ben: look-back 3 days -> of the environment"]);
    assert_eq!(of_role(&|role| role.statuses = None), ["~ callback Ben: statuses busy -> all"]);
    let voicemail = of_role(&|role| role.statuses = Some(vec!["voicemail".into()]));
    assert_eq!(voicemail, ["~ callback Ben: statuses busy -> voicemail"]);
    // A source that the document names by its id, and does not declare.
    let sources = steps(|document| {
        let ann = document.agents.remove(0);
        let cas = DeclaredAgent { name: "Cas".into(), id: None, ..ann.clone() };
        document.agents.push(cas);
        let role = document.agents[0].callback.as_mut().expect("it has the role");
        role.sources = vec![ann.id.expect("an id").to_string(), "Cas".into()];
    });
    let created = "+ agent Cas: outbound; published; numbers: +12125550100";
    assert_eq!(sources, [created, "~ callback Ben: sources added: Cas"]);
}

#[test]
fn steps_of_agents_settings_and_defaults_show_old_and_new_values() {
    assert_eq!(steps(|document| document.agents[0].label = None), ["~ agent Ann: label Day -> none"]);
    let numbers = steps(|document| document.agents[0].numbers = vec!["+12125550101".into()]);
    assert_eq!(numbers, ["~ agent Ann: numbers added: +12125550101; numbers removed: +12125550100"]);
    let of_settings = |change: &dyn Fn(&mut DeclaredSettings)| {
        steps(|document| change(document.environment.as_mut().expect("settings")))
    };
    let renamed = of_settings(&|settings| settings.name = "Theirs".into());
    assert_eq!(renamed, ["~ environment Ours: name Ours -> Theirs"]);
    let written = of_settings(&|settings| {
        (settings.region, settings.country_code) = (None, "1".into());
        (settings.national_prefix, settings.international_prefix) = ("1".into(), "011".into());
        settings.require_attestation = Some("A".into());
        settings.counts_from = Some("answered".into());
    });
    let plan = "region US -> country code 1, national prefix 1, international prefix 011";
    assert_eq!(
        written,
        [format!(
            "~ environment Ours: dial plan {plan}; required attestation none -> A; calls count from initiated -> answered"
        )]
    );
    let usual = of_settings(&|settings| settings.counts_from = Some("initiated".into()));
    assert!(usual.is_empty(), "{usual:?}");
    let nobody = steps(|document| document.numbers[0].default_agent = Some("nobody".into()));
    assert_eq!(nobody, ["~ default agent +12125550100: Ben -> nobody"]);
    // An agent that loses the number loses the calls of it, too.
    let lost = steps(|document| {
        let ben = &mut document.agents[1];
        (ben.numbers, ben.published, document.numbers[0].default_agent) = (Vec::new(), false, None);
    });
    let ben = "~ agent Ben: numbers removed: +12125550100; status published -> draft";
    assert_eq!(lost, [ben, "~ default agent +12125550100: Ben -> auto"]);
}

/// Returns the steps from the first document to the second, after which nothing is left to change.
fn steps_between(first: &str, second: &str) -> Vec<String> {
    let plan = apply(&declared(first), &empty(), false);
    let compared = compare(&declared(second), &plan, false).expect("possible");
    let again = compare(&declared(second), &with(&plan, OURS, compared.changes), false).expect("possible");
    assert!(again.changes.is_empty() && again.steps.is_empty(), "{:?}", again.steps);
    compared.steps.iter().map(ToString::to_string).collect()
}

const ANN: &str = r#"{"name": "Ann", "direction": "outbound"}"#;
const BEN: &str =
    r#"{"name": "Ben", "direction": "inbound", "numbers": ["+12125550100"], "callback": {"sources": ["Ann"]}}"#;

const BEN_ALONE: &str = r#"{"agents": [{"name": "Ben", "direction": "inbound"}]}"#;

fn two_desks(order: &str, agents: [&str; 3]) -> String {
    let agents = agents.join(",");
    format!(r#"{{"numbers": [{{"number": "+12125550100", "order": {order}}}], "agents": [{agents}]}}"#)
}

#[test]
fn order_of_agents_in_the_document_is_the_order_of_owners_and_roles() {
    let cas = BEN.replace("Ben", "Cas");
    let (first, second) = (two_desks("[]", [ANN, BEN, &cas]), two_desks("[]", [&cas, BEN, ANN]));
    let plan = apply(&declared(&first), &empty(), false);
    let number = |plan: &Plan| {
        let tenant = plan.environment(OURS).expect("it is there");
        let name = |id| plan.agent(OURS, id).expect("it is there").name().to_owned();
        let number = tenant.numbers().next().expect("it is there");
        let source = tenant.agents().next().expect("Ann");
        let roles = source.callback_agents().into_iter().map(name).collect::<Vec<_>>();
        (number.owners().into_iter().map(name).collect::<Vec<_>>(), roles)
    };
    let (ben, cas_name) = ("Ben".to_owned(), "Cas".to_owned());
    // The first in the document answers, and the last in it was configured last.
    assert_eq!(number(&plan), (vec![ben.clone(), cas_name.clone()], vec![cas_name.clone(), ben.clone()]));
    let moved = apply(&declared(&second), &plan, false);
    assert_eq!(number(&moved), (vec![cas_name.clone(), ben.clone()], vec![ben, cas_name]));
    assert_eq!(
        steps_between(&first, &second),
        ["~ callback Ben: tried before Cas", "~ number +12125550100: order Ben, Cas -> Cas, Ben"]
    );
    let own = two_desks(r#"["Cas", "Ben"]"#, [ANN, BEN, &cas]);
    assert_eq!(steps_between(&first, &own), ["~ number +12125550100: order Ben, Cas -> Cas, Ben"]);
    // Another look-back of the first role leaves it behind the second.
    let changed = BEN.replace(r#""sources": ["Ann"]"#, r#""sources": ["Ann"], "lookback_days": 3"#);
    let changed = two_desks("[]", [ANN, &changed, &cas]);
    assert_eq!(steps_between(&first, &changed), ["~ callback Ben: look-back of the environment -> 3 days"]);
    assert_eq!(number(&apply(&declared(&changed), &plan, false)), number(&plan));
}

/// A role that was configured by hand after the file must not decide before those of the file.
#[test]
fn undeclared_role_is_tried_after_the_declared_ones() {
    let first = two_desks("[]", [ANN, BEN, &BEN.replace("Ben", "Cas")]);
    let plan = apply(&declared(&first), &empty(), false);
    let by_hand = declared(&format!(r#"{{"agents": [{}]}}"#, BEN.replace("Ben", "Zoe")));
    let plan = apply(&by_hand, &plan, false);
    let roles = |plan: &Plan| {
        let ann = plan.environment(OURS).expect("it is there").agents().next().expect("Ann");
        ann.feeds().map(|agent| agent.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(roles(&plan), ["Zoe", "Cas", "Ben"]);
    // A document without settings is a part. Two parts with a common source do not take turns.
    assert_eq!(compare(&declared(&first), &plan, false).expect("possible").steps, []);
    let whole = Declaration { environment: current(&plan).environment, ..declared(&first) };
    let compared = compare(&whole, &plan, false).expect("possible");
    let steps: Vec<_> = compared.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["~ callback Ben: tried before Zoe", "~ callback Cas: tried before Zoe"]);
    let after = with(&plan, OURS, compared.changes);
    assert_eq!(roles(&after), ["Cas", "Ben", "Zoe"]);
    assert_eq!(compare(&whole, &after, false).expect("possible").steps, []);
    // A role that goes with its agent overtakes none.
    let pruned = compare(&whole, &plan, true).expect("possible");
    assert!(pruned.steps.iter().all(|step| step.name == "Zoe"), "{:?}", pruned.steps);
}

/// Steps are for people, and are held in memory as a whole.
#[test]
fn steps_show_the_beginnings_of_names_and_have_a_bound() {
    let long = |first: char| format!("{first}{}", "\u{1F692}".repeat(254));
    let shown = |first: char| format!("{first}{}…", "\u{1F692}".repeat(62));
    let desk = |first: char| DeclaredAgent { name: long(first), ..declared(BEN_ALONE).agents.remove(0) };
    let mut document = declared(&two_desks("[]", [ANN, BEN, BEN]));
    document.agents.truncate(1);
    for first in ['A', 'B', 'C'] {
        let callback = Some(DeclaredCallback { sources: vec!["Ann".into()], ..DeclaredCallback::default() });
        document.agents.push(DeclaredAgent { numbers: vec!["+12125550100".into()], callback, ..desk(first) });
    }
    let plan = apply(&document, &empty(), false);
    let mut document = current(&plan);
    document.agents[1..].reverse();
    document.agents[1].label = Some(long('L'));
    document.numbers[0].default_agent = Some(long('D'));
    document.agents[3].name = long('D');
    let steps: Vec<_> =
        compare(&document, &plan, false).expect("possible").steps.iter().map(ToString::to_string).collect();
    let [a, b, c, d] = ['A', 'B', 'C', 'D'].map(shown);
    assert_eq!(
        steps,
        [
            format!("~ agent {c}: label none -> {}", shown('L')),
            format!("~ agent {a}: name {a} -> {d}"),
            format!("~ callback {b}: tried before {c}"),
            format!("~ callback {d}: tried before {c}"),
            format!("~ number +12125550100: order {d}, {b}, {c} -> {c}, {b}, {d}"),
            format!("~ default agent +12125550100: auto -> {d}"),
        ]
    );

    let agent = |number: usize| DeclaredAgent {
        name: format!("{number}{}", "\u{1}".repeat(200)),
        ..declared(BEN_ALONE).agents.remove(0)
    };
    let many = Declaration { agents: (0..4000).map(agent).collect(), ..Declaration::default() };
    let compared = compare(&many, &empty(), false).expect("possible");
    let bytes = serde_json::to_string(&compared.steps).expect("JSON").len();
    assert!((1_000_000..1 << 20).contains(&bytes), "{bytes}");
    assert_eq!((compared.steps_total, compared.changes.len()), (4000, 8000));
    assert_eq!(compared.steps[0].action, "create");
}

/// A role that lost its sources cannot be declared, so a document does not remove it.
#[test]
fn role_without_sources_stays_as_long_as_its_agent_stays_inbound() {
    let plan = apply(&declared(&two_desks("[]", [ANN, BEN, &BEN.replace("Ben", "Cas")])), &empty(), false);
    let ann = plan.environment(OURS).expect("it is there").agents().next().expect("Ann").id();
    let plan = with(&plan, OURS, vec![Change::AgentUnpublished { id: ann }, Change::AgentDeleted { id: ann }]);
    let mut document = current(&plan);
    assert_eq!(compare(&document, &plan, true).expect("possible").steps, []);
    document.agents[0].direction = Some(Direction::Outbound);
    let after = apply(&document, &plan, true);
    assert!(after.environment(OURS).expect("it is there").agents().next().expect("Ben").callback().is_none());
    assert_eq!(compare(&document, &after, true).expect("possible").steps, []);
}

/// The environment holds numbers that its dial plan, which is newer, would refuse or read as other digits.
#[test]
fn held_and_copied_numbers_keep_their_digits() {
    let number = |id, text| {
        let number = dialback::E164::parse_international(text).expect("a number");
        Change::NumberAdded { id: dialback::NumberId::from_u128(id), number }
    };
    let gb = |name: &str| Change::EnvironmentSet {
        name: name.into(),
        dial_plan: DialPlan::of_region("GB").expect("a region"),
        lookback: Lookback::default(),
    };
    let old = vec![number(1, "+1212555"), number(2, "+4402012345678"), number(3, "+442079460958"), gb("Ours")];
    let plan = with(&empty(), OURS, old);
    let mut document = current(&plan);
    document.agents.push(DeclaredAgent {
        numbers: vec!["+4402012345678".into(), "+1212555".into()],
        ..declared(BEN_ALONE).agents.remove(0)
    });
    let steps: Vec<_> = compare(&document, &plan, true).expect("possible").steps;
    assert_eq!(steps.len(), 1, "{steps:?}");
    let digits = |plan: &Plan| {
        let tenant = plan.environment(OURS).expect("it is there");
        let of_agent = tenant.agents().next().into_iter().flat_map(AgentView::numbers).map(NumberView::number);
        (tenant.numbers().map(NumberView::number).collect::<Vec<_>>(), of_agent.collect::<Vec<_>>())
    };
    let after = apply(&document, &plan, true);
    let copied = document.create(&Plan::new(), OURS, Timestamp::from_secs(1_800_000_000), &mut || Uuid::from_u128(7));
    assert_eq!(digits(&copied.expect("possible").next), digits(&after));
    // A number that only its id shows to be held, and one that is new and has no id, are read by the dial plan.
    document.numbers[2].number = "+4402079460958".into();
    assert_eq!(compare(&document, &after, true).expect("possible").steps, []);
    document.numbers.iter_mut().for_each(|new| new.id = None);
    let Err(Refused::Wrong(wrong)) = compare(&document, &empty(), true) else { panic!("{document:?}") };
    assert_eq!(wrong[0].to_string(), "numbers.0.number: must be a phone number");
    let numbers = vec![document.numbers.remove(1)];
    let read = Declaration { environment: document.environment, numbers, agents: Vec::new() };
    assert_eq!(current(&apply(&read, &empty(), true)).numbers[0].number, "+442012345678");
}

#[test]
fn declared_order_of_a_number_names_each_inbound_agent_once() {
    let cas = BEN.replace("Ben", "Cas");
    for (order, field) in [
        (r#"["Cas"]"#, "numbers.0.order"),
        (r#"["Cas", "Ben", "Ann"]"#, "numbers.0.order"),
        (r#"["Cas", "Ben", "Cas"]"#, "numbers.0.order.2"),
        (r#"["Cas", "Dot"]"#, "numbers.0.order.1"),
    ] {
        let refused = compare(&declared(&two_desks(order, [ANN, BEN, &cas])), &empty(), false);
        let Err(Refused::Wrong(wrong)) = refused else { panic!("{order}: {refused:?}") };
        assert_eq!(wrong[0].field, field, "{order}");
    }
}
