//! The first example of the README, and of the front page of `pavane`, under the fault matrix.

#[path = "readme/inventory.rs"]
#[expect(dead_code, reason = "its `main` is compiled only")]
mod inventory;

#[test]
fn the_readme_and_the_front_page_show_what_is_run_here() {
    let file = include_str!("readme/inventory.rs");
    let (begin, end) = (file.find("use pavane::").unwrap(), file.find("// What the README leaves out.").unwrap());
    let code = file[begin..end].trim_end();
    for page in [include_str!("../../../../README.md"), include_str!("../../../pavane/README.md")] {
        assert!(page.contains(code), "the page should show this:\n{code}\nand shows:\n{page}");
    }
}
