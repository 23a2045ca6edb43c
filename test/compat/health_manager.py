# SPDX-License-Identifier: Apache-2.0
"""Octavia's own health manager on an empty SQLite database, driven by JSON lines.

    {"load_balancer": {...}}   makes an amphora's load balancer
    {"datagram": "<hex>"}      is received as a heartbeat; the answer is what the database then says
    {"unwrap": "<hex>"}        is only verified and decoded; the answer is the document

One line of JSON in, one out; what the health manager logged as a warning stands in "warnings".
"""
import json
import logging
import sys
import time

from oslo_config import cfg

from octavia.amphorae.backends.health_daemon import status_message
from octavia.amphorae.drivers.health import heartbeat_udp
from octavia.common import config  # noqa: F401 registers the options
from octavia.db import api as db_api
from octavia.db import base_models
from octavia.db import models

from controller_warnings import Warnings

KEY = 'compat-key'


def make_tables():
    cfg.CONF([], project='octavia')
    cfg.CONF.set_override('connection', 'sqlite://', group='database')
    engine = db_api.get_engine()
    # the tables of words that statuses and protocols refer to stay empty
    engine.execute('PRAGMA foreign_keys=OFF')
    base_models.BASE.metadata.create_all(engine)


def make_load_balancer(asked):
    """Rows as the API would have made them; statuses as after a creation."""
    session = db_api.get_session()
    lb = asked['id']
    with session.begin():
        session.add(models.LoadBalancer(
            id=lb, project_id='compat', provisioning_status=asked['provisioning_status'],
            operating_status='OFFLINE', enabled=asked['enabled'], topology='SINGLE'))
        session.add(models.Amphora(
            id=asked['amphora'], load_balancer_id=lb, status='ALLOCATED'))
        for pool in asked['pools']:
            session.add(models.Pool(
                id=pool['id'], load_balancer_id=lb, project_id='compat', protocol='TCP',
                lb_algorithm='ROUND_ROBIN', enabled=pool['enabled'],
                operating_status='OFFLINE', provisioning_status='ACTIVE'))
            for index, member in enumerate(pool['members']):
                session.add(models.Member(
                    id=member, pool_id=pool['id'], project_id='compat',
                    ip_address='192.0.2.1', protocol_port=index + 1, enabled=True, weight=1, backup=False,
                    operating_status='OFFLINE', provisioning_status='ACTIVE'))
        for index, listener in enumerate(asked['listeners']):
            session.add(models.Listener(
                id=listener['id'], load_balancer_id=lb, project_id='compat', protocol='TCP',
                protocol_port=index + 1, enabled=listener['enabled'],
                operating_status='OFFLINE', provisioning_status='ACTIVE',
                default_pool_id=listener['default_pool']))


def receive(data):
    """What heartbeat_udp does between its socket and the database."""
    message = status_message.unwrap_envelope(data, KEY)
    message['recv_time'] = time.time()
    heartbeat_udp.UpdateHealthDb().update_health(message, '192.0.2.9')
    heartbeat_udp.update_stats(message)


def database():
    session = db_api.get_session()
    statuses = {
        row.id: row.operating_status
        for model in (models.LoadBalancer, models.Listener, models.Pool, models.Member)
        for row in session.query(model)}
    statistics = {
        row.listener_id: {
            'bytes_in': row.bytes_in, 'bytes_out': row.bytes_out,
            'active_connections': row.active_connections,
            'total_connections': row.total_connections, 'request_errors': row.request_errors}
        for row in session.query(models.ListenerStatistics)}
    heard = [row.amphora_id for row in session.query(models.AmphoraHealth)]
    return {'statuses': statuses, 'statistics': statistics, 'heard': heard}


def answer(request):
    if 'load_balancer' in request:
        make_load_balancer(request['load_balancer'])
        return {}
    if 'unwrap' in request:
        return {'document': status_message.unwrap_envelope(
            bytes.fromhex(request['unwrap']), KEY)}
    receive(bytes.fromhex(request['datagram']))
    return database()


def main():
    warnings = Warnings()
    logging.getLogger('octavia').addHandler(warnings)
    make_tables()
    for line in sys.stdin:
        try:
            result = answer(json.loads(line))
        except Exception as error:  # the caller judges
            result = {'error': repr(error)}
        print(json.dumps({**result, 'warnings': warnings.take()}), flush=True)


if __name__ == '__main__':
    main()
