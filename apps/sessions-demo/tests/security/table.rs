//! `docs/threat-model.md` names tests; a test that is renamed or removed must not go on being
//! named.

use std::{
    fs,
    path::{Path, PathBuf},
};

const DOCUMENT: &str = include_str!("../../../../docs/threat-model.md");

#[test]
fn every_test_in_the_threat_model_exists() {
    let (_, requirements) = DOCUMENT.split_once("\n## Requirements\n").unwrap();
    let requirements: Vec<&str> = requirements.split("\n#### ").skip(1).collect();
    assert!(requirements.len() > 40, "{}", requirements.len());
    for requirement in requirements {
        let mut lines = requirement.lines().filter(|line| !line.is_empty());
        let title = lines.next().unwrap_or_default();
        let mut explained = false;
        let mut shown = false;
        for line in lines.take_while(|line| !line.starts_with('#')) {
            let test = line
                .strip_prefix("- `")
                .and_then(|line| line.strip_suffix('`'));
            match test {
                Some(test) => assert!(exists(test), "{test} is no test: {title}"),
                None => explained = true,
            }
            shown |= test.is_some();
        }
        assert!(explained, "nothing says how this is met: {title}");
        assert!(shown, "no test shows this: {title}");
    }
}

/// Else every name would do.
#[test]
fn a_test_that_is_not_there_is_not_found() {
    for name in [
        "sessions-demo/security::tokens::no_such_test",
        "sessions-demo/security::no_such_module::no_two_clients_get_the_same_token",
        "sessions-demo/no_such_target::no_two_clients_get_the_same_token",
        "no-such-package/security::tokens::no_two_clients_get_the_same_token",
        // Helpers, not tests.
        "sessions-demo/security::tokens::with_token",
        "tower-kr-session/session::clocks::life_in_use",
        "sessions-demo/server::curl::try_curl",
    ] {
        assert!(!exists(name), "{name}");
    }
}

/// Whether there is a test `package/target::path::name`.
fn exists(test: &str) -> bool {
    let parsed = test
        .split_once('/')
        .and_then(|(package, path)| Some((package, path.split_once("::")?)));
    let Some((package, (target, path))) = parsed else {
        return false;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let package = ["crates", "apps", "."]
        .map(|folder| root.join(folder).join(package))
        .into_iter()
        .find(|folder| folder.join("Cargo.toml").exists());
    let Some(package) = package else {
        return false;
    };
    let tests = package.join("tests");
    let main = read(&tests.join(target).join("main.rs"));
    match path.rsplit_once("::") {
        Some((module, name)) => {
            let module = tests.join(target).join(module).with_extension("rs");
            let source = read(&module);
            is_marked(&source, name)
                || (defines(&source, name) && is_listed(&(source + &main), name))
        }
        None => {
            let file = [format!("{target}.rs"), format!("{target}/main.rs")]
                .map(|file| tests.join(file))
                .into_iter()
                .find(|file| file.exists());
            let Some(file) = file else {
                return false;
            };
            // What the tests of several stores share, and the rules that every store keeps.
            let shared = files_in(&tests.join("support"))
                .into_iter()
                .chain(files_in(&package.join("src/store/contract")));
            shared.chain([file]).any(|file| {
                let source = read(&file);
                is_marked(&source, path) || is_listed(&source, path)
            })
        }
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The file's text, empty if there is none.
fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// Whether the line is the head of this function.
fn heads(line: &str, name: &str) -> bool {
    let head = line.trim().split_once("fn ").map(|(_, head)| head);
    let rest = head.and_then(|head| head.strip_prefix(name));
    rest.is_some_and(|rest| rest.starts_with(['(', '<']))
}

fn defines(source: &str, name: &str) -> bool {
    source.lines().any(|line| heads(line, name))
}

/// A function with the attribute of a test.
fn is_marked(source: &str, name: &str) -> bool {
    let mut marked = false;
    source.lines().any(|line| {
        let line = line.trim();
        let found = marked && heads(line, name);
        marked = line == "#[test]"
            || line.starts_with("#[tokio::test")
            || (marked && line.starts_with("#["));
        found
    })
}

/// An item in one of the lists from which tests without such attributes are made: a line of nothing
/// but names.
fn is_listed(source: &str, name: &str) -> bool {
    let is_name = |item: &str| {
        item.bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    source.lines().any(|line| {
        let list = ["properties!(", "on_each_store!("].into_iter();
        let line = list
            .filter_map(|head| line.strip_prefix(head))
            .next()
            .unwrap_or(line);
        let items = line
            .split([',', ':', ';', ')', ' '])
            .filter(|item| !item.is_empty());
        line.ends_with([',', ';'])
            && items.clone().all(is_name)
            && items.clone().any(|item| item == name)
    })
}
