//! What the compiler says about a mistake in a wiring table is in `tests/ui/*.stderr`: `TRYBUILD=overwrite` writes it.

#[test]
fn a_mistake_in_a_wiring_table_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
