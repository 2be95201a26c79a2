"""Section 2: what a datagram is."""
import json

from common import VECTORS, ben, compact, write

T, ID = b"T" * 20, b"IIIIIIIIIIIIIIIIA000"
KEY, RESPONDER = b"\xcb" * 20, bytes.fromhex("2237547db5f841f613725ccbab8004a141303030")
TOKEN20, TOKEN8 = bytes(range(100, 120)), bytes(range(8))
HEX_T = T.hex()
queries, responses, dropped, errors = [], [], [], []


def query_bytes(method, arguments, **more):
    return ben(dict(sorted({b"a": arguments, b"q": method, b"t": T, b"y": b"q", **{k.encode(): v for k, v in more.items()}}.items())))


def response_bytes(fields):
    return ben({b"r": fields, b"t": T, b"y": b"r"})


def vector(into, name, sentence, text, message, writes_back=False, **more):
    message = {"dropped": True} if message is None else {"t": HEX_T, **message}
    into.append({"name": name, "sentence": sentence, "hex": text.hex(), **more, "message": message, "writes_back": writes_back})


def query(name, sentence, method, shown, writes_back=True, more={}, **arguments):
    arguments = {b"id": ID, **{key.encode(): value for key, value in arguments.items()}}
    shown = {"method": method, "id": ID.hex(), **shown}
    vector(queries, name, sentence, query_bytes(method.encode(), dict(sorted(arguments.items())), **more), {"query": shown}, writes_back)


def refused(name, sentence, method, arguments, code):
    vector(queries, name, sentence, query_bytes(method, arguments), {"refused": code})


ROWS = {"ping": "| `ping` | `id` | *ours:* `ip` |", "join": "| `join` | `id` | `ip_addr`, `port`; *ours:* `ip` |",
        "find_node": "| `find_node` | `id`, `target` | `nodes`, `token`; *ours:* `nodes6` |",
        "find_value": "| `find_value` | `id`, `key` | `nodes`, `num`; *ours:* `nodes6`. No token. |",
        "get_value": "| `get_value` | `id`, `key`, `num` | `values` |",
        "store_value": "| `store_value` | `id`, `key`, `value`, `token` | – |"}
OTHER = "Other keys beside these six are ignored."
query("ping", ROWS["ping"], "ping", {})
query("join", ROWS["join"], "join", {})
query("find_node", ROWS["find_node"], "find_node", {"target": KEY.hex()}, target=KEY)
query("find_value", ROWS["find_value"], "find_value", {"key": KEY.hex()}, key=KEY)
query("get_value-all", ROWS["get_value"], "get_value", {"key": KEY.hex(), "num": 0}, key=KEY, num=0)
query("get_value-some", ROWS["get_value"], "get_value", {"key": KEY.hex(), "num": 7}, key=KEY, num=7)
query("get_value-largest-num", ROWS["get_value"], "get_value", {"key": KEY.hex(), "num": 2**63 - 1}, key=KEY, num=2**63 - 1)
query("store_value-token-of-2008", ROWS["store_value"], "store_value", {"key": KEY.hex(), "token": TOKEN20.hex(), "value": b"abc".hex()},
      key=KEY, token=TOKEN20, value=b"abc")
query("store_value-token-of-ours", ROWS["store_value"], "store_value", {"key": KEY.hex(), "token": TOKEN8.hex(), "value": b"abc".hex()},
      key=KEY, token=TOKEN8, value=b"abc")
query("store_value-empty-token-and-value", "| `token` | byte string | 20 bytes from 2008, 8 *ours*: opaque to whoever receives it |",
      "store_value", {"key": KEY.hex(), "token": "", "value": ""}, key=KEY, token=b"", value=b"")
query("store_value-long-value", "The codec has no such limit", "store_value", {"key": KEY.hex(), "token": TOKEN20.hex(), "value": (b"v" * 1500).hex()},
      key=KEY, token=TOKEN20, value=b"v" * 1500)
query("extended-outside-the-arguments", OTHER, "ping", {}, False, {"v": b"KH01"})
query("extended-with-a-dictionary", OTHER, "find_node", {"target": KEY.hex()}, False, {"ro": 1, "x": {b"a": [1, 2]}}, target=KEY)

UNKNOWN = "| 203 | method unknown | yes |"
refused("method-unknown", UNKNOWN, b"get_peers", {b"id": ID}, 203)
refused("method-empty", UNKNOWN, b"", {b"id": ID}, 203)
refused("method-of-other-case", UNKNOWN, b"Ping", {b"id": ID}, 203)
refused("method-unknown-and-no-id", UNKNOWN, b"x", {}, 203)
MALFORMED = "| 204 | malformed request: an argument is missing, unknown, of the wrong type, or of the wrong length; also a negative `num`, and an `id` of zeros | yes (2008 says 201 for wrong lengths) |"
for name, method, arguments in [
    ("id-missing", b"ping", {}), ("id-short", b"ping", {b"id": ID[:19]}), ("id-long", b"ping", {b"id": ID + b"x"}),
    ("id-a-number", b"ping", {b"id": 1}), ("id-a-list", b"ping", {b"id": [ID]}), ("id-of-zeros", b"ping", {b"id": bytes(20)}),
    ("join-id-of-zeros", b"join", {b"id": bytes(20)}),
    ("argument-unknown", b"ping", {b"id": ID, b"x": 1}), ("argument-of-another-method", b"ping", {b"id": ID, b"target": KEY}),
    ("target-missing", b"find_node", {b"id": ID}), ("target-short", b"find_node", {b"id": ID, b"target": KEY[:19]}),
    ("target-called-key", b"find_node", {b"id": ID, b"key": KEY}), ("target-empty", b"find_node", {b"id": ID, b"target": b""}),
    ("find_node-with-more", b"find_node", {b"id": ID, b"target": KEY, b"want": b"n6"}),
    ("key-missing", b"find_value", {b"id": ID}), ("key-long", b"find_value", {b"id": ID, b"key": KEY + b"x"}),
    ("key-a-dictionary", b"find_value", {b"id": ID, b"key": {}}),
    ("num-missing", b"get_value", {b"id": ID, b"key": KEY}), ("num-negative", b"get_value", {b"id": ID, b"key": KEY, b"num": -1}),
    ("num-a-string", b"get_value", {b"id": ID, b"key": KEY, b"num": b"0"}),
    ("store-token-missing", b"store_value", {b"id": ID, b"key": KEY, b"value": b"v"}),
    ("store-value-missing", b"store_value", {b"id": ID, b"key": KEY, b"token": TOKEN8}),
    ("store-value-a-number", b"store_value", {b"id": ID, b"key": KEY, b"token": TOKEN8, b"value": 7}),
    ("store-token-a-list", b"store_value", {b"id": ID, b"key": KEY, b"token": [TOKEN8], b"value": b"v"}),
    ("store-key-short", b"store_value", {b"id": ID, b"key": KEY[:19], b"token": TOKEN8, b"value": b"v"}),
]:
    refused(name, MALFORMED, method, arguments, 204)

NODES = [(bytes.fromhex("835925ba99f19c2a18deefdf52a4b61241303030"), "127.0.0.1:7003"),
         (bytes.fromhex("bd73c29b2c89c02104f0c60472a0375e41303030"), "127.0.0.1:7002")]
NODES6 = [(b"6" * 20, "[2001:db8::1]:9978")]
pack = lambda contacts: [id + compact(address) for id, address in contacts]
show = lambda contacts: [{"id": id.hex(), "address": address} for id, address in contacts]


def response(name, sentence, to, shown, fields, writes_back=True):
    fields = dict(sorted({b"id": RESPONDER, **{key.encode(): value for key, value in fields.items()}}.items()))
    vector(responses, "response-" + name, sentence, response_bytes(fields), {"response": {"id": RESPONDER.hex(), **shown}}, writes_back, to=to)


def fails(name, sentence, to, fields):
    fields = dict(sorted({**({} if "id" in fields else {b"id": RESPONDER}), **{key.encode(): value for key, value in fields.items()}}.items()))
    vector(responses, "response-" + name, sentence, response_bytes(fields), {"failure": True}, to=to)


response("ping-2008", ROWS["ping"], "ping", {}, {})
response("ping-with-ip", "| `ip` | 6 or 18 bytes | the same as a compact address |", "ping", {"ip": "127.0.0.1:7009"}, {"ip": compact("127.0.0.1:7009")})
response("ping-with-ip-over-ipv6", "| `ip` | 6 or 18 bytes | the same as a compact address |", "ping", {"ip": "[2001:db8::9]:7009"}, {"ip": compact("[2001:db8::9]:7009")})
response("join-2008", ROWS["join"], "join", {"ip_addr": "127.0.0.1", "port": 7009}, {"ip_addr": b"127.0.0.1", "port": 7009})
response("join-with-ip", ROWS["join"], "join", {"ip": "127.0.0.1:7009", "ip_addr": "127.0.0.1", "port": 7009},
         {"ip": compact("127.0.0.1:7009"), "ip_addr": b"127.0.0.1", "port": 7009})
response("join-over-ipv6", ROWS["join"], "join", {"ip": "[2001:db8::9]:7009", "ip_addr": "2001:db8::9", "port": 7009},
         {"ip": compact("[2001:db8::9]:7009"), "ip_addr": b"2001:db8::9", "port": 7009})
response("find_node-2008", ROWS["find_node"], "find_node", {"nodes": show(NODES), "token": TOKEN20.hex()}, {"nodes": pack(NODES), "token": TOKEN20})
response("find_node-with-nodes6", "| `nodes6` | list of up to 8 strings of 38 bytes | IPv6 contacts, closest first |", "find_node",
         {"nodes": show(NODES), "nodes6": show(NODES6), "token": TOKEN8.hex()}, {"nodes": pack(NODES), "nodes6": pack(NODES6), "token": TOKEN8})
response("find_node-without-token", "A missing token does not: see below.", "find_node", {"nodes": show(NODES)}, {"nodes": pack(NODES)})
response("find_node-nobody", "`nodes` is there even when it is empty.", "find_node", {"nodes": [], "token": TOKEN8.hex()}, {"nodes": [], "token": TOKEN8})
response("find_value", ROWS["find_value"], "find_value", {"nodes": show(NODES), "num": 3}, {"nodes": pack(NODES), "num": 3})
response("find_value-nothing", ROWS["find_value"], "find_value", {"nodes": [], "num": 0}, {"nodes": [], "num": 0})
response("find_value-with-nodes6", "`nodes6` is sent by a responder that knows IPv6 contacts.", "find_value",
         {"nodes": [], "nodes6": show(NODES6), "num": 1}, {"nodes": [], "nodes6": pack(NODES6), "num": 1})
response("get_value", ROWS["get_value"], "get_value", {"values": [b"abc".hex(), b"".hex(), (b"\xff" * 30).hex()]}, {"values": [b"abc", b"", b"\xff" * 30]})
response("get_value-none", "may be empty, which is an answer and no error", "get_value", {"values": []}, {"values": []})
response("store_value", ROWS["store_value"], "store_value", {}, {})
INSIDE = "Keys in `r` that are not known are ignored too, so a response can be extended inside `r`."
response("extended-inside", INSIDE, "ping", {}, {"x": [1, {b"y": b"z"}]}, False)
response("extended-between", INSIDE, "find_value", {"nodes": [], "num": 0}, {"nodes": [], "nodes7": 1, "num": 0, "v": b""}, False)
response("known-keys-of-another-answer", INSIDE, "ping", {"num": 0, "token": TOKEN8.hex()}, {"num": 0, "token": TOKEN8})
KNOWN = "If one has the wrong type or length there, the response counts as a failure of its sender."
MISSING = "A response to `find_node` or `find_value` fails its sender if `nodes` is missing or an entry does not have 26 bytes; the same goes for a missing `num` or `values`."
fails("find_node-without-nodes", MISSING, "find_node", {"token": TOKEN8})
fails("find_node-with-nodes6-alone", MISSING, "find_node", {"nodes6": pack(NODES6), "token": TOKEN8})
fails("find_node-with-25-bytes", MISSING, "find_node", {"nodes": [pack(NODES)[0][:25]], "token": TOKEN8})
fails("find_node-one-wrong-among-good", MISSING, "find_node", {"nodes": pack(NODES) + [b""], "token": TOKEN8})
fails("find_node-ipv6-contact-in-nodes", MISSING, "find_node", {"nodes": pack(NODES6), "token": TOKEN8})
fails("find_node-nodes-joined", MISSING, "find_node", {"nodes": b"".join(pack(NODES)), "token": TOKEN8})
fails("find_node-ipv4-contact-in-nodes6", KNOWN, "find_node", {"nodes": [], "nodes6": pack(NODES), "token": TOKEN8})
fails("find_node-token-a-number", KNOWN, "find_node", {"nodes": [], "token": 1})
fails("find_value-without-nodes", MISSING, "find_value", {"num": 3})
fails("find_value-without-num", MISSING, "find_value", {"nodes": []})
fails("find_value-num-a-string", KNOWN, "find_value", {"nodes": [], "num": b"3"})
fails("get_value-without-values", MISSING, "get_value", {})
fails("get_value-with-a-number", KNOWN, "get_value", {"values": [b"abc", 5]})
fails("get_value-with-a-list", KNOWN, "get_value", {"values": [[]]})
fails("get_value-not-a-list", KNOWN, "get_value", {"values": b"abc"})
fails("id-missing", KNOWN, "ping", {"id": 0})
fails("id-short", KNOWN, "ping", {"id": RESPONDER[:19]})
fails("id-of-zeros", "whose query or response this is; never all zeros", "ping", {"id": bytes(20)})
fails("ip-of-five", KNOWN, "ping", {"ip": b"12345"})
fails("ip-a-number", KNOWN, "join", {"ip": 1, "ip_addr": b"127.0.0.1", "port": 1})
fails("port-too-large", KNOWN, "join", {"ip_addr": b"127.0.0.1", "port": 65536})
fails("port-negative", KNOWN, "join", {"ip_addr": b"127.0.0.1", "port": -1})
fails("ip_addr-a-number", KNOWN, "join", {"ip_addr": 127, "port": 1})
fails("wrong-though-not-asked-for", "Known keys of `r` are checked in every response.", "ping", {"values": 3})


def drops(name, sentence, text):
    vector(dropped, name, sentence, text if isinstance(text, bytes) else ben(text), None)


DROP = "Dropped without an answer: another length of `t` (BitTorrent's nodes use shorter ones, which keeps them out), another `y`, and a message that lacks one of the keys of its kind or has one of another type."
a = {b"id": ID}
for name, message in [
    ("t-of-two", {b"a": a, b"q": b"ping", b"t": b"aa", b"y": b"q"}), ("t-of-nineteen", {b"a": a, b"q": b"ping", b"t": T[:19], b"y": b"q"}),
    ("t-of-twenty-one", {b"a": a, b"q": b"ping", b"t": T + b"T", b"y": b"q"}), ("t-empty", {b"a": a, b"q": b"ping", b"t": b"", b"y": b"q"}),
    ("t-missing", {b"a": a, b"q": b"ping", b"y": b"q"}), ("t-a-number", {b"a": a, b"q": b"ping", b"t": 1, b"y": b"q"}),
    ("y-unknown", {b"a": a, b"q": b"ping", b"t": T, b"y": b"x"}), ("y-missing", {b"a": a, b"q": b"ping", b"t": T}),
    ("y-a-number", {b"a": a, b"q": b"ping", b"t": T, b"y": 1}), ("y-long", {b"a": a, b"q": b"ping", b"t": T, b"y": b"query"}),
    ("q-missing", {b"a": a, b"t": T, b"y": b"q"}), ("q-a-list", {b"a": a, b"q": [], b"t": T, b"y": b"q"}),
    ("a-missing", {b"q": b"ping", b"t": T, b"y": b"q"}), ("a-a-list", {b"a": [], b"q": b"ping", b"t": T, b"y": b"q"}),
    ("a-a-string", {b"a": b"id", b"q": b"ping", b"t": T, b"y": b"q"}),
    ("r-missing", {b"t": T, b"y": b"r"}), ("r-a-list", {b"r": [], b"t": T, b"y": b"r"}), ("r-under-another-y", {b"r": a, b"t": T, b"y": b"q"}),
    ("e-missing", {b"t": T, b"y": b"e"}), ("e-a-string", {b"e": b"no", b"t": T, b"y": b"e"}),
]:
    drops(name, DROP, message)
TWO = "| `e` | errors | a list of exactly two: a code (integer), a text (byte string) |"
for name, e in [("empty", []), ("code-alone", [204]), ("three", [204, b"no", b"more"]), ("text-first", [b"no", 204]), ("two-codes", [204, 204])]:
    drops("error-" + name, TWO, {b"e": e, b"t": T, b"y": b"e"})
MAL = "A malformed datagram gets no answer at all."
good = query_bytes(b"ping", a)
for name, text in [("empty", b""), ("garbage", b"\x00\x01\x02"), ("cut", good[:-1]), ("trailing", good + b"x"), ("twice", good + good),
                   ("unsorted", b"d1:q4:ping1:ad2:id20:" + ID + b"e1:t20:" + T + b"1:y1:qe"), ("a-list", b"l" + good[1:]),
                   ("empty-dictionary", b"de"), ("leading-zero", good.replace(b"2:id20:", b"2:id020:")),
                   ("unicode-type", good.replace(b"4:ping", b"u4:ping")), ("duplicate-key", good[:-1] + b"1:y1:qe"),
                   ("too-deep", good[:-1] + b"1:z" + b"l" * 16 + b"e" * 17), ("backwards", b"l4:i1eed-8:"),
                   ("bittorrent", b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe")]:
    drops(name, MAL if name != "bittorrent" else DROP, text)
ABOUT = ("Datagrams, and what they are: a `query`, one that is `refused` with an error, a `response` or the `failure` of one (`to`: of which query), "
         "an `error`, or to be `dropped`. `writes_back`: encoding the same message gives the same bytes.")
write("messages/queries", "messages", ABOUT, [2], queries)
write("messages/responses", "messages", ABOUT, [2], responses)
write("messages/dropped", "messages", ABOUT, [1, 2], dropped)

CODES = {200: "| 200 | generic | never by ours |", 201: "| 201 | the server failed, or cannot store the value | yes |",
         202: "| 202 | malformed packet | never; understood |", 203: UNKNOWN, 204: MALFORMED, 205: "| 205 | the token is not valid | yes |",
         206: "| 206 | response too long: a value does not fit a datagram | yes |"}


def error(name, sentence, code, text, more={}):
    message = {b"e": [code, text], b"t": T, **more, b"y": b"e"}
    vector(errors, name, sentence, ben(message), {"error": {"code": code, "text": text.hex()}}, not more)


for code, sentence in CODES.items():
    error(f"code-{code}", sentence, code, b"a text")
NOBODY = "The text is short and always the same for a code; nobody parses it."
error("text-of-2008", NOBODY, 205, b"token is invalid, do a find_nodes to get a fresh one")
error("text-empty", NOBODY, 201, b"")
error("text-of-any-bytes", NOBODY, 201, b"\xff\x00")
error("code-unknown", TWO, 299, b"new")
error("code-negative", TWO, -1, b"odd")
error("code-zero", TWO, 0, b"")
error("extended", OTHER, 204, b"a text", {b"v": b"KH01"})
write("errors/errors", "messages", ABOUT, [2], errors)

recorded = []
CODEC = "Datagrams that a 2008 node sent are in [`vectors/recordings`](vectors/recordings/khashmir-2008-probes.json)."
probes = json.loads((VECTORS / "recordings/khashmir-2008-probes.json").read_text())["probes"]
SHOWN = {
    "ping": ("ping", {}), "join": ("join", {"ip_addr": "127.0.0.1", "port": 7009}),
    "find_node": ("find_node", {"nodes": show(NODES), "token": "0b0bc9945eddad7a0c8bf11b8392d50e13e71b38"}),
    "find_value": ("find_value", {"nodes": show(NODES), "num": 3}), "get_value_missing_key": ("get_value", {"values": []}),
    "store_good_token": ("store_value", {}),
    "store_bad_token": (None, {"code": 205, "text": b"token is invalid, do a find_nodes to get a fresh one".hex()}),
}
for probe in probes:
    if probe["name"] in SHOWN:
        to, shown = SHOWN[probe["name"]]
        message = {"response": {"id": RESPONDER.hex(), **shown}} if to else {"error": shown}
        vector(recorded, "recorded-" + probe["name"], CODEC, bytes.fromhex(probe["reply"]), message, True, **({"to": to} if to else {}))
assert len(recorded) == len(SHOWN)
write("messages/recorded", "messages", ABOUT, [0], recorded)
