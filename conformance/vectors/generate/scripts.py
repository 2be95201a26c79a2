"""How scripts are put together."""
from common import ben

NODE = b"\x40" + bytes(15) + b"A100"
# All ids near it are in one half of the space, and the node in the other.
KEY = b"\xc0" + bytes(19)
TOKEN = b"a token!".hex()


def near(target, n):
    return (int.from_bytes(target, "big") ^ n).to_bytes(20, "big")


class Script:
    def __init__(self, into, name, sentence, policy="KHASHMIR_2008", limits="default", families=("ipv4",), uncounted=(), ignore=("ping",),
                 accepts_stores=None):
        self.node = {"id": NODE.hex(), "policy": policy, "limits": limits, "families": list(families),
                     "local_networks": ["10.0.0.0/8", "fd00::/8"], "uncounted_networks": list(uncounted)}
        if accepts_stores is not None:
            self.node["accepts_stores"] = accepts_stores
        self.contacts, self.steps = {}, []
        self.vector = {"name": name, "sentence": sentence, "node": self.node, "contacts": self.contacts, "ignore": list(ignore), "steps": self.steps}
        into.append(self.vector)

    def contact(self, name, id, address):
        self.contacts[name] = {"id": id.hex(), "address": address}
        return name

    def near(self, *ns, target=KEY):
        """Contacts at these distances from the target, each in a network of its own: c1 is at 10.1.0.1."""
        return [self.contact(f"c{n}", near(target, n), f"10.{n % 256}.{n // 256}.1:9978") for n in ns]

    def step(self, at_ms, **fields):
        self.steps.append({"at_ms": at_ms, **fields})
        return self

    def know(self, at_ms, names, **fields):
        return self.step(at_ms, know=list(names), **fields)

    def answers(self, at_ms, names, **behaviour):
        behaviour = {"after_ms": 10, **behaviour}
        return self.step(at_ms, answers={name: behaviour for name in names})

    def query(self, at_ms, from_, method, expect=None, **arguments):
        fields = {key: expect.pop(key) for key in ("remember", "total_bytes_at_most", "table") if expect and key in expect}
        query = {"from": from_, "method": method, **{k: v.hex() if isinstance(v, bytes) else v for k, v in arguments.items()}}
        if expect is not None and "sent" in expect:
            fields["sent"] = expect["sent"]
        elif expect is not None:
            fields["sent"] = [{"at_ms": at_ms, "to": from_, **({"error": expect["error"]} if "error" in expect else {"response": expect})}]
        return self.step(at_ms, query=query, **fields)

    def start(self, at_ms, operation, sent, finished, **arguments):
        arguments = {k: v.hex() if isinstance(v, bytes) else v for k, v in arguments.items()}
        return self.step(at_ms, start={"operation": operation, **arguments}, sent=sent, finished=finished)

    def end(self, at_ms):
        self.vector["end_ms"] = at_ms


def asked(times, names, method="find_node", **arguments):
    """Queries to each of the names, at each of the times; later ones are repeats."""
    arguments = arguments or {"target": KEY}
    query = {"method": method, **{k: v.hex() if isinstance(v, bytes) else v for k, v in arguments.items()}}
    return [{"at_ms": at, "to": name, **({"again": True} if n else {}), "query": query} for n, at in enumerate(times) for name in names]


def query_len(method, arguments):
    """Bytes of the datagram of a query."""
    a = {b"id": bytes(20), **{k.encode(): v for k, v in arguments.items()}}
    return len(ben({b"a": dict(sorted(a.items())), b"q": method.encode(), b"t": bytes(20), b"y": b"q"}))
