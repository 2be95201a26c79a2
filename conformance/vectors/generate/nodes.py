"""Sections 2, 4, 5 and 7: what a node answers, whom it knows, what it keeps, and what strangers get."""
from common import ben, compact, write
from scripts import KEY, NODE, Script, asked, near, query_len

R = lambda a, b: list(range(a, b + 1))
ping = lambda to, times: [{"at_ms": at, "to": to, **({"again": True} if n else {}), "query": {"method": "ping"}} for n, at in enumerate(times)]
H = 3600 * 1000

# Answers. The querier is proved: it has answered the node before.
v = []


def answer(name, sentence, method, expect, arguments=None, known=(), prepare=None, **more):
    s = Script(v, name, sentence, **more)
    s.contact("querier", b"Q" * 20, "10.200.0.1:7009")
    s.know(0, [*s.near(*known), "querier"])
    if prepare:
        prepare(s)
    s.query(10, "querier", method, expect, **(arguments or {})).end(100)
    return s


FIND = "| `nodes` | list of up to 8 strings of 26 bytes | IPv4 contacts, closest first |"
answer("ping", "| `ping` | `id` | *ours:* `ip` |", "ping", {"ip": "10.200.0.1:7009"})
answer("join", "| `join` | `id` | `ip_addr`, `port`; *ours:* `ip` |", "join", {"ip_addr": "10.200.0.1", "port": 7009, "ip": "10.200.0.1:7009"})
answer("find_node-closest-first", FIND, "find_node", {"nodes": ["c2", "c1", "c7", "c4", "querier"], "token": True}, {"target": near(KEY, 2)}, (1, 2, 4, 7))
answer("find_node-eight-at-most", FIND, "find_node", {"nodes": [f"c{n}" for n in R(1, 7)] + ["querier"], "token": True}, {"target": KEY}, R(1, 7))
s = Script(v, "find_node-leaves-out-the-farthest", FIND)
people = [s.contact(f"near{n}", near(NODE, n << 120), f"10.{100 + n}.0.1:9978") for n in R(1, 3)] + s.near(*R(1, 6))
s.contact("querier", b"Q" * 20, "10.200.0.1:7009")
distance = lambda name: int(s.contacts[name]["id"], 16) ^ int.from_bytes(near(NODE, 1), "big")
s.know(0, [*people, "querier"]).query(10, "querier", "find_node", {"nodes": sorted([*people, "querier"], key=distance)[:8], "token": True}, target=near(NODE, 1)).end(100)
answer("find_node-names-the-querier", "It does not leave the querier out.", "find_node", {"nodes": ["querier"], "token": True}, {"target": KEY})
s = Script(v, "find_node-nobody-known", "`nodes` is there even when it is empty.")
s.contact("querier", b"Q" * 20, "10.200.0.1:7009")
s.query(0, "querier", "find_node", {"nodes": [], "token": True}, target=KEY).end(100)
answer("find_node-withheld-token", "A node that must not or cannot store **leaves the token out** of its `find_node` response.", "find_node",
       {"nodes": ["querier"], "token": False}, {"target": KEY}, accepts_stores=False)
answer("find_node-with-nodes6", "`nodes` comes from the one, `nodes6` from the other.", "find_node", {"nodes": ["querier"], "nodes6": ["six2", "six1"], "token": True},
       {"target": near(KEY, 2)}, (), lambda s: s.know(1, [s.contact(f"six{n}", near(KEY, n), f"[fd00:{n}::1]:9978") for n in (1, 2)]), families=("ipv4", "ipv6"))
answer("find_value-nothing-held", "| `num` in a response | integer | how many values the responder holds under the key |", "find_value",
       {"nodes": ["c1", "querier"], "num": 0, "token": False}, {"key": KEY}, (1,))
answer("get_value-nothing-held", "Having no values for a key is not: answer with an empty list.", "get_value", {"values": []}, {"key": KEY, "num": 0})
answer("store_value-unknown-token", "With a bad token the answer is 205.", "store_value", {"error": 205}, {"key": KEY, "value": b"v", "token": b"XXXXXXXX"})
answer("store_value-empty-token", "With a bad token the answer is 205.", "store_value", {"error": 205}, {"key": KEY, "value": b"v", "token": b""})


def raw(name, sentence, datagram, error):
    s = Script(v, name, sentence)
    s.contact("querier", b"Q" * 20, "10.200.0.1:7009")
    sent = [{"at_ms": 10, "to": "querier", "error": error}] if error else []
    s.know(0, ["querier"]).step(10, datagram={"from": "querier", "hex": datagram.hex()}, sent=sent).end(100)


def message(**fields):
    return ben(dict(sorted({k.encode(): v for k, v in {"t": b"T" * 20, **fields}.items()}.items())))


a = {b"id": b"Q" * 20}
raw("unknown-method", "| 203 | method unknown | yes |", message(a=a, q=b"get_peers", y=b"q"), 203)
ROW204 = "| 204 | malformed request: an argument is missing, unknown, of the wrong type, or of the wrong length; also a negative `num`, and an `id` of zeros | yes (2008 says 201 for wrong lengths) |"
raw("extra-argument", ROW204, message(a={**a, b"x": 1}, q=b"ping", y=b"q"), 204)
raw("missing-argument", ROW204, message(a=a, q=b"find_node", y=b"q"), 204)
raw("negative-num", ROW204, message(a={**a, b"key": KEY, b"num": -1}, q=b"get_value", y=b"q"), 204)
DROP = "Dropped without an answer: another length of `t` (BitTorrent's nodes use shorter ones, which keeps them out), another `y`, and a message that lacks one of the keys of its kind or has one of another type."
raw("short-t", DROP, message(a=a, q=b"ping", y=b"q", t=b"aa"), None)
raw("malformed", "A malformed datagram gets no answer at all.", message(a=a, q=b"ping", y=b"q")[:-1], None)
ENDS = "It counts only if its `t` is outstanding at exactly the address and port that it came from."
raw("response-to-nothing", ENDS, message(r=a, y=b"r"), None)
raw("error-to-nothing", ENDS, message(e=[201, b"no"], y=b"e"), None)
again = Script(v, "repeated-query", "Each transmission of a query is answered, repeated ones included.")
again.contact("querier", b"Q" * 20, "10.200.0.1:7009")
again.know(0, ["querier"])
for at in (10, 2010):
    again.step(at, datagram={"from": "querier", "hex": message(a=a, q=b"ping", y=b"q").hex()},
               sent=[{"at_ms": at, "to": "querier", **({"again": True} if at > 10 else {}), "response": {"ip": "10.200.0.1:7009"}}])
again.end(3000)
write("answers/answers", "script", "What a node answers to one that it knows to be there.", [1, 2, 4], v)

# Routing table.
v = []
ENTER = "if it is new it is added, if there is room"
QUERIED = "| somebody who is not in the table queries us | it is pinged if there is room for it, and becomes a contact only by its answer |"
AGAIN = "| a new contact was added | it is pinged once more after 900 s: a NAT in front of it may have let our first ping in only because it had just sent us something |"
FULL = "the bucket's oldest contact is pinged if it is due (section 3); **one** failed ping and the new one takes its place"
SPLIT = "A full bucket is split in half if our own id lies in it."
THIRD = "| a request to a contact fails | a ping is scheduled; the third failure in a row removes it |"


def script(name, sentence, **more):
    return Script(v, name, sentence, ignore=more.pop("ignore", ()), **more)


s = script("answered", ENTER)
s.step(0, table=[]).know(10, s.near(1), table=["c1"], sent=[]).know(20, s.near(2), table=["c1", "c2"], sent=[]).end(1000)
s = script("queried-and-silent", QUERIED)
s.near(1)
response = lambda at: [{"at_ms": at, "to": "c1", "response": {}}]
s.query(10, "c1", "ping", {"sent": ping("c1", [10]) + response(10), "table": []}).step(20_000, table=[], sent=[]).end(30_000)
s = script("queried-and-answers", QUERIED)
s.answers(0, s.near(1))
s.query(10, "c1", "ping", {"sent": ping("c1", [10]) + response(10), "table": []}).step(100, table=["c1"], sent=[]).end(1000)
s = script("pinged-once-more", AGAIN)
s.answers(0, s.near(1))
s.know(1000, ["c1"], table=["c1"], sent=ping("c1", [901_000])).step(1_000_000, table=["c1"], sent=[]).end(3_000_000)
s = script("original-takes-who-queries", "Whoever queries us enters the table.", policy="ORIGINAL", ignore=("ping",))
s.near(1)
s.query(10, "c1", "ping", {"sent": response(10), "table": ["c1"]}).end(100)
s = script("retransmission-takes-who-answers", "Only who has answered enters the table.", policy="RETRANSMIT", ignore=("ping",))
s.near(1)
s.query(10, "c1", "ping", {"sent": response(10), "table": []}).end(100)
s = script("known-id-queries-from-elsewhere", "If a known id *queries* from another address, nothing changes.", ignore=("ping",))
s.contact("other", near(KEY, 1), "10.9.0.1:9978")
s.know(0, s.near(1)).answers(0, ["other", "c1"])
s.query(10, "other", "ping", {"sent": [{"at_ms": 10, "to": "other", "response": {}}], "table": ["c1"]}).step(5000, table=["c1"]).end(6000)
s = script("not-allowed", "Without configuration, private, loopback and link-local addresses are not allowed; networks can be listed in which they are.")
s.contact("private", near(KEY, 1), "192.168.0.1:9978")
s.answers(0, ["private"])
s.query(10, "private", "ping", {"sent": [{"at_ms": 10, "to": "private", "response": {}}], "table": []}).step(5000, table=[]).end(6000)
# Not due: the policy without re-pings keeps other pings out of the picture.
s = script("full-and-oldest-not-due", FULL, policy="RETRANSMIT")
for n, name in enumerate(s.near(*R(1, 9))):
    s.know(n * 1000, [name], sent=[], table=[f"c{n}" for n in R(1, min(n + 1, 8))])
s.end(10_000)
s = script("full-and-oldest-silent", FULL, policy="RETRANSMIT", ignore=("find_node",))
known = s.near(*R(1, 9))
for n, name in enumerate(known[:8]):
    s.know(n * 1000, [name])
s.know(1_000_000, ["c9"], table=known[:8], sent=ping("c1", [1_000_000, 1_002_000, 1_006_000])).step(1_009_001, table=known[1:], sent=[]).end(1_020_000)
s = script("full-and-oldest-answers", FULL, policy="RETRANSMIT", ignore=("find_node",))
known = s.near(*R(1, 9))
for n, name in enumerate(known[:8]):
    s.know(n * 1000, [name])
s.answers(500_000, ["c1"])
s.know(1_000_000, ["c9"], table=known[:8], sent=ping("c1", [1_000_000])).step(1_020_000, table=known[:8], sent=[]).end(1_030_000)
s = script("oldest-is-who-answered-longest-ago", "| a contact answers a query of ours | its failures are 0 and it is the latest of its bucket;", policy="RETRANSMIT", ignore=("find_node",))
known = s.near(*R(1, 9))
for n, name in enumerate(known[:8]):
    s.know(n * 1000, [name])
s.know(50_000, ["c1"], table=known[:8], sent=[])
s.know(1_000_000, ["c9"], table=known[:8], sent=ping("c2", [1_000_000, 1_002_000, 1_006_000]))
s.step(1_009_001, table=["c1", *known[2:]], sent=[]).end(1_020_000)
s = script("split", SPLIT, policy="RETRANSMIT")
far = s.near(*R(1, 8))
close = [s.contact(f"n{n}", near(NODE, n << 100), f"10.{100 + n}.0.1:9978") for n in R(1, 8)]
s.know(0, far, table=far)
for n, name in enumerate(close):
    s.know(1000 * (n + 1), [name], table=far + close[:n + 1], sent=[])
s.end(10_000)
s = script("closest-of-two-halves", FIND, policy="RETRANSMIT", ignore=("ping",))
far = s.near(*R(1, 5))
close = [s.contact(f"n{n}", near(NODE, n << 100), f"10.{100 + n}.0.1:9978") for n in R(1, 5)]
s.know(0, far + close, table=far + close)
distance = lambda name: int(s.contacts[name]["id"], 16) ^ int.from_bytes(KEY, "big")
s.query(10, "c1", "find_node", {"nodes": sorted(far + close, key=distance)[:8]}, target=KEY).end(1000)
s = script("third-failure-removes", THIRD, policy="RETRANSMIT")
s.know(0, s.near(1))
for n in range(3):
    at = 1000 + n * 10_000
    s.start(at, "find_node", asked([at, at + 2000, at + 6000], ["c1"]), {"at_ms": at + 9000, "closest": []}, target=KEY)
    s.step(at + 9001, table=["c1"] if n < 2 else [])
s.end(60_000)
s = script("an-answer-forgives", "its failures are 0", policy="RETRANSMIT")
s.know(0, s.near(1))
for n in range(4):
    at = 1000 + n * 10_000
    if n == 2:
        s.know(at - 500, ["c1"])
    s.start(at, "find_node", asked([at, at + 2000, at + 6000], ["c1"]), {"at_ms": at + 9000, "closest": []}, target=KEY)
    s.step(at + 9001, table=["c1"])
s.end(60_000)
s = script("failure-schedules-a-ping", THIRD)
s.answers(0, s.near(1))
s.know(0, ["c1"], sent=ping("c1", [900_000]))
s.step(950_000, answers={"c1": {"after_ms": 10, "silent_to": ["find_node"]}})
s.start(1_000_000, "find_node", asked([1_000_000, 1_002_000, 1_006_000], ["c1"]) + ping("c1", [1_909_000]), {"at_ms": 1_009_000, "closest": []}, target=KEY)
s.step(1_950_000, table=["c1"], sent=[]).end(2_000_000)
s = script("one-of-an-ip", "| routing table | one contact for each IP, and in a bucket one for each /24 or /48 |", policy="RETRANSMIT")
s.contact("same-ip", near(NODE, 1 << 100), "10.1.0.1:9979")
s.contact("same-network", near(KEY, 2), "10.1.0.2:9978")
s.contact("same-network-elsewhere", near(NODE, 2 << 100), "10.1.0.3:9978")
s.know(0, s.near(1)).know(10, ["same-ip"], table=["c1"], sent=[]).know(20, ["same-network"], table=["c1"], sent=[])
s.know(30, ["same-network-elsewhere"], table=["c1"]).end(1000)
s = script("one-of-a-network-in-a-bucket", "| routing table | one contact for each IP, and in a bucket one for each /24 or /48 |", policy="RETRANSMIT")
far = s.near(*R(1, 8))
s.contact("twin", near(NODE, 1 << 100), "10.1.0.7:9978")
own = [s.contact(f"n{n}", near(NODE, n << 100), f"10.{100 + n}.0.1:9978") for n in R(2, 3)]
s.know(0, far).know(10, own, table=far + own).know(20, ["twin"], table=far + own + ["twin"]).end(1000)
s = script("networks-that-are-not-counted", "rules that count per IP or per prefix do not apply in them.", policy="RETRANSMIT", uncounted=("10.1.0.0/16",))
s.contact("same-ip", near(NODE, 1 << 100), "10.1.0.1:9979")
s.contact("same-network", near(KEY, 2), "10.1.0.2:9978")
s.know(0, s.near(1)).know(10, ["same-ip", "same-network"], table=["c1", "same-ip", "same-network"]).end(1000)
s = script("another-with-the-same-id", "from another address nobody can evict, replace or fail it; it stays until it fails", policy="RETRANSMIT")
s.contact("impostor", near(KEY, 1), "10.9.0.1:9978")
s.know(0, s.near(1)).know(10, ["impostor"], table=["c1"], sent=[]).end(1000)
s = script("a-timeout-after-the-lookup", "| a request times out after its lookup has ended | it counts as a failure all the same |", ignore=("ping",))
known, closer = s.near(*R(11, 18)), s.near(*R(1, 8))
s.know(0, known).answers(0, ["c11"], nodes=closer).answers(0, closer)
for at in (1000, 2000, 3000):
    s.step(at, start={"operation": "find_node", "target": KEY.hex()}, finished={"at_ms": [at + 10, at + 20], "closest": closer})
s.step(9500, table=known).step(12_500, table=["c11"]).end(13_000)
s = script("refresh", "| a bucket is refreshed: lookup of a uniformly random key in its range | not looked up in for 3,600 s, checked at checkpoints |", policy="RETRANSMIT")
s.answers(0, s.near(1))
s.know(0, ["c1"], sent=[])
# Checkpoints are 270 to 330 s apart; with one bucket the range is the whole space.
s.step(3_599_000, sent=[{"at_ms": [3_600_000, 3_930_000], "to": "c1", "query": {"method": "find_node", "target": {"any": True}}}]).end(3_931_000)
write("routing/routing", "script", "Events, and the contacts that a node knows after each (`table`). Where pings are left out of account, `ignore` says so.", [2, 3, 4, 5, 7], v)

# Store.
v = []
OK = {}


def keeper(name, sentence, people=1, **more):
    s = Script(v, name, sentence, ignore=("ping", "find_node"), **more)
    names = [s.contact(f"p{n}", bytes([n]) + b"P" * 19, f"10.{n}.0.1:9978") for n in R(1, people)]
    s.know(0, names)
    return s


def store(s, at, who, value, expect=OK, key=KEY):
    s.step(at, query={"from": who, "method": "find_node", "target": key.hex()}, remember=f"t{at}")
    s.query(at, who, "store_value", dict(expect), key=key, value=value, token=f"$t{at}")


def held(s, at, who, *values, key=KEY):
    s.know(at, [who])
    s.query(at, who, "find_value", {"num": len(values)}, key=key)
    s.query(at, who, "get_value", {"values": sorted(value.hex() for value in values)}, key=key, num=0)


NUM = "| `num` in `get_value` | integer, not negative | how many values are wanted: 0, or at least as many as the node holds, for all; else a random subset of that size |"
SET = "A key has a set of distinct byte strings, and each of these its own expiry."
RENEW = "Storing bytes that are there only renews them."
s = keeper("stored-and-given", SET)
store(s, 10, "p1", b"one")
held(s, 20, "p1", b"one")
s.end(100)
s = keeper("many-under-a-key", SET, 3)
for n, value in enumerate([b"one", b"two", b"three"]):
    store(s, 10 + n, f"p{n + 1}", value)
held(s, 20, "p1", b"one", b"two", b"three")
s.end(100)
s = keeper("keys-are-apart", SET)
store(s, 10, "p1", b"one")
store(s, 11, "p1", b"two", key=near(KEY, 1))
held(s, 20, "p1", b"one")
held(s, 21, "p1", b"two", key=near(KEY, 1))
held(s, 22, "p1", key=near(KEY, 2))
s.end(100)
s = keeper("the-same-bytes-again", RENEW, 2)
for at, who in ((10, "p1"), (11, "p1"), (12, "p2")):
    store(s, at, who, b"one")
held(s, 20, "p1", b"one")
s.end(100)
s = keeper("some-of-them", NUM, 3)
values = [b"one", b"two", b"three"]
for n, value in enumerate(values):
    store(s, 10 + n, f"p{n + 1}", value)
for at, num in ((20, 1), (21, 2), (22, 3), (23, 1000)):
    s.query(at, "p1", "get_value", {"values": {"count": min(num, 3), "of": [value.hex() for value in values]}}, key=KEY, num=num)
s.end(100)
EXPIRES = "| a value expires unless it is stored again | after 3 h (2008 notices at the next checkpoint) |"
s = keeper("expires", EXPIRES)
store(s, 0, "p1", b"one")
held(s, 3 * H - 1000, "p1", b"one")
held(s, 3 * H + 1000, "p1")
s.end(3 * H + 2000)
s = keeper("renewed-expires-later", EXPIRES, 2)
store(s, 0, "p1", b"one")
store(s, 0, "p2", b"two")
s.know(2 * H, ["p1"])
store(s, 2 * H, "p1", b"one")
held(s, 3 * H + 1000, "p1", b"one")
held(s, 5 * H - 1000, "p1", b"one")
held(s, 5 * H + 1000, "p1")
s.end(5 * H + 2000)
LEN = "| value accepted from others | 1 to 1,391 bytes; 206 beyond that; an empty one is answered 204 | one of 1,400 bytes hides all those sorted after it |"
for name, length, expect in [("shortest", 1, OK), ("longest", 1391, OK), ("too-long", 1392, {"error": 206}), ("empty", 0, {"error": 204})]:
    sentence = "an empty one is answered 204" if name == "empty" else LEN
    s = keeper("value-" + name, sentence)
    store(s, 10, "p1", b"v" * length, expect)
    held(s, 20, "p1", *([b"v" * length] if expect is OK else []))
    s.end(100)
s = keeper("four-from-one-ip", "| values held | 256 under a key; 4 under a key from one IP; 64 MiB in all |", 2)
s.contact("port", b"\x01" * 20, "10.1.0.1:9979")
for n in R(1, 4):
    store(s, n, "p1", b"v%d" % n)
store(s, 5, "p1", b"v5", {"error": 201})
store(s, 6, "p1", b"v1")
store(s, 7, "p2", b"v6")
held(s, 20, "p2", b"v1", b"v2", b"v3", b"v4", b"v6")
s.end(100)
FITS = "A `get_value` response holds as many of the wanted values as fit. If any are left out, they come in random order, so that asking again reaches them all."
s = keeper("as-many-as-fit", FITS, uncounted=("10.0.0.0/8",))
values = [b"%02d" % n + b"v" * 98 for n in range(30)]
for n, value in enumerate(values):
    store(s, n, "p1", value)
empty = len(ben({b"r": {b"id": bytes(20), b"values": []}, b"t": bytes(20), b"y": b"r"}))
count = (1472 - empty) // len(ben(values[0]))
s.query(100, "p1", "get_value", {"sent": [{"at_ms": 100, "to": "p1", "bytes_at_most": 1472, "response": {"values": {"count": count, "of": [x.hex() for x in values]}}}]}, key=KEY, num=0)
s.end(1000)
s = keeper("longest-does-not-fit-over-ipv6", "If nothing can be sent because a single value alone is too long for a datagram, the answer is 206.", families=("ipv4", "ipv6"))
s.contact("six", b"6" * 20, "[fd00:6::1]:9978")
s.know(1, ["six"])
store(s, 10, "p1", b"v" * 1391)
s.query(20, "six", "get_value", {"error": 206}, key=KEY, num=0)
s.query(30, "p1", "get_value", {"values": [(b"v" * 1391).hex()]}, key=KEY, num=0)
s.end(100)
s = keeper("stores-nothing", "A node that must not or cannot store **leaves the token out** of its `find_node` response.", accepts_stores=False)
s.query(10, "p1", "find_node", {"nodes": ["p1"], "token": False}, target=KEY)
s.query(20, "p1", "store_value", {"error": 205}, key=KEY, value=b"v", token=b"\0" * 8)
s.end(100)
write("store/store", "script", "What a node keeps for others, in virtual time.", [2, 3, 5, 7], v)

# The life of tokens.
v = []
s = keeper("good-at-once", "A token shows that whoever stores a value can receive at the address that it sends from.")
store(s, 10, "p1", b"one")
s.end(100)
LIFE = "a token is good for at least two checkpoint intervals and at most three."
for name, at, expect in [("good-after-two-intervals", 599_000, OK), ("bad-after-three", 721_000, {"error": 205})]:
    s = keeper(name, LIFE)
    s.step(0, query={"from": "p1", "method": "find_node", "target": KEY.hex()}, remember="token")
    s.query(at, "p1", "store_value", expect, key=KEY, value=b"one", token="$token").end(at + 100)
IP = "It is good for an IP address and any port."
for name, sentence, who, key, expect in [
    ("other-port", IP, "port", KEY, OK), ("other-ip", IP, "p2", KEY, {"error": 205}),
    ("other-key", "*Ours* therefore binds the token to the key as well:", "p1", near(KEY, 1), {"error": 205}),
]:
    s = keeper(name, sentence, 2)
    s.contact("port", b"\x03" + b"P" * 19, "10.1.0.1:9999")
    s.step(10, query={"from": "p1", "method": "find_node", "target": KEY.hex()}, remember="token")
    s.query(20, who, "store_value", dict(expect), key=key, value=b"one", token="$token")
    s.end(100)
write("tokens/life", "script", "How long a token is good, and for whom. Checkpoints come after 60 s, then every 270 to 330 s.", [2, 3, 7], v)

# Strangers.
v = []
TIMES3 = "For each datagram from an address that is not proved, at most **3 times its UDP payload** goes back:"
FIRST = "A *verification ping* goes first and is part of these bytes. It is sent once and not retransmitted, and not at all while one to that address is pending."
CUT = "`find_node` and `find_value` responses are cut to the closest contacts that fit: with the ping, 5 in `nodes` without `nodes6` over IPv4; 3 in `nodes6` with an empty `nodes` over IPv6."
WAITS = "A `get_value` whose answer does not fit waits for the pong and is then answered in full."
PROVED = "An address (IP and port) is *proved* for 15 minutes after it has answered a query of ours or presented a valid token."


def stranger(name, sentence, address="10.200.0.1:7009", known=8, **more):
    s = Script(v, name, sentence, ignore=(), **more)
    s.contact("s", b"\x01" + b"S" * 19, address)
    s.know(0, s.near(*R(1, known)))
    return s


def asks(s, at, method, response, total=True, pinged=True, who="s", sent=None, **arguments):
    sent = sent if sent is not None else (ping(who, [at]) if pinged else []) + ([{"at_ms": at, "to": who, "response": response}] if response is not None else [])
    expect = {"sent": sent, **({"total_bytes_at_most": 3 * query_len(method, arguments)} if total else {})}
    s.query(at, who, method, expect, **arguments)


five, eight = [f"c{n}" for n in R(1, 5)], [f"c{n}" for n in R(1, 8)]
s = stranger("ping", TIMES3)
asks(s, 10, "ping", {"ip": "10.200.0.1:7009"})
s.end(20_000)
s = stranger("join", TIMES3)
asks(s, 10, "join", {"ip_addr": "10.200.0.1", "port": 7009, "ip": "10.200.0.1:7009"})
s.end(20_000)
s = stranger("join-of-a-long-address", "`ip` is left out where it would go over the budget of section 7, and so is `nodes6`.", "[fd00:1111:2222:3333:4444:5555:6666:7777]:7009", 0, families=("ipv4", "ipv6"))
asks(s, 10, "join", {"ip_addr": "fd00:1111:2222:3333:4444:5555:6666:7777", "port": 7009, "ip": None})
s.end(20_000)
s = stranger("find_node", CUT)
asks(s, 10, "find_node", {"nodes": five, "token": True}, target=KEY)
s.end(20_000)
s = stranger("find_value", CUT)
asks(s, 10, "find_value", {"nodes": five, "num": 0}, key=KEY)
s.end(20_000)
s = stranger("find_node-without-nodes6", CUT, families=("ipv4", "ipv6"))
s.know(1, [s.contact(f"six{n}", near(KEY, n), f"[fd00:{n}::1]:9978") for n in R(1, 3)])
asks(s, 10, "find_node", {"nodes": five, "nodes6": None, "token": True}, target=KEY)
s.end(20_000)
s = stranger("find_node-over-ipv6", CUT, "[fd00:200::1]:7009", families=("ipv4", "ipv6"))
s.know(1, [s.contact(f"six{n}", near(KEY, n), f"[fd00:{n}::1]:9978") for n in R(1, 8)])
asks(s, 10, "find_node", {"nodes": [], "nodes6": ["six1", "six2", "six3"], "token": True}, target=KEY)
s.end(20_000)
s = stranger("find_value-over-ipv6", CUT, "[fd00:200::1]:7009", families=("ipv4", "ipv6"))
s.know(1, [s.contact(f"six{n}", near(KEY, n), f"[fd00:{n}::1]:9978") for n in R(1, 8)])
asks(s, 10, "find_value", {"nodes": [], "nodes6": ["six1", "six2", "six3"], "num": 0}, key=KEY)
s.end(20_000)
s = stranger("one-ping-while-it-is-pending", FIRST)
asks(s, 10, "ping", {})
asks(s, 5000, "ping", {}, pinged=False)
asks(s, 10_000, "ping", {})
s.end(20_000)
s = stranger("proved-by-its-pong", PROVED)
s.answers(0, ["s"])
asks(s, 10, "find_node", {"nodes": five}, target=KEY)
# The bucket is full, so that it is no contact, and is not pinged again.
asks(s, 1000, "find_node", {"nodes": eight, "token": True}, total=False, pinged=False, target=KEY)
s.end(20_000)
s = stranger("another-port-is-not-proved", PROVED)
s.contact("port", b"\x02" + b"S" * 19, "10.200.0.1:7010")
s.answers(0, ["s"])
asks(s, 10, "ping", {})
asks(s, 1000, "find_node", {"nodes": five}, who="port", target=KEY)
s.end(20_000)
s = stranger("proof-ends", PROVED, policy="RETRANSMIT")
s.answers(0, ["s"])
asks(s, 10, "ping", {})
s.step(1000, answers={"s": {"after_ms": 10, "silent_to": ["ping"]}})
asks(s, 899_000, "find_node", {"nodes": eight}, total=False, pinged=False, target=KEY)
asks(s, 901_000, "find_node", {"nodes": five}, target=KEY)
s.end(910_500)
s = stranger("proved-by-a-token", PROVED)
asks(s, 10, "find_node", {"nodes": five, "token": True}, target=KEY)
s.steps[-1]["remember"] = "token"
asks(s, 20, "store_value", {}, total=False, pinged=False, key=KEY, value=b"one", token="$token")
asks(s, 30, "find_node", {"nodes": eight}, total=False, pinged=False, target=KEY)
s.end(9000)
s = stranger("a-wrong-token-proves-nothing", PROVED)
asks(s, 10, "store_value", None, sent=ping("s", [10]) + [{"at_ms": 10, "to": "s", "error": 205}], key=KEY, value=b"one", token=b"XXXXXXXX")
asks(s, 10_000, "find_node", {"nodes": five}, target=KEY)
s.end(19_500)


def with_values(name, sentence, count, answers=True):
    s = stranger(name, sentence, uncounted=("10.0.0.0/8",))
    values = [b"%02d" % n + b"v" * 48 for n in range(count)]
    for n, value in enumerate(values):
        s.step(n, query={"from": "c1", "method": "find_node", "target": KEY.hex()}, remember=f"t{n}")
        s.query(n, "c1", "store_value", {}, key=KEY, value=value, token=f"$t{n}")
    if answers:
        s.answers(100, ["s"])
    return s, {"values": [value.hex() for value in values]}


s, all_values = with_values("get_value-that-fits", TIMES3, 1)
asks(s, 1000, "get_value", all_values, key=KEY, num=0)
s.end(9000)
s, all_values = with_values("get_value-waits-for-the-pong", WAITS, 10)
asks(s, 1000, "get_value", None, total=False, sent=ping("s", [1000]) + [{"at_ms": 1010, "to": "s", "response": all_values}], key=KEY, num=0)
s.end(9000)
s, all_values = with_values("get_value-without-a-pong", WAITS, 10, False)
asks(s, 1000, "get_value", None, key=KEY, num=0)
s.end(20_000)
write("budget/budget", "script", "What goes to an address that has not shown that it receives. `total_bytes_at_most` counts all that goes to the querier in a step.", [2, 7], v)
