#!/usr/bin/env python3
"""Makes vectors.json, the test vectors of docs/wire.md, from the specification
alone: none of Dialtone's code takes part. It needs Python's standard library
and the command lines of argon2 (Debian: argon2) and OpenSSL.

    python3 vectors.py > vectors.json
"""
import hashlib, hmac, json, socket, struct, subprocess, zlib

COOKIE = 0x2112A442


def stretch(text):
    cmd = ["argon2", "dialtone/1", "-id", "-t", "1", "-k", "19456", "-p", "1", "-l", "32", "-r"]
    return bytes.fromhex(subprocess.run(cmd, input=text.encode(), capture_output=True, check=True).stdout.decode())


def keystream(key, probe, side, n):
    k = hmac.new(key, b"dialtone/1 payload" + probe + side, hashlib.sha256).digest()
    cmd = ["openssl", "enc", "-aes-256-ctr", "-K", k.hex(), "-iv", "00" * 16, "-nopad"]
    return subprocess.run(cmd, input=bytes(n), capture_output=True, check=True).stdout


def attr(number, value):
    return struct.pack(">HH", number, len(value)) + value + bytes(-len(value) % 4)


def message(kind, transaction, attributes, key=None):
    """Seals with MESSAGE-INTEGRITY if there is a key, and with FINGERPRINT."""
    head = lambda n: struct.pack(">HHI", kind, n, COOKIE) + transaction
    if key is not None:
        covered = head(len(attributes) + 24) + attributes
        attributes += attr(0x0008, hmac.new(key, covered, hashlib.sha1).digest())
    covered = head(len(attributes) + 8) + attributes
    return covered + attr(0x8028, struct.pack(">I", zlib.crc32(covered) ^ 0x5354554E))


def xor_mapped(address, port, transaction):
    v6 = ":" in address
    packed = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, address)
    pad = struct.pack(">I", COOKIE) + transaction
    mixed = bytes(a ^ b for a, b in zip(packed, pad))
    return attr(0x0020, struct.pack(">BBH", 0, 2 if v6 else 1, port ^ (COOKIE >> 16)) + mixed)


def origin(address, port):
    v6 = ":" in address
    packed = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, address)
    return attr(0x802B, struct.pack(">BBH", 0, 2 if v6 else 1, port) + packed)


text = "correct-horse-battery-staple-dial-tone"
key = stretch(text)
run = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
probe = bytes.fromhex("101112131415161718191a1b1c1d1e1f")
instance = bytes.fromhex("202122232425262728292a2b2c2d2e2f")
nonce = b"30313233343536373839616263646566"
transaction = bytes.fromhex("a0a1a2a3a4a5a6a7a8a9aaab")
second = bytes.fromhex("b0b1b2b3b4b5b6b7b8b9babb")

asked = attr(0xDA13, struct.pack(">I", 1)) + attr(0xDA10, run) + attr(0xDA11, b"sql") + attr(0xDA12, probe)


def answered(seen, at):
    return (xor_mapped(*seen, transaction) + origin(*at) + attr(0xDA13, struct.pack(">I", 1))
            + attr(0xDA14, instance) + attr(0x0015, nonce) + attr(0x8022, b"listen 0.1"))


# Over UDP both messages are padded to 1,200 bytes, the seal included.
def padded(attributes, side):
    n = 1200 - 20 - len(attributes) - 4 - 32
    return attributes + attr(0x0026, keystream(key, probe, side, n))


hello = attr(0x0015, nonce) + attr(0xDA15, struct.pack(">I", 1)) + attr(0xDA16, b"{}")
ordered = b'{"from":"asker","bytes":262144,"deadline_ms":3000}'
transfer = attr(0x0015, nonce) + attr(0xDA15, struct.pack(">I", 2)) + attr(0xDA16, ordered)

print(json.dumps({
    "key_text": text,
    "key": key.hex(),
    "run": run.hex(),
    "probe": probe.hex(),
    "instance": instance.hex(),
    "nonce": nonce.decode(),
    "flow": "sql",
    "software": "listen 0.1",
    "transaction": transaction.hex(),
    "second_transaction": second.hex(),
    "binding_request": message(0x0001, transaction, asked, key).hex(),
    "binding_answer_ip4": message(0x0101, transaction, answered(("192.0.2.7", 50000), ("198.51.100.9", 1433)), key).hex(),
    "binding_answer_ip6": message(0x0101, transaction, answered(("2001:db8::7", 50000), ("2001:db8::9", 1433)), key).hex(),
    "udp_request_sha256": hashlib.sha256(message(0x0001, transaction, padded(asked, b"A"), key)).hexdigest(),
    "udp_answer_sha256": hashlib.sha256(message(
        0x0101, transaction, padded(answered(("192.0.2.7", 50000), ("198.51.100.9", 1433)), b"B"), key)).hexdigest(),
    "keystream_asker": keystream(key, probe, b"A", 32).hex(),
    "keystream_answerer": keystream(key, probe, b"B", 32).hex(),
    "payload_asker_sha256": hashlib.sha256(keystream(key, probe, b"A", 262144)).hexdigest(),
    "hello_request": message(0x3640, second, hello, key).hex(),
    "transfer_request": message(0x3641, second, transfer, key).hex(),
    "transfer_body": ordered.decode(),
    "wrong_key_answer": message(0x0111, transaction, attr(0x0009, bytes([0, 0, 4, 1]) + b"another key")).hex(),
}, indent=2))
