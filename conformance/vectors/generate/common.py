"""What the generators share: how values are written, and the shape of a file."""
import hashlib
import ipaddress
import json
import pathlib

VERSION = "1.0.0"
LICENCE = "MIT OR Apache-2.0"
VECTORS = pathlib.Path(__file__).resolve().parent.parent
files = {}


def sha1(data):
    return hashlib.sha1(data).digest()


def ben(value):
    """Bencode. A dictionary is written in the order that it has, so that wrong ones can be made."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(ben, value)) + b"e"
    return b"d" + b"".join(ben(key) + ben(value[key]) for key in value) + b"e"


def compact(address):
    host, port = address.rsplit(":", 1)
    return ipaddress.ip_address(host.strip("[]")).packed + int(port).to_bytes(2, "big")


def pretty(value, indent=0):
    """JSON, with whatever fits one line on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= 110 or not isinstance(value, (dict, list)) or not value:
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, list):
        items = [pretty(item, indent + 1) for item in value]
    else:
        items = [json.dumps(key) + ": " + pretty(item, indent + 1 + len(key)) for key, item in value.items()]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return opening + "\n" + ",\n".join(pad + item for item in items) + "\n" + " " * indent + closing


def write(path, schema, about, sections, vectors):
    """A file of vectors; `path` is `topic/name`."""
    topic = path.split("/")[0]
    names = [vector["name"] for vector in vectors]
    assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
    files[path + ".json"] = pretty({
        "$schema": f"../schema/{schema}.schema.json",
        "version": VERSION,
        "licence": LICENCE,
        "topic": topic,
        "about": about,
        "protocol": sections,
        "vectors": vectors,
    }) + "\n"
