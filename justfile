# Every check of the project is a recipe here. `just ci` runs them all; .ci/run and the GitHub workflow call it.

set shell := ["bash", "-euo", "pipefail", "-c"]

# The crates that other people depend on.
libraries := "-p kr-cookie -p tower-kr-session -p tower-kr-session-redis -p tower-kr-session-sqlx -p tower-kr-session-compat"

# The checks that read the code without running it, and those that run it.
lints := "locked fmt-check clippy features typos deny workflow book"
checks := lints + " test recipes properties msrv package bench-counts walkthrough"

# The exit status of a check that can't run on this machine.
missing := "77"

# List the recipes.
default:
    @just --list

# Start the demo server; options go after it: `just run --port 9000`.
run *args:
    cargo run -p sessions-demo -- {{ args }}

# Run all tests, in full size. A program that a test needs and can't find fails here; KR_REQUIRE_SERVERS=0 ignores the test.
test *args:
    #!/usr/bin/env bash
    set -uo pipefail
    export KR_FULL_SIZE=1 KR_REQUIRE_SERVERS=${KR_REQUIRE_SERVERS:-1}
    export KR_MISSING_PROGRAMS=$PWD/target/missing-programs
    mkdir -p target && : >"$KR_MISSING_PROGRAMS"
    cargo test --workspace --no-fail-fast {{ args }}
    status=$?
    awk '{ count[$2] += $1 }
        END {
            for (program in count) list = list ", " program " (" count[program] ")"
            print "tests that a missing program held up: " (list ? substr(list, 3) : "none")
        }' "$KR_MISSING_PROGRAMS"
    exit $status

# Break the servers, the network and the processes of the demo for a minute per store, and count what was lost, counted twice or revived.
chaos seconds="60":
    KR_CHAOS_SECONDS={{ seconds }} KR_REQUIRE_SERVERS=1 cargo test -p sessions-demo --test chaos -- --test-threads 1 --nocapture

# Format the code.
fmt:
    cargo fmt --all
    cargo fmt --manifest-path fuzz/Cargo.toml
    cargo fmt --manifest-path apps/recipes/Cargo.toml

# Check the format.
fmt-check:
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo fmt --manifest-path apps/recipes/Cargo.toml --check

# Run clippy on all targets; a warning is an error.
clippy:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Check each of the libraries' features alone and with each other one; `clippy` checks all at once (needs cargo-hack).
features:
    cargo hack clippy {{ libraries }} --lib --feature-powerset --depth 2 --exclude-features default -- -D warnings

# Build the documentation of the workspace; a warning is an error.
doc *args:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features {{ args }}

# Build the documentation site, the guides with the API beside them, into target/book, and check its links (needs mdbook).
book: doc
    mdbook build
    cp -r target/doc target/book/api
    scripts/check-book target/book

# Look for misspellings (needs typos).
typos:
    typos

# Check licenses, duplicate crates and sources of the dependencies (needs cargo-deny).
deny:
    cargo deny --all-features check licenses bans sources

# Check the GitHub workflow against GitHub's schema (needs check-jsonschema).
workflow:
    check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

# Check that the libraries build with the oldest Rust that they promise (needs rustup, which installs it).
msrv:
    #!/usr/bin/env bash
    set -euo pipefail
    command -v rustup >/dev/null || { echo 'no rustup: not checked' >&2; exit {{ missing }}; }
    check() {
        local oldest
        oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$1")
        rustup toolchain install "$oldest" --profile minimal --no-self-update
        # A folder of its own: what another compiler built would be built anew.
        cargo "+$oldest" check --locked --all-features --target-dir target/msrv "${@:2}"
    }
    check Cargo.toml -p kr-cookie -p tower-kr-session -p tower-kr-session-redis -p tower-kr-session-compat
    check crates/tower-kr-session-sqlx/Cargo.toml -p tower-kr-session-sqlx

# Pack each library as it would be published: metadata, files and versions must fit (needs the registry's index).
package:
    cargo package --no-verify {{ libraries }}

# The rehearsal of a release: pack each library, build it from its package, and stop before the upload.
publish-check:
    cargo publish --dry-run {{ libraries }}

# Compare the libraries' API with that of a revision: what breaks users asks for a new version (needs cargo-semver-checks).
semver baseline="HEAD^":
    cargo semver-checks --baseline-rev {{ baseline }} {{ libraries }}

# Check that the lockfile fits the manifests, and fetch what it names.
locked:
    cargo fetch --locked

# All checks that read the code without running it.
lint: (each lints)

# Measure the session layer beside others and write docs/benchmarks.md: some minutes (needs valgrind; wrk, redis-server, and PostgreSQL with MariaDB, for a part each).
bench *args:
    #!/usr/bin/env bash
    set -euo pipefail
    cd apps/session-bench
    rm -rf target/layouts
    mkdir -p target/layouts
    # The program in six orders of its functions: lld's option, which is Rust's linker on x86-64 Linux.
    for order in 1 2 3 4 5 6; do
        cargo rustc --release --features redis,sql --bin session-bench -- \
            -C link-arg="-Wl,--shuffle-sections=.text*=$order"
        cp target/release/session-bench "target/layouts/$order"
    done
    cargo build --release --features redis,sql --bins
    target/release/session-bench report --layouts target/layouts {{ args }}

# Compare instructions and allocations per request with their budgets (needs valgrind); `--bless` makes them the budgets.
bench-counts *args:
    cd apps/session-bench && cargo build --release --bins \
        && cargo run --quiet --release --bin session-bench -- counts {{ args }}

# Test the guides' recipes with large libraries (OpenID Connect, WebAuthn), and the move out of an SQL store of tower-sessions.
recipes *args:
    cd apps/recipes && cargo clippy --locked --all-targets -- -D warnings && cargo test --locked {{ args }}

# Give the readers of cookies, tokens and records a million random inputs each, or as many as FUZZ_CASES says.
properties *args:
    cd fuzz && cargo test --release --locked {{ args }}

# Look for an input that breaks a reader, so many seconds for each (needs cargo-fuzz and a nightly Rust; else as `properties`, and ten times as many).
fuzz seconds="60":
    #!/usr/bin/env bash
    set -euo pipefail
    if ! cargo fuzz --version >/dev/null 2>&1 || ! cargo +nightly --version >/dev/null 2>&1; then
        echo 'no cargo-fuzz or no nightly Rust: random inputs instead'
        FUZZ_CASES="${FUZZ_CASES:-10000000}" exec just properties
    fi
    for target in $(cargo fuzz list); do
        cargo +nightly fuzz run --features libfuzzer "$target" -- -max_total_time={{ seconds }} -max_len=1024
    done

# Go through the tutorial with curl, against the demo and the full source, and run the commands that the documents print.
walkthrough:
    cargo build -p sessions-demo --bins --examples
    scripts/walkthrough
    scripts/run-documents README.md docs/guides/quick-start.md docs/tutorial/*.md

# Take the pictures of the demo's page that the documentation shows (needs chromium and chromedriver).
screenshots:
    KR_REQUIRE_SERVERS=1 KR_SCREENSHOTS=1 cargo test -p sessions-demo --test browser -- screenshots

# Change the core and kr-cookie in many small ways, and list each change that no test sees: many hours (needs cargo-mutants).
mutants *args:
    #!/usr/bin/env bash
    set -euo pipefail
    command -v cargo-mutants >/dev/null || { echo 'no cargo-mutants: not checked' >&2; exit {{ missing }}; }
    mkdir -p target/mutants/kr-cookie target/mutants/tower-kr-session
    # Finds what is missed (2) or hangs (3), not what is wrong with the run.
    try() { cargo mutants "$@" || [ $? -eq 2 ] || [ $? -eq 3 ]; }
    try --package kr-cookie --output target/mutants/kr-cookie {{ args }}
    # First the quick tests that look at most, the only ones that are built; then all of them, at what
    # is left.
    quick=(--lib --test=session --test=events --test=memory_contract --test=versioned_contract)
    core=(--package tower-kr-session --output target/mutants/tower-kr-session {{ args }})
    try "${core[@]}" "${quick[@]/#/--cargo-arg=}" -- -- --skip eviction::tests --skip scripts_end
    try "${core[@]}" --iterate
    echo 'no test sees:'
    ! cat target/mutants/*/mutants.out/missed.txt | grep .

# Install the tools of the checks, at fixed versions, into a virtual environment under target/.
tools:
    python3 -m venv target/tools
    target/tools/bin/pip install --quiet --requirement .ci/tools.txt
    target/tools/bin/pip install --quiet --no-deps --requirement .ci/scripts.txt
    @echo 'now: export PATH="$PWD/target/tools/bin:$PATH"'

# Everything that has to pass before a change is merged.
ci: (each checks)

# Run these checks one after the other, also when an earlier one has failed, and end with a line for each.
[private]
each names:
    #!/usr/bin/env bash
    set -uo pipefail
    summary= failures=0
    for name in {{ names }}; do
        printf '\n== %s\n' "$name"
        start=$SECONDS status=0
        {{ just_executable() }} "$name" </dev/null || status=$?
        case $status in
            0) result=ok ;;
            {{ missing }}) result='not run: a tool is missing' ;;
            *) result=FAILED failures=$((failures + 1)) ;;
        esac
        summary+=$(printf '%-12s %4d s  %s' "$name" $((SECONDS - start)) "$result")$'\n'
    done
    printf '\n== summary\n%s' "$summary"
    [ "$failures" -eq 0 ]
