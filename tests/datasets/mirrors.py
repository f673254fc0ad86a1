"""Servers of files for the tests of downloads: good ones and bad ones, on this machine."""

import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def endless(send):
    send(b"HTTP/1.0 200 OK\r\n\r\n")
    while True:
        send(bytes(2**16))


def drip(send):
    send(b"HTTP/1.0 200 OK\r\n\r\n")
    drip_of_heads(send)


def drip_of_heads(send):
    for byte in b"HTTP/1.0 200 OK\r\nX-Nothing: " + bytes([42]) * 10**4:
        send(bytes([byte]))
        time.sleep(0.01)


def late(send):
    """It begins after the second that the tests give it."""
    time.sleep(1.5)
    send(b"HTTP/1.0 200 OK\r\n\r\n")
    endless(send)


def missing(send):
    send(b"HTTP/1.0 404 Not Found\r\n\r\n")


def stalls(send):
    """It says how much is to come, sends a little, and nothing more."""
    send(b"HTTP/1.0 200 OK\r\nContent-Length: 8000\r\n\r\nofficial")
    time.sleep(3)


def resets(send):
    """The connection is reset amid the file."""
    send(b"HTTP/1.0 200 OK\r\nContent-Length: 8000\r\n\r\n" + b"official" * 9)
    raise ConnectionResetError


def lies(said, content):
    """It says another length than that of its content."""
    return lambda send: send(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (said, content))


def redirects(place):
    return lambda send: send(b"HTTP/1.0 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % place.encode())


def later(times, then):
    """It is overloaded so many times, and then gives the answer."""
    left = [b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"] * times
    return lambda send: send(left.pop() if left else b"HTTP/1.0 200 OK\r\n\r\n" + then)


@contextmanager
def serving(**answers):
    """Yields the address, which serves each answer by its name, and the list of what was asked for.

    An answer is the content of a file, or a function that is given what sends bytes.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.split("/")[1]
            asked.append(name)
            answer = answers[name]
            with suppress(OSError):  # who asked has gone
                if callable(answer):
                    try:
                        answer(self.wfile.write)
                    except ConnectionResetError:
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        self.connection.close()
                else:
                    self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
