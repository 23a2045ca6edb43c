# SPDX-License-Identifier: Apache-2.0
{
  'targets': [
    {
      'target_name': 'amphora_xdp',
      'sources': [
        'src/addon.cc',
        'src/arguments.cc',
        'src/bpf_map.cc',
        'src/bpf_map_batch.cc',
        'src/bpf_object.cc',
        'src/datagrams.cc',
        'src/errors.cc',
        'src/log.cc',
        'src/map_batch.cc',
        'src/netns.cc',
        'src/netns_socket.cc',
        'src/object_options.cc',
        'src/object_pins.cc',
        'src/ring_buffer.cc',
        'src/tc_hook.cc',
        'src/test_run.cc',
        'src/xdp_link.cc',
      ],
      'include_dirs': ['<!@(node -p "require(\'node-addon-api\').include")'],
      'defines': ['NAPI_VERSION=8', 'NAPI_CPP_EXCEPTIONS', 'NODE_ADDON_API_CPP_EXCEPTIONS_ALL'],
      'cflags': ['<!@(pkg-config --cflags libbpf)', '-Wall', '-Wextra', '-Wno-missing-field-initializers', '-fvisibility=hidden'],
      'cflags_cc': ['-std=c++20'],
      'cflags!': ['-fno-exceptions'],
      'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
      'libraries': ['<!@(pkg-config --libs libbpf)', '-pthread'],
    },
  ],
}
