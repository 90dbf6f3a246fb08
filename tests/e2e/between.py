"""Between the CLI and sluiced: an HTTP proxy that remembers what passes, and can fail."""
import contextlib
import http.client
import http.server
import socket
import threading
import time


class Between:
    """Forwards to whatever address says now. faults are used up one by one, each by a request:
    a status to answer with, (status, seconds of Retry-After), 'break' to close the line without
    an answer, or 'lose' to let it be done and then close the line."""

    def __init__(self, address):
        self.of, self.faults, self.requests = address, [], []
        self.only = None  # the method whose requests use the faults up; None: any
        between = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def handle_one(self):
                between.handle(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one

            def log_message(self, *args):
                """Nobody wants to read it."""

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self):
        """What passed since it was last asked."""
        taken, self.requests = self.requests, []
        return taken

    def handle(self, handler):
        body = handler.rfile.read(int(handler.headers['Content-Length'] or 0))
        fits = self.only in (None, handler.command)
        fault = self.faults.pop(0) if self.faults and fits else None
        self.requests.append({'method': handler.command, 'path': handler.path, 'body': body,
                              'key': handler.headers['Idempotency-Key'], 'fault': fault,
                              'at': time.monotonic()})
        if fault is not None and fault != 'lose':
            self.fail(handler, fault)
            return
        with contextlib.closing(http.client.HTTPConnection(self.of(), timeout=60)) as line:
            headers = {k: v for k, v in handler.headers.items() if k != 'Host'}
            line.request(handler.command, handler.path, body or None, headers)
            answer = line.getresponse()
            text = answer.read()
        self.requests[-1]['status'] = answer.status
        if fault == 'lose':
            self.fail(handler, 'break')
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            if name not in ('Content-Length', 'Connection', 'Date'):
                handler.send_header(name, value)
        handler.send_header('Content-Length', str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    @staticmethod
    def fail(handler, fault):
        handler.close_connection = True
        if fault == 'break':
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        status, after = fault if isinstance(fault, tuple) else (fault, None)
        handler.send_response(status)
        if after is not None:
            handler.send_header('Retry-After', str(after))
        handler.send_header('Content-Length', '0')
        handler.end_headers()
