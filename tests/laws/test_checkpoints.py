"""What every checkpoint store promises; today the files are the only one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.io.checkpoints import Checkpoint, CheckpointError, Checkpoints, CheckpointStore

KEY = ("detect", "spend.ticks", 3)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "state")


def test_none_before_the_first(store: CheckpointStore) -> None:
    assert store.load(*KEY) is None


@given(offset=st.integers(0, 2**62), state=st.dictionaries(st.text(), JSON, max_size=5))
def test_what_was_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, offset: int, state: dict[str, Any]) -> None:
    store = Checkpoints(tmp_path_factory.mktemp("law"))
    store.save(*KEY, offset=offset, state=state)
    assert store.load(*KEY) == Checkpoint(offset, state)


def test_the_newest_stands_alone(store: Checkpoints) -> None:
    for offset, text in ((5, "a"), (7, "b"), (7, "c")):
        store.save(*KEY, offset=offset, state={"text": text})
    assert store.load(*KEY) == Checkpoint(7, {"text": "c"})
    assert [file.name for file in store.path(*KEY).parent.iterdir()] == ["spend.ticks-3.checkpoint"]


def test_a_worker_that_was_thrown_out_does_not_set_the_new_owner_back(store: CheckpointStore) -> None:
    store.save(*KEY, offset=7, state={"by": "new owner"})
    with pytest.raises(CheckpointError, match="stands at 7, beyond 6: another worker has the partition"):
        store.save(*KEY, offset=6, state={"by": "old owner"})
    assert store.load(*KEY) == Checkpoint(7, {"by": "new owner"})


def test_stages_topics_and_partitions_are_kept_apart(store: CheckpointStore) -> None:
    keys = [("roll", "a", 1), ("roll", "a", 11), ("roll", "a-1", 1), ("detect", "a", 1)]
    for n, key in enumerate(keys):
        store.save(*key, offset=n, state={})
    assert [found.offset for key in keys if (found := store.load(*key))] == [0, 1, 2, 3]


@pytest.mark.parametrize("cut", [0, 1, 40, 110, -1])
def test_a_torn_file_is_refused_and_named(store: Checkpoints, cut: int) -> None:
    store.save(*KEY, offset=1, state={"a": list(range(100))})
    path = store.path(*KEY)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"spend\.ticks-3\.checkpoint.*move it away"):
        store.load(*KEY)


def test_every_flipped_byte_is_noticed(store: Checkpoints) -> None:
    store.save(*KEY, offset=1, state={"a": 1})
    path = store.path(*KEY)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CheckpointError):
            store.load(*KEY)


def test_another_version_is_refused_with_both_versions(store: Checkpoints) -> None:
    store.save(*KEY, offset=1, state={})
    path = store.path(*KEY)
    path.write_bytes(path.read_bytes().replace(b'"version":2', b'"version":9'))
    with pytest.raises(CheckpointError, match="version 9, and this release reads 1 to 2"):
        store.load(*KEY)


def test_a_file_of_another_partition_is_refused(store: Checkpoints) -> None:
    store.save(*KEY, offset=1, state={})
    store.path(*KEY).rename(store.path("detect", "spend.ticks", 0))
    with pytest.raises(CheckpointError, match="another stage or partition"):
        store.load("detect", "spend.ticks", 0)


def test_a_full_disk_keeps_the_old_one(store: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(*KEY, offset=1, state={"n": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("streams.io.checkpoints.os.fsync", full)
        with pytest.raises(CheckpointError, match=r"No space left on device.*free space"):
            store.save(*KEY, offset=2, state={"n": 2})
    assert store.load(*KEY) == Checkpoint(1, {"n": 1})
    assert len(list(store.path(*KEY).parent.iterdir())) == 1, "the unfinished file is taken away"


def test_a_state_that_is_no_json_is_the_stage_s_fault(store: Checkpoints) -> None:
    with pytest.raises(TypeError):
        store.save(*KEY, offset=1, state={"a": object()})


def test_others_may_not_write_it(store: Checkpoints) -> None:
    store.save(*KEY, offset=1, state={})
    assert not store.path(*KEY).stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
