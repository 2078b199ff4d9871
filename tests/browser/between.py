"""Stands between a browser and a node: the first page is one that was kept, what follows comes from the node, or nothing does.

    between.py KEPT NODE      NODE is the node's address, or "away"

KEPT is a page with its head, as `curl -i` writes it. The first line on standard output is the address to ask.
"""

import http.client
import http.server
import sys

kept_head, kept_body = open(sys.argv[1], "rb").read().split(b"\r\n\r\n", 1)
node = sys.argv[2]
headers = [line.decode().split(": ", 1) for line in kept_head.split(b"\r\n")[1:]]
first = True


class Between(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global first
        if first:
            first = False
            status, told, body = 200, headers, kept_body
        elif node == "away":
            self.close_connection = True
            return
        else:
            connection = http.client.HTTPConnection(node)
            connection.request("GET", self.path)
            answer = connection.getresponse()
            status, told, body = answer.status, answer.getheaders(), answer.read()
            connection.close()
        self.send_response_only(status)
        for name, value in told:
            if name.lower() != "connection":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between)
print("127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
