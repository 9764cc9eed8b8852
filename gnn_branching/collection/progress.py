"""How far a collection is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionProgress:
    """State of one split.

    Args:
        split: Which.
        n_samples: Samples on disk, those of episodes that ran ahead included.
        n_wanted: Samples asked for.
        n_episodes: Episodes on disk, those without samples included.
        n_failed_episodes: Episodes that were set aside.
        is_complete: Whether the split is finished.
    """

    split: str
    n_samples: int
    n_wanted: int
    n_episodes: int
    n_failed_episodes: int
    is_complete: bool = False
