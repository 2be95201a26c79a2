"""Section 6: claims, pieces and their hashes, paths."""
from urllib.parse import quote

from common import ben, compact, sha1, write

claims = []
C, C6 = compact("10.0.0.2:9993"), compact("[2001:db8::2]:9978")


def accepts(name, sentence, value, key="file", **claim):
    claims.append({"name": name, "sentence": sentence, "key": key, "hex": (ben(value) if isinstance(value, dict) else value).hex(), "claim": claim})


def refuses(name, sentence, value, key="file"):
    claims.append({"name": name, "sentence": sentence, "key": key, "hex": (ben(value) if isinstance(value, dict) else value).hex(), "claim": None})


def hashes(n):
    return b"".join(bytes([65 + i % 26]) * 20 for i in range(n))


HAS_C = "| `c` | compact address (IPv4) of the peer's HTTP server, 6 bytes."
T = "| `t` | a dictionary whose one key `t` has the piece hashes |"
H = "| `h` | SHA-1 of the piece hashes: they are in the DHT under this key |"
L = "| `l` | SHA-1 of the piece hashes: only peers have them |"
SIX = "| `c6` | *ours:* its compact IPv6 address, 18 bytes, beside `c` |"
ALONE = "A peer without IPv4 publishes under another key instead, with `c6` and without `c`."
UNKNOWN = "Keys that are not known are ignored."
EVERY = "**Every claim under the file's key has it**; a 2008 client hangs on one without."
ONE = "A claim has at most one of `t`, `h` and `l`."
ANY = "A reader accepts every tier for every number of pieces."
SKIP = "claims that are not well-formed: no dictionary, or without a good `c` (`c6` under the IPv6 key)"
accepts("one-piece", HAS_C, b"d1:c6:\x7f\x00\x00\x01'\x09e", c="127.0.0.1:9993")
accepts("three-inline", T, b"d1:c6:\x0a\x00\x00\x02'\x091:td1:t60:" + hashes(3) + b"ee", c="10.0.0.2:9993", t=hashes(3).hex())
accepts("in-the-dht", H, b"d1:c6:\x0a\x00\x00\x03'\x091:h20:" + b"H" * 20 + b"e", c="10.0.0.3:9993", h="48" * 20)
accepts("at-peers", L, {b"c": C, b"l": b"L" * 20}, c="10.0.0.2:9993", l="4c" * 20)
accepts("both-addresses", SIX, {b"c": C, b"c6": C6}, c="10.0.0.2:9993", c6="[2001:db8::2]:9978")
accepts("both-addresses-and-inline", SIX, {b"c": C, b"c6": C6, b"t": {b"t": hashes(2)}}, c="10.0.0.2:9993", c6="[2001:db8::2]:9978", t=hashes(2).hex())
accepts("both-addresses-and-h", SIX, {b"c": C, b"c6": C6, b"h": b"H" * 20}, c="10.0.0.2:9993", c6="[2001:db8::2]:9978", h="48" * 20)
accepts("ipv6-alone", ALONE, {b"c6": C6}, "ipv6", c6="[2001:db8::2]:9978")
accepts("ipv6-alone-l", ALONE, {b"c6": C6, b"l": b"L" * 20}, "ipv6", c6="[2001:db8::2]:9978", l="4c" * 20)
accepts("unknown-key", UNKNOWN, {b"c": C, b"x": [b"y", 1]}, c="10.0.0.2:9993")
accepts("unknown-key-between", UNKNOWN, {b"b": 1, b"c": C, b"d": {}, b"h": b"H" * 20, b"z": b""}, c="10.0.0.2:9993", h="48" * 20)
accepts("unknown-key-in-t", UNKNOWN, {b"c": C, b"t": {b"s": 1, b"t": hashes(2)}}, c="10.0.0.2:9993", t=hashes(2).hex())
accepts("one-hash-inline", ANY, {b"c": C, b"t": {b"t": hashes(1)}}, c="10.0.0.2:9993", t=hashes(1).hex())
accepts("five-hashes-inline", ANY, {b"c": C, b"t": {b"t": hashes(5)}}, c="10.0.0.2:9993", t=hashes(5).hex())
refuses("no-address", EVERY, {b"h": b"H" * 20})
refuses("nothing", EVERY, b"de")
refuses("ipv6-alone-under-the-file", EVERY, {b"c6": C6})
refuses("ipv4-alone-under-the-ipv6-key", SKIP, {b"c": C}, "ipv6")
refuses("short-address", HAS_C, {b"c": C[:5]})
refuses("long-address", HAS_C, {b"c": C + b"\0"})
refuses("address-of-ipv6-in-c", HAS_C, {b"c": C6})
refuses("address-a-number", HAS_C, {b"c": 6})
refuses("short-c6", SIX, {b"c": C, b"c6": C6[:17]})
refuses("t-and-h", ONE, {b"c": C, b"h": b"H" * 20, b"t": {b"t": hashes(2)}})
refuses("h-and-l", ONE, {b"c": C, b"h": b"H" * 20, b"l": b"H" * 20})
refuses("t-and-l", ONE, {b"c": C, b"l": b"H" * 20, b"t": {b"t": hashes(2)}})
refuses("short-h", H, {b"c": C, b"h": b"H" * 19})
refuses("long-l", L, {b"c": C, b"l": b"L" * 32})
refuses("h-a-list", H, {b"c": C, b"h": [b"H" * 20]})
refuses("t-a-string", T, {b"c": C, b"t": hashes(2)})
refuses("t-empty", T, {b"c": C, b"t": {}})
refuses("t-without-hashes", T, {b"c": C, b"t": {b"t": b""}})
refuses("t-of-39-bytes", T, {b"c": C, b"t": {b"t": hashes(2)[:39]}})
refuses("t-a-number", T, {b"c": C, b"t": {b"t": 20}})
refuses("a-list", SKIP, b"l1:c6:" + C + b"e")
refuses("a-string", SKIP, b"abc")
refuses("empty", SKIP, b"")
refuses("keys-unsorted", SKIP, {b"h": b"H" * 20, b"c": C})
refuses("bytes-behind", SKIP, ben({b"c": C}) + b"x")
refuses("cut", SKIP, ben({b"c": C})[:-1])
write("claims/claims", "claims", "Values under a file's key (`key` is `file`) or under its IPv6 key (`ipv6`), and what they claim; `null`: no claim.", [6, 7], claims)

PIECE = 524288
pieces = []
TIERS = {"none": "| 1 (up to 524,288 bytes) | none of the three | nowhere |", "t": "| 2 to 4 | `t` | in the claim |",
         "h": "| 5 to 64 (2008: to 70) | `h` | in the DHT, as the bencoded `{t: piece hashes}`; a put of its own, after that of the claim |",
         "l": "| 65 and more (2008: 71) | `l` | at the peers |"}
for count, last in [(1, 1), (1, PIECE), (2, 1), (2, PIECE), (3, 100), (4, PIECE), (5, 1), (64, PIECE), (65, 1), (70, 7), (71, PIECE), (1000, 9)]:
    tier = "none" if count == 1 else "t" if count <= 4 else "h" if count <= 64 else "l"
    size = (count - 1) * PIECE + last
    pieces.append({"name": f"tier-{count}-pieces-last-{last}", "sentence": TIERS[tier], "kind": "tier", "size": size, "pieces": count,
                   "tier": tier, "last": [size - last, size]})
IS = "*Piece hashes* are the SHA-1s of the pieces, 20 bytes each, one after the other, whatever hash the file itself has."
LAST = "The last one may be shorter and is never empty."
for name, sentence, of, size in [("short", IS, b"khashmir", 5), ("one-piece", LAST, b"\x00", PIECE), ("one-byte-more", LAST, b"\x00", PIECE + 1),
                                 ("two-pieces", LAST, b"abc", 2 * PIECE), ("three-pieces", IS, b"\x01\x02\x03\x04\x05", 2 * PIECE + 77)]:
    file = (of * size)[:size]
    joined = b"".join(sha1(file[at:at + PIECE]) for at in range(0, size, PIECE))
    pieces.append({"name": "file-" + name, "sentence": sentence, "kind": "file", "repeated": of.hex(), "size": size,
                   "hashes": joined.hex(), "sha1": sha1(joined).hex()})
STORED = "in the DHT, as the bencoded `{t: piece hashes}`; a put of its own, after that of the claim"


def stored(name, value, joined):
    pieces.append({"name": "stored-" + name, "sentence": STORED, "kind": "hashes", "hex": value.hex(),
                   "hashes": joined and joined.hex(), "sha1": joined and sha1(joined).hex()})


stored("five", ben({b"t": hashes(5)}), hashes(5))
stored("sixty-four", ben({b"t": hashes(64)}), hashes(64))
stored("unknown-key", ben({b"a": 1, b"t": hashes(5)}), hashes(5))
for name, value in [("without-t", b"de"), ("empty", ben({b"t": b""})), ("cut-hash", ben({b"t": hashes(5)[:99]})),
                    ("a-string", ben(hashes(5))), ("bytes-behind", ben({b"t": hashes(5)}) + b"e"), ("t-a-list", ben({b"t": [hashes(1)]}))]:
    stored(name, value, None)
write("pieces/pieces", "pieces", "How many pieces, where their hashes go (`tier`), what the hashes of a file are (`repeated`, over and over, cut to `size`), and the value that holds them.", [6], pieces)

paths = []
FORM = "a space is `+`; letters, digits, `-`, `.` and `_` stand for themselves; any other byte, `/` too, is `%` and two hexadecimal digits."
ANY = "A server accepts any escaping of the same bytes."
GET = "| `GET /~/` and all bytes of the file's hash, percent-encoded | the file |"


def written(name, hash, path):
    paths.append({"name": name, "sentence": FORM, "path": path, "hash": hash.hex(), "written": True})


def read(name, path, hash, sentence=ANY):
    paths.append({"name": name, "sentence": sentence, "path": path, "hash": hash and hash.hex(), "written": False})


every = bytes(range(256))
plain = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._"
written("letters", b"abcXYZ", "/~/abcXYZ")
written("plain", plain, "/~/" + plain.decode())
written("space", b"a b", "/~/a+b")
written("slash", b"a/b", "/~/a%2Fb")
written("plus", b"a+b", "/~/a%2Bb")
written("percent", b"100%", "/~/100%25")
written("tilde", b"~", "/~/%7E")
written("zeros", bytes(4), "/~/%00%00%00%00")
written("high-bytes", b"\x80\xff", "/~/%80%FF")
written("every-byte", every, "/~/" + "".join("+" if b == 32 else chr(b) if b in plain else "%%%02X" % b for b in every))
written("sha1", sha1(b"khashmir\n"), "/~/" + quote(sha1(b"khashmir\n"), safe="").replace("%20", "+").replace("~", "%7E"))
read("lower-case-digits", "/~/%ab%cD", b"\xab\xcd")
read("space-as-escape", "/~/a%20b", b"a b")
read("everything-escaped", "/~/%61%62%63", b"abc")
read("nothing-escaped", "/~/a/b:c@d~e", b"a/b:c@d~e")
written("escaped-percent-is-not-read-twice", b"%41", "/~/%2541")
for name, path in [("no-hash", "/~/"), ("no-prefix", "/abc"), ("half-prefix", "/~abc"), ("prefix-inside", "/a/~/b"), ("nothing", "")]:
    read(name, path, None, GET)
for name, path in [("cut-escape", "/~/abc%"), ("cut-after-one-digit", "/~/abc%4"), ("no-digits", "/~/%zz"), ("one-digit-wrong", "/~/%4g"), ("sign-as-digit", "/~/%+4a")]:
    read(name, path, None, FORM)
write("paths/paths", "paths", "The path of a file or of piece hashes at a peer. `written`: it is also what a client writes. `null`: no hash can be read from it.", [6], paths)
