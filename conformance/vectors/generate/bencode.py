"""Section 1."""
from common import ben, write

ONE = "Every value has exactly one encoding, and a decoder accepts no other."
ORDER = "Keys of a dictionary ascend strictly, compared as raw bytes."
good, bad = [], []


def shown(value):
    if isinstance(value, int):
        return {"integer": str(value)}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list):
        return {"list": [shown(item) for item in value]}
    return {"dictionary": [[key.hex(), shown(item)] for key, item in value.items()]}


def accepts(name, text, value, sentence=ONE, clamped=None):
    assert ben(value) == text, name
    vector = {"name": name, "sentence": sentence, "hex": text.hex(), "valid": True, "value": shown(value)}
    if clamped is not None:
        vector["clamped"] = shown(clamped)
    good.append(vector)


def refuses(name, text, sentence):
    bad.append({"name": name, "sentence": sentence, "hex": text.hex(), "valid": False})


INTEGER = "| integer | `i`, decimal digits, `e` | `i42e`, `i-1e`, `i0e` |"
BYTES = "| byte string | length in decimal, `:`, the bytes | `4:spam`, `0:` |"
LIST = "| list | `l`, values, `e` | `l4:spami42ee` |"
DICTIONARY = "| dictionary | `d`, pairs of byte string and value, `e` | `d1:ai1e1:bi2ee` |"
accepts("integer", b"i42e", 42, INTEGER)
accepts("zero", b"i0e", 0, INTEGER)
accepts("negative", b"i-1e", -1, INTEGER)
accepts("ten", b"i10e", 10, INTEGER)
accepts("negative-with-zeros", b"i-100e", -100, INTEGER)
accepts("largest-of-64-bits", b"i9223372036854775807e", 2**63 - 1, INTEGER)
accepts("smallest-of-64-bits", b"i-9223372036854775808e", -(2**63), INTEGER)
BEYOND = "One beyond the range of the decoder is taken as the nearest end of that range, never wrapped."
accepts("just-beyond-64-bits", b"i9223372036854775808e", 2**63, BEYOND, 2**63 - 1)
accepts("just-below-64-bits", b"i-9223372036854775809e", -(2**63) - 1, BEYOND, -(2**63))
accepts("twice-64-bits", b"i18446744073709551617e", 2**64 + 1, BEYOND, 2**63 - 1)
accepts("hundred-digits", b"i" + b"9" * 100 + b"e", 10**100 - 1, "Integers may have any number of digits.", 2**63 - 1)
accepts("string", b"4:spam", b"spam", BYTES)
accepts("empty-string", b"0:", b"", BYTES)
accepts("string-of-ten", b"10:0123456789", b"0123456789", BYTES)
accepts("string-of-any-bytes", b"5:\x00\xff\x80\x0a:", b"\x00\xff\x80\x0a:", BYTES)
accepts("string-that-looks-like-bencode", b"5:i42ee", b"i42ee", BYTES)
accepts("list", b"l4:spami42ee", [b"spam", 42], LIST)
accepts("empty-list", b"le", [], LIST)
accepts("lists-in-a-list", b"llelleee", [[], [[]]], LIST)
accepts("dictionary", b"d1:ai1e1:bi2ee", {b"a": 1, b"b": 2}, DICTIONARY)
accepts("empty-dictionary", b"de", {}, DICTIONARY)
accepts("dictionary-in-a-dictionary", b"d1:ad1:bleee", {b"a": {b"b": []}}, DICTIONARY)
accepts("empty-key", b"d0:i1ee", {b"": 1}, ORDER)
accepts("keys-as-raw-bytes", b"d1:Zi1e1:ai2e1:\xffi3ee", {b"Z": 1, b"a": 2, b"\xff": 3}, ORDER)
accepts("prefix-of-a-key-comes-first", b"d1:ai1e2:aai2ee", {b"a": 1, b"aa": 2}, ORDER)
accepts("length-of-a-key-does-not-order", b"d2:aai1e1:bi2ee", {b"aa": 1, b"b": 2}, ORDER)
nested = []
for _ in range(15):
    nested = [nested]
accepts("sixteen-levels", b"l" * 16 + b"e" * 16, nested,
        "more than 16 lists and dictionaries within one another, in a datagram")
accepts("five-hundred-and-twelve-tokens", b"l" + b"0:" * 511 + b"e", [b""] * 511,
        "more than 512 tokens, in a datagram (section 7)")

ZERO = "| `i01e`, `i-01e`, `01:a` | leading zero |"
for name, text in [("integer", b"i01e"), ("negative", b"i-01e"), ("length", b"01:a"), ("two-zeros", b"i00e"),
                   ("length-of-nothing", b"00:"), ("key-length", b"d01:ai1ee")]:
    refuses("leading-zero-" + name, text, ZERO)
refuses("negative-zero", b"i-0e", "| `i-0e` | zero has no sign |")
SIGN = "| `i+5e`, `+1:a`, `-1:a` | a plus before digits, or any sign in a length |"
for name, text in [("integer", b"i+5e"), ("length", b"+1:a"), ("negative-length", b"-1:a"), ("negative-zero-length", b"-0:"),
                   ("two-signs", b"i--1e"), ("sign-alone", b"i-e"), ("sign-behind", b"i1-e")]:
    refuses("sign-" + name, text, SIGN)
SPACE = "| `i 5e`, `1 :a` | a space (2008 lets spaces and a plus pass) |"
for name, text in [("before-integer", b"i 5e"), ("after-integer", b"i5 e"), ("after-length", b"1 :a"), ("before-length", b" 1:a"),
                   ("newline-after-value", b"i5e\n"), ("in-a-list", b"l i5ee"), ("underscore", b"i1_0e")]:
    refuses("space-" + name, text, SPACE)
TWICE = "| `d1:bi1e1:ai2ee`, `d1:ai1e1:ai2ee` | keys out of order, or twice |"
for name, text in [("out-of-order", b"d1:bi1e1:ai2ee"), ("twice", b"d1:ai1e1:ai2ee"), ("shorter-last", b"d2:aai1e1:ai2ee"),
                   ("case", b"d1:ai1e1:Zi2ee"), ("deep-inside", b"d1:ald1:bi1e1:ai2eeee"), ("empty-key-last", b"d1:ai1e0:i2ee")]:
    refuses("keys-" + name, text, TWICE)
AFTER = "| `i1ei2e` | bytes after the value |"
for name, text in [("value", b"i1ei2e"), ("end", b"lee"), ("zero-byte", b"4:spam\0"), ("dictionary", b"dede")]:
    refuses("trailing-" + name, text, AFTER)
SHORT = "| `5:abc`, `l`, `d1:ae` | cut short: a length past the end, or a missing end or value |"
for name, text in [("string", b"5:abc"), ("list", b"l"), ("value", b"d1:ae"), ("integer", b"i5"), ("nothing", b""),
                   ("length", b"5"), ("digits", b"ie"), ("dictionary", b"d1:ai1e"), ("key-and-end", b"d1:a"),
                   ("length-without-bytes", b"1:"), ("huge-length", b"99999999999999999999:a"),
                   ("length-of-64-bits", b"18446744073709551617:a"), ("integer-letter", b"i5xe"), ("fraction", b"i1.5e")]:
    refuses("cut-" + name, text, SHORT)
for name, text in [("integer-key", b"di1ei2ee"), ("list-key", b"dlei2ee"), ("dictionary-key", b"ddei2ee")]:
    refuses(name, text, DICTIONARY)
TYPES = "| `u1:a`, `t2008-05-01e` | types that only the 2008 codec has; nothing on the wire uses them |"
for name, text in [("unicode", b"u1:a"), ("date", b"t2008-05-01e"), ("unicode-inside", b"d1:au1:be"), ("end-alone", b"e"),
                   ("none", b"n"), ("float", b"f1e"), ("garbage", b"\xff\xfe"), ("http", b"GET / HTTP/1.1\r\n\r\n")]:
    refuses("type-" + name, text, TYPES)
refuses("seventeen-levels", b"l" * 17 + b"e" * 17, "more than 16 lists and dictionaries within one another, in a datagram")
refuses("seventeen-levels-mixed", b"d1:a" * 16 + b"le" + b"e" * 16,
        "more than 16 lists and dictionaries within one another, in a datagram")
refuses("five-hundred-and-thirteen-tokens", b"l" + b"0:" * 512 + b"e", "more than 512 tokens, in a datagram (section 7)")
refuses("keys-are-tokens", b"d" + b"".join(b"3:%03di0e" % n for n in range(256)) + b"e",
        "each integer, byte string, key, list and dictionary is one")
refuses("cursor-backwards", b"l4:i1eed-8:",
        "a decoder that lets `l4:i1eed-8:` move its cursor backwards never ends")

ABOUT = "What is bencode and what is not. `hex` is the whole input, taken as a datagram."
write("bencode/good", "bencode", ABOUT, [1], good)
write("bencode/bad", "bencode", ABOUT, [1], bad)
