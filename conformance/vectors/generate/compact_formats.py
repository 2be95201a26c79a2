"""Compact addresses and contacts, keys, and the computation of tokens."""
import ipaddress

from common import compact, sha1, write

ADDRESS = "A *compact address* is 4 bytes of IPv4 or 16 of IPv6, then 2 of port."
CONTACT = "A *compact contact* is 20 bytes of id, then a compact address."
BIG = "Numbers on the wire that are not bencoded are big-endian."
vectors = []


def address(name, text, sentence=ADDRESS):
    vectors.append({"name": name, "sentence": sentence, "kind": "address", "hex": compact(text).hex(), "valid": True,
                    "address": text})


def contact(name, id, text, sentence=CONTACT):
    vectors.append({"name": name, "sentence": sentence, "kind": "contact", "hex": (id + compact(text)).hex(),
                    "valid": True, "contact": {"id": id.hex(), "address": text}})


def wrong(name, kind, text, sentence):
    vectors.append({"name": name, "sentence": sentence, "kind": kind, "hex": text.hex(), "valid": False})


address("ipv4", "127.0.0.1:7009")
address("ipv4-port-big-endian", "192.0.2.1:258", BIG)
address("ipv4-lowest-port", "203.0.113.255:1")
address("ipv4-highest-port", "198.51.100.7:65535")
address("ipv6", "[2001:db8::1]:9978")
address("ipv6-full", "[2001:db8:1:2:3:4:5:6]:258", BIG)
address("ipv6-loopback", "[::1]:65535")
contact("contact-ipv4", bytes(range(20)), "10.0.0.1:9978")
contact("contact-ipv4-bits-set", b"\xff" * 20, "255.255.255.254:65535")
contact("contact-recorded", bytes.fromhex("835925ba99f19c2a18deefdf52a4b61241303030"), "127.0.0.1:7003")
contact("contact-ipv6", bytes(range(20, 40)), "[fd00:1:2::3]:9978")
contact("contact-ipv6-port", bytes(19) + b"\x01", "[2001:db8::ff]:1")
for length in (0, 5, 7, 16, 17, 19):
    wrong(f"address-of-{length}", "address", bytes(range(1, length + 1)), ADDRESS)
for length in (0, 6, 20, 25, 27, 37, 39, 52):
    sentence = "A response to `find_node` or `find_value` fails its sender if `nodes` is missing or an entry does not have 26 bytes"
    wrong(f"contact-of-{length}", "contact", bytes(range(1, length + 1)), sentence if length < 37 else CONTACT)
write("compact/compact", "compact", "Addresses and contacts as bytes. Of the wrong length, they are none.", [0, 2], vectors)

vectors = []
SHORT = "one shorter than 20 bytes is followed by zero bytes, a longer one is cut to its first 20."
SAME = "The key of a file is made from its hash"


def key(name, kind, sentence, of, is_, **more):
    vectors.append({"name": name, "sentence": sentence, "kind": kind, "of": of.hex(), **more, "is": is_})


import hashlib
content = b"khashmir\n"
for name, sentence in [("md5", SHORT), ("sha1", SAME), ("sha224", SHORT), ("sha256", SHORT), ("sha512", SHORT)]:
    digest = hashlib.new(name, content).digest()
    key("file-" + name, "file", sentence, digest, (digest + bytes(20))[:20].hex())
key("file-nineteen-bytes", "file", SHORT, b"\x01" * 19, "01" * 19 + "00")
key("file-twenty-one-bytes", "file", SHORT, b"\x01" * 21, "01" * 20)
SIX = 'IPv6 key = SHA1("6" ‖ key)'
for name, of in [("zeros", bytes(20)), ("count", bytes(range(20))), ("sha256", hashlib.sha256(content).digest()[:20])]:
    key("ipv6-" + name, "ipv6", SIX, of, sha1(b"6" + of).hex())
JOIN = "a lookup whose target is our own id, one added to its last byte (255 becomes 0)."
key("join-target", "join", JOIN, b"0123456789abcdefA100", (b"0123456789abcdefA101").hex())
key("join-target-after-z", "join", JOIN, b"0123456789abcdefA10z", (b"0123456789abcdefA10{").hex())
key("join-target-after-a-dash", "join", JOIN, b"\xff" * 16 + b"A0.-", (b"\xff" * 16 + b"A0..").hex())
DISTANCE = "| distance | the XOR of two points, read as a 160-bit big-endian number |"


def distance(name, a, b):
    xor = int.from_bytes(a, "big") ^ int.from_bytes(b, "big")
    key("distance-" + name, "distance", DISTANCE, a, xor.to_bytes(20, "big").hex(), to=b.hex())


distance("to-itself", b"\x5a" * 20, b"\x5a" * 20)
distance("all-bits", bytes(20), b"\xff" * 20)
distance("some", bytes(range(20)), bytes(range(100, 120)))


def closest(name, target, among):
    order = sorted(among, key=lambda id: int.from_bytes(id, "big") ^ int.from_bytes(target, "big"))
    key("closest-" + name, "closest", DISTANCE, target, [id.hex() for id in order], among=[id.hex() for id in among])


closest("first-byte-decides", b"\x80" + bytes(19), [b"\x00" + b"\xff" * 19, b"\xff" * 20, b"\x7f" + bytes(19), b"\x81" + b"\xff" * 19])
closest("last-byte-decides", bytes(19) + b"\x05", [bytes(19) + bytes([n]) for n in (0, 1, 2, 3, 4, 6, 7, 8)])
closest("not-numerical-neighbours", bytes(19) + b"\x08", [bytes(19) + bytes([n]) for n in (7, 15, 9, 0)])
write("keys/keys", "keys", "Keys of files, and points in the space of ids: `is` is what comes of `of`.", [0, 5, 6], vectors)

vectors = []
OURS = "token = first 8 bytes of SHA1(secret ‖ IP, 4 or 16 bytes ‖ key)"
OLD = "In 2008 it was `SHA1(secret ‖ IP in dotted decimal)`."
for name, secret, ip, at in [
    ("ipv4", bytes(range(20)), "192.0.2.1", b"\xcb" * 20),
    ("ipv4-other-key", bytes(range(20)), "192.0.2.1", b"\xcc" * 20),
    ("ipv4-other-ip", bytes(range(20)), "192.0.2.2", b"\xcb" * 20),
    ("ipv4-other-secret", bytes(range(1, 21)), "192.0.2.1", b"\xcb" * 20),
    ("ipv6", bytes(range(20)), "2001:db8::1", b"\xcb" * 20),
    ("ipv6-like-ipv4", bytes(range(20)), "::192.0.2.1", b"\xcb" * 20),
    ("loopback", b"a secret of 20 bytes", "127.0.0.1", bytes(20)),
]:
    token = sha1(secret + ipaddress.ip_address(ip).packed + at)[:8]
    vectors.append({"name": name, "sentence": OURS, "form": "ours", "secret": secret.hex(), "ip": ip, "key": at.hex(), "token": token.hex()})
    if ":" not in ip:
        vectors.append({"name": name + "-2008", "sentence": OLD, "form": "2008", "secret": secret.hex(), "ip": ip, "key": at.hex(),
                        "token": sha1(secret + ip.encode()).hex()})
write("tokens/computed", "tokens", "How a token comes from a secret. It is opaque to others: a node may compute its own otherwise.", [2], vectors)
