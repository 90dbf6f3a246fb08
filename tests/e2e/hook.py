"""A receiver of webhooks: a real HTTP or HTTPS server that answers as a test says, and keeps
what came. And where the README says how to verify, just those lines."""
import base64
import contextlib
import http.server
import json
import os
import pathlib
import re
import ssl
import sys
import threading

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


def new_secret():
    return 'whsec_' + base64.b64encode(os.urandom(32)).decode()


def documented_verify():
    """verify(secret, headers, body) of config/README.md, as it stands there."""
    text = (TOP / 'config/README.md').read_text()
    code = re.search(r'```python\n(.*?def verify\(.*?)```', text, re.S)[1]
    space = {}
    exec(compile(code, 'config/README.md', 'exec'), space)  # pylint: disable=exec-used
    return space['verify']


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A sluiced that was killed is no error of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Receiver:
    """Answers each request with the next of `answers` (the last one again and again): a status,
    or a pair with headers; None: no answer, until release() is called."""

    def __init__(self, *answers, port=0, tls=None, body=b'thank you',
                 host='127.0.0.1'):
        self.answers, self.body = list(answers) or [200], body
        self.got, self.lock, self.gate = [], threading.Lock(), threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                receiver.take(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *_):
                pass

        self.server = Server((host, port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.host, self.port = host, self.server.server_address[1]
        self.scheme = 'https' if tls else 'http'
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def url(self, host=None, path='/hook'):
        return f'{self.scheme}://{host or self.host}:{self.port}{path}'

    def take(self, handler):
        body = handler.rfile.read(int(handler.headers.get('Content-Length', 0)))
        with self.lock:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            status, more = answer if isinstance(answer, tuple) else (answer, {})
            self.got.append({'path': handler.path, 'method': handler.command, 'status': status,
                             'headers': dict(handler.headers), 'body': body})
        if status is None:
            self.gate.wait(60)
            return
        handler.send_response(status)
        for name, value in more.items():
            handler.send_header(name, value)
        handler.send_header('Content-Length', str(len(self.body)))
        handler.end_headers()
        with contextlib.suppress(ConnectionError):  # who has read enough of it
            handler.wfile.write(self.body)

    def set(self, *answers):
        with self.lock:
            self.answers = list(answers)

    def requests(self, *statuses):
        """What came, and was answered so."""
        with self.lock:
            return [r for r in self.got if not statuses or r['status'] in statuses]

    def events(self, *statuses):
        return [json.loads(r['body']) for r in self.requests(*statuses)]

    def types(self, *statuses):
        return [e['type'] for e in self.events(*statuses)]

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
