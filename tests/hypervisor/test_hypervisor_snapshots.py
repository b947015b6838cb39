"""Snapshots: what is recorded and what lies in the disks, families, and ways back."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import pytest
from hypervisor.hosts import definition, refusal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libvirt_rpc.libvirt_common.types import VirDomainEventType
from rpcgen.examples.hypervisor.model import snapshot
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.flags import (
    SnapshotDelete,
    SnapshotList,
)
from rpcgen.examples.hypervisor.model.lifecycle import RUNNING, SHUTOFF
from rpcgen.examples.hypervisor.model.snapshot import Request
from rpcgen.examples.hypervisor.model.snapshots import Data, Snapshots

E = VirDomainEventType
NO: Final = SnapshotDelete(0)
MACHINE: Final = definition()


def request(name: str) -> Request:
    return Request(name, None, None, None, None, None)


def saved() -> Data:
    return Data(MACHINE, RUNNING)


def tree(*names: str) -> Snapshots:
    """Snapshots, each taken on the one before it, or where ``^`` says, on its parent."""
    snapshots = Snapshots()
    for name in names:
        if name == "^":
            snapshots.current = snapshots.get(snapshots.current or "").parent
        else:
            snapshots.take(request(name), 0, saved)
    return snapshots


def parents(snapshots: Snapshots) -> dict[str, str | None]:
    return {record.name: record.parent for record in snapshots.records.values()}


# Taking


def test_a_failed_one_leaves_no_trace() -> None:
    snapshots = tree("one")

    def fail() -> Data:
        raise LibvirtError(snapshot.E.VIR_ERR_OPERATION_FAILED, "the disk is full")

    assert "the disk is full" in refusal(9, lambda: snapshots.take(request("two"), 0, fail))
    assert (list(snapshots.records), snapshots.current) == (["one"], "one")
    assert "hold no snapshot" in refusal(9, snapshots.data, "two")
    assert snapshots.take(request("two"), 0, saved) == "two"


def test_the_parent_is_remembered_before_anything_is_made() -> None:
    snapshots = tree("one", "two")

    def save() -> Data:
        snapshots.current = "one"
        return saved()

    snapshots.take(request("three"), 0, save)
    assert parents(snapshots) == {"one": None, "two": "one", "three": "two"}
    assert snapshots.current == "three"


def test_a_name_is_found_or_taken() -> None:
    snapshots = Snapshots()
    assert snapshots.take(request(""), 1234, saved) == "1234"
    message = refusal(9, lambda: snapshots.take(request(""), 1234, saved))
    assert message == "operation failed: domain moment 1234 already exists"


def test_one_without_a_record_is_only_in_the_disks() -> None:
    snapshots = tree("one")
    snapshots.take(request("two"), 0, saved, recorded=False)
    assert (list(snapshots.records), snapshots.current) == (["one"], "one")
    assert snapshots.data("two") == saved()


# Deleting


def test_children_go_to_the_grandparent() -> None:
    snapshots = tree("one", "two", "three")
    snapshots.delete("two", NO)
    assert parents(snapshots) == {"one": None, "three": "one"}
    assert snapshots.current == "three"
    snapshots.delete("three", NO)
    assert snapshots.current == "one"
    snapshots.delete("one", NO)
    assert snapshots.current is None
    assert not snapshots


def test_a_subtree_goes_as_a_whole() -> None:
    snapshots = tree("root", "a", "a1", "^", "a2", "^", "^", "b")
    snapshots.current = "a1"
    snapshots.delete("a", SnapshotDelete.CHILDREN)
    assert parents(snapshots) == {"root": None, "b": "root"}
    assert snapshots.current == "root"
    for name in ("a", "a1", "a2"):
        refusal(9, snapshots.data, name)


def test_children_can_go_alone() -> None:
    snapshots = tree("root", "a", "a1")
    snapshots.delete("a", SnapshotDelete.CHILDREN_ONLY)
    assert (parents(snapshots), snapshots.current) == ({"root": None, "a": "root"}, "a")
    snapshots.delete("a", SnapshotDelete.CHILDREN_ONLY)
    assert (parents(snapshots), snapshots.current) == ({"root": None, "a": "root"}, "a")


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (NO, ["root", "a1"]),
        (SnapshotDelete.CHILDREN, ["root"]),
        (SnapshotDelete.CHILDREN_ONLY, ["root", "a"]),
    ],
)
def test_only_records_go(flags: SnapshotDelete, left: list[str]) -> None:
    snapshots = tree("root", "a", "a1")
    snapshots.delete("a", flags | SnapshotDelete.METADATA_ONLY)
    assert list(snapshots.records) == left
    assert [snapshots.data(name) for name in ("root", "a", "a1")] == [saved()] * 3


def test_what_is_not_there_has_its_error() -> None:
    snapshots = tree("one")
    missing = "Domain snapshot not found: no domain snapshot with matching name 'two'"
    assert refusal(72, snapshots.get, "two") == missing
    assert refusal(72, snapshots.delete, "two", NO) == missing
    assert refusal(72, lambda: snapshots.listed_below("two", SnapshotList(0))) == missing
    assert "does not have a parent" in refusal(72, snapshots.get_parent, "one")
    assert "does not have a current" in refusal(72, Snapshots().get_current)


# Listing


def test_filters() -> None:
    snapshots = tree("root", "a", "a1", "^", "a2", "^", "^", "b")
    off = snapshots.records["a2"]._replace(state=SHUTOFF)
    snapshots.records["a2"] = off

    def listed(flags: SnapshotList) -> list[str]:
        return snapshots.listed(flags)

    assert (
        listed(SnapshotList(0))
        == listed(SnapshotList.TOPOLOGICAL)
        == ["root", "a", "b", "a1", "a2"]
    )
    assert listed(SnapshotList.ROOTS_OR_DESCENDANTS) == ["root"]
    assert listed(SnapshotList.LEAVES) == ["b", "a1", "a2"]
    assert listed(SnapshotList.NO_LEAVES) == ["root", "a"]
    assert listed(SnapshotList.LEAVES | SnapshotList.ACTIVE) == ["b", "a1"]
    assert listed(SnapshotList.INACTIVE) == ["a2"]
    assert listed(SnapshotList.METADATA | SnapshotList.INTERNAL) == listed(SnapshotList(0))
    assert (
        listed(SnapshotList.NO_METADATA)
        == listed(SnapshotList.DISK_ONLY)
        == listed(SnapshotList.EXTERNAL)
        == []
    )
    assert snapshots.listed_below("root", SnapshotList(0)) == ["a", "b"]
    assert snapshots.listed_below("root", SnapshotList.ROOTS_OR_DESCENDANTS) == [
        "a",
        "b",
        "a1",
        "a2",
    ]
    assert snapshots.listed_below(
        "root", SnapshotList.ROOTS_OR_DESCENDANTS | SnapshotList.NO_LEAVES
    ) == ["a"]


class Trees(RuleBasedStateMachine):
    """Whatever is taken, deleted and defined again, the records stay a tree."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshots = Snapshots()
        self.count = 0

    @rule()
    def take(self) -> None:
        self.count += 1
        self.snapshots.take(request(f"s{self.count}"), 0, saved)

    @precondition(lambda self: self.snapshots.records)
    @rule(data=st.data(), flags=st.integers(0, 7))
    def delete(self, data: st.DataObject, flags: int) -> None:
        name = data.draw(st.sampled_from(list(self.snapshots.records)))
        self.snapshots.delete(name, SnapshotDelete(flags))

    @precondition(lambda self: self.snapshots.records)
    @rule(data=st.data(), is_current=st.booleans())
    def redefine(self, data: st.DataObject, is_current: bool) -> None:
        names = st.sampled_from(list(self.snapshots.records))
        record = self.snapshots.records[data.draw(names)]._replace(
            parent=data.draw(st.none() | names | st.just("nowhere"))
        )
        with suppress(LibvirtError):
            self.snapshots.redefine(record, is_current=is_current)

    @precondition(lambda self: self.snapshots.records)
    @rule(data=st.data())
    def set_current(self, data: st.DataObject) -> None:
        self.snapshots.current = data.draw(st.sampled_from(list(self.snapshots.records)))

    @invariant()
    def is_a_tree(self) -> None:
        names = set(self.snapshots.records)
        assert set(self.snapshots.descendants(None)) == names
        assert len(self.snapshots.descendants(None)) == len(names)
        assert self.snapshots.current is None or self.snapshots.current in names


Trees.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestTrees = Trees.TestCase
