# What there is to do with this repository. Each target installs what it needs beyond Rust.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# For `make dev`: more arguments, such as ARGS="--data accounts.sqlite".
ARGS ?=

.PHONY: bench check deny dev fuzz help lint prerequisites release test

fuzz: prerequisites ## Fuzzes each parser for a minute; see fuzz/run.
	fuzz/run 60

help: ## Tells what there is.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

dev: prerequisites ## Builds and runs it all: gateway, identity server, sign-in pages, demo service.
	cargo run --locked -- dev $(ARGS)

# The last line counts what cargo counts test program by test program.
test: prerequisites ## Builds and runs every test.
	@cargo test --locked --no-fail-fast 2>&1 | awk '{ print; fflush() } \
		/^test result:/ { passed += $$4; failed += $$6; ignored += $$8 } \
		END { printf "\ntotal: %d passed, %d failed, %d skipped\n", passed, failed, ignored }'

check: lint deny test ## All three: lint, deny and test.

lint: prerequisites ## Formatting and lints.
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings

deny: ## Licences, sources and advisories of what is linked.
	.ci/deny

bench: prerequisites ## Measures; see the head of each file in benches/.
	cargo bench --locked

release: prerequisites ## Builds target/release/portcullis, without anything for development.
	cargo build --release --locked --no-default-features

prerequisites:
	@.ci/prerequisites
