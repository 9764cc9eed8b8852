from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn_branching.contracts import InputError, Sample
from gnn_branching.feature_schema import N_KHALIL_FEATURES, ROW_FEATURES, SEARCH_FEATURES, SEARCH_SCHEMA
from gnn_branching.shards import Episode, encode_episode, open_episode, write_episode
from gnn_branching.shards.episode import TAIL
from tests.shards.samples import assert_same_samples, random_episode, random_sample


def opened(content: bytes) -> Episode:
    return Episode(memoryview(content), "x.arrow")


def read_all(content: bytes) -> list[Sample]:
    episode = opened(content)
    return [episode.sample(position) for position in range(episode.n_samples)]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_rows=st.integers(0, 9),
    n_variables=st.integers(1, 400),
    khalil=st.booleans(),
    search=st.booleans(),
)
def test_samples_come_back_bit_for_bit(seed: int, n_rows: int, n_variables: int, khalil: bool, search: bool) -> None:
    rng, shape = np.random.default_rng(seed), {"n_rows": n_rows, "n_variables": n_variables}
    samples = [random_sample(rng, **shape, khalil=khalil, search=search) for _ in range(3)]
    content = encode_episode(samples)
    assert_same_samples(read_all(content), samples)
    assert TAIL.unpack(content[-TAIL.size :])[2] == (2 if search else 1), "what has no new column is as it always was"


def test_special_values_come_back() -> None:
    sample = random_sample(np.random.default_rng(0))
    sample.state.row_features[0] = [-0.0, 5e-324, 1.7976931348623157e308, -np.inf, 0.1]
    origin = replace(sample.origin, primal_bound=-np.inf, dual_bound=0.1 + 0.2, tree_node=2**62)
    assert_same_samples(read_all(encode_episode([replace(sample, origin=origin)])), [replace(sample, origin=origin)])


def test_an_episode_without_samples_is_a_file() -> None:
    episode = opened(encode_episode([]))
    episode.verify()
    assert episode.n_samples == 0


def test_shared_graphs_are_stored_once() -> None:
    rng = np.random.default_rng(0)
    shared = random_episode(rng, 0, 40, n_rows=200, n_variables=100)
    distinct = [random_sample(rng, n_rows=200, n_variables=100) for _ in range(40)]
    assert len(encode_episode(shared)) < 0.6 * len(encode_episode(distinct))
    edges = shared[0].state.edges
    longer = replace(edges, indptr=np.append(edges.indptr, edges.indptr[-1]))
    one_more_row = replace(shared[0].state, row_features=np.zeros((201, len(ROW_FEATURES))), edges=longer)
    assert_same_samples(
        read_all(encode_episode([shared[0], replace(shared[0], state=one_more_row)])),
        [shared[0], replace(shared[0], state=one_more_row)],
    )


def test_the_file_is_a_plain_arrow_stream_of_samples() -> None:
    samples = random_episode(np.random.default_rng(0), 3, 4)
    table = pa.ipc.open_stream(encode_episode(samples)).read_all()
    assert table.num_rows == 4
    assert table["scores"].to_pylist() == [sample.scores.tolist() for sample in samples]


def test_equal_samples_give_equal_bytes() -> None:
    contents = [encode_episode(random_episode(np.random.default_rng(5), 0, 3)) for _ in range(2)]
    assert contents[0] == contents[1]


def test_every_flipped_byte_is_noticed() -> None:
    rng = np.random.default_rng(1)
    content = bytearray(encode_episode(random_episode(rng, 0, 3)))
    positions = rng.integers(0, len(content), 10_000)
    changes = rng.integers(1, 256, 10_000)
    unnoticed = []
    for position, change in zip(positions.tolist(), changes.tolist(), strict=True):
        content[position] ^= change
        try:
            opened(bytes(content)).verify()
        except InputError as error:
            assert "x.arrow" in str(error)  # noqa: PT017
        else:
            unnoticed.append(position)
        content[position] ^= change
    assert unnoticed == []
    opened(bytes(content)).verify()


def test_no_flipped_byte_is_ever_read_as_data() -> None:
    rng = np.random.default_rng(2)
    samples = random_episode(rng, 0, 2)
    content = bytearray(encode_episode(samples))
    for position in rng.integers(0, len(content), 1_000).tolist():
        content[position] ^= 0x10
        try:
            read = read_all(bytes(content))
        except InputError:
            pass
        else:
            assert_same_samples(read, samples)
        content[position] ^= 0x10


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(kept: float) -> None:
    content = encode_episode(random_episode(np.random.default_rng(0), 0, 3))
    with pytest.raises(InputError, match=r"x\.arrow is corrupt: it is truncated or no shard"):
        opened(content[: int(len(content) * kept)])


def test_a_tail_on_a_truncated_body_is_refused() -> None:
    content = encode_episode(random_episode(np.random.default_rng(0), 0, 3))
    with pytest.raises(InputError, match="corrupt"):
        opened(content[:-400] + content[-TAIL.size :])
    with pytest.raises(InputError, match="corrupt: its parts do not add up"):
        opened(content[100:])


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode_episode([])
    monkeypatch.setattr("gnn_branching.shards.episode.SHARD_VERSIONS", (98, 99))
    with pytest.raises(InputError, match="has version 1, this release reads 98 and 99"):
        opened(content)


def test_malformed_samples_are_refused() -> None:
    sample = random_sample(np.random.default_rng(0), n_rows=5, n_variables=6, density=0.9)
    state = sample.state
    falling = state.edges.indptr.copy()
    falling[2] = falling[1] - 1
    for edges in (replace(state.edges, indptr=falling), replace(state.edges, indptr=state.edges.indptr[[0, -1]])):
        with pytest.raises(ValueError, match="edges do not belong to 5 rows"):
            encode_episode([replace(sample, state=replace(state, edges=edges))])
    outside = replace(state, variable_features=state.variable_features[:3])
    with pytest.raises(ValueError, match="a variable outside 0…2"):
        encode_episode([replace(sample, state=outside)])
    wide = replace(state, row_features=np.zeros((5, 6)))
    with pytest.raises(ValueError, match="should have 5 columns"):
        encode_episode([replace(sample, state=wide)])
    for name, width in (("candidate_features", N_KHALIL_FEATURES), ("search_features", len(SEARCH_FEATURES))):
        features = {name: np.zeros((state.n_candidates, width))}
        state = replace(state, schema=SEARCH_SCHEMA)
        mixed = [
            replace(sample, state=replace(state, **{name: None})),
            replace(sample, state=replace(state, **features)),
        ]
        with pytest.raises(ValueError, match="chema"):
            encode_episode(mixed)
        with pytest.raises(ValueError, match=f"{name} of shape"):
            encode_episode([replace(sample, state=replace(state, **{name: features[name][:, 1:]}))])


def test_writing_leaves_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train" / "episode-000000.arrow"
    samples = random_episode(np.random.default_rng(0), 0, 2)
    write_episode(path, samples)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="no space is left; free some and run the same command again"):
        write_episode(path, [])
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert open_episode(path).n_samples == 2


def test_a_missing_and_an_empty_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.arrow cannot be opened: No such file"):
        open_episode(tmp_path / "a.arrow")
    (tmp_path / "b.arrow").touch()
    with pytest.raises(InputError, match=r"b\.arrow is empty"):
        open_episode(tmp_path / "b.arrow")


def test_pandas_is_not_asked_for() -> None:
    """Every episode has a process of its own, and an import of pandas takes longer than many an episode."""
    code = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        assert name != 'pandas', 'somebody imports pandas'\n"
        "sys.meta_path.insert(0, Finder())\n"
        "import numpy as np\n"
        "from gnn_branching.shards import Episode, encode_episode\n"
        "from tests.shards.samples import random_episode\n"
        "content = encode_episode(random_episode(np.random.default_rng(0), 0, 2))\n"
        "episode = Episode(memoryview(content), 'x.arrow')\n"
        "print([episode.sample(position).state.n_candidates > 0 for position in range(episode.n_samples)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[True, True]\n", "")
