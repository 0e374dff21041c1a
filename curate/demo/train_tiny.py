"""Train the builtin models: `python -m curate.demo.train_tiny --to DIR [--device cuda]`.

Writes DIR/{clip,t5,vae} and, once all three are there, measures them through the public loaders
and writes figures.json and MODEL_CARD.md. Exits with 1 if a gate is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from curate.demo import train_tiny_clip, train_tiny_t5, train_tiny_vae
from curate.demo.train_tiny_measure import GATES, below, measure
from curate.models import digest

_TRAIN: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    "clip": train_tiny_clip.train,
    "t5": train_tiny_t5.train,
    "vae": train_tiny_vae.train,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the parts that were asked for, then measure if all are there."""
    options = _parser().parse_args(arguments)
    for part in options.only or _TRAIN:
        _train(part, options)
    if not options.only:
        return finish(options.to, count=options.measure)
    return 0


def finish(folder: Path, *, count: int) -> int:
    """Measure the models in `folder`, write figures and card, and return the exit status."""
    figures = measure(str(folder), count=count)
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text(card(folder, figures, count=count), encoding="utf-8")
    missed = below(figures)
    print(json.dumps(figures, indent=1), *missed, sep="\n")
    return 1 if missed else 0


def card(folder: Path, figures: Mapping[str, float], *, count: int) -> str:
    """The model card in Markdown."""
    lines = [_CARD_HEAD, "| part | objective | parameters | seed | steps | seconds | device | sha256 of the directory |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for part in _TRAIN:
        how = json.loads((folder / f"{part}.training.json").read_text(encoding="utf-8"))
        lines.append(
            f"| {part} | {how['objective']} | {how['parameters']:,} | {how['seed']} | {how['steps']:,} | "
            f"{how['seconds']:.0f} | {how['device']} | `{digest(folder / part)}` |"
        )
    lines += ["", f"## Measured on {count:,} scenes of another seed, on a CPU in fp32", "",
              "| figure | value | at least |", "|---|---|---|"]  # fmt: skip
    lines += [
        f"| {name} | {value:.4f} | {GATES.get(name, '–')} |" for name, value in figures.items()
    ]
    return "\n".join([*lines, "", _CARD_FOOT])


def _train(part: str, options: argparse.Namespace) -> None:
    folder = options.to / part
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    facts = _TRAIN[part](
        folder, device=options.device, seconds=options.seconds, seed=options.seed,
        count=options.count, workers=options.workers,
    )  # fmt: skip
    facts |= {
        "seed": options.seed, "device": _device(options.device), "seconds": options.seconds,
        "seconds_with_drawing": round(time.monotonic() - began, 1),
        "versions": {name: version(name) for name in ("torch", "transformers", "diffusers", "open_clip_torch")},
    }  # fmt: skip
    told = options.to / f"{part}.training.json"
    told.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _device(name: str) -> str:
    import torch

    if name.startswith("cuda"):
        return torch.cuda.get_device_name(name)
    return f"CPU ({platform.machine()})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m curate.demo.train_tiny", description=__doc__)
    parser.add_argument(
        "--to", type=Path, required=True, help="directory to write, made if missing"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=list(_TRAIN),
        help="train this part alone, measure nothing",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--seconds", type=float, default=1800.0, help="training time of each part")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--count", type=int, default=100_000, help="scenes drawn for each part")
    parser.add_argument("--measure", type=int, default=4000, help="scenes to measure on")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="drawing processes"
    )
    return parser


_CARD_HEAD = """# builtin:tiny

Three small models trained from nothing on drawn scenes (`curate/demo/scenes.py`), so that every
stage of the pipeline runs offline and means something. Made by `python -m curate.demo.train_tiny`;
that program and the generator are all that went in. Dedicated to the public domain under CC0 1.0.

**Scores do not transfer to real pictures.** The models know a few shapes, colours and
backgrounds and nothing else; for photographs use real weights.
"""

_CARD_FOOT = """`worn` pictures are cropped by up to 8 % a side, resized and JPEG-compressed. *Recall* is the
share of captions of other pictures caught at the threshold that loses 2 % of the true ones. CLIP
was not trained to tell relations apart and does not: that blind spot is left to be seen. The T5
probes are linear; the first two read the mean over the tokens and count a caption as right only if
every colour or shape is. Training stops by the clock, so another run gives other weights of the
same quality; weights are stored in fp16.
"""

if __name__ == "__main__":
    sys.exit(main())
