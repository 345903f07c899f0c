# Everyday commands; `just check` is what a change must pass.

# Format, lint and test.
check: lint test

# What continuous integration runs.
test:
    cargo test --workspace --locked

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Licences, advisories and sources of dependencies (needs cargo-deny).
deny:
    cargo deny check

# The speed of matrix products, attention and row ops on this machine.
kernels:
    cargo run --release -p serin-cpu --example gemm_speed
    cargo run --release -p serin-cpu --example attention_speed
    cargo run --release -p serin-cpu --example rows_speed

docs:
    cargo doc --workspace --no-deps --open
