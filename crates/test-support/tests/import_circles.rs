//! Files of a crate import each other in one direction only.
//!
//! A module and the modules inside it count as one: a child may name what its parent defines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The text of each module of a crate, by its path.
type Modules = BTreeMap<Vec<String>, String>;

#[test]
fn no_crate_has_a_circle_of_imports() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let packages = ["crates", "apps"].map(|folder| entries(&workspace.join(folder)));
    let sources = packages.into_iter().flatten().map(|path| path.join("src"));
    let mut seen = 0;
    for source in sources.filter(|source| source.is_dir()) {
        let circle = circle(&modules(&source));
        assert!(circle.is_empty(), "{}: {circle:?}", source.display());
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn a_circle_is_found_with_all_that_are_on_it() {
    let modules = [
        ("a", "use crate::{b::{self, B}, d};"),
        ("b", "fn f() -> super::c::C"),
        ("c", "use crate::a as other; use std::fmt;"),
        ("d", "//! As in crate::a.\n"),
        ("e", "use crate::a::A;"),
        ("e/child", "use super::E; use crate::e;"),
    ];
    let path = |name: &str| name.split('/').map(str::to_owned).collect();
    let modules = modules.map(|(name, text)| (path(name), without_comments(text)));
    assert_eq!(circle(&modules.into()), ["a", "b", "c"]);
}

/// The modules that are on circles.
fn circle(modules: &Modules) -> Vec<String> {
    let mut imports: BTreeSet<_> = modules
        .iter()
        .flat_map(|(from, text)| imports(modules, from, text).map(move |to| (from, to)))
        .collect();
    // What imports nothing, or is imported by nobody, is on no circle.
    loop {
        let count = imports.len();
        let [from, to] = [|edge: &(_, _)| edge.0, |edge: &(_, _)| edge.1]
            .map(|end| imports.iter().map(end).collect::<BTreeSet<_>>());
        imports.retain(|edge| to.contains(edge.0) && from.contains(edge.1));
        if imports.len() == count {
            let on_circles: BTreeSet<_> = imports.iter().map(|(from, _)| from.join("::")).collect();
            return on_circles.into_iter().collect();
        }
    }
}

/// The other modules that this one names.
fn imports<'a>(
    modules: &'a Modules,
    from: &'a [String],
    text: &str,
) -> impl Iterator<Item = &'a Vec<String>> {
    let mut paths = Vec::new();
    for start in ["crate::", "self::", "super::"] {
        for (at, _) in text.match_indices(start) {
            if !text[..at].ends_with([':', '_']) {
                read_tree(&text[at..], &[], &mut paths);
            }
        }
    }
    let named = paths.into_iter().filter_map(|path| {
        let path = absolute(from, &path);
        let lengths = (1..=path.len()).rev();
        lengths
            .filter_map(|length| Some(modules.get_key_value(&path[..length])?.0))
            .next()
    });
    let named: Vec<_> = named.collect();
    named
        .into_iter()
        .filter(|to| !from.starts_with(to) && !to.starts_with(from))
}

fn absolute(from: &[String], path: &[&str]) -> Vec<String> {
    let mut absolute = if path[0] == "crate" {
        Vec::new()
    } else {
        from.to_vec()
    };
    for segment in path {
        match *segment {
            "crate" | "self" => {}
            "super" => drop(absolute.pop()),
            segment => absolute.push(segment.to_owned()),
        }
    }
    absolute
}

/// Reads a path such as `a::{b, c::d}`, adds `a::b` and `a::c::d`, and returns what comes after it.
fn read_tree<'a>(text: &'a str, path: &[&'a str], paths: &mut Vec<Vec<&'a str>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = read_tree(rest, path, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '*';
    let (segment, rest) = text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len()));
    let path = [path, &[segment]].concat();
    if let Some(rest) = rest.strip_prefix("::") {
        return read_tree(rest, &path, paths);
    }
    paths.push(path);
    match rest.strip_prefix(" as ") {
        Some(alias) => alias.trim_start_matches(is_name),
        None => rest,
    }
}

fn modules(source: &Path) -> Modules {
    let mut folders = vec![source.to_owned()];
    let mut modules = Modules::new();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let (code, _tests) = text
                    .split_once("#[cfg(test)]\nmod tests")
                    .unwrap_or((&text, ""));
                modules.insert(module(source, &path), without_comments(code));
            }
        }
    }
    modules
}

/// The path of a file's module: `store::memory` for `store/memory.rs` and for
/// `store/memory/mod.rs`.
fn module(source: &Path, file: &Path) -> Vec<String> {
    let file = file.strip_prefix(source).expect("a file below the folder");
    let segments = file.with_extension("");
    let segments = segments.iter().map(|segment| segment.to_string_lossy());
    let names = segments.filter(|name| !["mod", "lib", "main"].contains(&name.as_ref()));
    names.map(Into::into).collect()
}

fn without_comments(text: &str) -> String {
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    code.collect::<Vec<_>>().join("\n")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
