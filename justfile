# Short names for what docs/development.md explains. `just --list` shows them.

# The unit tests.
test *ARGS:
    cargo test --locked --lib -- {{ARGS}}

# Everything, with engines and a registry of its own.
test-all *ARGS:
    tests/run {{ARGS}}

# Accepts changed schemas, golden files, references and generated documents.
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
