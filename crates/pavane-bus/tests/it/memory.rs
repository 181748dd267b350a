use std::sync::Arc;

use pavane_bus::{Memory, conformance::World};
use pavane_contract::SystemClock;

struct InMemory(Memory);

impl World for InMemory {
    type Bus = Memory;

    async fn connect(&self) -> Memory {
        self.0.clone()
    }
}

fn start() -> std::future::Ready<InMemory> {
    std::future::ready(InMemory(Memory::new(Arc::new(SystemClock))))
}

mod conformance {
    pavane_bus::conformance_tests!(super::super::start);
}
