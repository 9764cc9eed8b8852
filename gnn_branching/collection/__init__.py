"""Instances × expert → shards of samples, in parallel, resumable at any moment."""

from gnn_branching.collection.collect import collect_dataset
from gnn_branching.collection.display import CollectionDisplay
from gnn_branching.collection.inspection import DatasetSummary, inspect_dataset
from gnn_branching.collection.job import EpisodeJob, collect_episode, instance_of_episode
from gnn_branching.collection.ledger import CollectionProgress
from gnn_branching.collection.pictures import summary_table, write_pictures

__all__ = [
    "CollectionDisplay",
    "CollectionProgress",
    "DatasetSummary",
    "EpisodeJob",
    "collect_dataset",
    "collect_episode",
    "inspect_dataset",
    "instance_of_episode",
    "summary_table",
    "write_pictures",
]
