SHELL := /bin/bash
GO ?= go
export CGO_ENABLED = 0
BIN := bin
PREFIX ?= /var/ossec
ROLE ?= manager

.PHONY: all build install run test fast lint bench fuzz clean deps

all: build

build:
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags "-s -w" -o $(BIN)/ ./cmd/...

install: build
	$(BIN)/vedette install --prefix "$(PREFIX)" --role "$(ROLE)"

run: build
	$(BIN)/vedette run --root ./run

clean:
	rm -rf $(BIN) run
