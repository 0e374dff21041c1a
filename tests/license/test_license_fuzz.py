"""Mutated spellings: no exception, no slow input, and what is accepted stands on its own.

The short test takes some seconds; the long one, of ten minutes, is marked slow.
"""

from __future__ import annotations

import random
import time
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from license_corpus import cases

from curate.license import SOURCE_KINDS, parse
from curate.license.answer import REASONS
from curate.license.tools import TOOLS

SEEDS = [text for _, text, _ in cases()]
SPICE = (
    "\u200b", "\u202e", "\ufeff", "\u0301", "\u0435", "\u3000", "\xa0", "\xad", "\ud800", "\x00", "\n",
    "\t", "{{", "}}", "|", "<", ">", "&amp;", "&#47;", "%2f", "//", "..", "\\", "@", "?u=", "#", "(", ")",
    " or ", " and ", " not ", " with ", "4.0", "3.0", "-nc", "-nd", "-sa", "cc", "by", "0", "9" * 20,
    "[", "]", '"', "'", "\U0001f600", "版", "https://creativecommons.org/licenses/by/4.0/", "/", "-", " ",
)  # fmt: skip
LIMIT_SECONDS = 0.010


def mutated(chance: random.Random) -> str:
    """A seed with pieces cut out, doubled, spliced with another's or spiced."""
    text = chance.choice(SEEDS)
    for _ in range(chance.randint(1, 6)):
        at, width = chance.randint(0, len(text)), chance.randint(0, 12)
        text = chance.choice((
            text[:at] + text[at + width :],
            text[:at] + text[at : at + width] * chance.randint(2, 40) + text[at:],
            text[:at] + chance.choice(SPICE) + text[at:],
            text[:at] + chance.choice(SEEDS)[chance.randint(0, 30) :],
            text[:at] + chance.choice(SPICE) * chance.randint(1, 200) + text[at:],
            text.swapcase(), text[::-1],
        ))  # fmt: skip
    return text[:70_000]


def check(text: str, kind: str) -> float:
    """Seconds of processor time that one answer took, once the answer has been checked."""
    begun = time.process_time()
    answer = parse(text, kind)
    taken = time.process_time() - begun
    assert answer.reason in REASONS
    assert (answer.status == "ok") == (answer.id is not None)
    if answer.id is not None:
        assert answer.id in TOOLS
        assert answer.matched
    return taken


def fuzz(seconds: float, seed: int) -> int:
    """How many inputs were tried; a slow one is timed twice more, since neighbours make noise."""
    chance = random.Random(seed)
    begun, tried = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        text, kind = mutated(chance), chance.choice(SOURCE_KINDS)
        if check(text, kind) > LIMIT_SECONDS:
            again = min(check(text, kind) for _ in range(3))
            assert again <= LIMIT_SECONDS, (kind, again, text[:200], len(text))
        tried += 1
    return tried


def test_mutations_raise_nothing_and_take_no_time() -> None:
    assert fuzz(seconds=4, seed=20) > 500


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_mutations_for_ten_minutes() -> None:
    assert fuzz(seconds=600, seed=random.SystemRandom().randint(0, 2**32)) > 100_000


ODD = st.text(st.characters(), max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SEEDS), ODD, st.integers(0, 200), st.sampled_from(SOURCE_KINDS))
def test_any_text_in_any_place_of_a_spelling(seed: str, odd: str, at: int, kind: str) -> None:
    check(seed[:at] + odd + seed[at:], kind)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 300), st.characters(categories=("Cf", "Mn", "Me")))
def test_an_invisible_sign_within_a_spelling_never_grants_more(
    seed: str, at: int, sign: str
) -> None:
    """With a sign more that no letter takes up the answer is the same tool or none."""
    changed = seed[:at] + sign + seed[at:]
    assume(len(unicodedata.normalize("NFC", changed)) > len(unicodedata.normalize("NFC", seed)))
    before = parse(seed, "text").id
    after = parse(changed, "text").id
    assert after in (before, None)


HUGE = 10**400
STRANGE = (None, True, False, 0, 4, -1, HUGE, 4.0, float("nan"), float("inf"), b"CC0", [], ["CC0"], {},
           {"value": "CC0"}, object(), 1j, "", " ", "\x00", "\ud800" * 9, "4" * 5000)  # fmt: skip


@pytest.mark.parametrize("kind", SOURCE_KINDS)
def test_strange_values_of_every_kind(kind: str) -> None:
    for value in STRANGE:
        answer = parse(value, kind)
        assert answer.reason in REASONS
        assert answer.id is None or value in (True, 0, 4)
