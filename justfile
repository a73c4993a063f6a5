# Short commands for what docs/development.md explains. `just --list` shows them.

# The unit tests.
test *ARGS:
    cargo test --locked --lib -- {{ARGS}}

# All tests, with container engines and a registry started for them.
test-all *ARGS:
    tests/run {{ARGS}}

# Update schemas, golden files, references and generated documents after a change.
bless:
    INSTA_UPDATE=always cargo test --locked --lib -- reference
    INSTA_UPDATE=always cargo test --locked --test it -- golden reference looks

# Formatting and clippy.
lint:
    cargo fmt --all --check
    cargo clippy --locked --all-targets -- -D warnings

# The benchmarks. They take minutes and need a quiet machine.
bench:
    benches/run
