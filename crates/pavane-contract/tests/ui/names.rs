//! Names that are none: `subject::is_event_name` refuses each, too.

use pavane_contract::Event;

#[derive(Event)]
#[event(name = "", key = id)]
struct E0 {
    id: u32,
}

#[derive(Event)]
#[event(name = ".", key = id)]
struct E1 {
    id: u32,
}

#[derive(Event)]
#[event(name = "..", key = id)]
struct E2 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order", key = id)]
struct E3 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order.", key = id)]
struct E4 {
    id: u32,
}

#[derive(Event)]
#[event(name = ".placed", key = id)]
struct E5 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order.placed.", key = id)]
struct E6 {
    id: u32,
}

#[derive(Event)]
#[event(name = ".order.placed", key = id)]
struct E7 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order.placed.again", key = id)]
struct E8 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order..placed", key = id)]
struct E9 {
    id: u32,
}

#[derive(Event)]
#[event(name = "Order.placed", key = id)]
struct E10 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order.Placed", key = id)]
struct E11 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order.placed ", key = id)]
struct E12 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order placed", key = id)]
struct E13 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order.*", key = id)]
struct E14 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order.>", key = id)]
struct E15 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order.=20", key = id)]
struct E16 {
    id: u32,
}

#[derive(Event)]
#[event(name = "bücher.order", key = id)]
struct E17 {
    id: u32,
}

#[derive(Event)]
#[event(name = "order/placed", key = id)]
struct E18 {
    id: u32,
}

fn main() {}
