"""Nine real photographs of known licence, out of installed packages, go through every stage.

scikit-image and scikit-learn ship them; each licence is checked against what the package itself
says. They come over a loopback web server, as a candidate's picture would.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pictures import distance, file
from PIL import Image

from curate import columns as c
from curate.models.vae import Vae
from curate.stage import Stage, apply
from curate.stages.aspect import Aspect
from curate.stages.buckets import Buckets
from curate.stages.captions import Captions
from curate.stages.clip_score import ClipScore
from curate.stages.download import Download
from curate.stages.duplicates import Duplicates
from curate.stages.inspect import Inspect
from curate.stages.license import LicenseStage
from curate.stages.opt_out import OptOut
from curate.stages.read_file import ReadFile
from curate.stages.resolution import Resolution
from curate.stages.t5 import T5Stage
from curate.stages.threshold import Threshold
from curate.stages.vae import VaeStage

HOST = "photographs.example"
CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
BY_2 = "https://creativecommons.org/licenses/by/2.0/"


@dataclass(frozen=True)
class Photograph:
    """A file in an installed package; `says` are the package's own words on its licence.

    The words stand in `where`: a function of skimage.data, or the README of sklearn's images.
    """

    package: str
    name: str
    size: tuple[int, int]
    caption: str
    creator: str
    claim: str
    license: str
    where: str
    says: str


def skimage(name: str, size: tuple[int, int], caption: str, creator: str, *, where: str = "",
            says: str = "CC0") -> Photograph:  # fmt: skip
    where = where or name.partition(".")[0]
    return Photograph("skimage/data", name, size, caption, creator, CC0, "CC0-1.0", where, says)


def sklearn(name: str, caption: str, creator: str) -> Photograph:
    return Photograph("sklearn/datasets/images", name, (640, 427), caption, creator, BY_2,
                      "CC-BY-2.0", "README.txt", BY_2)  # fmt: skip


PHOTOGRAPHS = (
    skimage("camera.png", (512, 512), "a man with a camera on a tripod", "Lav Varshney"),
    skimage("chelsea.png", (451, 300), "the face of a tabby cat", "Stefan van der Walt"),
    skimage("coffee.png", (600, 400), "a cup of coffee with a spoon", "Rachel Michetti"),
    skimage("brick.png", (512, 512), "a brick wall", "CC0Textures"),
    skimage("grass.png", (512, 512), "grass from above", "linolafett"),
    skimage("gravel.png", (512, 512), "gravel from above", "CC0Textures"),
    skimage("retina.jpg", (1411, 1411), "the back of a human eye", "Mikael Häggström"),
    # the README credits both to danielbuechele; the second one's links name vultilion
    sklearn("china.jpg", "a Chinese temple among trees", "danielbuechele"),
    sklearn("flower.jpg", "a dahlia in bloom", "vultilion"),
)


def folder(photograph: Photograph) -> Path:
    top, _, rest = photograph.package.partition("/")
    spec = importlib.util.find_spec(top)
    assert spec is not None and spec.origin is not None, f"{top} is not installed"
    return Path(spec.origin).parent / rest


def body(photograph: Photograph) -> bytes:
    return (folder(photograph) / photograph.name).read_bytes()


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda p: p.name)
def test_the_package_itself_states_the_licence(photograph: Photograph) -> None:
    if photograph.where == "README.txt":
        text = (folder(photograph) / photograph.where).read_text()
        text = next(part for part in text.split("Image: ") if part.startswith(photograph.name))
    else:
        import skimage.data

        text = getattr(skimage.data, photograph.where).__doc__
    assert photograph.says in text


# --- through every stage -------------------------------------------------------------------------
@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A folder with the photographs, and the loopback port that serves it."""
    root = tmp_path_factory.mktemp("photographs")
    for photograph in PHOTOGRAPHS:
        (root / photograph.name).write_bytes(body(photograph))
    handler = functools.partial(_Quiet, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield root, http.server_port
        http.shutdown()
        thread.join(10)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test's output is not a web server's log."""


def candidates() -> pa.Table:
    def claim(p: Photograph) -> list[dict[str, Any]]:
        return [{"kind": "url", "value": p.claim, "level": 5, "claimed_by": p.package,
                 "locator": p.where}]  # fmt: skip

    return pa.table({
        "key": [sha256(p.name.encode()).hexdigest() for p in PHOTOGRAPHS],
        "url": [f"http://{HOST}/{p.name}" for p in PHOTOGRAPHS],
        "path": [p.name for p in PHOTOGRAPHS],
        "landing_url": [None for _ in PHOTOGRAPHS],
        "creator": [p.creator for p in PHOTOGRAPHS],
        "captions": [[{"text": p.caption, "origin": "own"}] for p in PHOTOGRAPHS],
        "claims": [claim(p) for p in PHOTOGRAPHS],
    }, schema=pa.schema([c.KEY, c.URL, c.PATH, c.LANDING_URL, c.CREATOR, c.CAPTIONS, c.CLAIMS]))  # fmt: skip


def chain(table: pa.Table, *stages: Stage) -> pa.Table:
    for stage in stages:
        transform = stage.open()
        table = apply(stage, table, transform)
        getattr(transform, "close", lambda: None)()
    return table


AFTER_FETCH = (
    Inspect(max_side=512), Resolution(min_side=256), Aspect(max_ratio=1.6),
    Buckets(sizes=((256, 256), (320, 208), (208, 256))),
)  # fmt: skip


@pytest.fixture(scope="module")
def images(server: tuple[Path, int]) -> pa.Table:
    """The photographs after the first pass: licensed, fetched through img2dataset, measured."""
    download = Download(contact="nobody, this is a test", allow_private_hosts=(HOST,), threads=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURATE_CONNECT_TO", json.dumps({HOST: f"127.0.0.1:{server[1]}"}))
        return chain(
            candidates(), LicenseStage(policy="attribution"), OptOut(), Captions(), download,
            *AFTER_FETCH,
        )  # fmt: skip


@pytest.fixture(scope="module")
def features(images: pa.Table) -> pa.Table:
    stages = (ClipScore(device="cpu"), T5Stage(device="cpu"), VaeStage(device="cpu"))
    return chain(images.drop_columns([c.BODY.name]), *stages)


def test_all_live_to_the_end(features: pa.Table) -> None:
    assert len(features) >= 8
    told = zip(features["reason"].to_pylist(), features["measured_text"].to_pylist(), strict=True)
    assert list(told) == [(None, None)] * len(PHOTOGRAPHS)


def test_the_licence_decided_is_the_one_the_package_states(images: pa.Table) -> None:
    assert images["license"].to_pylist() == [p.license for p in PHOTOGRAPHS]
    assert set(images["license_group"].to_pylist()) == {"open"}


def test_bytes_and_sizes_are_those_of_the_files(images: pa.Table) -> None:
    hashes = [sha256(body(p)).hexdigest() for p in PHOTOGRAPHS]
    assert images["original_sha256"].to_pylist() == hashes
    widths, heights = (images[n].to_pylist() for n in ("original_width", "original_height"))
    assert list(zip(widths, heights, strict=True)) == [p.size for p in PHOTOGRAPHS]
    assert {images["original_format"][at].as_py() for at in (0, 8)} == {"PNG", "JPEG"}
    assert "L" in images["original_mode"].to_pylist()


def test_from_a_folder_they_are_the_same(images: pa.Table, server: tuple[Path, int]) -> None:
    local = chain(candidates(), ReadFile(root=str(server[0])), *AFTER_FETCH)
    for field in (c.ORIGINAL_SHA256, *(f for stage in AFTER_FETCH for f in stage.produces)):
        assert local[field.name].equals(images[field.name]), field.name


def test_what_is_stored_looks_like_the_file(images: pa.Table) -> None:
    for photograph, row in zip(PHOTOGRAPHS, images.to_pylist(), strict=True):
        with Image.open(io.BytesIO(body(photograph))) as original:
            expected = original.convert("RGB").resize((row["width"], row["height"]))
        with Image.open(io.BytesIO(row["image"]["bytes"])) as stored:
            assert distance(stored, expected) < 4, photograph.name
        assert max(row["width"], row["height"]) <= 512
        left, top, right, bottom = row["crop_box"]
        assert abs((right - left) * row["bucket_height"] - (bottom - top) * row["bucket_width"]) < (
            2 * max(row["bucket_width"], row["bucket_height"])
        )


def test_features_have_their_declared_shapes(features: pa.Table) -> None:
    vae = VaeStage(device="cpu").field_metadata()["latent"]
    t5 = T5Stage(device="cpu").field_metadata()["t5_embeddings"]
    for row in features.to_pylist():
        moments = np.frombuffer(row["latent"], "<f2")
        assert len(moments) % (row["latent_height"] * row["latent_width"]) == 0
        assert row["bucket_width"] % row["latent_width"] == 0
        assert np.isfinite(moments).all()
        [tokens], [embedding] = row["t5_tokens"], row["t5_embeddings"]
        assert len(embedding) == 2 * tokens * int(t5["dim"])
        assert -1 <= row["clip_score"] <= 1
        assert abs(np.linalg.norm(np.frombuffer(row["clip_image"], "<f2")) - 1) < 0.01
    assert vae["dtype"] == "float16"


def test_a_latent_decodes_to_the_photograph(features: pa.Table) -> None:
    """The tiny VAE saw no photograph in training; large forms and colours still come back."""
    vae = Vae.load("builtin:tiny", device="cpu")
    for row in features.slice(7, 2).to_pylist():
        shape = (1, 2 * vae.channels, row["latent_height"], row["latent_width"])
        moments = np.frombuffer(row["latent"], "<f2").reshape(shape).astype(np.float32)
        [decoded] = vae.decode(moments[:, : vae.channels])
        size = (row["bucket_width"], row["bucket_height"])
        with Image.open(io.BytesIO(row["image"]["bytes"])) as stored:
            seen = stored.convert("RGB").crop(row["crop_box"]).resize(size)
        assert distance(Image.fromarray(decoded), seen) < 14


# --- the barriers --------------------------------------------------------------------------------
def test_no_two_photographs_are_duplicates_but_their_copies_are(images: pa.Table) -> None:
    narrow = images.select(Duplicates.consumes.names)
    assert len(Duplicates().decide([narrow])) == 0
    copies = []
    for photograph in PHOTOGRAPHS:
        with Image.open(io.BytesIO(body(photograph))) as im:
            rgb = im.convert("RGB")
        cut = round(0.02 * rgb.width), round(0.015 * rgb.height)
        cropped = rgb.crop((*cut, rgb.width - cut[0], rgb.height - cut[1]))
        copies += [rgb.resize((300, 280)), cropped]
    bodies = [file(copy, quality=80) for copy in copies]
    table = pa.table(
        {"key": [f"copy-{at:02d}" for at in range(len(bodies))], "body": bodies,
         "original_sha256": [sha256(b).hexdigest() for b in bodies]},
        schema=pa.schema([c.KEY, c.BODY, c.ORIGINAL_SHA256]),
    )  # fmt: skip
    seen = chain(table, Inspect(max_side=512))
    seen = seen.append_column(c.LICENSE, pa.array(["CC-BY-NC-4.0"] * len(seen)))
    seen = seen.append_column(c.EVIDENCE_LEVEL, pa.array([3] * len(seen), pa.int8()))
    marks = Duplicates().decide([narrow, seen.select(narrow.column_names)])
    keys = narrow["key"].to_pylist()
    found = dict(zip(marks["key"].to_pylist(), marks["related_key"].to_pylist(), strict=True))
    wanted = {f"copy-{at:02d}": keys[at // 2] for at in range(len(bodies))}
    assert set(found.items()) <= set(wanted.items())
    assert len(found) >= 0.95 * len(wanted)


def test_a_threshold_over_their_scores(features: pa.Table) -> None:
    threshold = Threshold(quantile=0.5)
    marks = threshold.decide([features.select(threshold.consumes.names)])
    assert len(marks) == len(PHOTOGRAPHS) // 2
