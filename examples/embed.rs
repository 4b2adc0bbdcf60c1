//! A small gateway: `cargo run --example embed`.
//!
//! Two threads handle inbound calls while the main thread records outbound calls and changes the configuration.

use dialback::{
    AgentId, Applied, Call, Caller, Change, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback,
    NumberId, Outcome, Timestamp,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

const ACME: EnvironmentId = EnvironmentId::from_u128(1);
const SALES: AgentId = AgentId::from_u128(1);
const RECEPTION: AgentId = AgentId::from_u128(2);
const CALLBACKS: AgentId = AgentId::from_u128(3);
const LINE: NumberId = NumberId::from_u128(1);

fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::new();
    let ours = E164::parse_international("+12125550100")?;
    configure(&engine, ours)?;

    let stop = AtomicBool::new(false);
    let routed = thread::scope(|scope| -> Result<_, Box<dyn Error>> {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(|| take_calls(&engine, ours, &stop))).collect();
        // The outbound side of the gateway: reports each call when it is placed.
        for last in 0..100 {
            let to = contact(last)?;
            let call = Call { environment: ACME, agent: SALES, from: ours, to, at: now(), outcome: Outcome::NoAnswer };
            if engine.apply(&Event::Call(call))? == Applied::Ignored {
                eprintln!("a call of an agent or a number that is not configured");
            }
        }
        // From the next decision on, those contacts reach the callback agent. No call waits for this change.
        let role = Change::CallbackSet { id: CALLBACKS, sources: vec![SALES], outcomes: None, lookback: None };
        engine.configure(ACME, now(), vec![role])?;
        thread::sleep(std::time::Duration::from_millis(50));
        stop.store(true, Ordering::Relaxed);
        Ok(workers.into_iter().map(|worker| worker.join().expect("no worker panics")).collect::<Vec<_>>())
    })?;

    for (worker, reasons) in routed.iter().enumerate() {
        println!("worker {worker}: {reasons:?}");
    }
    let caller = Caller::Number(contact(7)?);
    println!("{:#?}", engine.explain(ours, caller, now()));
    Ok(())
}

/// The loop of a worker thread, with its own reader and one decision for each call.
fn take_calls(engine: &Engine, ours: E164, stop: &AtomicBool) -> BTreeMap<&'static str, u64> {
    let mut reader = engine.reader();
    let mut reasons = BTreeMap::new();
    for last in (0..200).cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
        let Ok(caller) = contact(last) else { continue };
        let decision = reader.resolve(ours, Caller::Number(caller), now());
        *reasons.entry(decision.reason.name()).or_default() += 1;
    }
    reasons
}

fn configure(engine: &Engine, ours: E164) -> Result<(), Box<dyn Error>> {
    let agent = |id, name: &str, direction| {
        [
            Change::AgentCreated { id, name: name.into(), label: None, direction },
            Change::CallingSet { id, direction, numbers: Some(vec![LINE]) },
            Change::AgentPublished { id },
        ]
    };
    let environment =
        Change::EnvironmentSet { name: "Acme".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    let mut changes = vec![environment, Change::NumberAdded { id: LINE, number: ours }];
    changes.extend(agent(SALES, "Sales", Direction::Outbound));
    changes.extend(agent(RECEPTION, "Reception", Direction::Inbound));
    changes.extend(agent(CALLBACKS, "Callbacks", Direction::Inbound));
    engine.configure(ACME, now(), changes)?;
    Ok(())
}

fn contact(last: u32) -> Result<E164, dialback::NumberError> {
    E164::parse(&format!("+447700900{last:03}"), &DialPlan::NONE)
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or_default())
}
