"""The error tree: every exception that curate raises on purpose.

CurateError
├── RecipeError        a recipe, cluster file or argument is wrong            (exit code 2)
│   ├── OutputMismatch an output directory belongs to another recipe          (exit code 2)
│   └── ReleaseRefused a release would mix what its policy does not allow     (exit code 2)
├── MissingInput       a file, directory or model that was named is not there (exit code 2)
├── ModelError         a model directory is incomplete or of the wrong kind   (exit code 2)
├── ContractError      a stage broke the stage contract: a bug in the stage
├── StoreError         a committed file is missing, damaged or contradictory
│   └── CommitConflict the same shard was computed twice with different bytes
├── FetchError         the download machinery itself failed, not a picture
└── EngineError        the run cannot go on: resources, workers, no progress

Bad rows are never exceptions: they are rejections with a reason (curate.stage.reject).
"""

from __future__ import annotations


class CurateError(Exception):
    """Base of all errors of this package; `exit_code` is what the command line returns."""

    exit_code = 2


class RecipeError(CurateError):
    """A recipe, cluster file or command-line argument is wrong."""


class OutputMismatch(RecipeError):
    """The output directory holds the work of another recipe."""


class ReleaseRefused(RecipeError):
    """Rows were to be handed on together that this policy does not let be one release."""


class MissingInput(CurateError):
    """A file, directory or model named by the user does not exist."""


class ModelError(CurateError):
    """A model directory is incomplete, has no weights, or is of the wrong kind."""


class ContractError(CurateError):
    """A stage changed rows, columns or types that it did not declare: a bug in the stage."""


class StoreError(CurateError):
    """A committed file is missing, damaged or contradicts its commit."""


class CommitConflict(StoreError):
    """One shard was computed twice and the results differ beyond tolerance."""


class FetchError(CurateError):
    """The download machinery failed (not a single picture, which is a verdict)."""


class EngineError(CurateError):
    """The run cannot go on: too few resources, a worker that keeps dying, no progress."""
