"""The reader: nothing lost, nothing twice, whatever the ranks; resume at any step; no damaged file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train_dataset import CHANNELS, TEXT_DIM, Form, Models, write_dataset, write_models

from curate.errors import MissingInput, RecipeError, StoreError
from curate.store.commit import FileEntry
from curate.store.dataset import Dataset
from curate.store.digest import bytes_sha256, file_sha256
from curate.store.files import LocalFiles
from curate.store.manifest import Shard
from curate.store.numbers import INT8, decoded, vector_bytes
from curate.train.data import Batch, Prefetch, Reader, State
from curate.train.loop import fit
from curate.train.order import Order, mix, permutation, uniform
from curate.train.run import Run
from curate.train.settings import TrainSettings
from curate.train.shards import Shards

ROWS = (40, 30, 23)
START = State()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def dataset(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.open(write_dataset(tmp_path_factory.mktemp("reader") / "out", models, rows=ROWS))


def numbers(batch: Batch) -> list[int]:
    """The row numbers that the fixture wrote into the first cell of each latent."""
    return [int(n) for n in batch.moments[:, 0, 0, 0]]


def take(reader: Reader, count: int, state: State = START) -> list[Batch]:
    return list(islice(reader.batches(state), count))


def test_parts_that_keep_nothing_are_passed_over(demo_dataset: Path) -> None:
    dataset = Dataset.open(demo_dataset)
    kept = [t.num_rows for t in dataset.kept("features/latents", ["key"])]
    assert 0 in kept, "the demo has a part of non-commercial rows, none of which is kept"
    reader = Reader(dataset, batch_size=10, seed=3, window_rows=1000)
    batches = take(reader, 2 * sum(kept) // 10)
    assert sum(len(batch.moments) for batch in batches) == 2 * sum(kept) // 10 * 10


# --- order ----------------------------------------------------------------------------------------
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any),
    seed=st.integers(0, 2**63 - 1), window=st.integers(1, 70), epoch=st.integers(0, 3),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_every_epoch_is_a_permutation(sizes: list[int], seed: int, window: int, epoch: int) -> None:
    order = Order(tuple(sizes), seed, window)
    seen: Counter[tuple[int, int]] = Counter()
    position = epoch * order.rows
    while position < (epoch + 1) * order.rows:
        here = order.window_at(position)
        rows = [(s.part, row) for s in here.spans for row in range(s.start, s.stop)]
        assert len(rows) == len(here.shuffle) <= window
        seen.update(rows[i] for i in here.shuffle)
        position = here.stop
    assert position == (epoch + 1) * order.rows
    assert seen == Counter((p, row) for p, size in enumerate(sizes) for row in range(size))


@given(positions=st.integers(0, 200), held=st.sets(st.integers(0, 199), max_size=5))
@settings(max_examples=60, deadline=None)
def test_rows_seen_are_those_handed_out(positions: int, held: set[int]) -> None:
    order, held = Order((20, 0, 35, 5), 11, 16), {p for p in held if p < positions}
    expected: list[set[int]] = [set() for _ in order.sizes]
    for position in set(range(positions)) - held:
        window = order.window_at(position)
        rows = [(s.part, row) for s in window.spans for row in range(s.start, s.stop)]
        part, row = rows[window.shuffle[position - window.first]]
        expected[part].add(row)
    assert [set(rows.tolist()) for rows in order.seen(positions, sorted(held))] == expected


def test_the_order_is_the_same_on_every_machine() -> None:
    assert mix(1, 2, 3) == 0xD0734750FDE362B3
    assert permutation(7, 10).tolist() == [0, 8, 6, 9, 3, 4, 1, 7, 5, 2]
    assert not np.array_equal(permutation(7, 1000), permutation(8, 1000))
    draws = uniform(3, 4, np.arange(20_000))
    assert draws.min() >= 0 and draws.max() < 1 and abs(draws.mean() - 0.5) < 0.01


# --- rows -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_all_ranks_together_see_every_kept_row_once_an_epoch(dataset: Dataset, world: int) -> None:
    readers = [
        Reader(dataset, batch_size=12, seed=5, window_rows=32, rank=r, world=world)
        for r in range(world)
    ]
    ranks = [take(reader, 31) for reader in readers]  # 31 × 12 samples: four epochs of 93
    stream = [n for step in zip(*ranks, strict=True) for batch in step for n in numbers(batch)]
    for epoch in range(4):
        assert sorted(stream[epoch * 93 : (epoch + 1) * 93]) == list(range(93))
    alone = [
        n
        for b in take(Reader(dataset, batch_size=12, seed=5, window_rows=32), 31)
        for n in numbers(b)
    ]
    assert stream == alone, "the order does not depend on the number of ranks"


def test_epochs_and_seeds_differ(dataset: Dataset) -> None:
    first, second = (
        [n for b in take(Reader(dataset, batch_size=31, seed=seed), 6) for n in numbers(b)]
        for seed in (0, 1)
    )
    assert first[:93] != first[93:] and first != second


@pytest.mark.parametrize("stop", range(8))
@pytest.mark.parametrize("shapes", [((8, 8),), ((8, 8), (4, 12), (12, 4))])
def test_resume_goes_on_with_the_very_next_sample(
    models: Models, tmp_path: Path, stop: int, shapes: tuple[tuple[int, int], ...]
) -> None:
    data = Dataset.open(write_dataset(tmp_path, models, rows=(17, 9, 24), shapes=shapes))
    settings = {"batch_size": 7, "seed": 2, "window_rows": 16, "caption_dropout": 0.3}
    empty = np.ones((1, TEXT_DIM), np.uint16)
    whole = take(Reader(data, unconditional=empty, **settings), 16)
    state = whole[stop].state
    again = take(Reader(data, unconditional=empty, **settings), 15 - stop, state)
    for before, after in zip(whole[stop + 1 :], again, strict=True):
        assert before.state == after.state
        assert np.array_equal(before.positions, after.positions)
        assert np.array_equal(before.moments, after.moments)
        assert np.array_equal(before.text, after.text)


def test_batches_are_of_one_shape_and_no_row_is_lost_or_repeated(
    models: Models, tmp_path: Path
) -> None:
    data = Dataset.open(
        write_dataset(tmp_path, models, rows=(31, 40), shapes=((8, 8), (4, 12), (8, 8)))
    )
    reader = Reader(data, batch_size=8, seed=1, window_rows=20)
    batches = take(reader, 40)
    shapes = {b.moments.shape[1:] for b in batches}
    assert shapes == {(8, 8, 8), (8, 4, 12)}
    positions = [p for b in batches for p in b.positions.tolist()]
    state = batches[-1].state
    assert sorted([*positions, *state.pending]) == list(range(state.position))
    handed = sum(record["rows"] for record in reader.consumed(State(70, (3, 9))))
    assert handed == 68


def test_text_belongs_to_its_latent_and_captions_alternate(dataset: Dataset) -> None:
    picked: dict[int, set[bytes]] = {}
    for batch in take(Reader(dataset, batch_size=31, seed=0), 30):
        assert batch.text.shape == (batch.lengths.sum(), TEXT_DIM)
        starts = np.cumsum([0, *batch.lengths[:-1]])
        for number, start, length in zip(numbers(batch), starts, batch.lengths, strict=True):
            caption = batch.text[start : start + length]
            first = (caption[0, 0].astype(np.uint32) << 16).view(np.float32)
            assert first == number
            picked.setdefault(number, set()).add(caption.tobytes())
    counts = Counter(len(captions) for captions in picked.values())
    assert set(counts) == {1, 2, 3}, "rows have one to three captions and each gets its turn"


def test_captions_are_dropped_for_guidance(dataset: Dataset) -> None:
    empty = np.full((2, TEXT_DIM), 7, np.uint16)
    reader = Reader(dataset, batch_size=93, caption_dropout=0.25, unconditional=empty)
    dropped = sum(int((batch.text == 7).all(axis=1).sum()) / 2 for batch in take(reader, 20))
    assert 0.21 < dropped / (93 * 20) < 0.29
    with pytest.raises(RecipeError, match="empty caption"):
        Reader(dataset, batch_size=8, caption_dropout=0.1)


def test_features_in_two_layers_are_joined_by_key(models: Models, tmp_path: Path) -> None:
    together = Dataset.open(write_dataset(tmp_path / "a", models))
    apart = Dataset.open(write_dataset(tmp_path / "b", models, one_layer=False))
    assert Reader(apart, batch_size=8).features.layers == ("features/text", "features/latents")
    for one, two in zip(
        *(take(Reader(d, batch_size=8), 14) for d in (together, apart)), strict=True
    ):
        assert np.array_equal(one.moments, two.moments) and np.array_equal(one.text, two.text)


def test_consumed_names_shards_and_offsets_of_kept_rows(dataset: Dataset) -> None:
    reader = Reader(dataset, batch_size=10, seed=3, window_rows=25)
    batches = take(reader, 4)
    rows = set()
    shards = {s.shard_id: s for s in dataset.layer("features/latents").shards}
    for record in reader.consumed(batches[-1].state):
        latents = dataset.read(shards[record["shard_id"]].files[0], ["latent"])[
            "latent"
        ].to_pylist()
        for first, last in record["ranges"]:
            rows |= {int(np.frombuffer(latents[i], np.float16)[0]) for i in range(first, last + 1)}
    assert rows == {n for batch in batches for n in numbers(batch)}
    assert sum(r["rows"] for r in reader.consumed(State(1000))) == 93


def test_prefetch_gives_the_same_batches_and_raises_here(dataset: Dataset) -> None:
    plain = take(Reader(dataset, batch_size=16), 9)
    with Prefetch(Reader(dataset, batch_size=16).batches(), depth=3) as ahead:
        fetched = [ahead.next() for _ in range(9)]
    assert [b.state for b in plain] == [b.state for b in fetched]

    def broken() -> object:
        yield plain[0]
        raise StoreError("planted")

    with Prefetch(broken(), depth=1) as ahead, pytest.raises(StoreError, match="planted"):  # type: ignore[arg-type]
        ahead.next()
        ahead.next()


def test_files_are_hashed_piece_by_piece(dataset: Dataset, tmp_path: Path) -> None:
    import tracemalloc

    body = np.random.default_rng(0).bytes(32 << 20)
    (tmp_path / "shard").write_bytes(body)
    entry = FileEntry(
        role="data", path="shard", rows=1, bytes=len(body), sha256=bytes_sha256(body), content_digest=""
    )  # fmt: skip
    dataset = Dataset(LocalFiles(tmp_path), dataset.manifest)
    assert file_sha256(tmp_path / "shard") == bytes_sha256(body)
    tracemalloc.start()
    dataset.verify(entry)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20, f"{peak >> 20} MiB held to hash a file of {len(body) >> 20} MiB"


@pytest.mark.parametrize("one_layer", [True, False])
def test_every_file_is_hashed_once(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_layer: bool
) -> None:
    hashed: Counter[str] = Counter()
    verify = Dataset.verify

    def counting(dataset: Dataset, entry: FileEntry) -> None:
        hashed[entry.path] += 1
        verify(dataset, entry)

    monkeypatch.setattr(Dataset, "verify", counting)
    data = write_dataset(tmp_path / "out", models, one_layer=one_layer)
    settings = TrainSettings(steps=2, batch_size=93, threads=1, device="cpu")
    fit(Dataset.open(data), settings, tmp_path / "run")  # two epochs, and a checkpoint
    layers = ["ledger", "features/latents", *([] if one_layer else ["features/text"])]
    assert hashed == {f"{file.relative_to(data)}": 1 for la in layers
                      for file in (data / la / "data").iterdir()}  # fmt: skip


def test_shards_are_found_without_a_search_a_part(models: Models, tmp_path: Path) -> None:
    class Counted(list[Shard]):
        passes = 0

        def __iter__(self) -> Iterator[Shard]:
            Counted.passes += 1
            return super().__iter__()

    dataset = Dataset.open(write_dataset(tmp_path, models, rows=(4,) * 12))
    layers = [
        la.model_copy(update={"shards": Counted(la.shards)}) for la in dataset.manifest.layers
    ]
    dataset.manifest = dataset.manifest.model_copy(update={"layers": layers})
    reader = Reader(dataset, batch_size=8)
    take(reader, 12)
    assert len(reader.consumed(State(96))) == 12
    assert Counted.passes <= 3 * len(layers), "a few passes over each layer, not one a part"


# --- forms ----------------------------------------------------------------------------------------
FORMS = [Form(INT8, "moments"), Form("bfloat16", "mode"), Form(INT8, "mode")]


def started(models: Models, to: Path, form: Form, **settings: float) -> tuple[Run, Batch]:
    """A run about to begin on a dataset of a form, and its first batch."""
    data = Dataset.open(write_dataset(to / "out", models, form=form))
    told = TrainSettings(steps=3, batch_size=31, threads=1, device="cpu", size="tiny", **settings)  # type: ignore[arg-type]
    run = Run.start(data, told, to / "run", rank=0, world=1, prepare=lambda model: model)
    return run, next(run.reader.batches())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.text}, {form.posterior}")
def test_other_forms_hold_the_same_rows(models: Models, tmp_path: Path, form: Form) -> None:
    plain = take(Reader(Dataset.open(write_dataset(tmp_path / "a", models)), batch_size=31), 3)
    reader = Reader(Dataset.open(write_dataset(tmp_path / "b", models, form=form)), batch_size=31)
    for one, other in zip(plain, take(reader, 3), strict=True):
        assert other.text.shape[1] * other.text.itemsize == vector_bytes(form.text, TEXT_DIM)
        assert np.array_equal(one.lengths, other.lengths)
        exact, found = (
            decoded(batch.text, dtype, TEXT_DIM)
            for batch, dtype in ((one, "bfloat16"), (other, form.text))
        )
        assert np.linalg.norm(found - exact) <= 0.014 * np.linalg.norm(exact)
        planes = CHANNELS if form.posterior == "mode" else 2 * CHANNELS
        assert np.array_equal(one.moments[:, :planes], other.moments)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.text}, {form.posterior}")
def test_a_step_learns_from_the_numbers_themselves(
    models: Models, tmp_path: Path, form: Form
) -> None:
    import torch

    run, batch = started(models, tmp_path, form, caption_dropout=0.5)
    text, mask = run.trainer._text(batch)
    assert text.shape == (31, 16, TEXT_DIM) or text.shape == (31, 8, TEXT_DIM)
    assert mask.sum() == batch.lengths.sum()
    exact = torch.from_numpy(decoded(batch.text, form.text, TEXT_DIM))
    torch.testing.assert_close(text[mask.bool()], exact)
    assert (text[~mask.bool()] == 0).all()
    first, second = (
        run.trainer._latents(batch, torch.Generator().manual_seed(seed)) for seed in (1, 2)
    )
    mean = torch.from_numpy(batch.moments[:, :CHANNELS]).float() * 0.5  # the VAE's scaling factor
    assert first.shape == mean.shape
    assert torch.equal(first, second) == (form.posterior == "mode"), "a mode is not drawn"
    if form.posterior == "mode":
        assert torch.equal(first, mean)
    else:
        assert 0 < float((first - mean).std()) < 0.02


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.text}, {form.posterior}")
def test_training_runs_and_resumes_on_other_forms(
    models: Models, tmp_path: Path, form: Form
) -> None:
    from safetensors.numpy import load_file

    data = Dataset.open(write_dataset(tmp_path / "out", models, form=form))
    settings = TrainSettings(steps=4, batch_size=31, threads=1, device="cpu", caption_dropout=0.3)
    whole = fit(data, settings, tmp_path / "whole")
    assert np.isfinite([loss for _, loss in whole.losses]).all()
    for steps in (2, 4):
        parted = fit(data, settings.model_copy(update={"steps": steps}), tmp_path / "parted")
    one, other = (
        load_file(result.checkpoint / "transformer" / "diffusion_pytorch_model.safetensors")
        for result in (whole, parted)
    )
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_the_empty_caption_is_stored_as_the_shards_store_theirs(
    models: Models, tmp_path: Path
) -> None:
    from curate.models.t5 import T5

    run, _ = started(models, tmp_path, Form(INT8))
    [exact] = T5.load(models.t5.ref).encode([""])
    assert run.unconditional.dtype == np.uint8
    found = decoded(run.unconditional, INT8, TEXT_DIM)
    assert np.linalg.norm(found - exact) <= 0.01 * np.linalg.norm(exact)


def test_a_checkpoint_opens_with_the_text_encoder_that_made_its_data(tmp_path: Path) -> None:
    import shutil

    from t5_models import write
    from transformers import UMT5EncoderModel

    from curate.train.sample import sample

    models = write_models(tmp_path / "models")
    shutil.rmtree(models.root / "t5")
    write(models.root / "t5", "umt5", d_model=TEXT_DIM, d_kv=8, num_heads=4)
    data = Dataset.open(write_dataset(tmp_path / "out", models))
    result = fit(data, TrainSettings(steps=1, batch_size=31, device="cpu"), tmp_path / "run")
    opened: list[str] = []
    forward = UMT5EncoderModel.forward

    def seen(self: UMT5EncoderModel, *args: object, **options: object) -> object:
        opened.append(type(self).__name__)
        return forward(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UMT5EncoderModel, "forward", seen)
        [picture] = sample(result.checkpoint, ["a red circle"], steps=2, device="cpu")
    assert picture.size == (16, 16) and set(opened) == {"UMT5EncoderModel"}


@pytest.mark.parametrize(
    ("form", "said"),
    [(Form("int4-blocks32"), "'int4-blocks32'; this version reads"),
     (Form(posterior="mean"), "'mean'; this version reads moments, mode")],
)  # fmt: skip
def test_a_form_of_another_version_is_refused_by_name(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Form, said: str
) -> None:
    monkeypatch.setattr("train_dataset.vector_bytes", lambda *_: 64)
    with pytest.raises(StoreError, match=said):
        _ = Shards(Dataset.open(write_dataset(tmp_path, models, form=form))).features


# --- refusals -------------------------------------------------------------------------------------
@pytest.mark.parametrize("layer", ["features/latents", "ledger"])
def test_a_flipped_byte_is_refused_by_name(models: Models, tmp_path: Path, layer: str) -> None:
    root = write_dataset(tmp_path, models)
    victim = next((root / layer / "data").iterdir())
    body = bytearray(victim.read_bytes())
    body[len(body) // 3] ^= 1
    victim.write_bytes(body)
    with pytest.raises(StoreError, match=victim.name):
        take(Reader(Dataset.open(root), batch_size=8), 12)


def test_a_missing_shard_is_refused_by_name(models: Models, tmp_path: Path) -> None:
    root = write_dataset(tmp_path, models)
    reader = Reader(Dataset.open(root), batch_size=8)
    victim = next((root / "features/latents/data").iterdir())
    victim.unlink()
    with pytest.raises(StoreError, match=victim.name):
        take(reader, 12)


def test_nothing_to_train_on_is_said(models: Models, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="keeps no row"):
        Reader(Dataset.open(write_dataset(tmp_path, models, rows=(0, 0))), batch_size=8)


def test_ranks_share_a_batch_evenly(dataset: Dataset) -> None:
    with pytest.raises(RecipeError, match="does not divide over 3 ranks"):
        Reader(dataset, batch_size=8, world=3)


# --- the page -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "form", [Form(), *FORMS], ids=lambda form: f"{form.text}, {form.posterior}"
)
def test_the_programs_of_the_page_about_features_run(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: Form
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "features.md").read_text(encoding="utf-8")
    data = write_dataset(tmp_path, models, rows=(11, 4), form=form)
    known: dict[str, object] = {"out": data}
    for program in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(program, known)
    *rows, batch = capsys.readouterr().out.splitlines()
    assert len(rows) == 15 and all(line.endswith(", 8, 8)") for line in rows)
    assert f"{batch}".startswith(f"(8, {4 if form.posterior == 'mode' else 8}, 8, 8) (")
