//! The program `dialback`.
fn main() {}
