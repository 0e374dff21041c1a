"""Every Arrow column, named and typed once; layer schemas are built from these fields.

A field's `role` says how the store treats it: `fact` (in data and in both digests), `model`
(computed by a model: the dataset digest covers its input, model, dtype and shape, not its
values), `transient` (lives inside one pass, never stored), `observation` (depends on the moment:
stored beside the shards, outside both digests).
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

Role = Literal["fact", "model", "transient", "observation"]
ROLE = b"curate.role"


def column(
    name: str, type_: pa.DataType, role: Role = "fact", *, nullable: bool = True
) -> pa.Field:
    """One Arrow field carrying its role in the field metadata."""
    return pa.field(name, type_, nullable=nullable, metadata={ROLE: role.encode()})


def role_of(field: pa.Field) -> Role:
    """The role of a field; a field without one is a fact."""
    roles: dict[bytes, Role] = {
        b"fact": "fact", b"model": "model", b"transient": "transient", b"observation": "observation",
    }  # fmt: skip
    return roles[(field.metadata or {}).get(ROLE, b"fact")]


# --- a candidate: one metadata row of a source -------------------------------------------------
KEY = column("key", pa.string(), nullable=False)
"""Lower-case hex sha256 of source, a NUL byte, and source id or canonical URL."""

CAPTION = pa.struct(
    [
        pa.field("text", pa.string()),
        pa.field("origin", pa.string()),  # source | own | model
        pa.field("model", pa.string()),  # the captioning model, if any
        pa.field("model_digest", pa.string()),
        pa.field("language", pa.string()),  # BCP 47, null when not stated
    ]
)
CLAIM = pa.struct(
    [
        pa.field(
            "kind", pa.string()
        ),  # source kind of curate.license.parse: url, text, flickr_id …
        pa.field("value", pa.string()),  # the raw claim, untouched
        pa.field("level", pa.int8()),  # rung of the evidence ladder, 0 … 5
        pa.field("claimed_by", pa.string()),  # who made the claim: source or declarant
        pa.field("locator", pa.string()),  # where: file and column, page, XMP property
        pa.field("retrieved_at", pa.string()),  # ISO 8601, when the source states it
        pa.field("http_status", pa.int16()),  # of the response that held it, if one did
        pa.field("final_url", pa.string()),  # where that response, or the dump, came from
        pa.field("response_sha256", pa.string()),  # of that response's body, or of the dump
    ]
)
SOURCE = column("source", pa.string(), nullable=False)
SOURCE_ID = column("source_id", pa.string())
URL = column("url", pa.string())
PATH = column("path", pa.string())  # a local file, relative to the source's root
LANDING_URL = column("landing_url", pa.string())
TITLE = column("title", pa.string())
CREATOR = column("creator", pa.string())
CREATOR_URL = column("creator_url", pa.string())
CAPTIONS = column("captions", pa.list_(CAPTION))
CLAIMS = column("claims", pa.list_(CLAIM))
DECLARED_WIDTH = column("declared_width", pa.int32())
DECLARED_HEIGHT = column("declared_height", pa.int32())
DEFECT = column("defect", pa.string())  # why the row itself is unusable: a malformed:… reason

CANDIDATE = pa.schema(
    [KEY, SOURCE, SOURCE_ID, URL, PATH, LANDING_URL, TITLE, CREATOR, CREATOR_URL, CAPTIONS,
     CLAIMS, DECLARED_WIDTH, DECLARED_HEIGHT, DEFECT]
)  # fmt: skip

# --- marks: the verdict a stage leaves on a row; null verdict means the row lives ---------------
VERDICT = column("verdict", pa.string())  # rejected | failed; `kept` appears in the ledger only
REASON = column("reason", pa.string())  # `kind` or `kind:detail`, kinds in curate.stage.REASONS
RETRYABLE = column("retryable", pa.bool_())
STAGE = column("stage", pa.string())  # the kind of the stage or barrier that marked the row
MEASURED_VALUE = column("measured_value", pa.float64(), "model")
MEASURED_TEXT = column("measured_text", pa.string())
RELATED_KEY = column("related_key", pa.string())  # the survivor of a duplicate cluster

MARKS = pa.schema([VERDICT, REASON, RETRYABLE, STAGE, MEASURED_VALUE, MEASURED_TEXT, RELATED_KEY])

# --- licence ------------------------------------------------------------------------------------
LICENSE = column("license", pa.string())  # canonical id, e.g. CC-BY-SA-4.0
LICENSE_EXPRESSION = column("license_expression", pa.string())  # SPDX expression as claimed
LICENSE_BASIS = column("license_basis", pa.string())  # reason code of the decision
LICENSE_MATCHED = column("license_matched", pa.string())  # the text that was recognised
LICENSE_GROUP = column("license_group", pa.string())  # open | sharealike | noncommercial
EVIDENCE_LEVEL = column("evidence_level", pa.int8())

# --- bytes as fetched ---------------------------------------------------------------------------
BODY = column("body", pa.large_binary(), "transient")  # originals may pass 2 GiB a shard
ORIGINAL_SHA256 = column("original_sha256", pa.string())
ORIGINAL_BYTES = column("original_bytes", pa.int64())
OBSERVED_AT = column("observed_at", pa.string(), "observation")  # ISO 8601, UTC
HTTP_STATUS = column("http_status", pa.int16(), "observation")
FINAL_URL = column("final_url", pa.string(), "observation")
RESPONSE_HEADERS = column("response_headers", pa.string(), "observation")  # JSON [[name, value]…]
RESERVATIONS = column("reservations", pa.string(), "observation")  # JSON [{url, answer, …}, …]
FETCH_SECONDS = column("fetch_seconds", pa.float64(), "observation")
FETCH_ATTEMPTS = column("fetch_attempts", pa.int16(), "observation")

# --- the picture --------------------------------------------------------------------------------
IMAGE_TYPE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
IMAGE = column("image", IMAGE_TYPE)  # upright, sRGB, re-encoded; datasets' Image layout
WIDTH = column("width", pa.int32())  # of the stored picture, pixels, upright
HEIGHT = column("height", pa.int32())
ORIGINAL_WIDTH = column("original_width", pa.int32())
ORIGINAL_HEIGHT = column("original_height", pa.int32())
ORIGINAL_FORMAT = column("original_format", pa.string())
ORIGINAL_MODE = column("original_mode", pa.string())  # Pillow mode before conversion
ORIENTATION = column("orientation", pa.int8())  # EXIF orientation that was applied, 1 … 8
STORED_SHA256 = column("stored_sha256", pa.string())
PIXEL_SHA256 = column("pixel_sha256", pa.string())  # of upright RGB bytes before re-encoding
PHASH = column("phash", pa.uint64())
THUMBPRINT = column("thumbprint", pa.binary(432))  # 12 × 12 × RGB, uint8, for near duplicates
THUMBNAIL = column("thumbnail", pa.binary())  # small JPEG for reports
EMBEDDED_EXIF = column("embedded_exif", pa.binary())
EMBEDDED_XMP = column("embedded_xmp", pa.list_(pa.binary()))  # packets in order, and PNG texts
EMBEDDED_IPTC = column("embedded_iptc", pa.binary())
RESERVATION = pa.struct(
    [
        pa.field("signal", pa.string()),  # one of curate.license.plus.SIGNALS
        pa.field("value", pa.string()),  # as it was written
        pa.field("locator", pa.string()),  # where: XMP property, C2PA assertion
        pa.field("signature", pa.string()),  # trusted | untrusted | invalid | unread, if signed
        pa.field("codes", pa.list_(pa.string())),  # the validator's failures, sorted
    ]
)
EMBEDDED_CLAIMS = column("embedded_claims", pa.list_(CLAIM))  # what the picture says of itself
EMBEDDED_RESERVATIONS = column("embedded_reservations", pa.list_(RESERVATION))
EMBEDDED_AGREES = column("embedded_agrees", pa.string())  # curate.license.evidence.Agreement
BUCKET_WIDTH = column("bucket_width", pa.int32())
BUCKET_HEIGHT = column("bucket_height", pa.int32())
CROP_BOX = column("crop_box", pa.list_(pa.int32(), 4))  # left, top, right, bottom in the picture

# --- features -----------------------------------------------------------------------------------
CLIP_SCORE = column("clip_score", pa.float32(), "model")  # best caption's cosine similarity
CLIP_SCORES = column("clip_scores", pa.list_(pa.float32()), "model")  # one a caption
CLIP_IMAGE = column("clip_image", pa.binary(), "model")  # float16, [dim], unit length
CLIP_TEXT = column("clip_text", pa.list_(pa.binary()), "model")  # float16, [dim] a caption
T5_EMBEDDINGS = column("t5_embeddings", pa.list_(pa.binary()), "model")  # bfloat16, [tokens, dim]
T5_TOKENS = column("t5_tokens", pa.list_(pa.int32()))  # true length of each caption, with </s>
LATENT = column("latent", pa.binary(), "model")  # float16 moments, [2 × channels, height, width]
LATENT_HEIGHT = column("latent_height", pa.int32())
LATENT_WIDTH = column("latent_width", pa.int32())
# The batch that memory allowed, null where it was the planned one: such values are guaranteed to the
# tolerance only.
CLIP_BATCH = column("clip_batch", pa.int32(), "observation")
T5_BATCH = column("t5_batch", pa.int32(), "observation")
VAE_BATCH = column("vae_batch", pa.int32(), "observation")
# True where bfloat16 failed a check and float32, tried after it, did not: such a value too is
# guaranteed to the tolerance only.
VAE_FLOAT32 = column("vae_float32", pa.bool_(), "observation")

# --- the ledger: one verdict a candidate, nothing that a removal would have to erase -------------
LEDGER = pa.schema(
    [KEY, VERDICT, REASON, RETRYABLE, STAGE, MEASURED_VALUE, MEASURED_TEXT, RELATED_KEY, LICENSE,
     LICENSE_GROUP, EVIDENCE_LEVEL, ORIGINAL_SHA256, STORED_SHA256]
)  # fmt: skip
