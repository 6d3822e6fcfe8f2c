# Two commands set everything up on Debian or Ubuntu with Go and gcc: "make run" and "make test".
GO ?= go
# staticcheck is pinned by the tool line of go.mod.
PHOTOS ?= photos

.PHONY: run build view test check race arm64 windows test-plugins test-viewer mutation generate fuzz setup-run setup-test clean

## run: classify the bundled photographs with the bundled model on the best device there is
run: setup-run build
	./bin/resnet-run classify $(PHOTOS)

## build: make bin/resnet-run
build:
	$(GO) build -o bin/resnet-run ./cmd/resnet-run

## view: look at the bundled photographs in a window; bin/resnet-run has the command "view" then
view: setup-run
	@scripts/setup viewer
	$(GO) build -tags viewer -o bin/resnet-run ./cmd/resnet-run
	./bin/resnet-run view $(PHOTOS)

## test: everything that must hold, with the Vulkan validation layer on both software drivers ("go test ./..." takes some of the cases)
test: setup-test check
	RESNET_RUN_THOROUGH=1 $(GO) test -timeout 30m ./...

## check: format, vet, staticcheck, and generated files
check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) run ./internal/cmd/genshaders -check -dir shaders
	$(GO) run ./internal/cmd/genkernels -check -dir backend/cpu/internal/kernel
	$(GO) run ./internal/cmd/genproto -check -dir plugins/proto

## race: the tests under the race detector, without the slowest
race: setup-test
	$(GO) test -race -short -timeout 30m ./...

## arm64: the NEON kernels and the cpu backend under emulation
arm64:
	@scripts/setup arm64
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && for p in backend/cpu/internal/kernel backend/cpu; do \
	  echo "arm64: ./$$p"; CGO_ENABLED=0 GOARCH=arm64 $(GO) vet ./$$p && CGO_ENABLED=0 GOARCH=arm64 $(GO) test -c -o $$dir/t.test ./$$p && \
	  (cd $$p && qemu-aarch64 $$dir/t.test -test.short -test.timeout 20m) || exit 1; done

## windows: the program for Windows, built with MinGW, through the conformance suite under Wine; with Wine 10 the tests too
windows:
	@scripts/setup windows
	scripts/windows

## test-plugins: the example plugins that need more than Go (Python and C++), through the conformance suite; ONNX Runtime on exported networks
test-plugins:
	@scripts/setup plugins
	RESNET_RUN_REQUIRE_PLUGINS=1 $(GO) test -count=1 -timeout 40m -run Conforms ./plugins/examples
	RESNET_RUN_REQUIRE_PLUGINS=1 RESNET_RUN_THOROUGH=1 $(GO) test -count=1 -timeout 20m -run ONNXRuntimeComputes ./graph/onnx

## test-viewer: the window, on an X server without a screen
test-viewer: setup-test
	@scripts/setup viewer
	@scripts/setup test-viewer
	$(GO) vet -tags viewer ./...
	$(GO) tool staticcheck -tags viewer ./...
	RESNET_RUN_REQUIRE_VIEWER=1 $(GO) test -tags viewer -timeout 10m ./backend/vulkan/present ./internal/viewer/...
	RESNET_RUN_REQUIRE_VIEWER=1 $(GO) test -tags viewer -timeout 10m -run 'View|StandardInput' ./cmd/resnet-run

## mutation: measure how strong the conformance suite is; MUTANTS=60 takes that many of each file instead of all
MUTANTS ?= 0
mutation: setup-test
	nice -n 10 $(GO) run ./tools/mutate -n $(MUTANTS) -report docs/conformance/mutation.md

## generate: rebuild what is generated (needs glslang-tools and spirv-tools)
generate:
	$(GO) generate ./...

## fuzz: every fuzz target for FUZZTIME each
FUZZTIME ?= 20s
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg || exit 1; \
	  done; \
	done

setup-run:
	@scripts/setup run

setup-test:
	@scripts/setup test

clean:
	rm -rf bin
