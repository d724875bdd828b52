# Targets for people; .ci/run calls "make setup test".
GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: build demo test check fmt lint race bench fuzz cover proto vuln setup

build:
	$(GO) build -o bin/sync-directory ./cmd/sync-directory

# demo mirrors a real directory, the Go source, over a real WebSocket.
demo: build
	./scripts/demo

# setup installs what the tests compare with. Without it they say what they
# skip.
setup:
	./scripts/setup

# test is all that must pass.
test: lint
	$(GO) test -count=1 ./...
	$(GO) test -count=1 -race -short ./...
	./scripts/unprivileged

fmt:
	gofmt -w .

lint:
	@out=$$(gofmt -l .); test -z "$$out" || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }
	GOOS=linux $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=js GOARCH=wasm $(GO) vet ./internal/sender ./internal/wire ./internal/tree
	$(GO) run $(STATICCHECK) ./...

# bench times the hot pieces.
bench:
	$(GO) test -run '^$$' -bench . -benchtime 0.5s ./...

# fuzz gives every decoder a minute.
fuzz:
	./scripts/fuzz 60s

cover:
	$(GO) test -count=1 -coverpkg ./internal/... -coverprofile cover.out ./... && $(GO) tool cover -func cover.out | tail -1

# proto makes control.pb.go again, with protoc and protoc-gen-go v1.36.12.
proto:
	$(GO) generate ./internal/wire

# vuln needs the vulnerability database, which not every machine reaches.
vuln:
	$(GO) run $(GOVULNCHECK) ./...
