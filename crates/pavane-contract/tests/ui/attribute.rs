//! Mistakes in an attribute.

use pavane_contract::Event;

#[derive(Event)]
struct NotDeclared {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(key = id)]
struct NoName {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", version = 2)]
struct NoKey {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event]
struct Bare {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name)]
struct NoValue {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = PLACED, key = id)]
struct NotText {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(nmae = "order.placed", key = id)]
struct Unknown {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", version = 1, version = 2, key = id)]
struct Twice {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", key = id)]
#[event(key = id)]
struct TwiceApart {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", version = 0, key = id)]
struct Version0 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", version = 65536, key = id)]
struct Version1 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", version = -1, key = id)]
struct Version2 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", version = 1.5, key = id)]
struct Version3 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", version = "1", key = id)]
struct Version4 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", version = VERSION, key = id)]
struct Version5 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", key = oder_id)]
struct Key0 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", key = "id")]
struct Key1 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", key = self.id)]
struct Key2 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", key = id.to_string())]
struct Key3 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", key = 0)]
struct Key4 {
    id: u32,
    total: u32,
}

#[derive(Event)]
#[event(name = "order.placed", key =)]
struct Key5 {
    id: u32,
    total: u32,
}

fn main() {}
