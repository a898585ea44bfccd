# The targets of this project. `make help` lists them.
# Every one of them works on a fresh Debian or Ubuntu machine with Go.

GO        ?= go
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -X github.com/buildnet/buildnet/node/config.version=$(VERSION)
LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2
PROTOS    := $(shell find . -name '*.proto' -not -path './.git/*')
TESTTIME  ?= 15m
LAB       ?= .
BENCH     ?= .
SOAKTIME  ?= 1h

.DEFAULT_GOAL := help
.PHONY: help deps deps-tests build demo test mutants vet cross gen gen-check lint bench bench-peers bench-reapi lab simulations soak flaws scale calibrate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what is needed beyond Go (Debian and Ubuntu packages)
	@.ci/deps

build: ## build bin/buildnet
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/buildnet ./cmd/buildnet

deps-tests: ## what the tests alone need, too
	@.ci/deps --tests

demo: deps build ## build a real C project on a mesh of three nodes on this machine
	docs/examples/zstd/demo bin/buildnet

# A world of the simulation is one goroutine, so that the race detector has
# nothing to see in it: all scripts and seeds run without it, and with it those
# seeds that show that worlds share nothing. Of the real stack in virtual time
# it watches five nodes: twenty take minutes. What node/ninja compares with ninja
# is commands of a shell for the most part, so there, too, a few cases are for it.
WORLDS := ./simulations ./simulations/makespan
STACK  := ./simulations/stack

# These take longest: nothing else waits for them at the end.
LONGEST := ./simulations/demo ./cmd/buildnet ./node ./node/ninja ./mesh ./cmd/buildnet/cli ./simulations/replay

# Many packages wait for most of their time, and what go vet finds in a test
# `make vet` has told.
RACE := $(GO) test -race -vet off -p 3 -parallel 4 -timeout $(TESTTIME)

test: deps-tests gen-check ## everything that CI runs, two things at a time, and whole hosts after them
	@$(MAKE) --no-print-directory -j 2 race plain
	@$(MAKE) --no-print-directory hosts

# To collect garbage four times as seldom takes a quarter off whole nodes, for
# twice the memory: it is some hundred MiB.
.PHONY: race plain
race plain: export GOGC = 400
race:
	$(RACE) $(LONGEST) $$($(GO) list ./... | grep -Ev '/simulations(/stack|/makespan)?$$')
	@$(MAKE) --no-print-directory race-worlds

plain: vet cross flaws
	@$(MAKE) --no-print-directory worlds
	$(GO) test -vet off -timeout $(TESTTIME) ./node/ninja -run TestAsNinjaDoes -cases 1000
	@$(MAKE) --no-print-directory mutants

# Real projects on hosts of this machine. They have it for themselves: what pays to
# be sent away from a host that waits for a processor is another question.
.PHONY: hosts
hosts:
	$(GO) test -tags lab -vet off -count 1 -timeout $(TESTTIME) ./simulations/lab/peers
	$(GO) test -tags lab -vet off -count 1 -timeout $(TESTTIME) -run TestBuildAndTest ./simulations/lab/bazel

simulations: ## what `make test` runs of the simulation: seeds, scripts, planted bugs, twenty real nodes in virtual time
	@$(MAKE) --no-print-directory -j 2 flaws worlds race-worlds

.PHONY: worlds race-worlds
worlds race-worlds: export GOGC = 400
worlds:
	$(GO) test -vet off -p 1 -timeout $(TESTTIME) $(STACK) $(WORLDS)

race-worlds:
	$(RACE) ./simulations -skip TestScripts -seeds 40
	$(RACE) $(STACK) -run 'Together|Outlives|Storm|Heals|Leaves|Records' -stack-nodes 5

mutants: ## break what meets the demands of Remote Execution clients, line by line: a test has to notice each
	$(GO) test -vet off -count 1 -timeout $(TESTTIME) ./node/reapi/mutants -plant

vet: ## go vet and gofmt
	$(GO) vet ./...
	$(GO) vet -tags lab ./simulations/lab/...
	$(GO) vet -tags flaws ./sched/steal ./dht/swarm ./simulations
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }

cross: ## compile for macOS and Windows
	GOOS=darwin GOARCH=arm64 $(GO) build -ldflags '-s -w' -o /dev/null ./cmd/buildnet
	GOOS=windows GOARCH=amd64 $(GO) build -ldflags '-s -w' -o /dev/null ./cmd/buildnet

gen: deps ## generate the code of the protobuf messages
	$(GO) build -o bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
	protoc --plugin=bin/protoc-gen-go --go_out=. --go_opt=paths=source_relative $(PROTOS)

gen-check: gen ## fail if generated code is not what the .proto files say
	@git diff --exit-code -I '^//.*protoc' -- '*.pb.go'

lint: ## golangci-lint, pinned
	$(GO) run $(LINT) run --build-tags lab ./...

bench: build ## measure: benchmarks of the parts, and whole commands against others
	$(GO) test -run '^$$' -bench . -benchtime 1s -timeout 60m ./...

bench-peers: build ## builds of real projects against distcc, icecc, ccache and ninja; those of BENCH=REGEXP (as root)
	@.ci/deps --peers
	cd simulations/lab/peers && BUILDNET_BINARY=$(CURDIR)/bin/buildnet $(GO) test -tags lab -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 3h .

bench-reapi: deps-tests build ## the Remote Execution API of nodes against bazel-remote, and builds by Bazel; those of BENCH=REGEXP (as root)
	BUILDNET_BINARY=$(CURDIR)/bin/buildnet $(GO) test -tags lab -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 2h ./simulations/lab/reapi ./simulations/lab/bazel

lab: deps-tests build ## the acceptance scenarios, on hosts made of network namespaces; those of LAB=REGEXP (as root, or without CPU quotas)
	BUILDNET_BINARY=$(CURDIR)/bin/buildnet $(GO) test -count 1 -v -timeout 60m -run '$(LAB)' -tags lab ./simulations/lab/...

soak: ## run seeds of the simulated world for SOAKTIME
	$(GO) run ./simulations/soak -for $(SOAKTIME)

FLAWS := old-epoch early-announce no-hearing forget-lost unsorted no-refetch backups patient

flaws: ## plant bugs in the machines, one after the other: the simulation has to find each
	$(GO) test -c -tags flaws -o bin/flaws.test ./simulations
	@for flaw in '' $(FLAWS); do \
		(cd simulations && BUILDNET_FLAW=$$flaw ../bin/flaws.test -test.run TestTheFlawIsFound -test.v) || exit 1; \
	done

scale: build ## measure simulated meshes of 100 to 10,000 nodes, and write docs/scale.md
	$(GO) run ./simulations/scale -docs docs

calibrate: deps build ## replay real builds of a C project: fail if one is more than 15 % off, or changes go the wrong way (on an idle machine)
	simulations/replay/calibrate bin/buildnet

clean: ## remove what was built
	rm -rf bin
