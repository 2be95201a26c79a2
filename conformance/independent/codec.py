#!/usr/bin/env python3
"""The codec and the compact formats, written from PROTOCOL.md alone, in Python's standard library.

`python3 independent/codec.py vectors` checks them against the vector files and exits with 1 if one fails.
"""
import hashlib, ipaddress, json, pathlib, re, sys
from urllib.parse import quote_plus, unquote_to_bytes

ARGUMENTS = {b"ping": [], b"join": [], b"find_node": [b"target"], b"find_value": [b"key"],
             b"get_value": [b"key", b"num"], b"store_value": [b"key", b"token", b"value"]}
NEEDED = {"find_node": [b"nodes"], "find_value": [b"nodes", b"num"], "get_value": [b"values"]}
TOKEN = re.compile(rb"i(0|-?[1-9][0-9]*)e|(0|[1-9][0-9]*):|[ld]")
PIECE = 524288

class Malformed(Exception): pass

def require(condition):
    if not condition:
        raise Malformed

def sha1(data):
    return hashlib.sha1(data).digest()

def decode(data, depth=16, tokens=512):
    """Section 1. Integers become int, strings bytes, lists list, dictionaries dict."""
    open_, keys, at = [], [], 0  # the latest key of each open dictionary, and whether its value is due
    while True:
        if data[at:at + 1] == b"e" and open_:
            require(not keys.pop()[1])
            value, at = open_.pop(), at + 1
        else:
            match = TOKEN.match(data, at)
            tokens -= 1
            require(match and tokens >= 0)
            at = match.end()
            if match[1]:
                value = min(max(int(match[1]), -2**63), 2**63 - 1)
            elif match[2]:
                value, at = data[at:at + int(match[2])], at + int(match[2])
                require(at <= len(data))
            else:
                open_.append([] if match[0] == b"l" else {})
                keys.append([None, False])
                require(len(open_) <= depth)
                continue
        if not open_:
            require(at == len(data))
            return value
        if isinstance(open_[-1], list):
            open_[-1].append(value)
        elif keys[-1][1]:
            open_[-1][keys[-1][0]], keys[-1][1] = value, False
        else:
            require(isinstance(value, bytes) and (keys[-1][0] is None or value > keys[-1][0]))
            keys[-1] = [value, True]

def encode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l%se" % b"".join(map(encode, value))
    return b"d%se" % b"".join(encode(key) + encode(value[key]) for key in sorted(value))

def shown(value):
    """A value as the vector files write it."""
    kinds = {int: ("integer", str), bytes: ("bytes", bytes.hex), list: ("list", lambda v: [shown(x) for x in v]),
             dict: ("dictionary", lambda v: [[key.hex(), shown(v[key])] for key in v])}
    name, show = kinds[type(value)]
    return {name: show(value)}

def address(compact):
    require(len(compact) in (6, 18))
    ip, port = ipaddress.ip_address(compact[:-2]), int.from_bytes(compact[-2:], "big")
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"

def compact(text):
    host, port = text.rsplit(":", 1)
    return ipaddress.ip_address(host.strip("[]")).packed + int(port).to_bytes(2, "big")

def contact(value):
    require(len(value) in (26, 38))
    return {"id": value[:20].hex(), "address": address(value[20:])}

def is_a(kind, *lengths):
    return lambda v: isinstance(v, kind) and (not lengths or len(v) in lengths)

def list_of(*lengths):
    return lambda v: isinstance(v, list) and all(map(is_a(bytes, *lengths), v))

def each(show):
    return lambda values: [show(value) for value in values]

RESPONSE = {b"id": (lambda v: is_a(bytes, 20)(v) and any(v), bytes.hex), b"ip": (is_a(bytes, 6, 18), address),
            b"ip_addr": (is_a(bytes), bytes.decode), b"port": (lambda v: is_a(int)(v) and 0 <= v < 65536, int),
            b"nodes": (list_of(26), each(contact)), b"nodes6": (list_of(38), each(contact)), b"num": (is_a(int), int),
            b"token": (is_a(bytes), bytes.hex), b"values": (list_of(), each(bytes.hex))}
QUERY = {b"id": RESPONSE[b"id"], b"target": (is_a(bytes, 20), bytes.hex), b"key": (is_a(bytes, 20), bytes.hex),
         b"num": (lambda v: is_a(int)(v) and v >= 0, int), b"token": (is_a(bytes), bytes.hex), b"value": (is_a(bytes), bytes.hex)}

def fields(form, values):
    """What is known of the values, or None if one is not as it should be."""
    known = {key: values[key] for key in values if key in form}
    good = all(form[key][0](value) for key, value in known.items())
    return {key.decode(): form[key][1](value) for key, value in known.items()} if good else None

def message(datagram, to):
    """Section 2: what a datagram is, and what follows from it."""
    m = decode(datagram)
    require(is_a(dict)(m) and is_a(bytes, 20)(m[b"t"]))
    kinds = {b"q": is_a(bytes), b"a": is_a(dict), b"r": is_a(dict), b"e": is_a(list, 2)}
    require(all(good(m[key]) for key, good in kinds.items() if key in m))
    require(b"e" not in m or is_a(int)(m[b"e"][0]) and is_a(bytes)(m[b"e"][1]))
    t, y = {"t": m[b"t"].hex()}, m[b"y"]
    if y == b"e":
        return {**t, "error": {"code": m[b"e"][0], "text": m[b"e"][1].hex()}}
    if y == b"q":
        method, arguments = m[b"q"], m[b"a"]
        if method not in ARGUMENTS:
            return {**t, "refused": 203}
        query = fields(QUERY, arguments) if set(arguments) == {b"id", *ARGUMENTS[method]} else None
        return {**t, "query": {"method": method.decode(), **query}} if query else {**t, "refused": 204}
    require(y == b"r")
    response = fields(RESPONSE, m[b"r"])
    complete = response and all(key in m[b"r"] for key in [b"id", *NEEDED.get(to, [])])
    return {**t, "response": response} if complete else {**t, "failure": True}

def piece_hashes(d):
    require(is_a(dict)(d) and is_a(bytes)(d[b"t"]) and d[b"t"] and len(d[b"t"]) % 20 == 0)
    return d[b"t"].hex()

def claim(value, key):
    """Section 6."""
    d = decode(value)
    require(is_a(dict)(d) and {"file": b"c", "ipv6": b"c6"}[key] in d and sum(k in d for k in (b"t", b"h", b"l")) < 2)
    form = {b"c": (is_a(bytes, 6), address), b"c6": (is_a(bytes, 18), address), b"h": (is_a(bytes, 20), bytes.hex),
            b"l": (is_a(bytes, 20), bytes.hex), b"t": (piece_hashes, piece_hashes)}
    return fields(form, d)

def path_hash(path):
    require(path.startswith("/~/") and len(path) > 3 and not re.search(r"%(?![0-9A-Fa-f]{2})", path))
    return unquote_to_bytes(path[3:].replace("+", " "))

def attempt(f, *arguments):
    try:
        return f(*arguments)
    except (Malformed, KeyError):
        return None

def check(topic, v):
    data = bytes.fromhex(v.get("hex", ""))
    if topic == "bencode":
        value = attempt(decode, data)
        good = value is None if not v["valid"] else shown(value) == v.get("clamped", v["value"])
        return good and ("clamped" in v or value is None or encode(value) == data)
    if topic in ("messages", "errors"):
        got = attempt(message, data, v.get("to")) or {"dropped": True}
        return got == v["message"] and (not v["writes_back"] or encode(decode(data)) == data)
    if topic == "compact":
        got = attempt({"address": address, "contact": contact}[v["kind"]], data)
        id, text = (got["id"], got["address"]) if v["kind"] == "contact" and got else ("", got)
        return got == v.get(v["kind"]) and (not v["valid"] or bytes.fromhex(id) + compact(text) == data)
    if topic == "tokens":
        ip = ipaddress.ip_address(v["ip"])
        form, length = {"2008": (v["ip"].encode(), 20), "ours": (ip.packed + bytes.fromhex(v["key"]), 8)}[v["form"]]
        return sha1(bytes.fromhex(v["secret"]) + form)[:length].hex() == v["token"]
    if topic == "keys":
        of, xor = bytes.fromhex(v["of"]), lambda a, b: bytes(x ^ y for x, y in zip(a, bytes.fromhex(b))).hex()
        return v["is"] == {"file": lambda: (of + bytes(20))[:20].hex(), "ipv6": lambda: sha1(b"6" + of).hex(),
                           "join": lambda: (of[:19] + bytes([(of[19] + 1) % 256])).hex(), "distance": lambda: xor(of, v["to"]),
                           "closest": lambda: sorted(v["among"], key=lambda id: xor(of, id))}[v["kind"]]()
    if topic == "claims":
        return attempt(claim, data, v["key"]) == v["claim"]
    if topic == "pieces" and v["kind"] == "tier":
        n = -(-v["size"] // PIECE)
        tier = "none" if n < 2 else "t" if n < 5 else "h" if n < 65 else "l"
        return (n, tier, [PIECE * (n - 1), v["size"]]) == (v["pieces"], v["tier"], v["last"])
    if topic == "pieces":
        file = (bytes.fromhex(v.get("repeated", "")) * v.get("size", 0))[:v.get("size", 0)]
        of_file = b"".join(sha1(file[at:at + PIECE]) for at in range(0, len(file), PIECE)).hex()
        hashes = of_file if v["kind"] == "file" else attempt(lambda: piece_hashes(decode(data)))
        return hashes == v["hashes"] and (hashes and sha1(bytes.fromhex(hashes)).hex()) == v["sha1"]
    hash = attempt(path_hash, v["path"])
    return (hash and hash.hex()) == v["hash"] and v["written"] == (hash is not None and "/~/" + quote_plus(hash, safe="").replace("~", "%7E") == v["path"])

def main(folder):
    failed = 0
    for topic in "bencode messages errors compact tokens keys claims pieces paths".split():
        files = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(pathlib.Path(folder, topic).glob("*.json"))]
        vectors = [v for file in files for v in file["vectors"] if "steps" not in v]
        wrong = [v["name"] for v in vectors if not check(topic, v)]
        failed += len(wrong) + (not vectors)
        print(f"{topic}: {len(vectors) - len(wrong)} of {len(vectors)} pass", *wrong, sep="\n  wrong: ")
    return min(failed, 1)

sys.exit(main(*sys.argv[1:]))
