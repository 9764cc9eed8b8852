"""Where things lie in the folder of a run; the only place that spells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """The files of one experiment: what it learns from, its training, and the policy that comes of it.

    Args:
        path: The folder; nothing is created before it is needed.
    """

    path: Path

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.resolve().name

    @property
    def instances(self) -> Path:
        """Generated instances, or the manifests of a user's."""
        return self.path / "instances"

    @property
    def models(self) -> Path:
        """Models that were given as objects, as files."""
        return self.path / "models"

    @property
    def dataset(self) -> Path:
        """Samples."""
        return self.path / "dataset"

    @property
    def config(self) -> Path:
        """The configuration that was run, as JSON."""
        return self.path / "config.json"

    @property
    def budget(self) -> Path:
        """The numbers of samples that a budget allows."""
        return self.path / "budget.json"

    @property
    def passes(self) -> Path:
        """The number of passes over the samples that a budget allows."""
        return self.path / "passes.json"

    @property
    def policy(self) -> Path:
        """The trained policy."""
        return self.path / "policy"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of the training: the best weights, and the most recent steps."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON object per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def learning_rate(self) -> Path:
        """The learning rate that was measured, and what was tried."""
        return self.path / "learning-rate.json"

    @property
    def diagnostics(self) -> Path:
        """What ``diagnose`` writes."""
        return self.path / "diagnostics"

    @property
    def convergence(self) -> Path:
        """What was tracked during training, one JSON object per probe."""
        return self.diagnostics / "convergence.jsonl"

    @property
    def initial_weights(self) -> Path:
        """The weights before training."""
        return self.diagnostics / "initial.safetensors"

    @property
    def verdict(self) -> Path:
        """Solves of held-back instances, one file each."""
        return self.path / "verdict"

    @property
    def search(self) -> Path:
        """What a search for settings tried: one folder a rule."""
        return self.path / "search"

    @property
    def proof(self) -> Path:
        """Solves that prove settings on instances held back, with their report."""
        return self.path / "proof"

    @property
    def recipe(self) -> Path:
        """The settings that were found, as a SCIP parameter file."""
        return self.path / "recipe.set"

    @property
    def slurm(self) -> Path:
        """Jobs sent to SLURM."""
        return self.path / "slurm"


def run_folder(out: RunFolder | str | Path | None, default: str) -> RunFolder:
    """Return the folder of a run: ``out``, or one in ``runs/`` that is named by default."""
    if isinstance(out, RunFolder):
        return out
    return RunFolder(path=Path("runs") / default if out is None else Path(out))


def run_of_policy(folder: Path) -> Path:
    """Return the folder that gives a policy its name: the run's, if ``train-policy`` put the policy there."""
    resolved = folder.resolve()
    return resolved.parent if resolved.name == RunFolder(path=resolved.parent).policy.name else resolved
