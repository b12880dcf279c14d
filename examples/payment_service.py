"""A payment service to call with call_in_doubt: charges, and tells what became of a call.

    python3 examples/payment_service.py [PORT]

A call is named by its `Once-Token`, the fencing token that Once gives to each attempt.

    POST /charges         charges; 201 and a receipt. 410 when the call was closed before
    DELETE /calls/TOKEN   closes the call: 200 and its receipt when it has charged; 204 when it has
                          not, and from then on it never will, however late it comes
"""

import http.server
import sys
import threading


class Service(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port=0, before_charging=None, before_answering=None):
        super().__init__(("127.0.0.1", port), Handler)
        self.url = "http://127.0.0.1:%d" % self.server_port
        self.lock = threading.Lock()
        self.receipts = {}  # by token; None: closed before it charged
        self.charged = []  # what was charged, in order
        # Called for each charge, while nothing is locked; for tests.
        self.before_charging = before_charging or (lambda: None)
        self.before_answering = before_answering or (lambda: None)

    def charge(self, token, what):
        """The receipt, or None when the call was closed."""
        with self.lock:
            if token not in self.receipts:
                self.charged.append(what)
                self.receipts[token] = "receipt-%d for %s" % (len(self.charged), what)
            return self.receipts[token]

    def close_call(self, token):
        with self.lock:
            return self.receipts.setdefault(token, None)

    def handle_error(self, request, client_address):
        """A client that has gone is none of ours."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        what = self.rfile.read(length)
        if len(what) < length:
            return  # the caller died while it spoke
        self.server.before_charging()
        receipt = self.server.charge(self.headers["Once-Token"], what.decode())
        self.server.before_answering()
        self.reply(201 if receipt else 410, receipt or "this call was closed")

    def do_DELETE(self):
        receipt = self.server.close_call(self.path.rsplit("/", 1)[1])
        self.reply(200 if receipt else 204, receipt or "")

    def reply(self, status, text):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    with Service(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as service:
        print("listening at", service.url, flush=True)
        try:
            service.serve_forever()
        except KeyboardInterrupt:
            pass
