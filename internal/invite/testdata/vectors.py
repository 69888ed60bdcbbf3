#!/usr/bin/env python3
"""Makes vectors.json, the test vectors of docs/invitation.md, from that page
alone: none of Dialtone's code takes part. It needs Python's standard library
and the command line of argon2 (Debian: argon2).

    python3 vectors.py > vectors.json
"""
import base64, hashlib, hmac, json, subprocess

KEY_TEXT = "correct-horse-battery-staple-dial-tone"
ROWS = [  # id, transport, port, source port, from, to, expect
    ["odyssey-out", "tcp", 7968, 0, ["server"], "peer", "open"],
    ["odyssey-in", "tcp", 7968, 0, ["peer"], "server", "open"],
    ["data", "tcp", 0, 20, ["peer", "server"], "server", "open"],
    ["browser", "udp", 1434, 0, ["peer"], "server", "closed"],
]


def stretch(text):
    cmd = ["argon2", "dialtone/1", "-id", "-t", "1", "-k", "19456", "-p", "1", "-l", "32", "-r"]
    return bytes.fromhex(subprocess.run(cmd, input=text.encode(), capture_output=True, check=True).stdout.decode())


def base32(b):
    return base64.b32encode(b).decode().rstrip("=").lower()


def digest(rows):
    lines = ""
    for row_id, transport, port, source_port, senders, to, expect in rows:
        lines += "\t".join([row_id, transport, str(port), str(source_port), ",".join(senders), to, expect]) + "\n"
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


content = {
    "name": "Example University Library",
    "hosts": ["illiad.example.edu", "192.0.2.10", "2001:db8::10"],
    "key": KEY_TEXT,
    "plan": "two-servers",
    "digest": digest(ROWS),
    "shift": 10000,
    "ports": {"odyssey-in": 7969, "odyssey-out": 7969},
    "rows": ["odyssey-out", "odyssey-in"],
    "issued": "2026-11-24T09:00:00Z",
    "expires": "2026-11-24T17:00:00Z",
    "by": "dialtone 0.1.0",
}
signing_key = hmac.new(stretch(KEY_TEXT), b"dialtone/1 invitation", hashlib.sha256).digest()
signed = "dialtone-invitation-1:" + base32(json.dumps(content, separators=(",", ":")).encode())
line = signed + "." + base32(hmac.new(signing_key, signed.encode(), hashlib.sha256).digest()) + ".end"
# The same content as another program might write it: other order, spaces, a
# key that this version does not know.
other = json.dumps({"later": [1], **dict(reversed(content.items()))}, indent=1)
signed = "dialtone-invitation-1:" + base32(other.encode())
other = signed + "." + base32(hmac.new(signing_key, signed.encode(), hashlib.sha256).digest()) + ".end"
print(json.dumps({"rows": ROWS, "content": content, "signing_key": signing_key.hex(), "line": line, "other": other}, indent="\t"))
