// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

// clsact ingress of an interface. A filter belongs to the interface, not to us: there is no handle to hold.
namespace tc_hook {

// attachTc({ programFd, ifindex, netns, priority, handle }): void
void Attach(const Napi::CallbackInfo& info);
// detachTc({ ifindex, netns, priority, handle }): void. ENOENT when there is no such filter; clsact stays.
void Detach(const Napi::CallbackInfo& info);

}  // namespace tc_hook
