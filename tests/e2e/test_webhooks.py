#!/usr/bin/env python3
"""Webhooks: signed, in order, at least once, each for itself; through dead receivers, redirects,
wrong certificates, and kill -9 of sluiced."""
import json
import os
import re
import subprocess
import unittest

from common import TOP, FleetTest, wait_for
from lab import free_port
from hook import Receiver, documented_verify, new_secret


class WebhookTest(FleetTest):
    """Each test writes the webhooks of its own, and starts sluiced with them."""
    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: all}\n'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = (cls.lab.dir / 'sluiced.yaml').read_text()
        cls.claims = 0

    def setUp(self):
        """Without webhooks the ledger forgets those of the test before."""
        self.secrets = {}
        self.lab.sluiced.stop()
        (self.lab.dir / 'sluiced.yaml').write_text(self.plain)
        self.lab.start_sluiced()
        self.lab.sluiced.log.write_text('')

    def receiver(self, *answers, **words):
        found = Receiver(*answers, **words)
        self.addCleanup(found.close)
        return found

    def configure(self, **hooks):
        """hooks: name -> dict of its keys; a secret is made for each."""
        lines = 'webhooks:\n'
        for name, keys in hooks.items():
            name = name.replace('_', '-')
            self.set_secret(name, new_secret())
            lines += f'  - name: {name}\n    secret_file: {name}.secret\n'
            lines += ''.join(f'    {k}: {v}\n' for k, v in keys.items())
        (self.lab.dir / 'sluiced.yaml').write_text(self.plain + lines)

    def set_secret(self, name, *secrets):
        path = self.lab.dir / f'{name}.secret'
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w',
                  encoding='ascii') as file:
            file.write('\n'.join(secrets) + '\n')
        self.secrets[name] = secrets

    def start(self, **hooks):
        self.lab.sluiced.stop()
        self.configure(**hooks)
        self.lab.start_sluiced()

    def happen(self, count=1):
        """Something that webhooks are told of by default; gives the names it was about."""
        names = []
        for _ in range(count):
            type(self).claims += 1
            token = self.lab.api('/tokens', 'POST', {'labels': [], 'valid_s': 600})['token']
            names.append(f'new-{self.claims}')
            self.lab.api('/claims', 'POST', {'token': token, 'id': names[-1],
                                             'key': os.urandom(32).hex()})
        return names

    def claimed(self, receiver, *statuses):
        """The devices of the claims that came, in the order they came."""
        return [e['data']['detail']['device'] for e in receiver.events(*statuses)
                if e['type'] == 'device.claim.v1']

    def wait_claims(self, receiver, names, *statuses, seconds=30):
        wait_for(f'{names} to be told', lambda: self.claimed(receiver, *statuses) == names,
                 seconds)

    def log(self):
        return self.lab.sluiced.log.read_text()


class Delivery(WebhookTest):
    def test_events_come_in_order_and_are_signed(self):
        receiver = self.receiver()
        self.start(chat={'url': receiver.url()})
        names = self.happen(5)
        self.wait_claims(receiver, names)
        verify = documented_verify()
        seqs = []
        for request, event in zip(receiver.requests(), receiver.events()):
            verify(self.secrets['chat'][0], request['headers'], request['body'])
            self.assertEqual(request['headers']['Content-Type'], 'application/json')
            self.assertEqual(request['method'], 'POST')
            self.assertRegex(event['timestamp'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
            self.assertEqual(event['data']['fleet'], 'demo')
            seqs.append(event['data']['seq'])
            with self.assertRaises(ValueError):
                verify(self.secrets['chat'][0], request['headers'], request['body'] + b' ')
            with self.assertRaises(ValueError):
                verify(new_secret(), request['headers'], request['body'])
        self.assertEqual(seqs, sorted(set(seqs)))
        ids = [r['headers']['webhook-id'] for r in receiver.requests()]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertIn(f'device {names[0]}: waits to be accepted',
                      [e['data']['text'] for e in receiver.events()])

    def test_a_rollout_is_told_as_it_goes(self):
        chosen, everything = self.receiver(), self.receiver()
        self.start(chosen={'url': chosen.url(), 'events': '[rollout.pause, rollout.abort]'},
                   everything={'url': everything.url(), 'events': '[all]'})
        self.begin('told', self.publish(), ['name: one, cohort: all, share: 100%'],
                   approve=False)
        self.lab.wait_state('told', 'waiting-for-grant')
        self.lab.cli('pause', 'told', '--reason', 'the moon is full')
        self.lab.cli('abort', 'told')
        wait_for('both', lambda: len(chosen.types()) == 2 and
                 'rollout.abort.v1' in everything.types())
        self.assertEqual(chosen.types(), ['rollout.pause.v1', 'rollout.abort.v1'])
        self.assertIn('the moon is full', chosen.events()[0]['data']['text'])
        self.assertLess({'rollout.apply.v1', 'rollout.prepared.v1', 'document.add.v1',
                         'image.add.v1', 'rollout.pause.v1'}, set(everything.types()))

    def test_what_the_core_writes_down_has_a_row(self):
        known = set(re.findall(r'^\t\{ "([a-z.-]+)"',
                    (TOP / 'orchestrator/core/webhook_kinds.c').read_text(), re.M))
        said = set()
        for path in (TOP / 'orchestrator/core').glob('*.c'):
            said |= set(re.findall(r'(?:store_audit|audit|audit_judgement)\(core, [^;]*?'
                                   r'"((?:[a-z]+\.)?[a-z-]+)",', path.read_text()))
        said -= {'core'} | {s for s in said if s in ('order', 'fresh', 'assign')}
        self.assertGreater(len(said), 15)
        self.assertEqual(said - known, set())
        text = (TOP / 'config/README.md').read_text()
        self.assertEqual([k for k in known if f'`{k}`' not in text], [])

    def test_a_new_one_begins_at_now_and_a_known_one_goes_on(self):
        first, second = self.receiver(), self.receiver()
        self.start(first={'url': first.url()})
        before = self.happen()
        self.wait_claims(first, before)
        self.start(first={'url': first.url()}, second={'url': second.url()})
        after = self.happen()
        self.wait_claims(first, before + after)
        self.wait_claims(second, after)
        self.start(first={'url': first.url()})
        third = self.happen()
        self.wait_claims(first, before + after + third)
        self.start(first={'url': first.url()}, second={'url': second.url()})
        fourth = self.happen()
        self.wait_claims(second, after + fourth)

    def test_what_failed_is_tried_again_and_nothing_overtakes_it(self):
        receiver = self.receiver(500, (503, {'Retry-After': '1'}), 404, 200)
        self.start(chat={'url': receiver.url()})
        names = self.happen(3)
        self.wait_claims(receiver, names, 200)
        requests = receiver.requests()
        self.assertEqual([r['status'] for r in requests[:4]], [500, 503, 404, 200])
        self.assertEqual(len({r['headers']['webhook-id'] for r in requests[:4]}), 1)
        self.assertEqual(len({r['body'] for r in requests[:4]}), 1)
        verify = documented_verify()
        for request in requests:
            verify(self.secrets['chat'][0], request['headers'], request['body'])

    def test_a_receiver_that_is_dead_hears_all_once_it_is_back(self):
        port = free_port()
        self.start(chat={'url': f'http://127.0.0.1:{port}/hook'})
        names = self.happen(4)
        wait_for('it to fail', lambda: 'event=webhook.failed webhook=chat' in self.log())
        receiver = self.receiver(port=port)
        self.wait_claims(receiver, names)

    def test_nothing_is_lost_by_kill_9(self):
        receiver = self.receiver(200, 200, 500)
        self.start(chat={'url': receiver.url()})
        names = self.happen(2)
        self.wait_claims(receiver, names, 200)
        names += self.happen(3)
        wait_for('a failure', lambda: receiver.requests(500))
        self.lab.sluiced.kill()
        receiver.set(200)
        self.lab.start_sluiced()
        self.wait_claims(receiver, names, 200)

    def test_what_was_under_way_at_kill_9_comes_again_with_the_same_id(self):
        receiver = self.receiver(None, 200)
        self.start(chat={'url': receiver.url()})
        names = self.happen(2)
        wait_for('one under way', lambda: receiver.requests(None))
        self.lab.sluiced.kill()
        self.lab.start_sluiced()
        self.wait_claims(receiver, names, 200)
        first, again = receiver.requests()[:2]
        self.assertEqual(first['headers']['webhook-id'], again['headers']['webhook-id'])
        self.assertEqual(first['body'], again['body'])

    def test_one_that_never_answers_holds_nobody_up(self):
        silent, quick = self.receiver(None), self.receiver()
        self.start(silent={'url': silent.url(), 'timeout': '60s'}, quick={'url': quick.url()})
        names = self.happen(20)
        self.wait_claims(quick, names)
        wait_for('one to be under way', lambda: len(silent.requests()) == 1)
        self.assertEqual(len(silent.requests()), 1, 'one in flight')
        self.lab.sluiced.stop()  # breaks it off
        self.assertEqual(self.lab.sluiced.child.returncode, 0)

    def test_a_time_out_is_a_failure_that_is_told(self):
        receiver = self.receiver(None, 200)
        self.start(chat={'url': receiver.url(), 'timeout': '1s'})
        names = self.happen()
        self.wait_claims(receiver, names, 200)
        self.assertRegex(self.log(), r'webhook.failed webhook=chat .*status=0 why="[^"]*timed out')

    def test_a_redirect_is_not_followed(self):
        other = self.receiver()
        for status in (301, 302, 307, 308):
            receiver = self.receiver((status, {'Location': other.url()}), 200)
            self.start(**{f'chat_{status}': {'url': receiver.url()}})
            names = self.happen()
            self.wait_claims(receiver, names, 200)
            self.assertEqual(receiver.requests()[0]['status'], status)
        self.assertEqual(other.requests(), [])

    def test_a_long_answer_is_read_no_further(self):
        receiver = self.receiver(body=b'x' * (4 << 20))
        self.start(chat={'url': receiver.url()})
        self.wait_claims(receiver, self.happen(2))

    def test_rotation_signs_with_both(self):
        receiver = self.receiver()
        self.start(chat={'url': receiver.url()})
        self.wait_claims(receiver, names := self.happen())
        old, new = self.secrets['chat'][0], new_secret()
        verify = documented_verify()
        self.set_secret('chat', new, old)  # sluiced goes on meanwhile
        names += self.happen()
        self.wait_claims(receiver, names)
        both = receiver.requests()[-1]
        for secret in (old, new):
            verify(secret, both['headers'], both['body'])
        self.set_secret('chat', new)
        names += self.happen()
        self.wait_claims(receiver, names)
        alone = receiver.requests()[-1]
        verify(new, alone['headers'], alone['body'])
        with self.assertRaises(ValueError):
            verify(old, alone['headers'], alone['body'])

    def test_a_secret_that_went_bad_stops_it_and_says_so(self):
        receiver = self.receiver()
        self.start(chat={'url': receiver.url()})
        (self.lab.dir / 'chat.secret').chmod(0o644)
        names = self.happen()
        wait_for('it to be said', lambda: re.search(
            r'webhook.failed webhook=chat .*why="[^"]*chmod 600', self.log()))
        self.assertEqual(receiver.requests(), [])
        (self.lab.dir / 'chat.secret').chmod(0o600)
        self.wait_claims(receiver, names)

    def test_gone_ends_it_and_is_in_the_audit_log(self):
        receiver, other = self.receiver(410), self.receiver()
        self.start(chat={'url': receiver.url()}, other={'url': other.url()})
        names = self.happen(3)
        wait_for('it to be disabled', lambda: 'webhook.disabled.v1' in other.types())
        self.lab.sluiced.kill()
        self.lab.start_sluiced()
        names += self.happen()
        self.wait_claims(other, names)
        self.assertEqual(len(receiver.requests()), 1, 'also after a restart')
        entries = self.lab.api('/audit?limit=1000')['entries']
        said = [e for e in entries if e['action'] == 'webhook.disabled']
        self.assertEqual((said[-1]['who'], said[-1]['detail']['webhook']),
                         ('webhook:chat', 'chat'))
        self.assertTrue(self.lab.api('/audit/verify')['ok'])

    def test_what_is_too_old_is_given_up_and_what_is_new_is_told(self):
        receiver, other = self.receiver(500), self.receiver()
        self.start(chat={'url': receiver.url(), 'keep': '1s'}, other={'url': other.url()})
        names = self.happen(2)
        wait_for('them to be given up', lambda: 'webhook.gave-up.v1' in other.types())
        wait_for('all of them', lambda: sum(int(re.match(
            r'(\d+) events', e['data']['detail']['text'])[1]) for e in other.events()
            if e['type'] == 'webhook.gave-up.v1') == 2)
        receiver.set(200)
        more = self.happen()
        self.wait_claims(other, names + more)
        self.wait_claims(receiver, more, 200)


class Shown(WebhookTest):
    """What the API and the metrics say of webhooks."""

    def look(self, name):
        return next(w for w in self.lab.api('/webhooks')['webhooks'] if w['name'] == name)

    def metrics(self, name):
        """The numbers of a webhook, by what stands between sluice_webhook_ and the labels."""
        text = subprocess.run(
            ['curl', '-s', '--noproxy', '*', f'http://{self.lab.address}/metrics', '-H',
             'Authorization: Bearer ' + (self.lab.dir / 'api.key').read_text().strip()],
            capture_output=True, text=True, check=True).stdout
        done = subprocess.run(['promtool', 'check', 'metrics'], input=text, text=True,
                              capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ''))
        return {k: int(v) for k, v in re.findall(
            rf'^sluice_webhook_(\w+){{webhook="{name}"}} (\d+)$', text, re.M)}

    def test_one_that_is_well(self):
        receiver = self.receiver()
        self.start(well={'url': receiver.url(path='/secret?token=1'), 'events': '[enrolment]'})
        names = self.happen(3)  # a token and a claim each
        self.wait_claims(receiver, names)
        found = wait_for('all to be taken', lambda: (w := self.look('well'))['delivered'] == 6 and
                         w['state'] == 'idle' and w)
        self.assertEqual((found['waiting'], found['oldest_s'], found['failed'], found['tries'],
                          found['disabled_s'], found['given_up']), (0, 0, 0, 0, 0, 0))
        self.assertEqual(found['url'], receiver.url(path=''))
        self.assertEqual(sorted(found['events']), ['device.accept', 'device.add', 'device.claim',
                                                   'device.reject', 'token.add'])
        self.assertEqual((found['last']['status'], found['last']['text']), (200, 'thank you'))
        whole = json.dumps(self.lab.api('/webhooks'))
        self.assertNotIn(self.secrets['well'][0], whole)
        self.assertNotIn('token=1', whole)
        self.assertEqual(self.metrics('well'), {
            'delivered_total': 6, 'failures_total': 0, 'given_up_total': 0, 'waiting': 0,
            'oldest_seconds': 0, 'disabled': 0})

    def test_one_that_fails(self):
        receiver = self.receiver(503, body=b'down for "lunch"\n')
        self.start(ill={'url': receiver.url()})
        self.happen(4)
        found = wait_for('two failures', lambda: (w := self.look('ill'))['tries'] >= 2 and
                         w['state'] == 'waiting' and w)
        self.assertEqual((found['waiting'], found['delivered']), (4, 0))
        self.assertGreaterEqual(found['failed'], 2)
        self.assertGreater(found['retry_s'], 0)
        self.assertGreater(found['oldest_s'], 0)
        self.assertGreaterEqual(found['failing_s'], found['oldest_s'])
        self.assertEqual((found['last']['status'], found['last']['text']),
                         (503, 'down for "lunch"\\x0a'))
        numbers = wait_for('it to be a second old', lambda: (n := self.metrics('ill'))[
            'oldest_seconds'] > 0 and n)
        self.assertEqual((numbers['waiting'], numbers['delivered_total']), (4, 0))
        self.assertGreaterEqual(numbers['failures_total'], 2)
        self.lab.sluiced.kill()
        self.lab.start_sluiced()
        self.assertGreaterEqual(self.look('ill')['tries'], 2, 'kept over a restart')
        wait_for('them to be counted', lambda: self.look('ill')['waiting'] == 4)

    def test_a_test_goes_past_what_waits_and_ends_the_wait(self):
        receiver = self.receiver((503, {'Retry-After': '3600'}), 200)
        self.start(slow={'url': receiver.url()})
        names = self.happen()
        wait_for('a long wait', lambda: self.look('slow')['retry_s'] > 3000)
        sent = self.lab.api('/webhooks/slow/test', 'POST')['id']
        found = wait_for('its answer', lambda: not (w := self.look('slow'))['test']['under_way']
                         and w)
        self.assertEqual((found['test']['id'], found['test']['status']), (sent, 200))
        self.wait_claims(receiver, names, 200)
        tested = receiver.requests()[1]
        self.assertEqual(tested['headers']['webhook-id'], sent)
        self.assertEqual(json.loads(tested['body'])['type'], 'webhook.test.v1')
        documented_verify()(self.secrets['slow'][0], tested['headers'], tested['body'])

    def test_a_test_that_is_accepted_enables_what_was_gone(self):
        receiver = self.receiver(410)
        self.start(gone={'url': receiver.url()})
        names = self.happen(2)
        wait_for('it to be disabled', lambda: self.look('gone')['state'] == 'disabled')
        self.assertEqual(self.metrics('gone')['disabled'], 1)
        self.lab.api('/webhooks/gone/test', 'POST')
        found = wait_for('an answer', lambda: not (w := self.look('gone'))['test']['under_way']
                         and w)
        self.assertEqual((found['test']['status'], found['state']), (410, 'disabled'))
        receiver.set(200)
        self.lab.api('/webhooks/gone/test', 'POST')
        self.wait_claims(receiver, names, 200)
        self.assertEqual(self.look('gone')['disabled_s'], 0)
        actions = [e['action'] for e in self.lab.api('/audit?limit=1000')['entries']]
        self.assertIn('webhook.enabled', actions)


class Cli(WebhookTest):
    """sluice webhook list, sluice webhook test."""

    def sluice(self, *words):
        """Status and what people read."""
        done = subprocess.run([self.lab.programs['sluice'], *words, f'--dir={self.lab.dir}',
                               f'--server=http://{self.lab.address}'], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_without_webhooks_there_is_nothing(self):
        self.assertEqual(self.sluice('webhook', 'list'),
                         (2, 'There are no webhooks; sluiced.yaml names them.\n'))
        status, text = self.sluice('webhook', 'test', 'chat')
        self.assertEqual(status, 2)
        self.assertIn("no webhook 'chat'", text)

    def test_each_has_a_line(self):
        good, bad = self.receiver(), self.receiver((500, {'Retry-After': '600'}), body=b'oh')
        self.start(good={'url': good.url()}, bad={'url': bad.url()})
        names = self.happen(2)
        self.wait_claims(good, names)
        wait_for('a failure', lambda: bad.requests(500))

        def lines():
            status, text = self.sluice('webhook', 'list')
            self.assertEqual(status, 0)
            found = [line.split(maxsplit=6) for line in text.splitlines()]
            return found if len(found[-1]) == 7 and found[1][3] == '2' else None
        found = wait_for('both to be shown', lines)
        self.assertEqual(found[1:], [['good', 'idle', '0', '2', '0', '0', '200 thank you'],
                                     ['bad', 'waiting', '2', '0', '1', '0', '500 oh']])
        self.assertEqual(self.lab.cli('webhook', 'list')['webhooks'][0]['name'], 'good')

    def test_a_test_prints_the_answer(self):
        receiver = self.receiver(204, (404, {}), body=b'')
        self.start(chat={'url': receiver.url()},
                   dead={'url': f'http://127.0.0.1:{free_port()}/'})
        status, text = self.sluice('webhook', 'test', 'chat')
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r'^chat answered 204 in \d+ ms\n$')
        status, text = self.sluice('webhook', 'test', 'chat')
        self.assertEqual(status, 1)
        self.assertIn('chat answered 404', text)
        status, text = self.sluice('webhook', 'test', 'dead')
        self.assertEqual(status, 1)
        self.assertRegex(text, r'^dead was not reached: .*connect')
        told = self.lab.cli('webhook', 'test', 'chat', check=False)
        self.assertEqual(json.loads(told.stdout)['status'], 404)

    def test_names_are_completed(self):
        self.start(pager={'url': 'https://localhost:9/'}, chat={'url': 'https://localhost:9/'})
        done = subprocess.run(
            [self.lab.programs['sluice'], '__complete', f'--dir={self.lab.dir}',
             f'--server=http://{self.lab.address}', 'webhook', 'test', 'p'],
            capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, 'pager\n')


class Tls(WebhookTest):
    """Over HTTPS, with the certificate of the broker, which is for localhost and 127.0.0.1."""

    def receiver(self, *answers, **words):
        certs = self.lab.dir / 'broker/certs'
        return super().receiver(*answers, tls=(certs / 'server.pem', certs / 'server.key'),
                                **words)

    def test_a_certificate_of_the_ca_is_good(self):
        receiver = self.receiver()
        self.start(good={'url': receiver.url('localhost'), 'ca_file': 'certs/ca.pem'})
        self.wait_claims(receiver, self.happen(2))

    def test_another_certificate_is_refused_and_nothing_is_told(self):
        ours, foreign = self.receiver(), self.receiver(host='127.0.0.2')
        self.start(foreign_ca={'url': ours.url('localhost')},
                   foreign_name={'url': foreign.url(), 'ca_file': 'certs/ca.pem'})
        self.happen()
        for name, why in (('foreign-ca', 'certificate'), ('foreign-name', 'subject name matches')):
            wait_for(f'{name} to fail', lambda n=name, w=why: re.search(
                rf'webhook.failed webhook={n} .*status=0 why="[^"]*{w}', self.log()))
        self.assertEqual(ours.requests() + foreign.requests(), [])


class Config(WebhookTest):
    """What sluiced says of a file: where, what, and what to do."""

    def said(self, **keys):
        self.configure(**{'chat': {'url': 'https://example.org/', **keys}})
        done = subprocess.run([self.lab.programs['sluiced'], 'check', '-c',
                               self.lab.dir / 'sluiced.yaml'], capture_output=True, text=True,
                              check=False)
        return done.returncode, done.stderr

    def test_each_mistake_is_told_where_it_stands(self):
        for keys, line, told in (
                ({'url': 'http://example.org/'}, 4, 'insecure_plain_http: true'),
                ({'url': 'https://me:word@example.org/'}, 4, 'names a user'),
                ({'url': 'ftp://example.org/'}, 4, 'must begin with https://'),
                ({'url': "'https://exa mple.org/'"}, 4, 'a blank'),
                ({'url': "'https://example.org/#a'"}, 4, 'fragment'),
                ({'url': 'https://'}, 4, 'is no URL'),
                ({'events': '[rolouts]'}, 5, "did you mean 'rollouts'"),
                ({'events': 'rollouts'}, 5, 'must be a list'),
                ({'events': '[]'}, 5, 'must be a list'),
                ({'timeout': '0s'}, 5, 'must be 1s to 60s'),
                ({'timeout': '2m'}, 5, 'timeout'),
                ({'keep': '0s'}, 5, 'must be 1s to 30d'),
                ({'ca_file': 'nothing.pem'}, 5, 'cannot be read'),
                ({'event': '[all]'}, 5, "did you mean 'events'")):
            status, text = self.said(**keys)
            at = self.plain.count('\n') + line
            self.assertEqual(status, 1, keys)
            self.assertRegex(text, rf'sluiced.yaml:{at}:\d+: error: .*{re.escape(told)}')

    def test_a_secret_that_is_not_good_is_told_where_it_is_named(self):
        self.configure(chat={'url': 'https://example.org/'})
        at = self.plain.count('\n') + 3
        for secret, mode, told in (('short', 0o600, 'not whsec_BASE64'),
                                   ('whsec_AQE=', 0o600, 'a secret of 2 bytes'),
                                   (new_secret(), 0o640, 'chmod 600')):
            self.set_secret('chat', secret)
            (self.lab.dir / 'chat.secret').chmod(mode)
            done = subprocess.run([self.lab.programs['sluiced'], 'check', '-c',
                                   self.lab.dir / 'sluiced.yaml'], capture_output=True,
                                  text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, rf'sluiced.yaml:{at}:\d+: error: .*{told}')
            self.assertNotIn(secret, done.stderr)
            (self.lab.dir / 'chat.secret').unlink()

    def test_what_is_good_is_taken(self):
        for keys in ({}, {'url': 'http://localhost:80/a'}, {'url': 'http://127.0.0.1/a'},
                     {'url': "'http://[::1]:8/a'"}, {'events': '[default, device.confirmed]'},
                     {'url': 'http://example.org/', 'insecure_plain_http': 'true'}):
            self.assertEqual(self.said(**keys), (0, ''), keys)

    def test_two_of_one_name_are_refused(self):
        self.configure(chat={'url': 'https://example.org/'})
        path = self.lab.dir / 'sluiced.yaml'
        path.write_text(path.read_text() + '  - name: chat\n    secret_file: chat.secret\n'
                        '    url: https://example.org/\n')
        done = subprocess.run([self.lab.programs['sluiced'], 'check', '-c', path],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is another webhook 'chat'", done.stderr)


if __name__ == '__main__':
    unittest.main()
