#!/usr/bin/env python3
"""The dashboard as HTTP: files for anybody, a session instead of a key, and who may use it.
What a browser makes of it is tests/browser's."""
import gzip
import http.client
import json
import pathlib
import re
import unittest

from common import TOP, FleetTest, wait_for

WEB = TOP / 'orchestrator/web'
SESSION = '/api/v1/session'


class Dashboard(FleetTest):
    def ask(self, path, method='GET', body=None, **headers):
        """One request as a browser sends it; gives status, headers and octets."""
        link = http.client.HTTPConnection(self.lab.address, timeout=30)
        try:
            link.request(method, path, body, {k.replace('_', '-'): v for k, v in headers.items()})
            answer = link.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            link.close()

    def key(self, name='api.key'):
        return (self.lab.dir / name).read_text().strip()

    def sign_in(self, key=None):
        """What a browser holds once it is signed in: cookie and second token."""
        status, headers, body = self.ask(SESSION, 'POST',
                                         Authorization=f'Bearer {key or self.key()}')
        self.assertEqual(status, 200, body)
        cookie = headers['Set-Cookie'].split(';')[0]
        return {'Cookie': cookie}, json.loads(body)

    # ---- files ---------------------------------------------------------------------------

    def test_the_files_are_for_anybody_and_say_what_may_run(self):
        status, headers, body = self.ask('/', Accept_Encoding='gzip')
        self.assertEqual(status, 200)
        self.assertEqual(headers['Content-Encoding'], 'gzip')
        self.assertEqual(headers['Content-Type'], 'text/html; charset=utf-8')
        self.assertEqual(gzip.decompress(body), (WEB / 'index.html').read_bytes())
        policy = dict(p.strip().partition(' ')[::2]
                      for p in headers['Content-Security-Policy'].split(';'))
        self.assertEqual(policy['default-src'], "'none'")
        self.assertEqual(policy['script-src'], "'self'")
        self.assertEqual(policy['style-src'], "'self'")
        self.assertEqual(policy['frame-ancestors'], "'none'")
        self.assertNotIn('unsafe', headers['Content-Security-Policy'])
        self.assertEqual(headers['X-Content-Type-Options'], 'nosniff')
        self.assertEqual(headers['Referrer-Policy'], 'no-referrer')

    def test_every_file_is_what_lies_in_the_source(self):
        for path in re.findall(r'/assets/[\w.]+', (WEB / 'index.html').read_text()):
            status, headers, body = self.ask(path)
            self.assertEqual(status, 200, path)
            self.assertIsNone(headers['Content-Encoding'])
            self.assertEqual(body, (WEB / pathlib.PurePath(path).name).read_bytes(), path)

    def test_a_file_that_is_known_is_not_sent_again(self):
        _, headers, _ = self.ask('/assets/app.js')
        status, again, body = self.ask('/assets/app.js', If_None_Match=headers['ETag'])
        self.assertEqual((status, body), (304, b''))
        self.assertEqual(again['ETag'], headers['ETag'])
        status, _, body = self.ask('/assets/app.js', 'HEAD')
        self.assertEqual((status, body), (200, b''))

    def test_nothing_else_is_for_anybody(self):
        for path, method in (('/assets/no.js', 'GET'), ('/index.html', 'GET'), ('/', 'POST'),
                             ('/assets/../api/v1/status', 'GET'), (SESSION, 'GET'),
                             (SESSION, 'POST'), (SESSION, 'DELETE'), ('/api/v1/status', 'GET')):
            self.assertEqual(self.ask(path, method)[0], 401, (method, path))

    # ---- sessions ------------------------------------------------------------------------

    def test_a_session_does_what_its_key_may(self):
        cookie, session = self.sign_in()
        self.assertEqual((session['id'], session['scope']), ('admin', 'admin'))
        self.assertEqual(self.ask('/api/v1/status', **cookie)[0], 200)
        status, headers, body = self.ask(SESSION, **cookie)
        self.assertEqual((status, json.loads(body)['csrf']), (200, session['csrf']))
        self.assertIsNone(headers['Set-Cookie'])

    def test_the_cookie_is_for_this_host_and_no_script(self):
        _, headers, _ = self.ask(SESSION, 'POST', Authorization=f'Bearer {self.key()}')
        name, *words = headers['Set-Cookie'].split('; ')
        self.assertRegex(name, r'^__Host-sluice=[\w-]{43}$')
        self.assertEqual(sorted(words), ['HttpOnly', 'Max-Age=43200', 'Path=/',
                                         'SameSite=Strict', 'Secure'])

    def test_what_changes_anything_needs_the_second_token(self):
        cookie, session = self.sign_in()
        ask = lambda **more: self.ask('/api/v1/plan/fleet', 'POST', '{}', **cookie, **more)[0]
        self.assertEqual(ask(), 403)
        self.assertEqual(ask(X_CSRF_Token='x' * 43), 403)
        _, other = self.sign_in()
        self.assertEqual(ask(X_CSRF_Token=other['csrf']), 403)
        self.assertEqual(ask(X_CSRF_Token=session['csrf']), 400)  # taken, and {} is no fleet

    def test_a_page_of_another_site_gets_nothing(self):
        cookie, session = self.sign_in()
        csrf = {'X_CSRF_Token': session['csrf']}
        for site in ('cross-site', 'same-site'):
            self.assertEqual(self.ask('/api/v1/status', Sec_Fetch_Site=site, **cookie)[0], 403)
        ask = lambda **more: self.ask('/api/v1/plan/fleet', 'POST', '{}', **cookie, **csrf,
                                      **more)[0]
        self.assertEqual(ask(Sec_Fetch_Site='none'), 403)
        self.assertEqual(ask(Origin='https://evil.example'), 403)
        self.assertEqual(ask(Origin='null'), 403)
        self.assertEqual(ask(Origin=f'http://{self.lab.address}',
                             Sec_Fetch_Site='same-origin'), 400)

    def test_signing_out_ends_it(self):
        cookie, session = self.sign_in()
        self.assertEqual(self.ask(SESSION, 'DELETE', **cookie)[0], 403)
        status, headers, _ = self.ask(SESSION, 'DELETE', X_CSRF_Token=session['csrf'], **cookie)
        self.assertEqual(status, 200)
        self.assertIn('__Host-sluice=;', headers['Set-Cookie'])
        self.assertIn('Max-Age=0', headers['Set-Cookie'])
        self.assertEqual(self.ask('/api/v1/status', **cookie)[0], 401)

    def test_a_session_makes_no_session(self):
        cookie, session = self.sign_in()
        status, headers, _ = self.ask(SESSION, 'POST', X_CSRF_Token=session['csrf'], **cookie)
        self.assertEqual((status, headers['Set-Cookie']), (403, None))

    def test_a_key_that_is_taken_out_ends_its_sessions(self):
        keys = self.lab.dir / 'api-keys'
        text = keys.read_text()
        self.lab.cli('key', 'api', 'visitor', '--scope', 'read')
        cookie, session = self.sign_in(self.key('visitor.api.key'))
        self.assertEqual(session['scope'], 'read')
        self.assertEqual(self.ask('/api/v1/status', **cookie)[0], 200)
        csrf = {'X_CSRF_Token': session['csrf']}
        self.assertEqual(self.ask('/api/v1/rollouts/x/pause', 'POST', '{"reason":"x"}',
                                  **cookie, **csrf)[0], 403)
        keys.write_text(text)
        wait_for('the session to end', lambda: self.ask('/api/v1/status', **cookie)[0] == 401, 1)

    def test_z_guesses_are_kept_slow(self):
        seen = {self.ask(SESSION, 'POST', Authorization='Bearer sluice_admin_' + 'x' * 43)[0]
                for _ in range(60)}
        self.assertEqual(seen, {401, 429})
        self.sign_in()  # who has a key is let in all the same


if __name__ == '__main__':
    unittest.main()
