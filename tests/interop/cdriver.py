"""C code that moves values of a module between tokens and the structs that C's rpcgen declares.

Written from the model: how ``x<N>`` becomes ``x_len`` and ``x_val``, where a union keeps its arms.
It names no C type but those of the definitions; ``__typeof__`` finds the others. What XDR looks like
is not known here: that is C's part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from rpcgen.model import types as t

Code: TypeAlias = Callable[[t.Type, str, str, int], Iterator[str]]
"""Statements for a value: its type, the C expression of its place, its declared name, the loop depth."""

ON_THE_WIRE = {"i": "(int32_t) ", "I": "(uint32_t) "}
"""To the width of the wire: C's long has 64 bits, of which the upper half is a sign or zero, depending on which
of its two ways (``xdr_long``, the inlined ``IXDR_GET_LONG``) libtirpc took; and an enum is unsigned where it can."""

HEAD, REST = (Path(__file__).with_name(name) for name in ("driver.h", "driver.c"))
"""What all drivers share: before the generated functions, and behind them."""


def driver(header: str, types: Sequence[t.TypeDefinition]) -> str:
    """The whole program for some types; a type's place in the table is its index in ``types``."""
    parts = [HEAD.read_text(), f'#include "{header}"']
    parts += [f"static void {function(d)};" for d in types for function in (_from_head, _to_head)]
    parts += [
        _body(head(d), d, code)
        for d in types
        for head, code in ((_from_head, _fill), (_to_head, _write))
    ]
    return "\n".join([*parts, _table(types), REST.read_text()])


def _table(types: Sequence[t.TypeDefinition]) -> str:
    rows = "".join(
        f"\t{{ (bool_t (*)(XDR *, void *)) xdr_{name}, "
        f"{name}_from_tokens, {name}_to_tokens, sizeof ({name}) }},\n"
        for name in (definition.name for definition in types)
    )
    return f"static const struct drv_type drv_types[] = {{\n{rows}}};\n"


def _from_head(definition: t.TypeDefinition) -> str:
    return f"{definition.name}_from_tokens(struct drv_input *in, void *place)"


def _to_head(definition: t.TypeDefinition) -> str:
    return f"{definition.name}_to_tokens(struct drv_output *out, void *place)"


def _body(head: str, definition: t.TypeDefinition, code: Code) -> str:
    lines = "\n".join(f"\t{line}" for line in _definition(definition, code))
    return f"static void {head}\n{{\n\t{definition.name} *v = place;\n{lines}\n}}\n"


def _definition(definition: t.TypeDefinition, code: Code) -> Iterator[str]:
    match definition:
        case t.Enum():
            yield from code(t.INT, "(*v)", "", 0)
        case t.Struct(fields=fields):
            for one in fields:
                yield from code(one.type, f"v->{one.name}", one.name, 0)
        case t.Union():
            yield from _union(definition, code)
        case t.Alias(name=name, target=target):
            yield from code(target, "(*v)", name, 0)


def _union(union: t.Union, code: Code) -> Iterator[str]:
    discriminant = union.discriminant
    yield from code(discriminant.type, f"v->{discriminant.name}", "", 0)
    yield f"switch (v->{discriminant.name}) {{"
    for arm, member in members(union):
        yield from (f"case {label.value}:" for label in arm.labels)
        if arm.is_default:
            yield "default:"
        if arm.field:
            place = f"v->{union.name}_u.{member}"
            yield from (f"\t{line}" for line in code(arm.field.type, place, member, 0))
        yield "\tbreak;"
    yield "}"


def members(union: t.Union) -> Iterator[tuple[t.Arm, str]]:
    """The arms, and what C calls their fields: a second ``x`` is ``x_2``, since C cannot have two."""
    count: Counter[str] = Counter()
    for arm in union.arms:
        name = arm.field.name if arm.field else ""
        count[name] += 1
        yield arm, name if count[name] == 1 else f"{name}_{count[name]}"


def _fill(type_: t.Type, place: str, name: str, depth: int) -> Iterator[str]:
    """Statements that fill ``place``, which was declared with ``name``, from tokens."""
    value, length = f"{place}.{name}_val", f"{place}.{name}_len"
    match type_:
        case t.Primitive():
            source = "drv_real(in)" if type_ in (t.FLOAT, t.DOUBLE) else "drv_number(in)"
            yield f"{place} = (__typeof__({place})) {source};"
        case t.Opaque(fixed=True) | t.CharArray(fixed=True):
            yield f"drv_bytes(in, &{place}, drv_number(in));"
        case t.Opaque() | t.CharArray():
            yield f"drv_counted(in, (struct drv_counted *) &{place});"
        case t.String():
            yield f"{{ size_t n = drv_number(in); {place} = calloc(n + 1, 1); drv_bytes(in, {place}, n); }}"
        case t.Array(element=element, fixed=fixed):
            if not fixed:
                yield f"{length} = *(int64_t *) in->next;"
                yield f"{value} = calloc({length} + 1, sizeof *{value});"
            items = place if fixed else value
            yield from _loop(
                "drv_number(in)", _fill(element, f"{items}[i{depth}]", "", depth + 1), depth
            )
        case t.Optional(element=element):
            yield f"if (drv_number(in)) {{ {place} = calloc(1, sizeof *{place});"
            yield from _fill(element, f"(*{place})", "", depth)
            yield "}"
        case t.Named(definition=definition):
            yield f"{definition.name}_from_tokens(in, &{place});"


def _write(type_: t.Type, place: str, name: str, depth: int) -> Iterator[str]:
    """Statements that write ``place``, which was declared with ``name``, as tokens."""
    value, length = f"{place}.{name}_val", f"{place}.{name}_len"
    match type_:
        case t.Primitive():
            yield _put_number(type_, place)
        case t.Opaque(length=fixed_length, fixed=True) | t.CharArray(
            length=fixed_length, fixed=True
        ):
            yield f"drv_put_bytes(out, &{place}, {fixed_length});"
        case t.Opaque() | t.CharArray():
            counted = f"((struct drv_counted *) &{place})"
            yield f"drv_put_bytes(out, {counted}->data, {counted}->length);"
        case t.String():
            yield f"drv_put_bytes(out, {place}, strlen({place}));"
        case t.Array(element=element, fixed=fixed):
            count, items = (str(type_.length), place) if fixed else (length, value)
            yield f"drv_put_number(out, {count});"
            yield from _loop(count, _write(element, f"{items}[i{depth}]", "", depth + 1), depth)
        case t.Optional(element=element):
            yield f"drv_put_number(out, {place} != NULL); if ({place}) {{"
            yield from _write(element, f"(*{place})", "", depth)
            yield "}"
        case t.Named(definition=definition):
            yield f"{definition.name}_to_tokens(out, &{place});"


def _put_number(type_: t.Primitive, place: str) -> str:
    if type_ in (t.FLOAT, t.DOUBLE):
        return f"drv_put_real(out, {place});"
    return f"drv_put_number(out, {ON_THE_WIRE.get(type_.code, '')}{place});"


def _loop(count: str, body: Iterator[str], depth: int) -> Iterator[str]:
    i = f"i{depth}"
    yield f"for (int64_t {i} = 0, n{depth} = {count}; {i} < n{depth}; {i}++) {{"
    yield from (f"\t{line}" for line in body)
    yield "}"
