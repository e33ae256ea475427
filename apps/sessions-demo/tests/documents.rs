//! What the documents print is what is compiled: no line is hidden, and no block is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tower_kr_session::{MemoryStore, SessionLayer};

/// The workspace.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// All files of this ending below a folder, but for what is built.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, ending, found);
        } else if path.is_file() && name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn of_workspace(ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(root(), ending, &mut found);
    let read = found.into_iter().map(|path| {
        let text = fs::read_to_string(&path).expect("text");
        let path = path.strip_prefix(root()).expect("a path below");
        (path.to_string_lossy().into_owned(), text)
    });
    read.collect()
}

/// The info string of each block of Rust in a document, and its lines.
fn blocks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let block: Vec<_> = lines
            .by_ref()
            .take_while(|line| !line.trim_start().starts_with("```"))
            .collect();
        if info.starts_with("rust") {
            blocks.push((info, block));
        }
    }
    blocks
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a text");
    let lines = readme.lines().count();
    assert!(lines < 100, "README.md has {lines} lines");
}

#[test]
fn the_readme_has_the_commands_to_start_with() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a text");
    for command in [
        "cargo test --workspace",
        "just run",
        "cargo run -p sessions-demo",
    ] {
        assert!(readme.contains(command), "README.md lacks `{command}`");
    }
}

#[test]
fn no_line_of_a_block_is_hidden() {
    for (path, text) in of_workspace(".md") {
        for (_, lines) in blocks(&text) {
            let hidden = lines.iter().find(|line| {
                let line = line.trim_start();
                line == "#" || line.starts_with("# ")
            });
            assert_eq!(hidden, None, "{path} hides a line");
        }
    }
}

#[test]
fn each_document_with_rust_is_compiled() {
    let sources = of_workspace(".rs");
    for (path, text) in of_workspace(".md") {
        let blocks = blocks(&text);
        let printed = blocks.iter().filter(|(info, _)| info.contains("ignore"));
        let (printed, all) = (printed.count(), blocks.len());
        let name = path.rsplit('/').next().unwrap_or_default();
        if printed < all {
            // A crate's own README, or a document by its path.
            let included = format!("{path}\"");
            let own = path
                .strip_suffix("README.md")
                .filter(|folder| !folder.is_empty())
                .map(|folder| format!("{folder}src/lib.rs"));
            let compiled = sources.iter().any(|(source, code)| {
                let included = code.contains(&format!("../{included}"))
                    || own.as_ref() == Some(source) && code.contains("\"../README.md\"");
                included && code.contains("doc")
            });
            assert!(compiled, "no crate compiles the blocks of {path}");
        }
        let of_tutorial = path == TUTORIAL || STORES.iter().any(|(page, _)| *page == path);
        if printed > 0 && !of_tutorial {
            let compared = sources.iter().any(|(source, code)| {
                source == "apps/recipes/tests/printed.rs" && code.contains(&format!("\"{name}\""))
            });
            assert!(compared, "{path} has a block that nothing compiles");
        }
    }
}

/// Prints the parts of a program step by step; see [`the_steps_of_the_tutorial_make_its_programs`].
/// Each of [`STORES`] changes it.
const TUTORIAL: &str = "docs/tutorial/basic-sessions.md";

/// The path of each name that a `use` imports, which may be a tree.
fn imported(path: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, branches)) = tree.split_once('{') else {
        found.push(format!("{path}{tree}"));
        return;
    };
    let branches = branches.strip_suffix('}').expect("a tree");
    let mut depth = 0;
    let between = |character| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0 && character == ','
    };
    for branch in branches.split(between).map(str::trim) {
        if !branch.is_empty() {
            imported(&format!("{path}{head}"), branch, found);
        }
    }
}

/// The path of each name that code imports, and its other lines.
fn imports_and_lines<'a>(code: &[&'a str]) -> (Vec<String>, Vec<&'a str>) {
    let (mut imports, mut lines, mut tree) = (Vec::new(), Vec::new(), String::new());
    for line in code {
        if tree.is_empty() && !line.starts_with("use ") {
            lines.push(*line);
            continue;
        }
        tree.push_str(line.strip_prefix("use ").unwrap_or(line));
        if let Some(whole) = tree.strip_suffix(';') {
            imported("", whole, &mut imports);
            tree.clear();
        }
    }
    (imports, lines)
}

/// A program: what it imports, and its items in alphabetical order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Program {
    imports: BTreeSet<String>,
    items: BTreeMap<String, String>,
}

impl Program {
    /// Adds code as the tutorial says: an item replaces one of the same name, and lines that are
    /// indented go above `.layer(sessions)`.
    fn add(&mut self, code: &[&str]) {
        let (imports, lines) = imports_and_lines(code);
        for import in imports {
            assert!(self.imports.insert(import.clone()), "{import} again");
        }
        if lines.iter().all(|line| line.starts_with(' ')) {
            let app = self.items.get_mut("fn app").expect("an app");
            let routes = format!("{}\n        .layer(sessions)", lines.join("\n"));
            *app = app.replacen("        .layer(sessions)", &routes, 1);
            return;
        }
        let mut item = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            item.push(*line);
            let next = lines.get(at + 1);
            let ends = line.is_empty() && next.is_some_and(|next| !next.starts_with(' '));
            if ends || next.is_none() {
                let text = item.join("\n").trim().to_owned();
                let named = item
                    .iter()
                    .map(|line| line.trim_start_matches("async "))
                    .find(|line| {
                        ["fn ", "const ", "type "]
                            .iter()
                            .any(|kind| line.starts_with(kind))
                    });
                if let Some(named) = named {
                    let name = named.split(['(', '<', ':', '=']).next().unwrap_or_default();
                    self.items.insert(name.trim().to_owned(), text);
                } else {
                    assert_eq!(text, "", "an item without a name");
                }
                item.clear();
            }
        }
    }
}

fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a text")
}

/// An example of the demo.
fn example(name: &str) -> Program {
    let source = document(&format!("apps/sessions-demo/examples/{name}"));
    let lines: Vec<_> = source
        .lines()
        .skip_while(|line| line.starts_with("//!"))
        .collect();
    let mut program = Program::default();
    program.add(&lines);
    program
}

/// The examples that hold the program after each step of the tutorial.
const STEPS: [(&str, &str); 5] = [
    ("## 2.", "basic_sessions_1.rs"),
    ("## 3.", "basic_sessions_2.rs"),
    ("## 4.", "basic_sessions_3.rs"),
    ("## 5.", "basic_sessions_4.rs"),
    ("## Full source", "basic_sessions.rs"),
];

#[test]
fn the_steps_of_the_tutorial_make_its_programs() {
    let text = document(TUTORIAL);
    let (mut printed, mut done) = (Program::default(), 0);
    for (next, name) in STEPS {
        let until = text.find(&format!("\n{next}")).expect("a heading");
        for (_, block) in blocks(&text[done..until]) {
            printed.add(&block);
        }
        done = until;
        let program = example(name);
        assert_eq!(
            printed, program,
            "the steps before {next} make another {name}"
        );
    }
}

/// The pages that change the store of the tutorial's program, and the examples that come of it.
const STORES: [(&str, &str); 2] = [
    (
        "docs/tutorial/sessions-with-redis.md",
        "basic_sessions_redis.rs",
    ),
    (
        "docs/tutorial/sessions-with-sql.md",
        "basic_sessions_sqlite.rs",
    ),
];

#[test]
fn another_store_changes_the_tutorials_program_as_its_page_says() {
    for (page, name) in STORES {
        let mut printed = example("basic_sessions.rs");
        assert!(printed.imports.remove("tower_kr_session::MemoryStore"));
        for (_, block) in blocks(&document(page)) {
            printed.add(&block);
        }
        assert_eq!(printed, example(name), "{page} makes another {name}");
    }
}

#[test]
fn the_tutorial_shows_the_error_of_its_wrong_setting() {
    let text = fs::read_to_string(root().join(TUTORIAL)).expect("a text");
    let layer = SessionLayer::new(MemoryStore::new()).idle_timeout(Duration::from_secs(86400));
    let error = layer.check().expect_err("longer than the absolute timeout");
    assert!(text.contains(&format!("\nerror: {error}\n")), "{error}");
}

#[test]
fn what_a_page_prints_as_a_whole_program_is_one() {
    for (page, program) in [
        ("docs/guides/quick-start.md", "quick_start.rs"),
        ("docs/guides/quick-start.md", "quick_start_sign_in.rs"),
        ("docs/tutorial/basic-sessions.md", "basic_sessions.rs"),
    ] {
        let text = fs::read_to_string(root().join(page)).expect("a page");
        let examples = root().join("apps/sessions-demo/examples");
        let program = fs::read_to_string(examples.join(program)).expect("a program");
        let blocks = blocks(&text);
        let same = blocks
            .iter()
            .any(|(_, block)| program.lines().eq(block.iter().copied()));
        assert!(same, "{page} prints another program");

        // What the program names is among the dependencies that the page prints.
        let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
        let (_, shared) = manifest
            .split_once("[workspace.dependencies]")
            .expect("a table");
        let names = shared
            .lines()
            .filter_map(|line| Some(line.split_once(" = ")?.0));
        for name in names {
            let path = format!("{}::", name.replace('-', "_"));
            let used = ["use ", "= ", "#["].map(|before| format!("{before}{path}"));
            let used = used.iter().any(|used| program.contains(used));
            assert!(
                !used || text.contains(&format!("\n{name} = ")),
                "{page} lacks {name}"
            );
        }
    }
}

#[test]
fn the_page_about_the_demo_has_every_variable() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a text");
    let (page, args) = (
        read("docs/tutorial/demo.md"),
        read("apps/sessions-demo/src/args.rs"),
    );
    let of_options = args.split("env = \"").skip(1);
    let of_options = of_options.filter_map(|rest| Some(rest.split_once('"')?.0));
    let all: Vec<_> = of_options.chain(["RUST_LOG", "NO_COLOR"]).collect();
    assert!(all.contains(&"SESSION_STORE"), "{all:?}");
    for variable in all {
        let cell = format!("`{variable}`");
        let listed = page
            .lines()
            .any(|line| line.starts_with('|') && line.contains(&cell));
        assert!(listed, "docs/tutorial/demo.md lacks {variable}");
    }
}

/// Documents whose commands are parts of something larger, or start a browser by hand: nothing
/// starts them as printed.
const FRAGMENTS: [&str; 3] = [
    "docs/guides/cookies.md",
    "docs/guides/device-binding.md",
    "docs/guides/operations.md",
];

#[test]
fn the_commands_that_a_document_prints_are_run() {
    let recipes = fs::read_to_string(root().join("justfile")).expect("recipes");
    let recipe = recipes
        .lines()
        .find(|line| line.contains("scripts/run-documents"));
    let recipe = recipe.expect("a recipe that runs documents");
    for (path, text) in of_workspace(".md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let run = recipe
            .split(' ')
            .any(|word| word == path || word == format!("{folder}/*.md"));
        let has_commands = text.lines().any(|line| {
            let info = line.trim_start().strip_prefix("```");
            info.is_some_and(|info| ["console", "sh", "bash", "shell"].contains(&info))
        });
        let expected = has_commands && !FRAGMENTS.contains(&path.as_str());
        assert!(run || !expected, "nothing runs the commands of {path}");
    }
}

/// Where the links of a document lead, by how they are written.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1);
    links.map(|link| link.split([')', ' ', '\n']).next().unwrap_or_default())
}

#[test]
fn the_contents_and_the_front_page_of_the_site_have_every_page() {
    let documents = of_workspace(".md");
    let text = |wanted: &str| {
        let found = documents.iter().find(|(path, _)| path == wanted);
        &found.expect("a document").1
    };
    let (contents, front) = (text("docs/SUMMARY.md"), text("docs/README.md"));
    let pages = documents
        .iter()
        .filter_map(|(path, _)| path.strip_prefix("docs/"));
    for page in pages.filter(|page| *page != "SUMMARY.md") {
        let listed = links(contents).filter(|link| *link == page).count();
        assert_eq!(listed, 1, "{page} in docs/SUMMARY.md");
        if page != "README.md" {
            assert!(
                links(front).any(|link| link == page),
                "{page} in docs/README.md"
            );
        }
    }
}

/// The name by which a link finds a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
    kept.collect::<String>().replace(' ', "-")
}

fn has_anchor(text: &str, wanted: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(anchor).any(|anchor| anchor == wanted)
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for (path, text) in of_workspace(".md") {
        let file = root().join(&path);
        let folder = file.parent().expect("a folder");
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") || link.starts_with('`') {
                continue;
            }
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() {
                file.clone()
            } else {
                folder.join(target)
            };
            let leads = target.exists()
                && (anchor.is_empty()
                    || target.extension().is_none_or(|ending| ending != "md")
                    || fs::read_to_string(&target).is_ok_and(|text| has_anchor(&text, anchor)));
            if !leads {
                dead.push(format!("{path}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "dead links: {dead:#?}");
}
