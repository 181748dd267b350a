//! What is no struct with a field for the key.

use pavane_contract::Event;

#[derive(Event)]
#[event(name = "order.placed", key = id)]
struct Empty {}

#[derive(Event)]
#[event(name = "order.placed", key = id)]
struct Tuple(u32);

#[derive(Event)]
#[event(name = "order.placed", key = id)]
struct Unit;

#[derive(Event)]
#[event(name = "order.placed", key = id)]
enum Choice {
    Online { id: u32 },
    InStore { id: u32 },
}

#[derive(Event)]
#[event(name = "order.placed", key = id)]
union Either {
    id: u32,
}

#[derive(Event)]
#[event(name = "order.placed", key = id)]
struct Typed<T> {
    id: T,
}

#[derive(Event)]
#[event(name = "order.placed", key = id)]
struct Borrowed<'a> {
    id: &'a str,
}

#[derive(Event)]
#[event(name = "order.placed", key = id)]
struct Sized<const N: usize> {
    id: [u8; N],
}

fn main() {}
