# SPDX-License-Identifier: Apache-2.0
"""The certificate and key that a controller makes for an amphora, by the controller's own generator.

    server_pem.py AMPHORA-ID CA-CERTIFICATE CA-KEY [SECONDS]

Prints certificate and key in one, as they lie in server.pem. Valid for SECONDS, 30 days when absent.
"""
import sys

from octavia.certificates.generator import local
from octavia.common import config  # noqa: F401 registers the options


def main(amphora_id, ca_certificate, ca_key, seconds='2592000'):
    with open(ca_certificate, 'rb') as certificate, open(ca_key, 'rb') as key:
        pair = local.LocalCertGenerator.generate_cert_key_pair(
            cn=amphora_id, validity=int(seconds), ca_cert=certificate.read(), ca_key=key.read())
    sys.stdout.write((pair.certificate + pair.private_key).decode())


main(*sys.argv[1:])
