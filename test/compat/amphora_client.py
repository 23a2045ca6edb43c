# SPDX-License-Identifier: Apache-2.0
"""Octavia's own client of the amphora API, driven by JSON lines.

    {"call": NAME, "arguments": [...]}                            a method of AmphoraAPIClient1_0
    {"request": {"method", "path", "headers", "body"}}            the same connection, path and body as given
    {"handshake": {"certificate", "version", "send"}}             TLS by hand, then raw bytes
    {"hold": {"kind", "count"}} and {"release": true}             clients that keep the agent waiting
    {"wait": SECONDS}                                             discovery, until it succeeds

Bodies are text, or {"base64": ...}. One line of JSON in, one out: the answer as it came over the wire, and what the
client made of it ("outcome": its return value, or the name of the exception).
"""
import base64
import json
import os
import socket
import ssl
import sys
import time

from oslo_config import cfg

from octavia.amphorae.drivers.haproxy import rest_api_driver
from octavia.certificates.generator import local
from octavia.common import config  # noqa: F401 registers the options
from octavia.common import data_models

PORT = 9443
VERSIONS = {'1.1': ssl.TLSVersion.TLSv1_1, '1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}


def configure(setup):
    cfg.CONF([], project='octavia')
    for option, value in (
            ('client_cert', setup['certificates']['controller']), ('server_ca', setup['serverCa']),
            ('bind_port', PORT), ('connection_max_retries', 1), ('connection_retry_interval', 0),
            ('rest_request_conn_timeout', 10), ('rest_request_read_timeout', 40)):
        cfg.CONF.set_override(option, value, group='haproxy_amphora')


def make_certificates(setup):
    """Pairs as Octavia's generator makes them: the agent's next one, and a client's that is valid for a second."""
    def write(name, authority, common_name, seconds):
        pair = local.LocalCertGenerator.generate_cert_key_pair(
            common_name, seconds, ca_cert=authority['cert'].encode(), ca_key=authority['key'].encode())
        path = os.path.join(setup['directory'], name + '.pem')
        with open(path, 'wb') as file:
            file.write(pair.certificate + pair.private_key)
        return path
    return {
        'rotated': write('rotated', setup['serverAuthority'], setup['amphoraId'], 86400),
        'expired': write('expired', setup['clientAuthority'], 'controller', 1)}


def decode(value):
    if isinstance(value, dict) and set(value) == {'base64'}:
        return base64.b64decode(value['base64'])
    return value


class Peer:
    def __init__(self, setup):
        self.setup = setup
        self.client = rest_api_driver.AmphoraAPIClient1_0()
        self.client.session.hooks['response'].append(self.see)
        self.amphora = data_models.Amphora(id=setup['amphoraId'], lb_network_ip=setup['address'])
        self.amphora.api_version = '1.0'
        self.client.ssl_adapter.uuid = setup['amphoraId']
        self.seen = None
        self.held = []

    def see(self, response, *_, **__):
        self.seen = {
            'method': response.request.method, 'path': response.request.path_url,
            'sent': {name.lower(): str(value) for name, value in response.request.headers.items()},
            'status': response.status_code,
            'headers': {name.lower(): value for name, value in response.headers.items()},
            'body': base64.b64encode(response.content).decode()}

    def call(self, name, arguments):
        method = getattr(self.client, name)
        value = method(self.amphora, *map(decode, arguments))
        self.amphora.api_version = '1.0'  # the discovery forgets it
        return 'an answer' if hasattr(value, 'status_code') else value

    def request(self, method, path, headers=None, body=None):
        """Past the client's own joining of paths, but over its session, adapter and trust."""
        url = 'https://%s:%d%s' % (self.setup['address'], PORT, path)
        body = decode(body)
        self.client.session.request(
            method, url, headers=headers, verify=self.setup['serverCa'], allow_redirects=False,
            data=body.encode() if isinstance(body, str) else body, timeout=(10, 40))
        return 'an answer'

    def context(self, certificate, version):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.setup['serverCa'])
        context.minimum_version = context.maximum_version = VERSIONS[version]
        if version == '1.1':
            context.set_ciphers('DEFAULT@SECLEVEL=0')
        if certificate == 'expired':
            time.sleep(max(0, self.setup['expiry'] - time.time()))
        if certificate != 'none':
            context.load_cert_chain(self.setup['certificates'][certificate])
        return context

    def handshake(self, certificate, version='1.2', send=None):
        """Also reads: with TLS 1.3 a refusal comes only after the handshake."""
        raw = socket.create_connection((self.setup['address'], PORT), 10)
        raw.settimeout(20)
        with self.context(certificate, version).wrap_socket(raw) as stream:
            answer = b''
            serial = stream.getpeercert()['serialNumber']
            stream.sendall(decode(send or 'GET // HTTP/1.1\r\nHost: amphora\r\n\r\n').encode())
            while True:
                data = stream.recv(65536)
                if not data:
                    break
                answer += data
        return {'serial': serial, 'answer': answer.decode('latin-1')}

    def hold(self, kind, count):
        for _ in range(count):
            stream = socket.create_connection((self.setup['address'], PORT), 10)
            stream.settimeout(10)
            if kind != 'silent':
                stream = self.context('controller', '1.2').wrap_socket(stream)
                stream.sendall(b'PUT /1.0/loadbalancer/slow/certificates/a.pem HTTP/1.1\r\nHost: amphora\r\n')
            if kind == 'slow body':
                stream.sendall(b'Content-Length: 100\r\n\r\n-')
            self.held.append(stream)

    def wait(self, seconds):
        end = time.time() + seconds
        while True:
            try:
                return self.call('get_api_version', [])
            except Exception:
                if time.time() > end:
                    raise

    def release(self):
        for stream in self.held:
            stream.close()
        self.held = []


def answer(peer, asked):
    peer.seen = None
    (kind, value), = ((key, asked[key]) for key in ('call', 'request', 'handshake', 'hold', 'wait', 'release') if key in asked)
    try:
        if kind == 'call':
            outcome = peer.call(value, asked.get('arguments', []))
        elif kind == 'release':
            outcome = peer.release()
        elif kind == 'wait':
            outcome = peer.wait(value)
        else:
            outcome = getattr(peer, kind)(**value)
        return {'outcome': outcome, 'seen': peer.seen}
    except Exception as error:  # the caller judges
        return {'outcome': type(error).__name__, 'words': str(error), 'seen': peer.seen}


def main():
    setup = json.loads(sys.stdin.readline())
    configure(setup)
    setup['certificates'].update(make_certificates(setup))
    setup['expiry'] = time.time() + 2
    peer = Peer(setup)
    print(json.dumps(setup['certificates']), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(peer, json.loads(line))), flush=True)


if __name__ == '__main__':
    main()
