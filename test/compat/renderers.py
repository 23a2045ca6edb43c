# SPDX-License-Identifier: Apache-2.0
"""Octavia's own templates, driven by JSON lines: a load balancer in, what a controller would upload for it out.

    {"model": {...}}   a load balancer as test/compat/random-model.ts describes it

The answer holds "haproxy" (the text, or null where no listener is HAProxy's) and "lvs" (text by listener id), each
for the first amphora of the model, and "vrrp" (text by amphora id) for an ACTIVE_STANDBY load balancer. Whatever the
renderers throw is "error".
"""
import json
import os
import sys

from octavia.amphorae.drivers.keepalived.jinja import jinja_cfg as vrrp_jinja
from octavia.common import constants
from octavia.common import data_models
from octavia.common.jinja.haproxy.combined_listeners import jinja_cfg
from octavia.common.jinja.lvs import jinja_cfg as lvs_jinja

CERTS = '/var/lib/octavia/certs'
ACTIVE = constants.ACTIVE


def build_monitor(asked):
    return asked and data_models.HealthMonitor(provisioning_status=ACTIVE, **asked)


def build_member(asked):
    rest = {key: value for key, value in asked.items() if key != 'address'}
    return data_models.Member(
        ip_address=asked['address'], provisioning_status=ACTIVE, operating_status='ONLINE', **rest)


def build_pool(asked):
    tls = asked['tls'] or {}
    persistence = asked['session_persistence']
    return data_models.Pool(
        id=asked['id'], name=asked['name'], protocol=asked['protocol'],
        lb_algorithm=asked['lb_algorithm'], enabled=asked['enabled'],
        provisioning_status=ACTIVE, operating_status='ONLINE',
        members=[build_member(member) for member in asked['members']],
        health_monitor=build_monitor(asked['health_monitor']),
        session_persistence=persistence and data_models.SessionPersistence(**persistence),
        tls_enabled=bool(tls), tls_versions=tls.get('versions'), tls_ciphers=tls.get('ciphers'),
        alpn_protocols=tls.get('alpn'), tls_certificate_id=tls.get('client_cert'),
        ca_tls_certificate_id=tls.get('ca_cert'), crl_container_id=tls.get('crl'))


def build_policy(asked, pools):
    rules = [data_models.L7Rule(provisioning_status=ACTIVE, **rule) for rule in asked['rules']]
    rest = {key: value for key, value in asked.items() if key not in ('rules', 'redirect_pool')}
    return data_models.L7Policy(
        l7rules=rules, redirect_pool=pools.get(asked.get('redirect_pool')),
        provisioning_status=ACTIVE, **rest)


def build_listener(asked, balancer, pools):
    tls = asked.get('tls') or {}
    policies = [build_policy(policy, pools) for policy in asked['l7policies']]
    default = pools.get(asked['default_pool'])
    # As the database gives them: each pool once, whether by default or by a policy.
    used = {pool.id: pool for pool in [default, *(one.redirect_pool for one in policies)] if pool}
    plain = ('id', 'name', 'protocol', 'protocol_port', 'connection_limit', 'enabled', 'peer_port',
             'insert_headers', 'timeout_client_data', 'timeout_member_connect',
             'timeout_member_data', 'timeout_tcp_inspect', 'allowed_cidrs')
    return data_models.Listener(
        load_balancer=balancer, default_pool=default, pools=list(used.values()),
        l7policies=policies, provisioning_status=ACTIVE, operating_status='ONLINE',
        tls_certificate_id=tls.get('default'), tls_versions=tls.get('versions'),
        tls_ciphers=tls.get('ciphers'), alpn_protocols=tls.get('alpn'),
        client_ca_tls_certificate_id=tls.get('client_ca'),
        client_authentication=tls.get('client_authentication'),
        client_crl_container_id=tls.get('client_crl'),
        **{key: asked[key] for key in plain})


def build_balancer(asked):
    balancer = data_models.LoadBalancer(
        id=asked['id'], name=asked['name'], project_id=asked['project_id'],
        enabled=asked['enabled'], topology=asked['topology'],
        vip=data_models.Vip(ip_address=asked['vip']),
        additional_vips=[data_models.AdditionalVip(ip_address=address)
                         for address in asked['additional_vips']],
        amphorae=[data_models.Amphora(status=constants.AMPHORA_ALLOCATED, **amphora)
                  for amphora in asked['amphorae']])
    pools = {pool['id']: build_pool(pool) for pool in asked['pools']}
    balancer.listeners = [build_listener(one, balancer, pools) for one in asked['listeners']]
    return balancer


def tls_files(asked):
    """Names as the driver remembers them: bare for listeners, whole paths for pools."""
    found = {}
    for listener in asked['listeners']:
        for kind in ('client_ca', 'client_crl'):
            name = (listener.get('tls') or {}).get(kind)
            if name:
                found[name] = name
    for pool in asked['pools']:
        tls = pool['tls'] or {}
        found[pool['id']] = {
            kind: os.path.join(CERTS, asked['id'], tls[kind])
            for kind in ('client_cert', 'ca_cert', 'crl') if tls.get(kind)}
    return found


def render(asked):
    balancer = build_balancer(asked)
    haproxy = [one for one in balancer.listeners if one.protocol not in constants.LVS_PROTOCOLS]
    text = None
    if haproxy:
        text = jinja_cfg.JinjaTemplater(base_amp_path='/var/lib/octavia', base_crt_dir=CERTS).build_config(
            host_amphora=balancer.amphorae[0], listeners=haproxy, tls_certs=tls_files(asked),
            haproxy_versions=['2', '6'])
    lvs = lvs_jinja.LvsJinjaTemplater()
    return {
        'haproxy': text,
        'lvs': {one.id: lvs.build_config(listener=one)
                for one in balancer.listeners if one.protocol in constants.LVS_PROTOCOLS},
        'vrrp': render_vrrp(balancer, asked)}


def render_vrrp(balancer, asked):
    if asked['topology'] != constants.TOPOLOGY_ACTIVE_STANDBY:
        return {}
    balancer.vrrp_group = data_models.VRRPGroup(
        vrrp_group_name=asked['id'].replace('-', ''), vrrp_auth_type='PASS', vrrp_auth_pass='secret',
        advert_int=1)
    templater = vrrp_jinja.KeepalivedJinjaTemplater()
    return {amphora.id: templater.build_keepalived_config(balancer, amphora, asked['networks'])
            for amphora in balancer.amphorae}


def main():
    for line in sys.stdin:
        try:
            result = render(json.loads(line)['model'])
        except Exception as error:  # the caller judges
            result = {'error': repr(error)}
        print(json.dumps(result), flush=True)


if __name__ == '__main__':
    main()
