"""Problem instances: families by name and size, files, manifests, and splits by instance."""

from gnn_branching.instances.builtin import BUILTIN_FAMILIES
from gnn_branching.instances.family import Family, family_names, get_family, register_family
from gnn_branching.instances.files import INSTANCE_SUFFIXES, content_sha256, list_instances
from gnn_branching.instances.generate import generate_instances
from gnn_branching.instances.manifest import Manifest, read_manifest
from gnn_branching.instances.split import InstanceSplits, check_disjoint, prepare_splits, split_folder

__all__ = [
    "BUILTIN_FAMILIES",
    "INSTANCE_SUFFIXES",
    "Family",
    "InstanceSplits",
    "Manifest",
    "check_disjoint",
    "content_sha256",
    "family_names",
    "generate_instances",
    "get_family",
    "list_instances",
    "prepare_splits",
    "read_manifest",
    "register_family",
    "split_folder",
]
