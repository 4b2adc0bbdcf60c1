//! The modules under test.

#[path = "../../src/history/compare.rs"]
mod compare;
#[path = "../../src/history/growth.rs"]
mod growth;
#[path = "../../src/history/index.rs"]
mod index;
#[path = "../../src/history/limits.rs"]
mod limits;
#[path = "../../src/history/line.rs"]
mod line;
#[path = "../../src/history/memory.rs"]
mod memory;
#[path = "../../src/history/pool.rs"]
mod pool;
#[path = "../../src/history/scopes.rs"]
mod scopes;
#[path = "../../src/history/seat.rs"]
mod seat;
#[path = "../../src/history/shape.rs"]
mod shape;
#[path = "../../src/history/stack.rs"]
mod stack;
#[path = "../../src/history/step.rs"]
mod step;
#[path = "../../src/history/table.rs"]
mod table;
#[path = "../../src/history/waker.rs"]
mod waker;
#[path = "../../src/history/walk.rs"]
mod walk;

#[cfg(all(test, loom))]
#[path = "models.rs"]
mod models;
