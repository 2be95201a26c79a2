#!/usr/bin/env python3
"""The codec and the compact formats of the protocol, written from PROTOCOL.md alone.

    python3 independent/codec.py vectors

checks the topics that it implements against the vector files, prints how many vectors of each
passed, and exits with 1 if any did not. Python 3, standard library only.
"""
import hashlib, ipaddress, json, pathlib, re, sys
from urllib.parse import quote_plus, unquote_to_bytes

METHODS = {b"ping": [], b"join": [], b"find_node": [b"target"], b"find_value": [b"key"],
           b"get_value": [b"key", b"num"], b"store_value": [b"key", b"token", b"value"]}
NEEDED = {b"find_node": [b"nodes"], b"find_value": [b"nodes", b"num"], b"get_value": [b"values"]}
PIECE = 524288
sha1 = lambda data: hashlib.sha1(data).digest()


class Malformed(Exception):
    pass


def require(condition):
    if not condition:
        raise Malformed


def decode(data, depth=16, tokens=512):
    """Section 1. Integers become int, strings bytes, lists list, dictionaries dict."""
    stack, keys, result, at, count = [], [], None, 0, 0
    while True:
        if at < len(data) and data[at:at + 1] == b"e" and stack:
            require(keys[-1] is None or not keys[-1][1])  # no key without its value
            value, at = stack.pop(), at + 1
            keys.pop()
        else:
            match = re.compile(rb"i(0|-?[1-9][0-9]*)e|(0|[1-9][0-9]*):|[ld]").match(data, at)
            require(match)
            at, count = match.end(), count + 1
            require(count <= tokens)
            if match[1] is not None:
                value = min(max(int(match[1]), -2**63), 2**63 - 1)
            elif match[2] is not None:
                end = at + int(match[2])
                require(end <= len(data))
                value, at = data[at:end], end
            else:
                stack.append([] if match[0] == b"l" else {})
                keys.append(None if match[0] == b"l" else [None, False])
                require(len(stack) <= depth)
                continue
        if not stack:
            result = value
            break
        if keys[-1] is None:
            stack[-1].append(value)
        elif keys[-1][1]:
            stack[-1][keys[-1][0]], keys[-1][1] = value, False
        else:
            require(isinstance(value, bytes) and (keys[-1][0] is None or value > keys[-1][0]))
            keys[-1] = [value, True]
    require(at == len(data))
    return result


def encode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def is_id(value):
    return isinstance(value, bytes) and len(value) == 20


def strings(value, *lengths):
    return isinstance(value, list) and all(isinstance(v, bytes) and (not lengths or len(v) in lengths) for v in value)


def address(compact):
    require(len(compact) in (6, 18))
    ip, port = ipaddress.ip_address(compact[:-2]), int.from_bytes(compact[-2:], "big")
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"


def compact(text):
    host, port = text.rsplit(":", 1)
    return ipaddress.ip_address(host.strip("[]")).packed + int(port).to_bytes(2, "big")


def contact(value):
    return {"id": value[:20].hex(), "address": address(value[20:])}


def shown(value):
    """A value as the vector files write it."""
    if isinstance(value, int):
        return {"integer": str(value)}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list):
        return {"list": [shown(v) for v in value]}
    return {"dictionary": [[key.hex(), shown(value[key])] for key in value]}


def message(datagram, to):
    """Section 2: what a datagram is, and what follows from it."""
    m = decode(datagram)
    require(isinstance(m, dict) and is_id(m.get(b"t")))
    kinds = {b"q": bytes, b"a": dict, b"r": dict, b"e": list}
    require(all(isinstance(m[k], kinds[k]) for k in kinds if k in m))
    if b"e" in m:
        e = m[b"e"]
        require(len(e) == 2 and isinstance(e[0], int) and isinstance(e[1], bytes))
    t, y = {"t": m[b"t"].hex()}, m.get(b"y")
    if y == b"e":
        return {**t, "error": {"code": m[b"e"][0], "text": m[b"e"][1].hex()}}
    if y == b"q":
        method, a = m[b"q"], m[b"a"]
        if method not in METHODS:
            return {**t, "refused": 203}
        right = {b"num": lambda v: isinstance(v, int) and v >= 0, b"token": lambda v: isinstance(v, bytes)}
        right[b"value"] = right[b"token"]
        good = set(a) == {b"id", *METHODS[method]} and a[b"id"] != bytes(20)
        if not (good and all(right.get(k, is_id)(a[k]) for k in a)):
            return {**t, "refused": 204}
        show = lambda v: v if isinstance(v, int) else v.hex()
        return {**t, "query": {"method": method.decode(), **{k.decode(): show(a[k]) for k in a}}}
    require(y == b"r")
    r = m[b"r"]
    is_bytes, is_int = (lambda v: isinstance(v, bytes)), (lambda v: isinstance(v, int))
    right = {b"ip": lambda v: is_bytes(v) and len(v) in (6, 18), b"ip_addr": is_bytes, b"token": is_bytes,
             b"num": is_int, b"port": lambda v: is_int(v) and 0 <= v < 65536, b"values": strings,
             b"nodes": lambda v: strings(v, 26), b"nodes6": lambda v: strings(v, 38)}
    good = is_id(r.get(b"id")) and any(r[b"id"]) and all(right[k](r[k]) for k in r if k in right)
    if not (good and all(k in r for k in NEEDED.get(to.encode(), []))):
        return {**t, "failure": True}
    show = {b"ip": address, b"ip_addr": bytes.decode, b"num": int, b"port": int}
    show.update({b"nodes": lambda v: list(map(contact, v)), b"values": lambda v: [x.hex() for x in v]})
    show[b"nodes6"] = show[b"nodes"]
    return {**t, "response": {k.decode(): show.get(k, bytes.hex)(r[k]) for k in r if k in right or k == b"id"}}


def claim(value, key):
    """Section 6."""
    d = decode(value)
    require(isinstance(d, dict) and {"file": b"c", "ipv6": b"c6"}[key] in d and sum(k in d for k in (b"t", b"h", b"l")) < 2)
    lens = {b"c": 6, b"c6": 18, b"h": 20, b"l": 20}
    require(all(isinstance(d[k], bytes) and len(d[k]) == lens[k] for k in lens if k in d))
    out = {n: address(d[n.encode()]) for n in ("c", "c6") if n.encode() in d}
    out.update({n: d[n.encode()].hex() for n in ("h", "l") if n.encode() in d})
    if b"t" in d:
        out["t"] = piece_hashes(d[b"t"])
    return out


def piece_hashes(d):
    hashes = d.get(b"t") if isinstance(d, dict) else None
    require(isinstance(hashes, bytes) and hashes and len(hashes) % 20 == 0)
    return hashes.hex()


def attempt(f, *arguments):
    try:
        return f(*arguments)
    except (Malformed, KeyError):
        return None


def check(topic, v):
    """Whether the vector passes."""
    data = bytes.fromhex(v["hex"]) if "hex" in v else None
    if topic == "bencode":
        value = attempt(decode, data)
        clamped = "clamped" in v
        return (value is not None) == v["valid"] and (value is None or shown(value) == v.get("clamped", v["value"]) and (clamped or encode(value) == data))
    if topic in ("messages", "errors"):
        got = attempt(message, data, v.get("to", ""))
        if got is None or not v["writes_back"]:
            return (got or {"dropped": True}) == v["message"]
        return got == v["message"] and encode(decode(data)) == data
    if topic == "compact":
        if not v["valid"]:
            return len(data) not in ((6, 18) if v["kind"] == "address" else (26, 38))
        got, written = (contact(data), bytes.fromhex(v["contact"]["id"]) + compact(v["contact"]["address"])) if v["kind"] == "contact" else (address(data), compact(v["address"]))
        return got == v[v["kind"]] and written == data
    if topic == "tokens":
        ip, key = ipaddress.ip_address(v["ip"]), bytes.fromhex(v["key"])
        form = {"2008": str(ip).encode(), "ours": ip.packed + key}[v["form"]]
        return sha1(bytes.fromhex(v["secret"]) + form)[:{"2008": 20, "ours": 8}[v["form"]]].hex() == v["token"]
    if topic == "keys":
        number = lambda text: int.from_bytes(bytes.fromhex(text), "big")
        make = {"file": lambda: (bytes.fromhex(v["of"]) + bytes(20))[:20].hex(), "ipv6": lambda: sha1(b"6" + bytes.fromhex(v["of"])).hex(),
                "join": lambda: v["of"][:38] + "%02x" % ((int(v["of"][38:], 16) + 1) % 256), "distance": lambda: "%040x" % (number(v["of"]) ^ number(v["to"])),
                "closest": lambda: sorted(v["among"], key=lambda i: number(i) ^ number(v["of"]))}
        return make[v["kind"]]() == v["is"]
    if topic == "claims":
        return attempt(claim, data, v["key"]) == v["claim"]
    if topic == "pieces" and v["kind"] == "hashes":
        return attempt(lambda: piece_hashes(decode(data))) == v["hashes"] and (v["hashes"] is None or sha1(bytes.fromhex(v["hashes"])).hex() == v["sha1"])
    if topic == "pieces" and v["kind"] == "file":
        file = (bytes.fromhex(v["repeated"]) * v["size"])[:v["size"]]
        hashes = b"".join(sha1(file[i:i + PIECE]) for i in range(0, len(file), PIECE))
        return hashes.hex() == v["hashes"] and sha1(hashes).hex() == v["sha1"]
    if topic == "pieces":
        n = -(-v["size"] // PIECE)
        tier = "none" if n < 2 else "t" if n < 5 else "h" if n < 65 else "l"
        return (n, tier, [PIECE * (n - 1), v["size"]]) == (v["pieces"], v["tier"], v["last"])
    if topic == "paths":
        path = v["path"].encode()
        good = path[:3] == b"/~/" and len(path) > 3 and not re.search(rb"%(?![0-9A-Fa-f]{2})", path)
        got = unquote_to_bytes(path[3:].replace(b"+", b" ")).hex() if good else None
        return got == v["hash"] and (not v["written"] or "/~/" + quote_plus(bytes.fromhex(got), safe="").replace("~", "%7E") == v["path"])


def main(folder):
    failed = 0
    for topic in ("bencode", "messages", "errors", "compact", "tokens", "keys", "claims", "pieces", "paths"):
        vectors = [v for file in sorted(pathlib.Path(folder, topic).glob("*.json")) for v in json.loads(file.read_text())["vectors"] if "steps" not in v]
        wrong = [v["name"] for v in vectors if not check(topic, v)]
        failed += len(wrong) + (not vectors)
        print(f"{topic}: {len(vectors) - len(wrong)} of {len(vectors)} pass", *wrong, sep="\n  wrong: ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
