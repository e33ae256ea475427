//! Checks the properties with random bytes, on any compiler: a million cases each, or as many as
//! `FUZZ_CASES` says.

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

fn holds(property: fn(&[u8])) {
    let cases = std::env::var("FUZZ_CASES").map_or(1_000_000, |cases| {
        cases.parse().expect("FUZZ_CASES is a number")
    });
    let config = Config {
        cases,
        // The message holds the input that was found, for a test where it belongs.
        failure_persistence: None,
        ..Config::default()
    };
    // Any bytes, and more often bytes that mean something to one of the readers.
    let telling = prop::sample::select(b"ab=; \t\"\xFF\0\x01\x02\x03\x04\x10iduserv:-09".to_vec());
    let bytes = prop_oneof![vec(any::<u8>(), 0..96), vec(telling, 0..64)];
    let mut runner = TestRunner::new(config);
    let held = runner.run(&bytes, |data| {
        property(&data);
        Ok(())
    });
    if let Err(error) = held {
        panic!("{error}");
    }
}

macro_rules! properties {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            holds(kr_fuzz::$name);
        })*
    };
}
properties!(
    cookies,
    token,
    values,
    record,
    redis_fields,
    sql_row,
    device_proof,
);

/// Checks that each property has a target of its name, since nothing else builds the targets
/// without a nightly compiler.
#[test]
fn every_property_is_a_target() {
    let manifest = include_str!("../Cargo.toml");
    let library = include_str!("../src/lib.rs");
    let named = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub use "));
    let properties: Vec<&str> = named
        .flat_map(|names| names.split([':', '{', '}', ',', ';', ' ']).skip(1))
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(properties.len(), 7, "{properties:?}");
    for name in properties {
        let path = format!("targets/{name}.rs");
        assert!(manifest.contains(&format!("path = \"{path}\"")), "{name}");
        let target = std::fs::read_to_string(path).expect("the target");
        assert!(
            target.contains(&format!("|data: &[u8]| kr_fuzz::{name}(data)")),
            "{name}"
        );
    }
}
