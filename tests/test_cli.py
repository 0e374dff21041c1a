"""The command line as a user meets it: help, exit codes, messages that say what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curate.cli_docs import COMMANDS, PAGE, page

RECIPE = Path(__file__).parent.parent / "pipelines" / "demo.yaml"


def curate(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.argv[0] = 'curate'; from curate.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=240, input=stdin,
    )  # fmt: skip


def test_the_page_is_what_help_prints() -> None:
    assert PAGE.read_text() == page(), "run `python -m curate.cli_docs`"


def test_help_answers_in_half_a_second() -> None:
    times = []
    for _ in range(5):
        clock = time.perf_counter()
        assert curate("--help").returncode == 0
        times.append(time.perf_counter() - clock)
    assert min(times) <= 0.5, times


def test_licence_is_an_alias() -> None:
    assert curate("licence", "CC BY 4.0").stdout == curate("license", "CC BY 4.0").stdout


def test_license_batch_prints_one_token_a_line_in_order(tmp_path: Path) -> None:
    lines = [
        {"input": "https://creativecommons.org/licenses/by/2.0/", "source_kind": "url"},
        {"input": "CC BY", "source_kind": "text"},
        {"input": "all rights reserved", "source_kind": "text"},
        {"input": "CC0-1.0", "source_kind": "spdx"},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\nnot json\n"
    file = tmp_path / "batch.jsonl"
    file.write_text(text)
    want = ["CC-BY-2.0", "AMBIGUOUS", "REJECT", "CC0-1.0", "REJECT"]
    assert curate("license", "--batch", file).stdout.split() == want
    assert curate("license", "--batch", "-", stdin=text).stdout.split() == want


def test_every_command_is_listed() -> None:
    listed = curate("--help").stdout
    assert all(f"\n  {command}" in listed for command in COMMANDS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("kind: resolution", "kind: resolutoin"),
            ["resolutoin", "did you mean 'resolution'", "aspect"],
        ),
        (("min_side: 48", "min_sied: 48"), ["min_sied", "min_side", "did you mean"]),
        (("max_ratio: 2.0", "max_ratio: wide"), ["max_ratio", "wide"]),
        (("name: demo", "name: demo\nnmae: x"), ["nmae", "did you mean 'name'"]),
        (
            ("  - kind: inspect\n    format: jpeg\n", ""),
            ["embedded", "embedded_exif", "put inspect before it"],
        ),
        (("shard_rows: 1024", "shard_rows: [1"), ["not valid YAML"]),
    ],
)
def test_a_mistake_in_a_recipe_is_named_with_its_line(
    tmp_path: Path, change: tuple[str, str], said: list[str]
) -> None:
    text = RECIPE.read_text()
    assert change[0] in text
    file = tmp_path / "r.yaml"
    file.write_text(text.replace(*change, 1))
    done = curate("run", file, "--to", tmp_path / "out", "--inline")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in said:
        assert word in done.stderr
    if "embedded" not in said:
        before = text[: text.index(change[0])].count("\n") + 1
        lines = [before, before + 1, before + 2, before + 3, before + 4]
        assert any(f"line {n}" in done.stderr for n in lines), done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_things_are_named(tmp_path: Path) -> None:
    for arguments, name in (
        (("run", tmp_path / "no.yaml", "--to", tmp_path / "o"), "no.yaml"),
        (("audit", tmp_path / "nothing"), "nothing"),
        (("status", tmp_path / "nothing"), "nothing"),
        (("precompute", tmp_path / "nofolder", "--to", tmp_path / "o", "--inline"), "nofolder"),
    ):
        done = curate(*arguments)
        assert done.returncode == 2, (arguments, done)
        assert name in done.stderr
        assert "Traceback" not in done.stderr


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    for setting in ("passes.features/clip.stages.clip_score.model", "passes.2.stages.t5.model"):
        done = curate("plan", RECIPE, "--set", f"{setting}={tmp_path / 'weights'}")
        assert done.returncode == 2, done
        assert "weights" in done.stderr
        assert "Traceback" not in done.stderr


def test_plan_touches_no_data(tmp_path: Path) -> None:
    done = curate("plan", RECIPE, "--rows", "1000000")
    assert done.returncode == 0, done.stderr
    for word in ("images", "duplicates", "clip_score", "latent", "GB", "fingerprint"):
        assert word in done.stdout


def test_ctrl_c_says_how_to_go_on_and_that_works(tmp_path: Path) -> None:
    code = "import sys; sys.argv[0] = 'curate'; from curate.cli import main; main()"
    arguments = ["run", str(RECIPE), "--to", str(tmp_path / "out"), "--inline", "--limit", "150"]
    arguments += ["--set", "source.pictures=200"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "images" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "To go on" in errors
    assert f"curate {' '.join(arguments)}" in errors
    done = curate(*arguments)
    assert done.returncode == 0, done.stderr
    assert curate("audit", tmp_path / "out", "--hashes").returncode == 0


def test_what_was_not_audited_says_so_in_every_output(tmp_path: Path) -> None:
    import numpy as np

    from curate.demo.scenes import caption, draw, random_scene
    from curate.store.files import LocalFiles
    from curate.store.manifest import load_manifest

    rng = np.random.default_rng(3)
    (tmp_path / "my pics ü").mkdir()
    for number in range(3):
        scene = random_scene(rng)
        draw(scene, 80).save(tmp_path / "my pics ü" / f"p {number}.jpg")
        (tmp_path / "my pics ü" / f"p {number}.txt").write_text(caption(scene, rng))
    out = tmp_path / "out"
    done = curate("precompute", tmp_path / "my pics ü", "--to", out, "--inline")
    assert done.returncode == 0, done.stderr
    assert "licence: not audited" in done.stdout
    assert load_manifest(LocalFiles(out)).license_audited is False
    for name in (
        "README.md",
        "report.html",
        "ATTRIBUTION.html",
        "ATTRIBUTION.csv",
        "croissant.json",
    ):
        assert "not audited" in (out / name).read_text().replace("-", " "), name
    assert "licence: not audited" in curate("audit", out, "--hashes").stdout
    assert curate("export", out, "--to", "files", "--path", tmp_path / "files").returncode == 0
    lines = (tmp_path / "files/metadata.jsonl").read_text().splitlines()
    assert [json.loads(line)["license"] for line in lines] == ["not audited"] * 3
    key = json.loads(lines[0])["key"]
    assert "not audited" in curate("explain", out, key).stdout
    half = curate(
        "precompute", tmp_path / "my pics ü", "--to", tmp_path / "o", "--declare", "CC-BY-4.0"
    )
    assert half.returncode == 2
    assert "--by, --statement" in half.stderr
