"""What a guest on the bridge reaches: run in a network namespace of its own, prints JSON."""

import json
import socket
import sys

HOST, OUTSIDE = sys.argv[1:]


def tcp(address, port):
    with socket.socket() as sock:
        sock.settimeout(2)
        return sock.connect_ex((address, port)) == 0


def udp(address, port, data):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.sendto(data, (address, port))
        try:
            return sock.recv(512)
        except OSError:
            return b""


QUERY = b"\0\1\1\0\0\1\0\0\0\0\0\0\7example\3org\0\0\1\0\1"
dns = udp(HOST, 53, QUERY)
print(
    json.dumps(
        {
            "ssh of the host": tcp(HOST, 22),
            "ssh of the host by its other address": tcp(OUTSIDE.rsplit(".", 1)[0] + ".2", 22),
            "tftp of somebody else": bool(udp(HOST, 69, b"x")),
            "outside": tcp(OUTSIDE, 8073),
            "names": dns[3] & 15 if dns else None,
        }
    )
)
