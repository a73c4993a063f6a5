"""Counts what is on the menu."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import events


class Menu(BaseHTTPRequestHandler):
    def do_GET(self):
        with open("menu.yaml", encoding="utf-8") as menu:
            answer = f"{events.scalars(menu.read())} scalars\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


ThreadingHTTPServer(("", 8000), Menu).serve_forever()
