"""Find and load policies by name, folder or hub address."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from gnn_branching.contracts import InputError
from gnn_branching.policy.card import CARD_FILE, RECIPE_FILE, TEXT_FILE, WEIGHTS_FILE, PolicyCard, read_card
from gnn_branching.policy.kind import LoadedPolicy, load_folder
from gnn_branching.run_folder import run_of_policy

SHIPPED = Path(__file__).parent / "shipped"
HUB_PREFIX = "hf://"
FILES = (CARD_FILE, WEIGHTS_FILE, TEXT_FILE, RECIPE_FILE)


def list_policies() -> dict[str, PolicyCard]:
    """Return the policies that ship with the package, by name."""
    return {folder.name: read_card(folder) for folder in _shipped()}


def load_policy(name_or_path: str | Path, *, device: str = "cpu") -> LoadedPolicy:
    """Load a policy.

    Args:
        name_or_path: Name of a shipped policy, folder of a policy, or ``hf://owner/name`` on the Hugging Face Hub.
        device: ``cpu`` for the compiled runtime, or a PyTorch device.

    Raises:
        InputError: If there is no such policy, or it is damaged or of another version.
    """
    folder, name = _find(str(name_or_path))
    return load_folder(folder, name, device)


def find_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a policy by name, folder or hub address.

    Raises:
        InputError: If there is no such policy.
    """
    return _find(str(name_or_path))[0]


def say_unseen_settings(policy: str, card: PolicyCard, settings: Iterable[str]) -> None:
    """Say on stderr under which named settings a policy is to branch, but was trained on no samples.

    A network on subproblems sees the same under all settings (docs/results/accuracy.md), and nothing is said.
    """
    from gnn_branching.solver.settings import NAMED_SETTINGS

    seen = card.settings
    unseen = [name for name in settings if name in NAMED_SETTINGS and name not in seen]
    if seen and unseen and card.architecture.graph == "lp":
        print(
            f"note: policy {policy} was trained under {' and '.join(seen)} settings alone, and may branch worse under "
            f"{' and '.join(unseen)} settings",
            file=sys.stderr,
        )


def push_policy(folder: Path, repository: str) -> str:
    """Upload a policy folder to the Hugging Face Hub, privately unless the repository exists; return its address.

    Raises:
        InputError: If the folder is not a policy.
    """
    from huggingface_hub import HfApi

    read_card(folder)
    hub = HfApi()
    hub.create_repo(repository, private=True, exist_ok=True)
    hub.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=list(FILES))
    return HUB_PREFIX + repository


def _find(name_or_path: str) -> tuple[Path, str]:
    """Return a policy's folder and name."""
    for folder in _shipped():
        if folder.name == name_or_path:
            return folder, folder.name
    if name_or_path.startswith(HUB_PREFIX):
        return _download(name_or_path.removeprefix(HUB_PREFIX)), name_or_path
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder, run_of_policy(folder).name
    known = ", ".join(folder.name for folder in _shipped()) or "none ships with this version"
    raise InputError(f"policy {name_or_path!r} is neither a folder nor a known policy; known: {known}")


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=list(FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"policy {HUB_PREFIX}{repository} cannot be fetched: {reason}") from None


def _shipped() -> list[Path]:
    return sorted(path.parent for path in SHIPPED.glob(f"*/{CARD_FILE}"))
