"""XML descriptions: text to trees and back, in libvirt's layout.

What the elements mean is decided elsewhere. Prefixes of namespaces stay as they were written:
libvirt carries foreign metadata without looking into it.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.limits import CONTEXT_MAX, DEPTH_MAX, DOCUMENT_MAX

_CONTROL: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32)])
_TEXT: Final = str.maketrans(_CONTROL | {"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_ATTRIBUTE: Final = str.maketrans(_TEXT | {ord("'"): "&apos;", ord('"'): "&quot;"})
_NUMBER: Final = re.compile(r"\s*\d{1,20}\s*")


class _RefusedError(Exception):
    """The document holds what we do not read."""


class _Reader:
    """Builds one tree, without namespaces, declarations of types or entities."""

    def __init__(self) -> None:
        self._builder = TreeBuilder()
        self._depth = 0
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._builder.data
        self.parser.StartDoctypeDeclHandler = self._doctype

    def read(self, text: str) -> Element:
        self.parser.Parse(text.encode("utf-8", "surrogateescape"), True)
        return self._builder.close()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _RefusedError(f"more than {DEPTH_MAX} elements within each other")
        self._builder.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._builder.end(tag)

    def _doctype(self, *_: object) -> None:
        raise _RefusedError("a document type declaration is not accepted")


def parse(text: str, title: str, root: str, domain: VirErrorDomain) -> Element:
    """The tree of a description.

    Args:
        title: what errors call the document.
        root: the element that it must consist of.
        domain: who reports errors.

    Raises:
        LibvirtError: it is too long, not well-formed, refused, or something else.
    """
    element = _read(text, title, domain)
    if element.tag != root:
        raise LibvirtError(
            VirErrorNumber.VIR_ERR_XML_ERROR,
            f"expecting root element of '{root}', not '{element.tag}'",
            VirErrorDomain.VIR_FROM_XML,
        )
    return element


def parse_fragment(text: str, title: str, domain: VirErrorDomain) -> Element:
    """The tree of an element of any name; errors as with ``parse``."""
    return _read(text, title, domain)


def _read(text: str, title: str, domain: VirErrorDomain) -> Element:
    if len(text) > DOCUMENT_MAX:
        raise _detail(f"({title}): {len(text)} characters are more than {DOCUMENT_MAX}", domain)
    reader = _Reader()
    try:
        return reader.read(text)
    except _RefusedError as error:
        line, column = reader.parser.CurrentLineNumber, reader.parser.CurrentColumnNumber
        raise _detail(_quote(text, title, str(error), line, column), domain) from None
    except expat.ExpatError as error:
        problem = expat.ErrorString(error.code) or str(error)
        raise _detail(_quote(text, title, problem, error.lineno, error.offset), domain) from None


def _detail(message: str, domain: VirErrorDomain) -> LibvirtError:
    return LibvirtError(VirErrorNumber.VIR_ERR_XML_DETAIL, message, domain)


def _quote(text: str, title: str, problem: str, line: int, column: int) -> str:
    """The problem, the line and a caret below it, as libvirt lays them out."""
    lines = text.split("\n")
    first = max(0, column - CONTEXT_MAX)
    context = lines[min(line, len(lines)) - 1][first:][:CONTEXT_MAX]
    return f"({title}):{line}: {problem}\n{context}\n{'-' * (column - first)}^"


# What is asked of a tree


def text_at(element: Element, path: str) -> str:
    """The text of the first element on that path, stripped; empty if there is none."""
    return (element.findtext(path) or "").strip()


def attribute_at(element: Element, path: str, name: str) -> str:
    """An attribute of the first element on that path; empty if there is none."""
    found = element.find(path)
    return "" if found is None else found.get(name, "")


def number(text: str) -> int | None:
    """A number without a sign; None if it is none."""
    return int(text) if _NUMBER.fullmatch(text) else None


def put(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    """The child of that name, made if there is none, with this text and these attributes only."""
    child = parent.find(tag)
    if child is None:
        child = Element(tag)
        parent.append(child)
    child.attrib = dict(attributes)
    child.text = text
    return child


def remove(parent: Element, tag: str) -> None:
    """Drop all children of that name."""
    for child in parent.findall(tag):
        parent.remove(child)


def arrange(parent: Element, order: dict[str, int]) -> None:
    """Sort the children by rank; those without one stand before the last rank."""
    others = max(order.values()) - 0.5
    parent[:] = sorted(parent, key=lambda child: order.get(child.tag, others))


def ranks(*tags: str) -> dict[str, int]:
    """Ranks for ``arrange``."""
    return {tag: rank for rank, tag in enumerate(tags)}


# Back to text


def write(
    element: Element,
    expanded: frozenset[str] = frozenset(),
    foreign: frozenset[str] = frozenset(),
) -> str:
    """A description: two spaces a level, a line for each element.

    Args:
        expanded: elements that are written with both tags even if they are empty.
        foreign: elements whose children keep the form in which libxml2 prints them.
    """
    return "\n".join(_lines(element, "", "'", expanded, foreign)) + "\n"


def write_foreign(element: Element) -> str:
    """An element that is not libvirt's, as libxml2 prints it; no newline behind it."""
    return "\n".join(_lines(element, "", '"', frozenset(), frozenset()))


def _lines(
    element: Element, margin: str, quote: str, expanded: frozenset[str], foreign: frozenset[str]
) -> list[str]:
    start = f"{margin}<{element.tag}{_attributes(element, quote)}"
    end = f"</{element.tag}>"
    if _is_mixed(element):
        return [f"{start}>{_inline(element, quote)}{end}"]
    if len(element):
        inner = '"' if element.tag in foreign else quote
        children = [_lines(child, margin + "  ", inner, expanded, foreign) for child in element]
        return [f"{start}>", *(line for lines in children for line in lines), margin + end]
    if element.text:
        return [f"{start}>{element.text.translate(_TEXT)}{end}"]
    return [f"{start}>", margin + end] if element.tag in expanded else [f"{start}/>"]


def _is_mixed(element: Element) -> bool:
    """Whether there is text between elements, so that every space counts."""
    texts = (element.text, *(child.tail for child in element))
    return len(element) > 0 and any(text and not text.isspace() for text in texts)


def _inline(element: Element, quote: str) -> str:
    parts = [(element.text or "").translate(_TEXT)]
    for child in element:
        start, inside = f"<{child.tag}{_attributes(child, quote)}", _inline(child, quote)
        parts.append(f"{start}>{inside}</{child.tag}>" if inside else f"{start}/>")
        parts.append((child.tail or "").translate(_TEXT))
    return "".join(parts)


def _attributes(element: Element, quote: str) -> str:
    return "".join(
        f" {name}={quote}{value.translate(_ATTRIBUTE)}{quote}"
        for name, value in element.attrib.items()
    )
