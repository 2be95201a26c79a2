"""Section 5: whom a lookup asks, when, and what comes of it."""
from common import write
from scripts import KEY, NODE, TOKEN, Script, asked, near

v = []
ALONE = "With an empty table there is nobody to ask: the lookup is over at once, and its result is ourselves."
ORIGINAL = "One transmission, failure after 20 s, four requests at a time. The K closest that were *found* bound the search, failed ones too."
RETRANSMISSION = "| retransmission | The schedule of section 3. Only who has answered enters the table. |"
LEAPFROG = "Contacts that failed do not count among the K closest."
PLACE = "If closer contacts push one out of the K closest while its answer is awaited, its request stops counting as outstanding, another may be sent in its place, and it is not retransmitted."
LATE = "Should its answer come while the lookup runs, it is used."
ABORT = "The lookup ends once each of the K closest contacts, failed ones left out, has answered."
RELEASE = "The 2008 release has all of them, with 8 requests at a time and 6 stores."
names = lambda *ns: [f"c{n}" for n in ns]
R = lambda a, b: list(range(a, b + 1))

Script(v, "nobody-known", ALONE).start(0, "find_node", [], {"at_ms": 0, "closest": []}, target=KEY).end(1000)

for policy, sentence, times, done in [("ORIGINAL", ORIGINAL, [0], 20_000), ("RETRANSMIT", RETRANSMISSION, [0, 2000, 6000], 9000)]:
    s = Script(v, f"silent-contacts-{policy}", sentence, policy, "lifted")
    known = s.near(*R(1, 8))
    s.know(0, known)
    first, then = asked(times, known[:4]), asked([done + t for t in times], known[4:])
    s.start(0, "find_node", first + then, {"at_ms": 2 * done, "closest": []}, target=KEY).end(60_000)
s = Script(v, "silent-contacts-KHASHMIR_2008", RELEASE)
known = s.near(*R(1, 8))
s.know(0, known).start(0, "find_node", asked([0, 2000, 6000], known), {"at_ms": 9000, "closest": []}, target=KEY).end(20_000)

# Contacts 1 to 7 are silent; 8 names four that are farther.
for policy, sentence in [("RETRANSMIT", ORIGINAL), ("LEAPFROG", LEAPFROG)]:
    s = Script(v, f"failed-contacts-bound-{policy}", sentence, policy)
    known, more = s.near(*R(1, 8)), s.near(*R(9, 12))
    s.know(0, known).answers(0, ["c8"], nodes=more).answers(0, more)
    sent = asked([0, 2000, 6000], names(1, 2, 3, 4)) + asked([9000, 11_000, 15_000], names(5, 6, 7)) + asked([9000], ["c8"])
    closest = ["c8"]
    if policy == "LEAPFROG":
        for n, name in enumerate(more):
            sent += asked([9010 + 10 * n], [name])
        closest += more
    s.start(0, "find_node", sent, {"at_ms": 18_000, "closest": closest}, target=KEY).end(29_000)

# 11 to 14 are asked; 11 alone answers, and names 1 to 8, which are closer.
for policy, sentence in [("RETRANSMIT", RETRANSMISSION), ("LEAPFROG", PLACE), ("ABORT_EARLY", PLACE)]:
    s = Script(v, f"overtaken-{policy}", sentence, policy)
    known, closer = s.near(*R(11, 15)), s.near(*R(1, 8))
    s.know(0, known).answers(0, ["c11"], after_ms=100, nodes=closer).answers(0, closer)
    if policy == "RETRANSMIT":
        sent, done = asked([0, 2000, 6000], names(12, 13, 14)) + asked([0], ["c11"]), 9000
        sent += [item for n, name in enumerate(closer) for item in asked([100 + 10 * n], [name])]
    else:
        sent, done = asked([0], known[:4]) + asked([100], closer[:4]) + asked([110], closer[4:]), 120
    s.start(0, "find_node", sent, {"at_ms": done, "closest": closer}, target=KEY).end(20_000)

# 18 is silent and no longer among the K closest, but nobody needs its place.
for policy, sentence in [("LEAPFROG", "4. The lookup ends by the rules below, or when nothing is outstanding and nothing is left to query."), ("ABORT_EARLY", ABORT)]:
    s = Script(v, f"outstanding-outside-the-closest-{policy}", sentence, policy)
    known = s.near(*R(11, 18))
    s.near(1)
    s.know(0, known).answers(0, known[:-1], after_ms=100).answers(0, ["c15"], after_ms=100, nodes=["c1"]).answers(0, ["c1"], after_ms=100)
    late = policy == "LEAPFROG"
    sent = asked([0], names(11, 12, 13, 14)) + asked([100], names(15, 16, 17)) + asked([200], ["c1"])
    sent += asked([100, 2100, 6100] if late else [100], ["c18"])
    s.start(0, "find_node", sent, {"at_ms": 9100 if late else 300, "closest": names(1, *R(11, 17))}, target=KEY).end(20_000)

s = Script(v, "overtaken-KHASHMIR_2008", RELEASE)
known, closer = s.near(*R(11, 18)), s.near(*R(1, 8))
s.know(0, known).answers(0, ["c11"], nodes=closer).answers(0, closer)
s.start(0, "find_node", asked([0], known) + asked([10], closer), {"at_ms": 20, "closest": closer}, target=KEY).end(20_000)

s = Script(v, "late-answer-counts", LATE)
known, closer = s.near(*R(11, 18)), s.near(*R(1, 8))
s.near(9)
s.know(0, known).answers(0, ["c11"], nodes=closer).answers(0, closer[:7] + ["c9"]).answers(0, ["c18"], after_ms=5000, nodes=["c9"])
sent = asked([0], known) + asked([10], closer[:7]) + asked([10, 2010, 6010], ["c8"]) + asked([9010], ["c9"])
s.start(0, "find_node", sent, {"at_ms": 9020, "closest": closer[:7] + ["c9"]}, target=KEY).end(20_000)

s = Script(v, "failures-make-room", LEAPFROG)
dead, alive = s.near(*R(1, 7)), s.near(*R(21, 28))
s.near(30)
s.know(0, dead + ["c30"]).answers(0, ["c30"], nodes=alive).answers(0, alive)
sent = asked([0, 2000, 6000], dead) + asked([0], ["c30"]) + asked([10], ["c21"])
sent += [item for n in range(22, 29) for item in asked([9000], [f"c{n}"])]
# With 21 answered and the seven failed, seven of the places are free at once.
s.start(0, "find_node", sent, {"at_ms": 9010, "closest": alive}, target=KEY).end(20_000)

s = Script(v, "answer-under-another-id", "If the response has another, the request has failed, and the contact with that id *and that address* leaves the table.")
s.know(0, s.near(1, 2)).answers(0, ["c1"], id=("ee" * 20)).answers(0, ["c2"])
s.start(0, "find_node", asked([0], ["c1", "c2"]), {"at_ms": 10, "closest": ["c2"]}, target=KEY)
s.step(100, table=["c2"]).end(1000)

s = Script(v, "answer-from-another-port", "It counts only if its `t` is outstanding at exactly the address and port that it came from.")
s.contact("elsewhere", near(KEY, 1), "10.1.0.1:9979")
s.know(0, s.near(1, 2)).answers(0, ["c1"], **{"from": "elsewhere"}).answers(0, ["c2"])
s.start(0, "find_node", asked([0, 2000, 6000], ["c1"]) + asked([0], ["c2"]), {"at_ms": 9000, "closest": ["c2"]}, target=KEY).end(10_000)

s = Script(v, "error-is-a-failure", "A 2008 node takes **every error for a failure of the node that sent it**, just like a timeout")
s.know(0, s.near(1, 2)).answers(0, ["c1"], errors={"find_node": 201}).answers(0, ["c2"])
s.start(0, "find_node", asked([0], ["c1", "c2"]), {"at_ms": 10, "closest": ["c2"]}, target=KEY).end(1000)

CONTACTS = "| contacts used of one response | 8, one per IP; none at an address that is not allowed, multicast or port 0; not ourselves |"
s = Script(v, "contacts-of-one-response", CONTACTS)
s.contact("private", near(KEY, 1), "192.168.0.1:9978")
s.contact("loopback", near(KEY, 2), "127.0.0.1:9978")
s.contact("multicast", near(KEY, 3), "224.0.0.1:9978")
s.contact("no-port", near(KEY, 4), "10.4.0.1:0")
s.contact("ourselves", NODE, "10.5.0.1:9978")
s.contact("zeros", bytes(20), "10.6.0.1:9978")
s.contact("same-ip", near(KEY, 7), "10.21.0.1:9979")
used = s.near(*R(21, 30))
s.near(40)
s.know(0, ["c40"]).answers(0, used)
s.answers(0, ["c40"], nodes=["private", "loopback", "multicast", "no-port", "ourselves", "zeros", "c21", "same-ip", *used[1:]])
s.start(0, "find_node", asked([0], ["c40"]) + asked([10], used[:8]), {"at_ms": 20, "closest": used[:8]}, target=KEY).end(1000)

s = Script(v, "two-of-a-network", "of the K closest, at most 2 in a /24 (IPv4) or /48 (IPv6)")
crowd = [s.contact(f"x{n}", near(KEY, n), f"10.50.0.{n}:9978") for n in R(1, 5)]
others = s.near(21, 22)
s.near(31)
s.know(0, ["c31"]).answers(0, ["c31"], nodes=crowd + others).answers(0, crowd + others)
s.start(0, "find_node", asked([0], ["c31"]) + asked([10], crowd[:2] + others), {"at_ms": 20, "closest": crowd[:2] + others + ["c31"]}, target=KEY).end(1000)

BOUND = "| a lookup | 64 queries, 30 s; of the K closest, at most 2 in a /24 (IPv4) or /48 (IPv6) | it need not end |"
for name, count, after, sends, done in [("thirty-seconds", 40, 1100, 28, 30_000), ("sixty-four-queries", 80, 10, 64, 640)]:
    s = Script(v, name, BOUND)
    chain = [s.near(n)[0] for n in range(200, 200 - count, -1)]
    for a, b in zip(chain, chain[1:]):
        s.answers(0, [a], after_ms=after, nodes=[b])
    s.know(0, chain[:1])
    answered = chain[:(done - 1) // after] if sends < 64 else chain[:64]
    sent = [item for n, name in enumerate(chain[:sends]) for item in asked([after * n], [name])]
    s.start(0, "find_node", sent, {"at_ms": done, "closest": answered[::-1][:8]}, target=KEY).end(31_000)

s = Script(v, "both-families", "A node that speaks IPv4 and IPv6 keeps one table for each and runs each lookup in both (as BEP 32 does).", families=("ipv4", "ipv6"))
s.contact("six", near(KEY, 1), "[fd00:1::1]:9978")
s.know(0, s.near(2)).answers(0, ["c2"], nodes6=["six"]).answers(0, ["six"])
s.start(0, "find_node", asked([0], ["c2"]) + asked([10], ["six"]), {"at_ms": 20, "closest": ["c2", "six"]}, target=KEY).end(1000)

a, b = b"value a".hex(), b"value b".hex()
GET = "2. `get_value` with `num` 0 to those who reported a `num` above 0, beginning with the closest."
s = Script(v, "get", GET)
s.know(0, s.near(1, 2, 3)).answers(0, ["c1"], values=[a, b]).answers(0, ["c2"]).answers(0, ["c3"], values=[b])
s.start(0, "get", asked([0], names(1, 2, 3), "find_value", key=KEY) + asked([10], names(1, 3), "get_value", key=KEY, num=0),
        {"at_ms": 20, "values": [a, b]}, key=KEY).end(1000)
s = Script(v, "get-from-six", "It ends when six have answered, when nobody is left, or when there are as many distinct values as were wanted.")
known = s.near(*R(1, 8))
s.know(0, known).answers(0, known, values=[a])
s.start(0, "get", asked([0], known, "find_value", key=KEY) + asked([10], known[:6], "get_value", key=KEY, num=0),
        {"at_ms": 20, "values": [a]}, key=KEY).end(1000)
s = Script(v, "get-where-one-fails", "It ends when six have answered, when nobody is left, or when there are as many distinct values as were wanted.")
known = s.near(*R(1, 8))
s.know(0, known).answers(0, known, values=[a]).answers(0, ["c2"], values=[a], errors={"get_value": 201})
s.start(0, "get", asked([0], known, "find_value", key=KEY) + asked([10], known[:6], "get_value", key=KEY, num=0) + asked([20], ["c7"], "get_value", key=KEY, num=0),
        {"at_ms": 30, "values": [a]}, key=KEY).end(1000)
s = Script(v, "get-again-what-did-not-fit", "*Ours* asks a contact again whose values did not all fit one response.")
s.know(0, s.near(1)).answers(0, ["c1"], values=[a], num=2)
s.start(0, "get", asked([0], ["c1"], "find_value", key=KEY) + asked([10], ["c1"], "get_value", key=KEY, num=0), {"at_ms": [20, 100], "values": [a, b]}, key=KEY)
s.steps[-1]["sent"] = s.steps[-1]["sent"][:1] + asked([10], ["c1"], "get_value", key=KEY, num=0)
s.answers(15, ["c1"], values=[b], num=2)
s.steps[-1]["sent"] = asked([20], ["c1"], "get_value", key=KEY, num=0)
s.end(1000)

store = lambda times, to, token=TOKEN: asked(times, to, "store_value", key=KEY, token=token, value=a)
PUT = "2. `store_value` to the results, at most 8, beginning with the closest."
s = Script(v, "put-at-six", PUT)
known = s.near(*R(1, 8))
s.know(0, known).answers(0, known, token=TOKEN)
s.start(0, "put", asked([0], known) + store([10], known[:6]), {"at_ms": 20, "copies": 6}, key=KEY, value=a).end(1000)
s = Script(v, "put-one-more-for-each-that-fails", "Six are in flight at first, and one more is sent for each that fails.")
known = s.near(*R(1, 8))
s.know(0, known).answers(0, known, token=TOKEN).answers(0, names(1, 4), token=TOKEN, errors={"store_value": 201})
s.start(0, "put", asked([0], known) + store([10], known[:6]) + store([20], known[6:]), {"at_ms": 30, "copies": 6}, key=KEY, value=a).end(1000)
s = Script(v, "put-results-exhausted", "3. It ends when 6 have confirmed or the results are exhausted. It has failed only if nobody confirmed.")
known = s.near(*R(1, 8))
s.know(0, known).answers(0, known, token=TOKEN, errors={"store_value": 201}).answers(0, ["c3"], token=TOKEN)
s.start(0, "put", asked([0], known) + store([10], known[:6]) + store([20], known[6:]), {"at_ms": 30, "copies": 1}, key=KEY, value=a).end(1000)
s = Script(v, "put-passes-over-who-gave-no-token", "Contacts that gave no token are passed over.")
known = s.near(*R(1, 8))
s.know(0, known).answers(0, known, token=TOKEN).answers(0, names(2, 3))
s.start(0, "put", asked([0], known) + store([10], names(1, 4, 5, 6, 7, 8)), {"at_ms": 20, "copies": 6}, key=KEY, value=a)
s.step(100, table=known).end(1000)
s = Script(v, "put-asks-for-a-new-token-once", "*Ours:* a put that gets 205 asks that node for a token once more, and once only.")
known = s.near(*R(1, 8))
s.know(0, known).answers(0, known, token=TOKEN).answers(0, ["c1"], token=TOKEN, errors={"store_value": 205})
s.start(0, "put", asked([0], known) + store([10], known[:6]) + asked([20], ["c1"]) + store([30], ["c1"]) + store([40], ["c7"]),
        {"at_ms": 50, "copies": 6}, key=KEY, value=a).end(1000)
s = Script(v, "put-alone", "A get then delivers what we hold, and a put has succeeded with our own copy.")
s.start(0, "put", [], {"at_ms": 0, "copies": 1}, key=KEY, value=a)
s.start(10, "get", [], {"at_ms": 10, "values": [a]}, key=KEY).end(1000)
s = Script(v, "put-with-our-own-copy", "Our own copy, if we are in the result, is one of the 6.")
s.know(0, s.near(1, 2)).answers(0, names(1, 2), token=TOKEN)
s.start(0, "put", asked([0], names(1, 2)) + store([10], names(1, 2)), {"at_ms": 20, "copies": 3}, key=KEY, value=a).end(1000)

TARGET = near(NODE, ord("0") ^ ord("1"))
JOIN = "2. Whenever one answers: a lookup whose target is our own id, one added to its last byte (255 becomes 0)."
s = Script(v, "join", JOIN)
s.near(1, 2)
s.answers(0, ["c1"], nodes=["c2"]).answers(0, ["c2"])
query = {"method": "join"}
s.start(0, "join", [{"at_ms": 0, "to": "c1", "query": query}] + asked([10], ["c1"], target=TARGET) + asked([20], ["c2"], target=TARGET),
        {"at_ms": 30, "contacts": 2}, through=["c1"])
s.end(31)
s = Script(v, "join-again", "| a join that failed is tried again | after 20 s, doubling |")
s.near(1)
join = lambda times: [{"at_ms": at, "to": "c1", **({"again": True} if n else {}), "query": query} for n, at in enumerate(times)]
s.start(0, "join", join([0, 2000, 6000]) + join([29_000, 31_000, 35_000]) + join([78_000, 80_000, 84_000]), {"at_ms": 9000, "contacts": 0}, through=["c1"]).end(100_000)

ABOUT = "One node in virtual time, whom its lookups ask, and when. Scripts name their policy; a node's own default is free."
write("lookups/lookups", "script", ABOUT, [1, 2, 3, 4, 5, 7], v)
