//! What must not compile is in `tests/ui`, beside what the compiler says about it.
