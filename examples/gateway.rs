//! A gateway with several worker threads that embeds the library: `cargo run --release --example gateway`.
//!
//! Agents place calls, and the contacts call back on all workers. Meanwhile an operator moves the callbacks between
//! two agents. No call waits for that and none is lost. The program checks that each call reaches the right agent.

use dialback::{
    AgentId, Applied, Call, Caller, Change, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback,
    NumberId, Outcome, Reason, Route, Timestamp,
};
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const ACME: EnvironmentId = EnvironmentId::from_u128(1);
const LINE: NumberId = NumberId::from_u128(1);
const SALES: AgentId = AgentId::from_u128(1);
const RECEPTION: AgentId = AgentId::from_u128(2);
const DAY_DESK: AgentId = AgentId::from_u128(3);
const NIGHT_DESK: AgentId = AgentId::from_u128(4);
/// Returns the time of the gateway's clock.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const WORKERS: u64 = 4;
const CALLS: u64 = 10_000;
const CHANGES: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::with_max_pairs(1_000_000);
    let ours = E164::parse_international("+1 212 555 0100")?;
    engine.configure(ACME, NOW, shop(ours))?;

    let (landed, changing) = (Landed::default(), AtomicBool::new(true));
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (engine, landed, changing) = (&engine, &landed, &changing);
            scope.spawn(move || work(engine, ours, worker, landed, changing));
        }
        for change in 1..=CHANGES {
            let (from, to) = if change % 2 == 0 { (NIGHT_DESK, DAY_DESK) } else { (DAY_DESK, NIGHT_DESK) };
            // Both roles change in one configuration, so no decision sees none or both of them.
            let moved = vec![Change::CallbackRemoved { id: from }, takes_callbacks(to)];
            engine.configure(ACME, NOW, moved).expect("a valid change");
            // Waits until some calls have used the configuration.
            landed.wait_for_more(100);
        }
        changing.store(false, Ordering::Relaxed);
    });

    let Landed { day, night, reception } = landed;
    let (day, night, reception) = (day.into_inner(), night.into_inner(), reception.into_inner());
    println!("{day} calls to the day desk, {night} to the night desk, {reception} strangers to the reception");
    assert!(day > 0 && night > 0, "both desks had their turns");
    assert_eq!(day + night, reception, "every second caller had been called");
    assert!(day + night + reception >= WORKERS * CALLS);
    assert_eq!(engine.plan().generation(), 1 + CHANGES);
    Ok(())
}

/// The loop of a worker, with its own reader: an outbound call, its return call, and a call from an unknown contact.
fn work(engine: &Engine, ours: E164, worker: u64, landed: &Landed, changing: &AtomicBool) {
    let mut reader = engine.reader();
    let mut call = 0;
    while call < CALLS / 2 || changing.load(Ordering::Relaxed) {
        let (contact, stranger) = (number(call * WORKERS + worker), number(500_000_000 + call));
        let (agent, outcome) = (SALES, Outcome::NoAnswer);
        let placed = Call { environment: ACME, agent, from: ours, to: contact, at: NOW, outcome };
        assert_eq!(engine.apply(&Event::Call(placed)).expect("room for it"), Applied::Recorded);

        // The trunk passes numbers as text.
        let from = format!("\"Ann\" <sip:{}@trunk.example>;tag=1", &*contact.to_plus_form());
        let decision = reader.resolve(ours, Caller::parse(&from, &DialPlan::NONE), NOW);
        assert_eq!(decision.reason, Reason::Matched);
        assert_eq!(decision.call.map(|call| call.agent), Some(SALES));
        // Each second configuration is the night's. The decision names the configuration that it used.
        let (desk, count) =
            if decision.generation.is_multiple_of(2) { (NIGHT_DESK, &landed.night) } else { (DAY_DESK, &landed.day) };
        assert_eq!(decision.route, Route::Callback(desk));
        count.fetch_add(1, Ordering::Relaxed);

        let decision = reader.resolve(ours, Caller::Number(stranger), NOW);
        assert_eq!((decision.route, decision.reason), (Route::Default(RECEPTION), Reason::NoHistory));
        landed.reception.fetch_add(1, Ordering::Relaxed);
        call += 1;
    }
}

#[derive(Default)]
struct Landed {
    day: AtomicU64,
    night: AtomicU64,
    reception: AtomicU64,
}

impl Landed {
    fn wait_for_more(&self, calls: u64) {
        let before = self.reception.load(Ordering::Relaxed);
        while self.reception.load(Ordering::Relaxed) < before + calls {
            thread::yield_now();
        }
    }
}

/// Returns changes that create a number, a default agent, two callback agents and an outbound agent.
fn shop(ours: E164) -> Vec<Change> {
    let (dial_plan, lookback) = (DialPlan::NONE, Lookback::from_days(30));
    let mut changes = vec![
        Change::EnvironmentSet { name: "Acme".into(), dial_plan, lookback },
        Change::NumberAdded { id: LINE, number: ours },
    ];
    for (id, name) in [(SALES, "Sales"), (RECEPTION, "Reception"), (DAY_DESK, "Day"), (NIGHT_DESK, "Night")] {
        let direction = if id == SALES { Direction::Outbound } else { Direction::Inbound };
        changes.push(Change::AgentCreated { id, name: name.into(), label: None, direction });
        changes.push(Change::CallingSet { id, direction, numbers: Some(vec![LINE]) });
        changes.push(Change::AgentPublished { id });
    }
    changes.push(takes_callbacks(DAY_DESK));
    changes
}

fn takes_callbacks(id: AgentId) -> Change {
    Change::CallbackSet { id, sources: vec![SALES], outcomes: None, lookback: None }
}

fn number(index: u64) -> E164 {
    E164::from_code(447_000_000_000 + index).expect("a number")
}
