"""Writes the vector files, or checks that they are as this would write them.

    python3 generate            writes them
    python3 generate --check    changes nothing; exits with 1 if a file differs

Expected values come from PROTOCOL.md, from the recordings, and from `hashlib`: no node is asked.
"""
import sys

import bencode, compact_formats, messages, claims, lookups, nodes, downloads
from common import VECTORS, files

check = sys.argv[1:] == ["--check"]
wrong = []
for path, text in files.items():
    file = VECTORS / path
    if check:
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            wrong.append(path)
    else:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
known = {file.relative_to(VECTORS).as_posix() for file in VECTORS.glob("*/*.json")}
wrong += [path for path in known - set(files) if path.split("/")[0] not in ("recordings", "schema")]
for path in wrong:
    print("not as generated:", path)
sys.exit(1 if wrong else 0)
