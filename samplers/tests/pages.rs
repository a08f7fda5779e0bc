//! Every sampler has its page, and the index lists it.

use std::path::Path;

#[test]
fn every_sampler_has_a_page_that_is_listed_and_begins_with_its_name() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/samplers");
    let index = std::fs::read_to_string(dir.join("README.md")).unwrap();
    for (name, _) in retrial_samplers::recipe::SAMPLERS {
        let page = std::fs::read_to_string(dir.join(format!("{name}.md"))).unwrap_or_default();
        assert!(page.starts_with(&format!("# {name}\n")), "docs/samplers/{name}.md");
        assert!(index.contains(&format!("| [{name}]({name}.md) |")), "{name} is not in the index");
    }
    assert_eq!(index.matches("\n| [").count(), retrial_samplers::recipe::SAMPLERS.len());
}
