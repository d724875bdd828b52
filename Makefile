# Short names for what scripts/ does.
GO ?= go

.PHONY: build demo test fmt lint bench pieces fuzz proto vuln

build:
	$(GO) build -o bin/sync-directory ./cmd/sync-directory

demo:
	./scripts/demo

test:
	./scripts/test

fmt:
	gofmt -w .

lint:
	./scripts/lint

# bench measures beside rsync, tar and cp, and writes docs/bench.
bench:
	./scripts/bench

# pieces times the hot pieces alone.
pieces:
	$(GO) test -run '^$$' -bench . -benchtime 0.5s ./...

# fuzz gives every decoder a minute.
fuzz:
	./scripts/fuzz 60s

# proto makes control.pb.go again, with protoc and protoc-gen-go v1.36.12.
proto:
	$(GO) generate ./internal/wire

# vuln needs the vulnerability database, which not every machine reaches.
vuln:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...
