#!/usr/bin/env python3
"""orchestrator/openapi.json says what sluiced does, and no more: its routes and scopes are those
of the table in the server, every one of them is called, and what really comes is what it says."""
import contextlib
import copy
import http.client
import json
import os
import re
import unittest
import uuid

import jsonschema
from common import TOP, FleetTest, wait_for
from hook import Receiver, new_secret

SOURCE = TOP / 'orchestrator/port/api.c'
FILE = TOP / 'orchestrator/openapi.json'
ROW = re.compile(r'\{ "(\w+)",\s+"([^"]+)",\s+API_(\w+),')
# Answered before the table of routes is looked at.
BESIDE = {('GET', '/healthz'): None, ('GET', '/readyz'): None, ('GET', '/openapi.json'): None,
          ('POST', '/session'): 'read', ('GET', '/session'): 'read',
          ('DELETE', '/session'): 'read'}


def plain(path):
    return re.sub(r'\{\w+\}', '{}', path)


def strict(schema):
    """The schema, with every member that is not in it refused."""
    if isinstance(schema, list):
        return [strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: strict(v) for k, v in schema.items()}
    if isinstance(out.get('properties'), dict) and out.get('type') == 'object':
        out.setdefault('additionalProperties', False)
    return out


class OpenApi(FleetTest):
    devices = {'gw-1': {'ring': 'lab'}}
    operators = 2

    @classmethod
    def prepare(cls):
        cls.receiver = Receiver()
        secret = cls.lab.dir / 'told.secret'
        secret.write_text(new_secret())
        secret.chmod(0o600)
        config = cls.lab.dir / 'sluiced.yaml'
        config.write_text(f'{config.read_text()}webhooks:\n  - name: told\n'
                          f'    url: {cls.receiver.url()}\n    secret_file: told.secret\n')

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.receiver.close()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.doc = json.loads(FILE.read_text())
        cls.key = (cls.lab.dir / 'api.key').read_text().strip()
        cls.called, cls.cookie = set(), {}

    # ---- the file beside the server's table

    def test_routes_and_scopes_are_those_of_the_server(self):
        table = {(m, p): None if s == 'NOBODY' else s.lower()
                 for m, p, s in ROW.findall(SOURCE.read_text())}
        self.assertGreater(len(table), 25, 'the table is not found')
        said = {}
        for path, operations in self.doc['paths'].items():
            for method, operation in operations.items():
                scopes = {s for way in operation['security'] for roles in way.values()
                          for s in roles}
                self.assertLessEqual(len(scopes), 1, path)
                said[method.upper(), plain(path)] = next(iter(scopes), None)
        self.assertEqual(said, table | BESIDE)

    def test_it_is_served(self):
        status, body, _ = self.send('GET', '/openapi.json', key=False)
        self.assertEqual((status, json.loads(body)), (200, self.doc))

    def test_every_operation_has_a_name_of_its_own_and_every_reference_leads_somewhere(self):
        ids = [o['operationId'] for p in self.doc['paths'].values() for o in p.values()]
        self.assertEqual(len(ids), len(set(ids)))
        for where in re.findall(r'"\$ref": "#/([^"]+)"', FILE.read_text()):
            at = self.doc
            for step in where.split('/'):
                self.assertIn(step, at, where)
                at = at[step]
        for schema in self.doc['components']['schemas'].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    # ---- real answers

    def send(self, method, path, body=None, key=True, headers=()):
        """Status, body and headers of an answer."""
        connection = http.client.HTTPConnection(self.lab.address, timeout=30)
        headers = dict(headers)
        if key:
            headers['Authorization'] = f'Bearer {self.key}'
        with contextlib.closing(connection):
            connection.request(method, f'/api/v1{path}', body, headers)
            answer = connection.getresponse()
            return answer.status, b'' if path == '/events' else answer.read(), answer

    def validate(self, schema, tree, where):
        whole = strict({**copy.deepcopy(schema), 'components': self.doc['components']})
        found = jsonschema.Draft202012Validator(whole).iter_errors(tree)
        self.assertEqual([f'{where}: {"/".join(map(str, e.absolute_path))}: {e.message[:300]}'
                          for e in found], [])

    def response(self, operation, status):
        """What the file says of an answer."""
        said = operation['responses'].get(str(status), operation['responses'].get('default'))
        if '$ref' in said:
            said = self.doc['components']['responses'][said['$ref'].split('/')[-1]]
        return said

    def hold_to_headers(self, said, answer, where):
        """The headers that the file names are there as it says, and no other of them. The file
        itself is a file, with the ETag of one; what was rejected is gone, and has none."""
        for name in self.doc['components']['headers']:
            value = answer.headers[name]
            if name not in said.get('headers', {}):
                self.assertTrue(value is None or 'openapi.json' in where, where)
            elif value is not None or (name == 'ETag' and not where.endswith('/reject')):
                schema = self.doc['components']['headers'][name]['schema']
                self.validate(schema, value, f'{name} of {where}')

    def refuse_what_was_not_seen(self, method, operation, path, body, words):
        """What takes If-Match refuses one that is not in force, and does nothing."""
        status, _, head = self.send(method, path, body, **{
            **words, 'headers': {**words.get('headers', {}), 'If-Match': '"0123"'}})
        self.assertEqual(status, 412, f'{method} {path}')
        self.hold_to_headers(self.response(operation, 412), head, f'412 of {method} {path}')

    def ask_for_what_is_known(self, method, path, head, words):
        """What takes If-None-Match sends nothing that is known, unless it just changed."""
        headers = {**words.get('headers', {}), 'If-None-Match': head.headers['ETag']}
        status, body, again = self.send(method, path, **{**words, 'headers': headers})
        if again.headers['ETag'] == head.headers['ETag']:
            self.assertEqual((status, body), (304, b''), path)

    def ask_again(self, method, path, body, words, first):
        """The same request under the same Idempotency-Key: the same answer, and no act."""
        status, answer, head = self.send(method, path, body, **words)
        self.assertEqual((status, answer, head.headers['ETag']), first, f'{method} {path} again')
        self.assertEqual(head.headers['Idempotency-Replayed'], 'true', f'{method} {path}')
        status, answer, _ = self.send(method, path + '?other=1', body, **words)
        self.assertEqual((status, json.loads(answer)['error']['name']), (422, 'REUSED'))

    def call(self, method, template, *parts, body=None, status=200, **words):
        """Call an operation, and hold its answer to what the file says of it."""
        operation = self.doc['paths'][template][method.lower()]
        path = template
        for part in parts:
            path = re.sub(r'\{\w+\}', str(part), path, count=1)
        query = words.pop('query', '')
        if isinstance(body, (dict, list)):
            self.validate(operation['requestBody']['content']['application/json']['schema'],
                          body, f'body of {method} {path}')
            body = json.dumps(body).encode()
        if status == 200 and '412' in operation['responses']:
            self.refuse_what_was_not_seen(method, operation, path, body, words)
        once = status == 200 and '422' in operation['responses']
        if once:
            words['headers'] = {**words.get('headers', {}), 'Idempotency-Key': str(uuid.uuid4())}
        got, answer, head = self.send(method, path + query, body, **words)
        self.assertEqual(got, status, f'{method} {path}: {answer[:300]}')
        said = self.response(operation, status)
        self.hold_to_headers(said, head, f'{method} {path}')
        if once:
            self.ask_again(method, path, body, words, (got, answer, head.headers['ETag']))
        if status == 200 and '304' in operation['responses']:
            self.ask_for_what_is_known(method, path, head, words)
        kind = head.headers['Content-Type']
        if 'content' not in said:
            self.assertEqual(answer, b'')
        else:
            self.assertIn(kind, said['content'])
            if kind == 'application/json':
                tree = json.loads(answer)
                self.validate(said['content'][kind]['schema'], tree, f'{method} {path}')
                answer = tree
        if status == 200:
            self.called.add((method, template))
        return answer

    def enrol(self):
        key = os.urandom(32).hex()
        for name, verb in (('new-1', 'accept'), ('new-2', 'reject')):
            token = self.call('POST', '/tokens', body={'labels': ['ring=lab'], 'valid_s': 600})
            claim = self.call('POST', '/claims', key=False,
                              body={'token': token['token'], 'id': name, 'key': key})
            self.call('GET', '/claims')
            self.call('GET', '/devices/{id}', name)
            body = {'fingerprint': claim['fingerprint']} if verb == 'accept' else None
            self.call('POST', f'/devices/{{id}}/{verb}', name, body=body)
        self.call('POST', '/devices', body={'id': 'new-3', 'key': os.urandom(32).hex(),
                                            'labels': []})
        self.call('POST', '/devices', status=409,
                  body={'id': 'new-3', 'key': os.urandom(32).hex(), 'labels': []})
        self.call('GET', '/devices/{id}', 'new-3')

    def quarantine(self):
        agent = self.lab.agents['gw-1']
        for _ in range(3):
            before = self.lab.device('gw-1')['boot']
            agent.stop()
            agent.start()
            self.wait_device('gw-1', 'booted', lambda d, before=before: d['boot'] > before)
        self.wait_device('gw-1', 'set aside', lambda d: d['cohort'] == 'quarantine')
        for path in ('/status', '/devices'):
            self.call('GET', path)
        self.call('POST', '/devices/{id}/release', 'gw-1')

    def fleet(self):
        fleet = self.call('GET', '/fleet')
        del fleet['unassigned']
        for cohort in fleet['cohorts']:
            del cohort['devices']
        fleet['quarantine'] = {'boots': 3}
        self.call('POST', '/plan/fleet', body=fleet)
        self.call('PUT', '/fleet', body=fleet)
        self.call('PUT', '/fleet', status=400, body={**fleet, 'fleet': 'other'})

    def documents(self, release):
        self.call('GET', '/documents/{type}/{key}', 'root', 'current')
        envelope = self.call('GET', '/documents/{type}/{key}', 'catalog', 'current')
        self.call('POST', '/documents', body=envelope)
        self.call('POST', '/documents', body=b'no envelope', status=400)
        listed = self.call('GET', '/releases')['releases']
        digest = next(r['digest'] for r in listed if r['version'] == release['version'])
        self.call('HEAD', '/images/{digest}', release['image'])
        self.call('PUT', '/images/{digest}', release['image'],
                  body=release['path'].read_bytes())
        return digest

    def rollout(self, release, digest):
        begun = self.rollout_file('one', release, ['name: a, cohort: lab, share: 100%'])
        self.lab.cli('apply', begun)
        spec = self.call('GET', '/rollouts/{name}', 'one')['spec']
        self.call('POST', '/plan', body={**spec, 'rollout': 'two'})
        self.lab.cli('approve', 'one')
        self.call('GET', '/approvals/{digest}', digest)
        self.assertIn('approval', self.call('GET', '/rollouts/{name}', 'one'))
        self.call('POST', '/rollouts', body=spec)
        for verb in ('pause', 'resume'):
            self.call('POST', '/rollouts/{name}/{verb}', 'one', verb, body={'reason': 'to see'})
        self.call('GET', '/rollouts')
        self.call('GET', '/status')
        self.lab.cli('approve', 'one', '--add', '--key', self.lab.dir / 'keys/operator-2.key')
        self.lab.wait_state('one', 'completed')
        for path in ('/status', '/devices', '/rollouts'):
            self.call('GET', path)
        self.call('GET', '/rollouts/{name}', 'one')
        self.call('GET', '/devices/{id}', 'gw-1')
        self.call('GET', '/devices/{id}/explain', 'gw-1')
        self.call('POST', '/rollouts/{name}/{verb}', 'one', 'abort', body={}, status=409)

    def session(self):
        _, _, head = self.send('POST', '/session')
        cookie = {'Cookie': head.headers['Set-Cookie'].split(';')[0]}
        self.called.add(('POST', '/session'))
        csrf = self.call('GET', '/session', key=False, headers=cookie)['csrf']
        self.call('DELETE', '/session', key=False, headers={**cookie, 'X-CSRF-Token': csrf})
        self.call('POST', '/session')

    def webhooks(self):
        self.call('GET', '/webhooks')
        sent = self.call('POST', '/webhooks/{name}/test', 'told')['id']
        self.call('POST', '/webhooks/{name}/test', 'nobody', status=404)

        def answer():
            told = self.call('GET', '/webhooks')['webhooks'][0]
            return not told['test']['under_way'] and 'last' in told and told
        told = wait_for('an answer', answer)
        self.assertEqual((told['test']['id'], told['test']['status']), (sent, 200))

    def test_what_comes_is_what_it_says_and_every_route_is_called(self):
        for path in ('/healthz', '/openapi.json'):
            self.call('GET', path, key=False)
        wait_for('it to be ready', lambda: self.send('GET', '/readyz', key=False)[0] == 200)
        self.call('GET', '/readyz', key=False)
        self.enrol()
        self.fleet()
        release = self.publish()
        self.rollout(release, self.documents(release))
        self.quarantine()
        self.session()
        self.webhooks()
        self.call('GET', '/metrics')
        self.call('GET', '/events')
        self.call('GET', '/audit', query='?limit=1000')
        self.call('GET', '/audit/verify')
        self.call('GET', '/devices', query='?limit=1')
        for status, words in ((401, {'key': False}), (404, {})):
            self.call('GET', '/devices/{id}', 'nobody', status=status, **words)
        everything = {(m.upper(), p) for p, o in self.doc['paths'].items() for m in o}
        self.assertEqual(self.called, everything)


if __name__ == '__main__':
    unittest.main()
