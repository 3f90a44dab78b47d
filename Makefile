# Vedette. `make run` watches this machine without installing anything; `make test` runs every test.
SHELL := /bin/bash
GO ?= go
BIN := bin
PREFIX ?= /var/ossec
ROLE ?= manager
FUZZTIME ?= 30s
export CGO_ENABLED = 0
# Tests and programs are compiled with the same flags, so that each package is compiled once.
export GOFLAGS := $(GOFLAGS) -trimpath

# The race detector needs a C compiler; without one the tests run without it, and say so.
RACE := $(shell command -v gcc >/dev/null 2>&1 && echo yes)
# Packages whose work is shared between goroutines.
CONCURRENT := ./activeresponse/... ./agent/... ./internal/... ./keys/... ./logcollector/... ./manager/... ./rootcheck/... ./rules ./syscheck/...

.PHONY: all build install run test deps lint race bench profile fuzz clean

all: build

## build: static programs in bin/
build:
	@mkdir -p $(BIN)
	$(GO) build -ldflags "-s -w" -o $(BIN)/ ./cmd/...

## install: an install root at PREFIX for ROLE (manager, agent, local)
install: build
	$(BIN)/vedette install --prefix "$(PREFIX)" --role "$(ROLE)"

## run: watch this machine from ./run, without root, until Ctrl-C
run: build
	@$(BIN)/vedette run

## test: everything; installs the Debian packages that the tests use when it may
test: deps lint
	$(GO) test ./...
	@if [ "$(RACE)" = yes ]; then set -x; CGO_ENABLED=1 $(GO) test -race -short $(CONCURRENT); else echo "race detector skipped: no C compiler"; fi

deps:
	@test/packages.sh

## lint: formatting, vet, staticcheck, other systems still compile
lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l . ; echo "not formatted; run gofmt -w ."; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	GOOS=darwin $(GO) build -o /dev/null ./cmd/vedette-agent

## bench: benchmarks of the hot paths, of the time from a log line to the block, and of file integrity beside AIDE where it is installed
bench:
	$(GO) test -run '^$$' -bench . -benchmem -cpu 1 ./pattern ./rules/...
	@for n in 1 2; do (set -x; $(GO) test -run '^$$' -bench . -benchmem -cpu $$n ./manager/pipeline) || exit 1; done
	$(GO) test -run '^$$' -bench . -benchmem ./keys ./manager/listen ./agent/... ./syscheck/... ./logcollector ./activeresponse
	$(GO) test -run '^$$' -bench . ./test
	$(GO) run ./test/fimbench

## profile: the ten functions in which the detection engine spends its time
profile:
	@mkdir -p $(BIN)
	$(GO) test -run '^$$' -bench Events -cpu 1 -o $(BIN)/rules.test -cpuprofile $(BIN)/rules.prof ./rules
	$(GO) tool pprof -top -nodecount 10 $(BIN)/rules.test $(BIN)/rules.prof

## fuzz: every fuzz target for FUZZTIME each
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz'); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x $$pkg || exit 1; \
	  done; done

clean:
	rm -rf $(BIN) run
