# amphora-xdp: the front door.
#   make demo            installs what is missing, builds, shows the main job on live traffic
#   make check           every test (root; installs and builds what it needs)
#   make check-kernels   the packet tables on Debian's 6.1 and 6.12 kernels, emulated
#   make check-image     VM tests: the image under emulation, driven as a cloud and a controller do
#   make bench           figures of the datapath beside nftables and HAProxy
#   make bench-agent     figures of the agent beside Debian's octavia-agent
#   make bench-pktgen    the datapath under the kernel's packet generator in the booted image, beside IPVS
#   make bench-image IMAGES="a.qcow2 b.qcow2"   images side by side: size, boot, memory, under emulation
#   make image           the amphora image, build/amphora-x64-haproxy.qcow2 (root; installs what it needs)
#   make install PREFIX=/usr/local DESTDIR=   runnable commands, nothing of the source tree needed
#   make lint, make build, make layout (after a change of bpf/layout.h), make clean
.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := /bin/bash

PREFIX ?= /usr/local
# What check-image and bench-pktgen boot.
IMAGE ?= build/amphora-x64-haproxy.qcow2
DESTDIR ?=
CLANG ?= clang
NODE ?= node
ARCH_INCLUDE := /usr/include/$(shell uname -m)-linux-gnu
BPF_FLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -I$(ARCH_INCLUDE)
BPF_OBJECTS := $(patsubst bpf/%.bpf.c,build/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
BPF_HEADERS := $(wildcard bpf/*.h)
SOURCES := $(shell find agent native bpf -name '*.ts' -not -path '*/build/*' 2>/dev/null)
ADDON := native/build/Release/amphora_xdp.node

COMMANDS := $(patsubst native/commands/%.c,build/commands/%,$(wildcard native/commands/*.c))
TOOLS := $(patsubst test/support/tools/%.c,build/tools/%,$(wildcard test/support/tools/*.c))

# Hooks of the image elements, and scripts that they put into the image.
ELEMENT_SCRIPTS := $(shell grep -rlE '^\#!/bin/(ba)?sh' elements)

.PHONY: all build tools demo check check-kernels check-image bench bench-agent bench-pktgen bench-image image install lint clean packages
all: build build/bundle/.stamp
build: $(BPF_OBJECTS) $(ADDON) $(COMMANDS) dist/.stamp

# The traffic tools of the tests, the demo and the bench.
tools: $(TOOLS)
build/tools/%: test/support/tools/%.c $(wildcard test/support/tools/*.h) | build/.packages
	@mkdir -p build/tools
	$(CC) -O2 -Wall -Wextra -Werror $< -o $@

# Debian packages that a bare machine lacks; a no-op when they are there.
packages: build/.packages
build/.packages: .ci/packages
	bash .ci/packages
	@mkdir -p build && touch $@

node_modules/.package-lock.json: package.json package-lock.json | build/.packages
	npm ci --no-audit --no-fund
	@touch $@

build/bpf:
	mkdir -p $@

build/bpf/%.bpf.o: bpf/%.bpf.c $(BPF_HEADERS) | build/bpf build/.packages
	$(CLANG) $(BPF_FLAGS) -c $< -o $@

$(ADDON): native/binding.gyp $(wildcard native/src/*) node_modules/.package-lock.json
	npx node-gyp rebuild -C native
	@touch $@

# The commands of the image that are called every few seconds.
build/commands/%: native/commands/%.c | build/.packages
	@mkdir -p build/commands
	$(CC) -O2 -Wall -Wextra -Werror $< -o $@ $(shell pkg-config --libs libbpf)
	@# HAProxy calls it as its own user, and SCTP wants a raw socket.
	@case $@ in */amphora-health-checker) setcap cap_net_raw+ep $@ ;; esac

dist/.stamp: tsconfig.json tsconfig.build.json .ci/bundle $(SOURCES) node_modules/.package-lock.json
	npm run --silent build
	@touch $@

# One file per command, for whoever installs.
build/bundle/.stamp: dist/.stamp .ci/bundle
	bash .ci/bundle build/bundle/agent
	@touch $@

# Sizes, offsets and enums for TypeScript. Compiles only itself: the rest may wait for what it writes.
layout: node_modules/.package-lock.json
	npx tsc --rootDir . --outDir build/layout --target es2023 --module nodenext --strict --skipLibCheck bpf/gen-layout.ts
	$(NODE) build/layout/bpf/gen-layout.js

lint: node_modules/.package-lock.json
	npm run --silent lint
	npm run --silent typecheck
	shellcheck $(wildcard .ci/* cloud-init/root/usr/libexec/* test/run test/demo/demo test/bench/bench test/bench/agent/bench test/bench/agent/image/usr/*/* test/bench/image/bench test/bench/pktgen test/image/check test/image/packages test/kernels/check test/support/vm-init test/support/vm-reboot) \
		$(addprefix test/compat/stand-ins/,journalctl keepalived-lvs masquerade service)
	shellcheck --exclude=SC2154 $(ELEMENT_SCRIPTS)

check: build tools
	bash test/run

demo: build tools
	bash test/demo/demo

bench: build tools
	bash test/bench/bench

bench-agent: build tools build/bundle/.stamp
	bash test/bench/agent/bench

# Boots the image; builds it where there is none.
check-image: build tools build/bundle/.stamp
	[ -e "$(IMAGE)" ] || $(MAKE) image
	IMAGE='$(IMAGE)' bash test/image/check

bench-pktgen: build tools build/bundle/.stamp
	[ -e "$(IMAGE)" ] || $(MAKE) image
	IMAGE='$(IMAGE)' bash test/bench/pktgen

bench-image: build tools build/bundle/.stamp
	bash test/bench/image/bench

check-kernels: build
	bash test/kernels/check

image: build build/bundle/.stamp
	bash .ci/image-packages
	bash .ci/image build/amphora-x64-haproxy.qcow2

install: build build/bundle/.stamp
	bash .ci/install '$(DESTDIR)' '$(PREFIX)'

clean:
	rm -rf build dist native/build .tap
