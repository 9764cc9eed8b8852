"""What of a split is on disk: committed episodes, episodes set aside, and the samples that they make."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gnn_branching.contracts import InputError
from gnn_branching.durable import remove_partial_files, write_durably
from gnn_branching.shards import EpisodeEntry, SplitDescription, episode_path, open_episode
from gnn_branching.shards.description import episode_numbers

SET_ASIDE_NAME = "set-aside.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An episode that failed, one line of ``set-aside.jsonl``.

    Args:
        split: Its split.
        episode: Its number.
        instance: Path of the instance.
        scip_seed: SCIP's seed.
        reason: Why, in one line.
    """

    split: str
    episode: int
    instance: str
    scip_seed: int
    reason: str


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


@dataclass(slots=True, kw_only=True)
class SplitLedger:
    """The state of one split; the files are the truth, and this follows them.

    The split's samples are the first ``n_wanted`` in episode order, counted over the episodes before the first one that
    is neither committed nor set aside. Episodes that ran ahead of it wait.

    Args:
        dataset: The dataset's folder.
        split: Which split.
        n_wanted: Samples it shall have.
        committed: Samples of each episode on disk.
        set_aside: Episodes that failed.
        removed: Corrupt files that were found and removed, one line each.
    """

    dataset: Path
    split: str
    n_wanted: int
    committed: dict[int, int] = field(default_factory=dict)
    set_aside: dict[int, SetAside] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    _n_settled: int = 0
    _n_settled_samples: int = 0
    _n_samples: int = 0

    @staticmethod
    def load(dataset: Path, split: str, n_wanted: int) -> SplitLedger:
        """Read what is on disk, and remove what a killed process left half-written, or a disk has damaged."""
        ledger = SplitLedger(dataset=dataset, split=split, n_wanted=n_wanted)
        for entry in read_set_aside(dataset):
            if entry.split == split:
                ledger.set_aside[entry.episode] = entry
        folder = dataset / split
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        remove_partial_files(folder)
        for number in episode_numbers(names):
            path = episode_path(dataset, split, number)
            try:
                episode = open_episode(path)
                episode.verify()
            except InputError as error:
                # Its episode is run again, and gives the same samples.
                ledger.removed.append(str(error))
                path.unlink()
                continue
            ledger._enter(number, episode.n_samples)
        return ledger

    @property
    def is_complete(self) -> bool:
        """Whether the samples asked for are there, without gaps before them."""
        return self._n_settled_samples >= self.n_wanted

    @property
    def n_barren(self) -> int:
        """Settled episodes since the last one that gave samples."""
        n_barren = 0
        while n_barren < self._n_settled and not self.committed.get(self._n_settled - 1 - n_barren):
            n_barren += 1
        return n_barren

    @property
    def progress(self) -> CollectionProgress:
        """How far the split is."""
        return CollectionProgress(
            split=self.split,
            n_samples=self._n_samples,
            n_wanted=self.n_wanted,
            n_episodes=len(self.committed),
            n_failed_episodes=len(self.set_aside),
            is_complete=self.is_complete,
        )

    def is_settled(self, episode: int) -> bool:
        """Say whether an episode is committed or set aside."""
        return episode in self.committed or episode in self.set_aside

    def needs(self, episode: int) -> bool:
        """Say whether an episode has to be run: those before it that are on disk do not have enough samples.

        Samples of later episodes do not count: a killed collector leaves gaps before them, and the gaps come first.
        """
        n_ahead = sum(self.committed.get(number, 0) for number in range(self._n_settled, episode))
        return self._n_settled_samples + n_ahead < self.n_wanted

    def commit(self, episode: int, content: bytes, n_samples: int) -> None:
        """Write an episode's shard, whole, and count it once it is on disk."""
        # Disk first, memory second: killed in between, the next start finds the file and counts it.
        write_durably(episode_path(self.dataset, self.split, episode), content)
        self._enter(episode, n_samples)

    def put_aside(self, entry: SetAside) -> None:
        """Note that an episode failed, once the note is on disk."""
        self.set_aside[entry.episode] = entry
        self._write_set_aside()
        self._advance()

    def describe(self) -> SplitDescription:
        """Return the description of the finished split."""
        entries = []
        # The last episode may give fewer samples than it has: as many as are wanted, to the sample.
        n_left, episode = self.n_wanted, 0
        while n_left > 0:
            n_samples = min(self.committed.get(episode, 0), n_left)
            if n_samples:
                entries.append(EpisodeEntry(episode=episode, n_samples=n_samples))
            n_left -= n_samples
            episode += 1
        n_failed = sum(number < episode for number in self.set_aside)
        return SplitDescription(
            n_samples=self.n_wanted, n_episodes=episode, n_failed_episodes=n_failed, episodes=tuple(entries)
        )

    def drop_after(self, n_episodes: int) -> None:
        """Remove what ran ahead in vain, so that the folder does not tell how many workers there were."""
        for episode in [number for number in self.committed if number >= n_episodes]:
            episode_path(self.dataset, self.split, episode).unlink(missing_ok=True)
            self._n_samples -= self.committed.pop(episode)
        self.set_aside = {number: entry for number, entry in self.set_aside.items() if number < n_episodes}
        self._write_set_aside()

    def _write_set_aside(self) -> None:
        others = [entry for entry in read_set_aside(self.dataset) if entry.split != self.split]
        entries = sorted([*others, *self.set_aside.values()], key=lambda entry: (entry.split, entry.episode))
        path = self.dataset / SET_ASIDE_NAME
        if entries:
            write_durably(path, "".join(json.dumps(asdict(entry)) + "\n" for entry in entries).encode())
        else:
            path.unlink(missing_ok=True)

    def _enter(self, episode: int, n_samples: int) -> None:
        self.committed[episode] = n_samples
        self._n_samples += n_samples
        self._advance()

    def _advance(self) -> None:
        # Stops at the first gap: an episode that ran ahead counts once all before it are settled, so that the samples
        # are the same however many workers there were.
        while self.is_settled(self._n_settled) and not self.is_complete:
            self._n_settled_samples += self.committed.get(self._n_settled, 0)
            self._n_settled += 1


def read_set_aside(dataset: Path) -> list[SetAside]:
    """Return the episodes of a dataset that were set aside.

    Raises:
        InputError: If the file is damaged.
    """
    path = dataset / SET_ASIDE_NAME
    if not path.exists():
        return []
    try:
        return [SetAside(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError):
        raise InputError(f"{path} is damaged; delete it, and the episodes it names are tried again") from None
