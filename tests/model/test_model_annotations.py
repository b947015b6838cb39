"""``@key: value`` lines are told from prose, understood, and refused at their place."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rpcgen.errors import Diagnostics, Location
from rpcgen.model import annotations as notes
from rpcgen.model.types import Access, Annotations
from rpcgen.syntax.tree import Comment, Name, Remarks

ACCESS = "'none' or 'object:permission[:flags[:parameter:value]]'"
START = Location("f.x", 20, 1)


def remarks(text: str) -> Remarks:
    return Remarks(
        (Comment(text, Location("f.x", 20 - text.count("\n"), 5, text.splitlines()[0])),)
    )


def read(
    text: str, constants: Mapping[str, int] | None = None
) -> tuple[str, Annotations, list[str]]:
    """The prose, the annotations and the diagnostics of a comment before a procedure."""
    found = Diagnostics()
    known = constants or {}

    def value(name: Name) -> int | None:
        return known.get(name.text)

    doc, pairs = notes.split(remarks(text), START, notes.PROCEDURE_KEYS, found)
    understood = notes.understand(pairs, value, found)
    return doc, understood, [f"{one.severity}: {one}" for one in found]


def test_libvirts_own_form() -> None:
    text = """/**
     * @generate: none
     * @priority : high
     * @acl:domain:write
     * @acl: domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE
     * @acl: domain:save::kind:!7
     * @aclfilter: domain:getattr
     */"""
    doc, found, said = read(text)
    assert (doc, said) == ("", [])
    assert (found.generate, found.priority) == ("none", "high")
    assert found.acl == (
        Access("domain", "write"),
        Access("domain", "save", "!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE"),
        Access("domain", "save", "", "kind", "!7"),
    )
    assert found.acl_filter == (Access("domain", "getattr"),)
    assert found.pairs[1] == ("priority", "high")
    assert len(found.pairs) == 6


def test_none_is_an_acl_without_a_permission() -> None:
    assert read("/** @acl: none */")[1].acl == (Access("none"),)


@pytest.mark.parametrize("key", ["readstream", "writestream"])
@pytest.mark.parametrize("value", ["", ": 1"])
def test_streams_with_or_without_libvirts_number(key: str, value: str) -> None:
    _, found, said = read(f"/* @{key}{value} */")
    assert said == []
    assert found.stream == key.removesuffix("stream")


@pytest.mark.parametrize("order", [("readstream", "writestream"), ("writestream", "readstream")])
def test_reading_wins_over_writing(order: tuple[str, str]) -> None:
    _, found, said = read(f"/*\n * @{order[0]}: 1\n * @{order[1]}: 1\n */")
    assert found.stream == "read"
    assert said == [
        "warning: f.x:19:4: '@readstream' and '@writestream' exclude each other; '@readstream' counts"
    ]


def test_a_sparse_flag_is_a_constant() -> None:
    text = "/*\n * @readstream\n * @sparseflag: FLAG\n */"
    assert read(text, {"FLAG": 4})[1].sparse_flag == 4


def test_an_unknown_sparse_flag_is_a_warning() -> None:
    _, found, said = read("/*\n * @readstream\n * @sparseflag: FLAG\n */")
    assert found.sparse_flag is None
    assert said == ["warning: f.x:19:17: unknown constant 'FLAG', '@sparseflag' is ignored"]


def test_a_sparse_flag_needs_a_stream() -> None:
    _, _, said = read("/* @sparseflag: FLAG */", {"FLAG": 1})
    assert said == [
        "error: f.x:20:8: expected '@readstream' or '@writestream' beside '@sparseflag'"
    ]


@pytest.mark.parametrize(("value", "into", "out"), [("in", 1, 0), ("out", 0, 1), ("both", 1, 1)])
def test_descriptors(value: str, into: int, out: int) -> None:
    found = read(f"/* @fds: {value} */")[1]
    assert (found.fds_in, found.fds_out) == (bool(into), bool(out))


def test_marks_without_a_value() -> None:
    found = read("/*\n * @event\n * @nonblocking\n * @auth: none\n */")[1]
    assert (found.event, found.nonblocking, found.auth_none) == (True, True, True)


def test_prose_stands_beside_annotations() -> None:
    text = """/* Opens it.
     *
     * @priority: high
     *
     * Write to a@b.c, or @all of them.
     * - @generate: is a key
     */"""
    doc, found, said = read(text)
    assert said == []
    assert found.pairs == (("priority", "high"),)
    assert doc == "Opens it.\n\nWrite to a@b.c, or @all of them.\n- @generate: is a key"


@pytest.mark.parametrize("opening", ["//", "///", "//!"])
def test_slash_comments_carry_annotations(opening: str) -> None:
    assert read(f"{opening} @event")[1].event


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "@generate: some",
            "f.x:20:19: expected 'both', 'server', 'client' or 'none' after '@generate', got 'some'",
        ),
        (
            "@generate",
            "f.x:20:8: expected 'both', 'server', 'client' or 'none' after '@generate', got nothing",
        ),
        (
            "@priority: medium",
            "f.x:20:19: expected 'high' or 'low' after '@priority', got 'medium'",
        ),
        ("@auth: sasl", "f.x:20:15: expected 'none' after '@auth', got 'sasl'"),
        ("@fds: 3", "f.x:20:14: expected 'in', 'out' or 'both' after '@fds', got '3'"),
        ("@event: yes", "f.x:20:16: expected no value after '@event', got 'yes'"),
        ("@nonblocking: 1", "f.x:20:22: expected no value after '@nonblocking', got '1'"),
        ("@readstream: x", "f.x:20:21: expected a number or nothing after '@readstream', got 'x'"),
        (
            "@sparseflag: 1x",
            "f.x:20:21: expected the name of a constant after '@sparseflag', got '1x'",
        ),
        (
            "@acl: domain",
            f"f.x:20:14: expected {ACCESS} after '@acl', got 'domain'",
        ),
        (
            "@acl: a:b:c:d",
            f"f.x:20:14: expected {ACCESS} after '@acl', got 'a:b:c:d'",
        ),
        (
            "@aclfilter",
            f"f.x:20:8: expected {ACCESS} after '@aclfilter', got nothing",
        ),
    ],
)
def test_bad_values(line: str, message: str) -> None:
    assert read(f"/* {line} */")[2][0] == f"error: {message}"


def test_an_unknown_key_is_a_warning_and_no_prose() -> None:
    doc, found, said = read("/*\n * Text.\n * @prority: high\n */")
    assert (doc, found.pairs) == ("Text.", ())
    assert said == ["warning: f.x:19:4: unknown annotation '@prority'"]


def test_a_key_given_twice_is_a_warning() -> None:
    _, found, said = read("/*\n * @priority: high\n * @priority: low\n */")
    assert found.priority == "low"
    assert said == ["warning: f.x:19:4: '@priority' is given twice; the last one counts"]


def test_a_known_key_elsewhere_is_a_warning_and_an_unknown_one_is_prose() -> None:
    found = Diagnostics()
    text = "/*\n * @open\n * @event\n * @return: nothing\n */"
    doc, pairs = notes.split(remarks(text), START, notes.NO_KEYS, found)
    assert (doc, pairs) == ("@return: nothing", [])
    assert [str(one) for one in found] == [
        "f.x:17:4: '@open' has a meaning only before an enum",
        "f.x:18:4: '@event' has a meaning only before a procedure",
    ]


def test_open_takes_no_value() -> None:
    found = Diagnostics()
    _, pairs = notes.split(remarks("/* @open: yes */"), START, notes.ENUM_KEYS, found)
    assert notes.is_open(pairs, found)
    assert [str(one) for one in found] == ["f.x:20:15: expected no value after '@open', got 'yes'"]
