"""XML descriptions: what is read and refused, and libvirt's layout."""

from __future__ import annotations

import pytest

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model import documents
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.limits import DEPTH_MAX, DOCUMENT_MAX

FROM = VirErrorDomain.VIR_FROM_NETWORK
DETAIL = VirErrorNumber.VIR_ERR_XML_DETAIL


def parse(text: str) -> str:
    """A description through its tree."""
    return documents.write(documents.parse(text, "title", "a", FROM))


def refusal(text: str) -> LibvirtError:
    with pytest.raises(LibvirtError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "(title):1: no element found\n\n^"),
        ("<a", "(title):1: unclosed token\n<a\n^"),
        ("<a>\n <b></c></a>", "(title):2: mismatched tag\n <b></c></a>\n------^"),
        ("<a/><b/>", "(title):1: junk after document element\n<a/><b/>\n----^"),
        ("<a>&x;</a>", "(title):1: undefined entity\n<a>&x;</a>\n---^"),
        ("<a>\udcff</a>", "(title):1: not well-formed (invalid token)\n<a>\udcff</a>\n---^"),
        (
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "(title):1: a document type declaration is not accepted\n"
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>\n------------^",
        ),
        (
            "<!DOCTYPE a SYSTEM '/etc/passwd'><a/>",
            "(title):1: a document type declaration is not accepted\n"
            "<!DOCTYPE a SYSTEM '/etc/passwd'><a/>\n--------------------------------^",
        ),
    ],
)
def test_what_is_not_well_formed_is_refused_where_it_is(text: str, message: str) -> None:
    error = refusal(text)
    assert (error.code, error.domain, error.str1) == (DETAIL, FROM, "%s")
    assert error.message == error.str2
    assert str(error.message) == message


def test_a_long_line_is_quoted_in_part() -> None:
    error = refusal("<a>" + "x" * 10_000 + "&y;</a>")
    head, context, caret = str(error.message).splitlines()
    assert len(head) + len(context) + len(caret) < 300
    assert caret.endswith("-^")


def test_another_document_is_refused() -> None:
    error = refusal("<b/>")
    assert error.code == VirErrorNumber.VIR_ERR_XML_ERROR
    assert error.domain == VirErrorDomain.VIR_FROM_XML
    assert error.message == "XML error: expecting root element of 'a', not 'b'"


def test_depth_and_length_are_bounded() -> None:
    deep = "<b>" * (DEPTH_MAX - 1) + "</b>" * (DEPTH_MAX - 1)
    assert parse(f"<a>{deep}</a>").count("<") == 2 * DEPTH_MAX - 1
    assert "elements within each other" in str(refusal(f"<a><b>{deep}</b></a>").message)
    assert "characters are more than" in str(refusal("<a>" + " " * DOCUMENT_MAX).message)


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("<?xml version='1.0' encoding='UTF-8'?><a/>", "<a/>\n"),
        ("<a><!-- no --><?no no?></a>", "<a/>\n"),
        ('<a x="1" y="2"><b/><b z="3">t</b></a>', "<a x='1' y='2'>\n  <b/>\n  <b z='3'>t</b>\n</a>\n"),
        ("<a x='&lt;&quot;&apos;&amp;'>&lt;&amp;&gt;</a>",
         "<a x='&lt;&quot;&apos;&amp;'>&lt;&amp;&gt;</a>\n"),
        ("<a>one <b/>two<c> three </c></a>", "<a>one <b/>two<c> three </c></a>\n"),
        ("<a>\n  <b>\n  <c/></b>\n</a>", "<a>\n  <b>\n    <c/>\n  </b>\n</a>\n"),
        ("<a xmlns:p='u'><p:b p:c='1'/></a>", "<a xmlns:p='u'>\n  <p:b p:c='1'/>\n</a>\n"),
    ],
)  # fmt: skip
def test_layout(text: str, layout: str) -> None:
    assert parse(text) == layout
    assert parse(layout) == layout


def test_some_elements_are_written_as_libvirt_writes_them() -> None:
    root = documents.parse("<a><b/><m><x y='1'/></m></a>", "title", "a", FROM)
    text = documents.write(root, expanded=frozenset({"b"}), foreign=frozenset({"m"}))
    assert text == '<a>\n  <b>\n  </b>\n  <m>\n    <x y="1"/>\n  </m>\n</a>\n'


def test_what_xml_cannot_hold_is_left_out() -> None:
    root = documents.parse("<a/>", "title", "a", FROM)
    root.text = "b\0\x1bc"
    assert documents.write(root) == "<a>bc</a>\n"
