# Everything a person or a machine does with this project. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
FUNCTIONS := register dump restore verify retention package
empty :=
comma := ,
# What is checked: the command line with Amazon's services, and the functions as Lambda starts them.
FEATURES := respaldo-cli/aws$(subst $(empty) $(empty),,$(FUNCTIONS:%=$(comma)respaldo-%/lambda))

# Built for its work, without the long link of a release: see [profile.fast] in Cargo.toml.
.PHONY: run
run: ## build the server, serve config.yaml, and back up the bundled sample at once
	$(CARGO) run --locked --profile fast --package respaldo-cli -- serve --config config.yaml --backup-now sample

.PHONY: test
test: ## run every test against real servers, which are installed first (root or sudo)
	scripts/install-test-dependencies
	scripts/run-tests

.PHONY: check
check: ## formatter, lints, dependency rules, documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features $(FEATURES) -- -D warnings
	scripts/check-dependencies
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps
	@echo 'check: all is well'

.PHONY: functions
functions: ## build the functions as Lambda starts them: target/lambda/NAME.zip, each with its bootstrap (x86-64)
	$(CARGO) build --locked --profile lambda $(FUNCTIONS:%=--package respaldo-%) \
	  --features $(subst $(empty) $(empty),$(comma),$(FUNCTIONS:%=respaldo-%/lambda))
	scripts/zip-functions "$${CARGO_TARGET_DIR:-target}/lambda" $(FUNCTIONS)

.PHONY: bench
bench: ## measure backups against the command lines that people come from (BENCH_MB, BENCH_ROUNDS, BENCH_ONLY: docs/benchmarks.md)
	scripts/install-test-dependencies
	$(CARGO) run --locked --release --package respaldo-testkit --example bench
	$(MAKE) functions
	$(CARGO) run --locked --package respaldo-testkit --example cold_start -- "$${CARGO_TARGET_DIR:-target}/lambda"
	$(CARGO) run --locked --package respaldo-aws --example tick_requests

.PHONY: help
help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | column -t -s '|' 2>/dev/null || sed -n 's/^\([a-z]*\):.*## /  make \1  /p' Makefile
