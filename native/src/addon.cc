// SPDX-License-Identifier: Apache-2.0
// Registers what native/index.ts calls Addon.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <napi.h>

#include <cerrno>

#include "addon_data.h"
#include "arguments.h"
#include "bpf_map.h"
#include "bpf_object.h"
#include "datagrams.h"
#include "errors.h"
#include "log.h"
#include "netns_socket.h"
#include "pinned.h"
#include "ring_buffer.h"
#include "tc_hook.h"
#include "xdp_link.h"

namespace {

// createMap(spec: InnerMapSpec): BpfMap
Napi::Value CreateMap(const Napi::CallbackInfo& info) {
  const Napi::Object spec = arguments::ToObject(info[0], "spec");
  const std::string name = arguments::ToString(spec.Get("name"), "name");
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = arguments::ToUint32(spec.Get("flags"), "flags"));
  Fd fd(bpf_map_create(static_cast<bpf_map_type>(arguments::ToUint32(spec.Get("type"), "type")), name.c_str(),
                       arguments::ToUint32(spec.Get("keySize"), "keySize"),
                       arguments::ToUint32(spec.Get("valueSize"), "valueSize"),
                       arguments::ToUint32(spec.Get("maxEntries"), "maxEntries"), &options));
  if (!fd.IsOpen()) ThrowErrno(info.Env(), "bpf_map_create " + name, errno);
  return BpfMap::New(info.Env(), std::move(fd), name, false);
}

// openPinnedMap(path: string): BpfMap
Napi::Value OpenPinnedMap(const Napi::CallbackInfo& info) {
  const std::string path = arguments::ToString(info[0], "path");
  Fd fd(bpf_obj_get(path.c_str()));
  if (!fd.IsOpen()) ThrowErrno(info.Env(), "bpf_obj_get " + path, errno);
  if (!IsMap(fd.Get())) ThrowErrno(info.Env(), "bpf_obj_get " + path, EINVAL, "it is no map");
  return BpfMap::New(info.Env(), std::move(fd), "", true);
}

// setLog(callback: ((level: number, text: string) => void) | null): void
void SetLog(const Napi::CallbackInfo& info) { log_lines::SetCallback(info.Env(), info[0]); }

// possibleCpus(): number
Napi::Value PossibleCpus(const Napi::CallbackInfo& info) {
  const int count = libbpf_num_possible_cpus();
  if (count < 0) ThrowErrno(info.Env(), "libbpf_num_possible_cpus", count);
  return Napi::Number::New(info.Env(), count);
}

Napi::Object Register(Napi::Env env, Napi::Object exports) {
  log_lines::Install();
  auto* data = new AddonData();
  env.SetInstanceData(data);
  data->bpf_map = Napi::Persistent(BpfMap::Define(env));
  data->bpf_object = Napi::Persistent(BpfObject::Define(env));
  data->xdp_link = Napi::Persistent(XdpLink::Define(env));
  data->ring_buffer = Napi::Persistent(RingBuffer::Define(env));

  exports.Set("openObject", Napi::Function::New<BpfObject::OpenFile>(env, "openObject"));
  exports.Set("createMap", Napi::Function::New<CreateMap>(env, "createMap"));
  exports.Set("openPinnedMap", Napi::Function::New<OpenPinnedMap>(env, "openPinnedMap"));
  exports.Set("openPinnedLink", Napi::Function::New<XdpLink::OpenPinned>(env, "openPinnedLink"));
  exports.Set("attachXdp", Napi::Function::New<XdpLink::Attach>(env, "attachXdp"));
  exports.Set("attachTc", Napi::Function::New<tc_hook::Attach>(env, "attachTc"));
  exports.Set("detachTc", Napi::Function::New<tc_hook::Detach>(env, "detachTc"));
  exports.Set("openRingBuffer", Napi::Function::New<RingBuffer::Open>(env, "openRingBuffer"));
  exports.Set("setLog", Napi::Function::New<SetLog>(env, "setLog"));
  exports.Set("possibleCpus", Napi::Function::New<PossibleCpus>(env, "possibleCpus"));
  exports.Set("ifindexByName", Napi::Function::New<IfindexByName>(env, "ifindexByName"));
  exports.Set("socketInNetns", Napi::Function::New<SocketInNetns>(env, "socketInNetns"));
  exports.Set("sendFrames", Napi::Function::New<SendFrames>(env, "sendFrames"));
  exports.Set("sendDatagrams", Napi::Function::New<SendDatagrams>(env, "sendDatagrams"));
  return exports;
}

}  // namespace

NODE_API_MODULE(amphora_xdp, Register)
