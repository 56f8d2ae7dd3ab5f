"""Damage that files meet on their way: by hand, by other tools, by a broken transfer, by intent."""

import random
import re

ODD = (
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1.5",
    b"1e400",
    b"NaN",
    b".inf",
    b"0x10",
    b"1_000",
    b"~",
    b'"x"',
    b'"1"',
    b'""',
    b"[]",
    b"{}",
    b"[[1, 2], [3]]",
    b"[[[[[[1]]]]]]",
    b'{"a": 1}',
    b"&a",
    b"*a",
    b"%20",
    b"../..",
    b"\\",
    b"\0",
    b"\xff",
    "é".encode(),
    "\u2028".encode(),
    b"<a>",
    b"</a>",
    b"99999999999999999999999999",
    b"2026-99-99",
    b"!!python/object:os.system x",
    b'"',
    b",",
    b";",
    b"\t",
    b"\r",
    b"\n\n",
    b"'" * 3,
    b"a" * 5000,
)
TOKEN = re.compile(rb'-?\d+(\.\d+)?|"[^"]*"|\w+')


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with one to three faults."""
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(FAULTS)(content, rng)
    return content


def _replace_token(content: bytes, rng: random.Random) -> bytes:
    tokens = list(TOKEN.finditer(content))
    if not tokens:
        return content
    token = rng.choice(tokens)
    return content[: token.start()] + rng.choice(ODD) + content[token.end() :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randint(0, len(content))
    return content[:place] + rng.choice(ODD) + content[place:]


def _cut_out(content: bytes, rng: random.Random) -> bytes:
    start = rng.randint(0, len(content))
    return content[:start] + content[start + rng.randint(1, 60) :]


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randint(0, len(content))]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    start = rng.randint(0, len(content))
    end = start + rng.randint(1, 200)
    return content[:end] + content[start:end] * rng.randint(1, 3) + content[end:]


def _flip_bytes(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 5)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _reencode(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-8-sig", "utf-32", "cp1252")), "replace")


FAULTS = (_replace_token, _insert, _cut_out, _truncate, _repeat, _flip_bytes, _reencode)
