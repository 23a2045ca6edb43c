# SPDX-License-Identifier: Apache-2.0
"""Octavia's own certificate generator and REST client, driven by JSON lines.

    {"configure": {"ca": path, "key": path, "client": path}}   once, first
    {"make": "<amphora id>", "seconds": n}     a server certificate and key, as the agent gets them
    {"info": "<amphora id>", "port": n}        discovery and first contact with the agent there
    {"rotate": "<amphora id>", "port": n, "pem": "..."}        as housekeeping does it

One line of JSON in, one out; what the client logged as a warning stands in "warnings".
"""
import json
import logging
import sys
import types

from oslo_config import cfg

from octavia.amphorae.drivers.haproxy import rest_api_driver
from octavia.certificates.generator import local
from octavia.common import config  # noqa: F401 registers the options

from controller_warnings import Warnings

CONF = cfg.CONF


def configure(asked):
    CONF([], project='octavia')
    CONF.set_override('ca_certificate', asked['ca'], group='certificates')
    CONF.set_override('ca_private_key', asked['key'], group='certificates')
    CONF.set_override('ca_private_key_passphrase', None, group='certificates')
    CONF.set_override('server_ca', asked['ca'], group='haproxy_amphora')
    CONF.set_override('client_cert', asked['client'], group='haproxy_amphora')
    # once is enough to see a handshake fail
    CONF.set_override('connection_max_retries', 1, group='haproxy_amphora')
    CONF.set_override('connection_retry_interval', 0, group='haproxy_amphora')


def make(asked):
    pair = local.LocalCertGenerator.generate_cert_key_pair(
        cn=asked['make'], validity=asked['seconds'])
    return {'pem': (pair.certificate + pair.private_key).decode('ascii')}


def amphora(amphora_id, port):
    CONF.set_override('bind_port', port, group='haproxy_amphora')
    return types.SimpleNamespace(id=amphora_id, lb_network_ip='127.0.0.1', api_version=None)


def answer(request):
    if 'configure' in request:
        configure(request['configure'])
        return {}
    if 'make' in request:
        return make(request)
    if 'info' in request:
        amp = amphora(request['info'], request['port'])
        version = rest_api_driver.AmphoraAPIClientBase().get_api_version(amp)
        amp.api_version = version['api_version']
        return {'info': rest_api_driver.AmphoraAPIClient1_0().get_info(amp)}
    amp = amphora(request['rotate'], request['port'])
    amp.api_version = '1.0'
    rest_api_driver.AmphoraAPIClient1_0().update_cert_for_rotation(amp, request['pem'])
    return {}


def main():
    warnings = Warnings()
    logging.getLogger('octavia').addHandler(warnings)
    for line in sys.stdin:
        try:
            result = answer(json.loads(line))
        except Exception as error:  # the caller judges
            result = {'error': repr(error)}
        print(json.dumps({**result, 'warnings': warnings.take()}), flush=True)


if __name__ == '__main__':
    main()
