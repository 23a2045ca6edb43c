// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <bpf/libbpf.h>

// Runs a loaded program on a packet by BPF_PROG_TEST_RUN. `packet` and `options` as TestRunOptions of
// native/index.ts; returns a TestRunResult.
Napi::Value RunTest(const bpf_program* program, const Napi::Value& packet, const Napi::Value& options);
