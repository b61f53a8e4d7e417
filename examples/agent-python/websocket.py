"""As much of RFC 6455 as a client needs, with nothing but Python's own library."""

import base64
import hashlib
import json
import os
import select
import socket
import struct
from urllib.parse import urlparse

# What RFC 6455 adds to the key of a handshake.
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Closed with one of these, the other end did not like what we said.
VIOLATIONS = (1002, 1003, 1007, 1008, 1009)


class Gone(Exception):
    """The connection is over. `wait_s` is how long the server wants us to stay away; None for good."""

    def __init__(self, why, wait_s=0.0):
        super().__init__(why)
        self.wait_s = wait_s


class WebSocket:
    """As much of RFC 6455 as a client needs."""

    def __init__(self, url, subprotocol):
        parts = urlparse(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        request = [f"GET {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket",
                   "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
                   f"Sec-WebSocket-Protocol: {subprotocol}", "", ""]
        self.socket.sendall("\r\n".join(request).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.read_some()
        head, self.buffer = head.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest())
        if b" 101 " not in head.split(b"\r\n")[0] or accept not in head:
            raise Gone("refused: " + (head + b" " + self.buffer).decode(errors="replace")[:300])
        self.text = b""

    def read_some(self):
        data = self.socket.recv(65536)
        if not data:
            raise Gone("connection lost")
        return data

    def frame(self, opcode, payload):
        mask = os.urandom(4)
        head = struct.pack("!B", 0x80 | opcode)
        if len(payload) < 126:
            head += struct.pack("!B", 0x80 | len(payload))
        elif len(payload) < 65536:
            head += struct.pack("!BH", 0x80 | 126, len(payload))
        else:
            head += struct.pack("!BQ", 0x80 | 127, len(payload))
        key = mask * (len(payload) // 4 + 1)
        self.socket.sendall(head + mask + bytes(a ^ b for a, b in zip(payload, key)))

    def send(self, message):
        self.frame(1, json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())

    def receive(self, timeout_s):
        """The next message; None when nothing came in time, "" for a sign of life that is no message."""
        while (found := self.take()) is None:
            if not select.select([self.socket], [], [], max(0.0, timeout_s))[0]:
                return None
            self.buffer += self.read_some()
        return found

    def take(self):
        if len(self.buffer) < 2:
            return None
        opcode, length, at = self.buffer[0], self.buffer[1] & 0x7F, 2
        if length > 125:
            at = 4 if length == 126 else 10
            if len(self.buffer) < at:
                return None
            length = int.from_bytes(self.buffer[2:at], "big")
        if len(self.buffer) < at + length:
            return None
        payload, self.buffer = self.buffer[at:at + length], self.buffer[at + length:]
        if opcode & 0x0F == 8:
            code = int.from_bytes(payload[:2], "big")
            self.frame(8, payload[:2])
            # After a violation the document asks for 30 s at the earliest.
            wait_s = 30.0 if code in VIOLATIONS else 0.0
            raise Gone(f"closed with {code}: {payload[2:].decode(errors='replace')}", wait_s)
        if opcode & 0x0F == 9:
            self.frame(10, payload)
        if opcode & 0x0F > 7:
            return ""
        self.text += payload
        if not opcode & 0x80:
            return ""
        text, self.text = self.text, b""
        return json.loads(text)

    def close(self):
        try:
            self.frame(8, struct.pack("!H", 1000))
        except OSError:
            pass
        self.socket.close()
