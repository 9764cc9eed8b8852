"""Strong-branching samples on disk: one Arrow file per episode, checksummed, memory-mapped."""

from gnn_branching.shards.description import (
    DatasetDescription,
    EpisodeEntry,
    SplitDescription,
    episode_path,
    write_description,
)
from gnn_branching.shards.episode import Episode, encode_episode, write_episode
from gnn_branching.shards.reader import ShardReader, open_dataset, read_description
from gnn_branching.shards.source import open_episode

__all__ = [
    "DatasetDescription",
    "Episode",
    "EpisodeEntry",
    "ShardReader",
    "SplitDescription",
    "encode_episode",
    "episode_path",
    "open_dataset",
    "open_episode",
    "read_description",
    "write_description",
    "write_episode",
]
