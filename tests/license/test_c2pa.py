"""Signed manifests: real ones, signed here and now, and what becomes of broken ones."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from pictures import file, scene
from signing import Signer, signed, signer

from curate.images.containers import holds_manifest
from curate.images.decode import Picture, decode
from curate.license import c2pa
from curate.license.c2pa import training_mining
from curate.license.embedded import read_embedded

FORMS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/avif": "AVIF",
         "image/gif": "GIF"}  # fmt: skip
PLAIN = {media: file(scene(), form) for media, form in FORMS.items()}
JPEG = PLAIN["image/jpeg"]
NO_TRAINING = {"cawg.ai_training": {"use": "notAllowed"}}


@pytest.fixture(scope="module")
def by() -> Signer:
    return signer()


@pytest.mark.parametrize("media_type", FORMS)
def test_a_signed_reservation_is_read_in_every_format(media_type: str, by: Signer) -> None:
    body = signed(PLAIN[media_type], media_type, NO_TRAINING, by=by)
    assert holds_manifest(body) and not holds_manifest(PLAIN[media_type])
    [found] = training_mining(body)
    assert (found.signal, found.value) == ("c2pa_training_mining", "cawg.ai_training: notAllowed")
    assert found.locator.startswith("c2pa:urn:c2pa:")
    assert found.locator.endswith("/cawg.training-mining")
    assert (found.signature, found.codes) == ("untrusted", ("signingCredential.untrusted",))
    assert training_mining(PLAIN[media_type]) == []
    assert training_mining(memoryview(body)) == [found]


@pytest.mark.parametrize(
    ("entries", "reserved"),
    [
        ({"cawg.ai_training": {"use": "allowed"}}, []),
        ({"cawg.ai_training": {"use": "constrained", "constraint_info": "ask us"}},
         ["cawg.ai_training: constrained"]),
        ({"cawg.data_mining": {"use": "allowed"}, "cawg.ai_inference": {"use": "notAllowed"}},
         ["cawg.ai_inference: notAllowed"]),
        ({"org.example.new_use": {"use": "notAllowed"}}, ["org.example.new_use: notAllowed"]),
        ({"cawg.ai_training": {"use": "perhaps"}}, ["cawg.ai_training: perhaps"]),
        ({"cawg.ai_training": {}}, ["cawg.ai_training: None"]),
        (None, []),
    ],
)  # fmt: skip
def test_what_is_not_plainly_allowed_is_reserved(
    entries: Any, reserved: list[str], by: Signer
) -> None:
    found = training_mining(signed(JPEG, "image/jpeg", entries, by=by))
    assert [item.value for item in found] == reserved


def test_the_older_label_counts_as_well(by: Signer) -> None:
    entries = {"c2pa.ai_generative_training": {"use": "notAllowed"}}
    body = signed(JPEG, "image/jpeg", entries, by=by, label="c2pa.training-mining")
    [found] = training_mining(body)
    assert found.value == "c2pa.ai_generative_training: notAllowed"
    assert found.locator.endswith("/c2pa.training-mining")


def test_trust_is_given_to_nobody_but_whom_the_recipe_names(by: Signer) -> None:
    body = signed(JPEG, "image/jpeg", NO_TRAINING, by=by)
    [found] = training_mining(body, trust_anchors=by.authority)
    assert (found.signature, found.codes) == ("trusted", ())
    [found] = training_mining(body, trust_anchors=signer().authority)
    assert found.signature == "untrusted"


def test_a_broken_signature_still_reserves(by: Signer) -> None:
    body = bytearray(signed(JPEG, "image/jpeg", NO_TRAINING, by=by))
    body[-20] ^= 0xFF  # a pixel
    [found] = training_mining(bytes(body))
    assert (found.signal, found.signature) == ("c2pa_training_mining", "invalid")
    assert "assertion.dataHash.mismatch" in found.codes


def test_a_forged_permission_is_not_believed(by: Signer) -> None:
    body = signed(JPEG, "image/jpeg", NO_TRAINING, by=by)
    said = b"pcawg.ai_training\xa1cusejnotAllowed"  # CBOR: a key of 16 letters, {use: notAllowed}
    forged = body.replace(said, b"scawg.ai_trainingxxx\xa1cusegallowed")
    assert len(forged) == len(body) and forged != body
    [found] = training_mining(forged)
    assert found.value == "cawg.ai_trainingxxx: allowed, in a manifest altered since"
    assert (found.signal, found.signature) == ("c2pa_training_mining", "invalid")
    assert found.codes == ("assertion.hashedURI.mismatch", "signingCredential.untrusted")


def test_a_true_permission_lifts_nothing_and_reserves_nothing(by: Signer) -> None:
    body = signed(JPEG, "image/jpeg", {"cawg.ai_training": {"use": "allowed"}}, by=by)
    assert training_mining(body) == []
    edited = bytearray(body)
    edited[-20] ^= 0xFF  # a pixel: the assertion still has its hash
    assert training_mining(bytes(edited)) == []


@pytest.mark.parametrize("media_type", FORMS)
def test_a_manifest_that_cannot_be_read_reserves(media_type: str, by: Signer) -> None:
    body = bytearray(signed(PLAIN[media_type], media_type, NO_TRAINING, by=by))
    at = body.index(b"jumb")
    body[at + 12 : at + 60] = bytes(48)
    [found] = training_mining(bytes(body))
    assert (found.signal, found.signature) == ("c2pa_unread", "unread")


def test_without_the_extra_a_manifest_is_seen_and_not_read(
    by: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = signed(JPEG, "image/jpeg", {"cawg.ai_training": {"use": "allowed"}}, by=by)
    monkeypatch.setattr(c2pa, "installed", lambda: None)
    [found] = training_mining(body)
    assert (found.signal, found.signature) == ("c2pa_unread", "unread")
    assert "curate-t2i[c2pa]" in found.value
    assert training_mining(JPEG) == []


def test_a_manifest_elsewhere_is_not_fetched(by: Signer) -> None:
    body = signed(JPEG, "image/jpeg", NO_TRAINING, by=by, elsewhere="http://127.0.0.1:9/m.c2pa")
    assert not holds_manifest(body)
    picture = decode(body, max_pixels=10**6)
    assert isinstance(picture, Picture)
    named = read_embedded(xmp=picture.embedded.xmp).manifest_elsewhere
    [found] = training_mining(body, named)
    assert (found.signal, found.value) == (
        "c2pa_unread", "a manifest elsewhere: http://127.0.0.1:9/m.c2pa",
    )  # fmt: skip
    assert found.locator == "xmp:{http://purl.org/dc/terms/}provenance"
    assert training_mining(body, "from my attic") == []


def test_another_day_says_the_same() -> None:
    """A certificate that has run out since is no fact about the bytes."""
    body = signed(JPEG, "image/jpeg", NO_TRAINING, by=signer(lasts=timedelta(seconds=2)))
    before = training_mining(body)
    time.sleep(2.2)
    assert training_mining(body) == before
    assert before[0].signature == "untrusted"


def test_a_picture_without_a_manifest_costs_microseconds() -> None:
    body = memoryview(file(scene(size=1024), quality=95))
    training_mining(body)
    start = time.perf_counter()
    for _ in range(200):
        training_mining(body)
    assert (time.perf_counter() - start) / 200 < 500e-6
