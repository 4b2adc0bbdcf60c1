//! Actors and names of configurations: after a restart, in excerpts, and in exports.

use super::*;
use dialback::store::{Excerpt, restore};
use dialback::{Actor, AgentId, Configuration, Role, TokenId};

fn token(label: &str) -> Actor {
    Actor::Token { id: TokenId::from_u128(7), role: Role::Environment, label: label.into() }
}

/// Returns all configurations of an environment that excerpts show, newest first, and the number of excerpts.
fn shown(service: &Service, of: Option<Tenant>) -> (Vec<Configuration>, usize) {
    let excerpts = service.excerpts().expect("the store keeps its data");
    let (mut all, mut before, mut count) = (Vec::new(), service.plan().generation() + 1, 0);
    while before > 1 {
        let Excerpt { configurations, reached, .. } = excerpts(before, of.map(Tenant::id)).expect("readable");
        assert!(reached < before);
        all.extend(configurations);
        (before, count) = (reached, count + 1);
    }
    (all, count)
}

/// Creates the tenant, publishes and unpublishes its callback agent by turns, and renames it at the end.
fn fill(service: &Service, turns: u64) {
    let renamed = |name: &str| Change::AgentRenamed { id: Agent(3).id(), name: name.into(), label: None };
    let by = |actor: Actor, change| {
        service.configure(Tenant(0).id(), actor.at(START), |_| Ok(vec![change])).expect("valid");
    };
    service.configure(Tenant(0).id(), Actor::Import.at(START), |_| Ok(changes())).expect("valid");
    service.configure(Tenant(1).id(), START, |_| Ok(vec![settings()])).expect("valid");
    for turn in 0..turns {
        let id = Agent(3).id();
        by(token("CRM"), if turn % 2 == 0 { Change::AgentUnpublished { id } } else { Change::AgentPublished { id } });
    }
    by(Actor::Command, renamed("Front desk"));
    by(token(&"x".repeat(300)), Change::AgentUnpublished { id: Agent(3).id() });
    by(token("last"), Change::AgentDeleted { id: Agent(3).id() });
}

#[test]
fn actors_and_names_survive_a_restart_and_an_export_and_an_erasure_leaves_them() {
    let folder = tempfile::tempdir().expect("a directory");
    let (path, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let service = open(&path);
    fill(&service, 300);
    let last_change = |service: &Service| {
        let plan = service.plan();
        plan.environment(Tenant(0).id()).and_then(|tenant| tenant.last_change().cloned()).expect("there")
    };
    assert_eq!(last_change(&service), token("last").at(START));
    let (all, excerpts) = shown(&service, None);
    assert_eq!((all.len(), excerpts), (305, 3));
    let name = |configuration: &Configuration| configuration.names.agent(Agent(3).id()).map(str::to_owned);
    let (front_desk, agent) = (Some("Front desk".to_owned()), Some("agent".to_owned()));
    assert_eq!([&all[0], &all[1], &all[2], &all[3]].map(name), [front_desk.clone(), front_desk, agent.clone(), agent]);
    assert_eq!((&all[0].actor, &all[2].actor, &all[3].actor), (&token("last"), &Actor::Command, &token("CRM")));
    assert_eq!((&all[303].actor, &all[304].actor), (&Actor::Unknown, &Actor::Import));
    assert_eq!(all[1].actor, token(&"x".repeat(300)), "the store keeps the whole label");
    let (ours, _) = shown(&service, Some(Tenant(0)));
    assert_eq!(ours.len(), 304);
    assert!(ours.iter().all(|configuration| configuration.environment == Tenant(0).id()));
    assert_eq!(shown(&service, Some(Tenant(1))).0.len(), 1);

    service.record(vec![call_to(5, Moment(1), Outcome::Busy), erase(5, Moment(2))]).expect("durable");
    assert_eq!(shown(&service, None).0, all);
    drop(service);
    let service = open(&path);
    assert_eq!(shown(&service, None).0, all);
    assert_eq!(last_change(&service), token("last").at(START));
    let mut export = Vec::new();
    service.export().expect("it can be exported")(&mut export).expect("readable");
    restore(&copy, &export[..]).expect("it is whole");
    assert_eq!(shown(&open(&copy), None).0, all);

    // The function outlives the service, and then says so.
    let excerpts = service.excerpts().expect("the store keeps its data");
    drop(service);
    assert!(excerpts(2, None).is_err());
}

#[test]
fn last_change_has_a_short_label_and_is_none_about_tokens() {
    let service = start(dialback::store::MemoryStore);
    service.configure(Tenant(0).id(), token(&"é".repeat(255)).at(START), |_| Ok(changes())).expect("valid");
    let id = TokenId::from_u128(1);
    let issued = Change::TokenIssued { id, role: Role::Environment, label: String::new(), digest: [3; 32] };
    service.configure(Tenant(0).id(), token("later").at(START), |_| Ok(vec![issued])).expect("valid");
    let plan = service.plan();
    let last = plan.environment(Tenant(0).id()).expect("there").last_change().expect("one");
    assert_eq!(last.actor, token(&"é".repeat(Actor::MAX_SHORT_LABEL)));
    assert!(service.excerpts().is_none());
}

/// A configuration names at most a hundred entities: first those that it changes, then those in their lists.
#[test]
fn names_of_a_configuration_are_bounded() {
    let service = start(dialback::store::MemoryStore);
    let agent = |place: u128| AgentId::from_u128(0x100 + place);
    let direction = Direction::Outbound;
    let created = (0..150).map(|place| Change::AgentCreated {
        id: agent(place),
        name: format!("agent {place}"),
        label: None,
        direction,
    });
    let all: Vec<_> = changes().into_iter().chain(created).collect();
    let plan = service.configure(Tenant(0).id(), START, |_| Ok(all)).expect("valid");
    let sources = (0..150).map(agent).collect();
    let set = Change::CallbackSet { id: Agent(3).id(), sources, outcomes: None, lookback: None };
    let names = plan.names_in(Tenant(0).id(), &[set, Change::AgentPublished { id: agent(149) }]);
    assert!(names.is_full());
    assert_eq!((names.agent(Agent(3).id()), names.agent(agent(149))), (Some("agent"), Some("agent 149")));
    assert_eq!((names.agent(agent(97)), names.agent(agent(98))), (Some("agent 97"), None));
    assert_eq!(plan.names_in(Tenant(1).id(), &[Change::AgentPublished { id: agent(0) }]), dialback::Names::default());
}
