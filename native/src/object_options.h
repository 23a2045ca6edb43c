// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <bpf/libbpf.h>

// What OpenOptions of native/index.ts says about an object that is opened and not yet loaded: sizes of maps, values
// of constants, flags of programs. Throws when it names something that the object lacks.
void ApplyOptions(Napi::Env env, bpf_object* object, const Napi::Object& options);
