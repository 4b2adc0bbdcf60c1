//! `dialback demo`: a small sample, a dozen inbound calls, and a server to try out. It stores nothing.

use super::sample::{self, ENVIRONMENT, InboundCall};
use crate::address_space;
use crate::clock::{self, now};
use crate::failure::Failure;
use crate::out;
use crate::serve::{ConnectionLimits, Listener, Origins, Runtimes, Socket, Stop, serve};
use dialback::admission::Budget;
use dialback::http::{self, Api, Token};
use dialback::store::MemoryStore;
use dialback::{Actor, AgentId, Change, Decision, Engine, Plan, Role, Service, Timestamp, TokenId};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

/// The pairs that the demo's history may hold: the sample, and those that people try out.
const MAX_PAIRS: usize = 1_000_000;

#[derive(Debug, clap::Args)]
pub(crate) struct DemoOptions {
    /// The address to listen on. The default is 127.0.0.1:8080, or a free port if that one is in use
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Show the table and exit
    #[arg(long)]
    no_serve: bool,
}

pub(crate) fn run(options: &DemoOptions, json: bool) -> Result<ExitCode, Failure> {
    let now = now();
    address_space::check_fixed(MAX_PAIRS)?;
    let engine = Engine::try_with_max_pairs(MAX_PAIRS).map_err(|error| Failure::new(error.to_string()))?;
    let service = Service::builder(MemoryStore).engine(engine).start()?;
    for changes in sample::configurations(now) {
        service.configure(ENVIRONMENT, Actor::Command.at(now), |_| Ok(changes))?;
    }
    service.record(sample::outbound_calls(now))?;
    if !json {
        show_decisions(&service, now)?;
    }
    if options.no_serve {
        if json {
            out::exact(format_args!("{}", json!({ "decisions": decisions(&service, now) })))?;
        }
        return Ok(ExitCode::SUCCESS);
    }

    let token = Token::issue(Role::Environment);
    let (id, digest) = (TokenId::from_u128(1), token.digest);
    let issued = Change::TokenIssued { id, role: Role::Environment, label: "demo".into(), digest };
    service.configure(ENVIRONMENT, Actor::Command.at(now), move |_| Ok(vec![issued]))?;
    let runtimes = Runtimes::start()?;
    let workers = runtimes.work.handle().clone();
    runtimes.routes.block_on(async {
        let stop = Stop::listen()?;
        let Socket { listener, url } = match options.listen {
            Some(address) => Socket::open(address).await?,
            None => match Socket::open(([127, 0, 0, 1], 8080).into()).await {
                Ok(socket) => socket,
                Err(_) => Socket::open(([127, 0, 0, 1], 0).into()).await?,
            },
        };
        if json {
            let (decisions, token) = (decisions(&service, now), &token.secret);
            out::exact(format_args!("{}", json!({ "decisions": decisions, "url": url, "token": token })))?;
        } else {
            show_requests(&url, &token.secret)?;
        }
        let router = http::router(Api::new(Arc::new(service), Arc::new(clock::now)).with_workers(workers));
        serve(
            vec![Listener {
                socket: listener,
                tls: None,
                router,
                budget: Budget::of(512),
                origins: Origins::default(),
            }],
            ConnectionLimits::default(),
            stop,
            || {},
        )
        .await
    })
}

fn show_decisions(service: &Service, now: Timestamp) -> Result<(), Failure> {
    let plan = service.plan();
    out::line(format_args!("{:38} {:14} {:9} {:22} {:27} BECAUSE", "CALLER", "DIALED", "DECISION", "AGENT", "REASON"))?;
    for call in sample::inbound_calls() {
        let (dialed, caller) = call.read();
        let decision = service.resolve(dialed, caller, now);
        let agent = decision.route.agent().map_or("-", |agent| name(&plan, agent));
        let InboundCall { caller, dialed } = call;
        let (route, reason) = (decision.route.name(), decision.reason.name());
        out::line(format_args!(
            "{caller:38} {dialed:14} {route:9} {agent:22} {reason:27} {}",
            because(&plan, &decision, now)
        ))?;
    }
    out::line(format_args!(""))
}

/// Returns the table as JSON: an object for each inbound call.
fn decisions(service: &Service, now: Timestamp) -> Vec<Value> {
    let plan = service.plan();
    let decision = |call: InboundCall| {
        let (dialed, caller) = call.read();
        let decision = service.resolve(dialed, caller, now);
        json!({
            "caller": call.caller,
            "dialed": call.dialed,
            "decision": decision.route.name(),
            "agent": decision.route.agent().map(|agent| name(&plan, agent)),
            "reason": decision.reason.name(),
            "because": because(&plan, &decision, now),
        })
    };
    sample::inbound_calls().into_iter().map(decision).collect()
}

fn because(plan: &Plan, decision: &Decision, now: Timestamp) -> String {
    let Some(call) = decision.call else { return String::new() };
    let hours = now.millis_since(call.at) / 3_600_000;
    let age = if hours < 48 { format!("{hours} h") } else { format!("{} days", hours / 24) };
    format!("{} called {age} ago: {}", name(plan, call.agent), call.outcome)
}

fn name(plan: &Plan, agent: AgentId) -> &str {
    plan.agent(ENVIRONMENT, agent).map_or("(deleted)", |agent| agent.name())
}

/// Prints example requests to copy.
fn show_requests(url: &str, token: &str) -> Result<(), Failure> {
    let (callback, source) = (sample::RENEWALS_DESK, sample::RENEWAL_REMINDERS);
    let (dialed, caller) = sample::UNCLAIMED;
    let (dialed, caller) = (dialed.replace('+', "%2B"), caller.replace('+', "%2B"));
    out::exact(format_args!(
        "\
Make the Renewals Desk the callback agent of the Renewal Reminders:

curl -X POST {url}/api/v1/agents/{callback}/callback \\
  -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\
  -d '{{\"source_agent_ids\": [\"{source}\"]}}'

Then the contact that got NO_CALLBACK_AGENT above is MATCHED:

curl -H 'Authorization: Bearer {token}' \\
  '{url}/api/v1/route?dialed={dialed}&caller={caller}&explain=true'

Remove the callback role again:

curl -X DELETE {url}/api/v1/agents/{callback}/callback -H 'Authorization: Bearer {token}'

List the agents and numbers:

curl -H 'Authorization: Bearer {token}' {url}/api/v1/agents
curl -H 'Authorization: Bearer {token}' {url}/api/v1/phone-numbers

Serving until Ctrl-C. Nothing is stored."
    ))
}
