"""How the stub service answers HTTP."""

import http.server
import time


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(float(self.headers.get("X-Wait", "0")))
        body = b"ok"
        self.send_response(200)
        self.send_header("X-Bascule-Release", self.server.release)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, listener, release):
        self.release = release
        super().__init__(listener.getsockname(), Answer, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
