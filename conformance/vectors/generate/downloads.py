"""Section 6: whom to believe and whom to ask for the pieces of a file."""
from common import ben, compact, sha1, write

PIECE = 524288
v = []


def hashes(size, version):
    """All bytes of piece i are i + 100 * version."""
    lengths = [min(PIECE, size - at) for at in range(0, size, PIECE)]
    return b"".join(sha1(bytes([(i + 100 * version) % 256]) * length) for i, length in enumerate(lengths))


def claim(address, tier=None, joined=b""):
    """A claim of a peer, with the piece hashes inline (`t`), or with their SHA-1 as `h` or `l`."""
    named = {} if tier is None else {tier.encode(): {b"t": joined} if tier == "t" else sha1(joined)}
    return ben(dict(sorted({b"c": compact(address), **named}.items())))


def download(name, sentence, pieces, values, peers, outcome="finished", mirror=None, dht={}, origins="peers", hashes_from=(), asked=None, not_asked=(),
             maybe=(), banned=(), first=(), at_once=None, last=1000):
    size = (pieces - 1) * PIECE + last
    values = [value(size) if callable(value) else value for value in values]
    dht = dht(size) if callable(dht) else dht
    others = {*not_asked, *maybe}
    expect = {"outcome": outcome, "asked": sorted(set(peers) - others) if asked is None else sorted(asked), "not_asked": sorted(not_asked),
              "maybe_asked": sorted(maybe), "banned": sorted(banned), "first_pieces": list(range(min(4, pieces))) if first == () else first,
              "piece_hashes_from": list(hashes_from), "origins": [origins] * pieces if isinstance(origins, str) else origins}
    if at_once:
        expect["at_once_at_most"] = at_once
    v.append({"name": name, "sentence": sentence, "size": size, "values": [{"at_ms": 10, "hex": value.hex()} for value in values], "lookup_ends_ms": 20,
              "peers": {peer: {"gives": gives, "piece_ms": 100} for peer, gives in peers.items()}, "dht": dht,
              "mirror": mirror and {"gives": mirror, "piece_ms": 100}, "expect": expect})


A, B, C, D = [f"10.{n}.0.1:9978" for n in (1, 2, 3, 4)]
inline = lambda address, version=0: lambda size: claim(address, "t", hashes(size, version))
in_dht = lambda address, version=0: lambda size: claim(address, "h", hashes(size, version))
at_peers = lambda address, version=0: lambda size: claim(address, "l", hashes(size, version))
stored = lambda version=0: lambda size: {sha1(hashes(size, version)).hex(): [ben({b"t": hashes(size, version)}).hex()]}
FETCH = "4. Fetch pieces from the group's peers by HTTP range, over one connection for each address. Check each piece."
ORDER = "At most 4 pieces of a file are asked of peers at a time, in file order."
OBTAIN = "For `h`, ask the DHT; if it has none, and for `l`, ask the group's peers over HTTP."
MUST = "Their SHA-1 must be `h` or `l`, and their number must fit the size of the file."
VOTE = "2. Each IP address has one vote. The largest group is taken."
GROUP = "They are compared by SHA-1, so it does not matter whether the claim has `t`, `h` or `l`. Claims without any form a group too."
BAD = "A peer that gave a wrong piece is remembered, and nothing is asked of it any more."
LIE = "If the file is wrong though every piece was right, the piece hashes were wrong; then only the mirror is used."
SKIP = "skipped one by one; the others in the response count"
LACK = "*Ours* asks it, by the same ranges, for what peers lack or are late with."
download("one-piece", GROUP, 1, [claim(A)], {A: "file"})
download("inline", FETCH, 3, [inline(A)], {A: "file"})
download("in-file-order", ORDER, 8, [inline(A), inline(B), inline(C), inline(D)], {A: "file", B: "file", C: "file", D: "file"}, at_once=4)
download("hashes-from-the-dht", OBTAIN, 6, [in_dht(A)], {A: "file"}, dht=stored(), hashes_from=["dht"])
download("hashes-not-in-the-dht", OBTAIN, 6, [in_dht(A)], {A: "file"}, hashes_from=["dht", A])
download("hashes-at-peers", OBTAIN, 6, [at_peers(A)], {A: "file"}, hashes_from=[A])
download("wrong-hashes-before-right-ones", MUST, 6, [in_dht(A)], {A: "file"}, hashes_from=["dht"],
         dht=lambda size: {sha1(hashes(size, 0)).hex(): [b"junk".hex(), ben({b"t": hashes(size, 1)}).hex(), ben({b"t": hashes(size, 0)}).hex()]})
download("wrong-hashes-from-the-dht-and-right-ones-from-a-peer", MUST, 6, [in_dht(A)], {A: "file"}, hashes_from=["dht", A],
         dht=lambda size: {sha1(hashes(size, 0)).hex(): [ben({b"t": hashes(size, 1)}).hex()]})
download("inline-hashes-of-another-size", MUST, 3, [lambda size: claim(A, "t", hashes(size + PIECE, 0)), inline(B)], {A: "file", B: "file"}, not_asked=[A])
download("hashes-of-another-size-in-the-dht", MUST, 6, [lambda size: claim(A, "h", hashes(size + PIECE, 0))], {A: "file"}, mirror="file", origins="mirror",
         dht=lambda size: {sha1(hashes(size + PIECE, 0)).hex(): [ben({b"t": hashes(size + PIECE, 0)}).hex()]}, hashes_from=["dht"], not_asked=[A], first=[])
download("the-largest-group", VOTE, 3, [inline(C, 1), inline(A), inline(B)], {A: "file", B: "file", C: "other"}, not_asked=[C], maybe=[A, B], asked=[])
ports = [f"10.3.0.1:{port}" for port in (9978, 9979, 9980)]
download("one-vote-per-address", VOTE, 3, [inline(port, 1) for port in ports] + [inline(A), inline(B)],
         {A: "file", B: "file", **{port: "other" for port in ports}}, not_asked=ports, maybe=[A, B], asked=[])
download("one-group-whatever-the-tier", GROUP, 6, [at_peers(A), in_dht(B), inline(C), inline(D, 1), lambda size: claim("10.5.0.1:9978", "h", hashes(size, 1))],
         {A: "file", B: "file", C: "file", D: "other", "10.5.0.1:9978": "other"}, not_asked=[D, "10.5.0.1:9978"], maybe=[A, B, C], asked=[])
download("a-wrong-piece", BAD, 4, [inline(A), inline(B)], {A: "nonsense", B: "file"}, banned=[A])
download("only-wrong-pieces", BAD, 4, [inline(A)], {A: "nonsense"}, banned=[A], mirror="file", origins="mirror", first=None)
download("a-lie-of-all", LIE, 3, [inline(A, 1), inline(B, 1)], {A: "other", B: "other"}, mirror="file", origins="mirror", maybe=[A, B], asked=[])
download("no-claims", LACK, 3, [], {}, mirror="file", origins="mirror", first=[])
download("no-claims-and-no-mirror", LACK, 3, [], {}, outcome="failed", origins=[], first=[])
download("malformed-claims-among-good-ones", SKIP, 3, [b"junk", b"de", ben({b"h": b"H" * 20}), inline(A), ben({b"c": b"short"})], {A: "file"})
download("an-address-that-is-not-allowed", "private addresses in them are allowed", 3, [inline("192.168.0.1:9978"), inline("127.0.0.1:22"), inline("10.9.0.1:0"), inline(A)],
         {A: "file", "192.168.0.1:9978": "file", "127.0.0.1:22": "file", "10.9.0.1:0": "file"}, not_asked=["192.168.0.1:9978", "127.0.0.1:22", "10.9.0.1:0"])
download("a-peer-without-the-file", LACK, 3, [inline(A)], {A: "nothing"}, mirror="file", origins="mirror", first=None)
download("a-peer-that-is-gone", LACK, 3, [inline(A), inline(B)], {A: "no_connection", B: "file"})
download("nobody-is-left", LACK, 3, [inline(A)], {A: "no_connection"}, outcome="failed", origins=[], first=None)
download("a-wrong-mirror", "the hash of the file itself decides", 3, [], {}, mirror="other", outcome="failed", origins="mirror", first=[])
ABOUT = ("A file whose lookup gave `values`, and what its peers, the DHT and the mirror give. All bytes of piece i are i in `file` and i + 100 in `other` "
         "(modulo 256). Every peer is in exactly one of `asked`, `not_asked` and `maybe_asked`; `banned`: who gave a wrong piece, and is asked nothing after it; "
         "`origins`: who gave each piece in the end; `first_pieces`: the first four asked of peers, `null` where the plan is free.")
write("downloads/downloads", "downloads", ABOUT, [6, 7], v)
