"""How each type is encoded: the steps that the encoder template writes out.

The mirror of ``decoding``. A function first names what it needs, then checks what ``struct``
would let pass, then packs each run of fields in one call and joins the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from rpcgen.emit.facts import Facts, is_link, links
from rpcgen.emit.hints import Hints
from rpcgen.emit.layouts import Layouts
from rpcgen.emit.naming import Naming
from rpcgen.emit.scopes import unique
from rpcgen.model.types import (
    UNBOUNDED,
    Arm,
    Array,
    CharArray,
    Enum,
    Field,
    Named,
    Opaque,
    Optional,
    Primitive,
    String,
    Struct,
    Type,
    TypeDefinition,
    Union,
    resolve,
)

SOURCES = {
    "MAX_DEPTH": "rpcgen.runtime.limits",
    "MAX_UNCHECKED_LINKS": "rpcgen.runtime.limits",
    "SHORT": "rpcgen.runtime.limits",
    "Struct": "struct",
    "pack": "struct",
}
"""Where a name comes from that is not of ``rpcgen.runtime.xdr``."""

NARROW = {"unsigned short": "2xH", "unsigned char": "3xB"}
"""Codes that check the range and write the zeros above: the four bytes that the wire wants."""

# Items: what a value is made of on the wire, one after the other, before fusion.


@dataclass(slots=True)
class Fixed:
    """A field of fixed size: its code and the expression packed."""

    code: str
    value: str


@dataclass(slots=True)
class Blob:
    """Bytes of variable length in the local ``raw``; ``length`` is the local that has their number."""

    raw: str
    length: str
    maximum: int


@dataclass(slots=True)
class Part:
    """An expression that is encoded already."""

    value: str


# Steps: what is written before the parts are packed.


@dataclass(slots=True)
class Statement:
    """One line of Python."""

    kind: ClassVar[str] = "statement"
    text: str


@dataclass(slots=True)
class Check:
    """A condition under which the straight line gives up."""

    kind: ClassVar[str] = "check"
    condition: str


@dataclass(slots=True)
class Maybe:
    """An optional, encoded into the local ``target``."""

    kind: ClassVar[str] = "maybe"
    value: str
    target: str
    body: Block


@dataclass(slots=True)
class Loop:
    """A list, encoded element by element into the local ``target``."""

    kind: ClassVar[str] = "loop"
    values: str
    item: str
    target: str
    body: Block


@dataclass(slots=True)
class Block:
    """Steps, then the parts whose concatenation is the value; or one block for each arm of a union."""

    steps: list[Step]
    parts: list[str]
    arms: list[ArmBlock] = field(default_factory=list)
    subject: str = ""

    @property
    def result(self) -> str:
        """The parts as one expression."""
        if len(self.parts) > 2:
            return f'b"".join(({", ".join(self.parts)}))'
        return " + ".join(self.parts) or 'b""'


@dataclass(slots=True)
class ArmBlock:
    """What is written for one class of a union."""

    cls: str
    body: Block


Item: TypeAlias = "Fixed | Blob | Part | Step | Arms"
Step: TypeAlias = "Statement | Check | Maybe | Loop"


@dataclass(slots=True)
class Arms:
    """A union in place at the end of its owner: what stands before it is packed with each arm."""

    value: str
    union: Union


@dataclass(slots=True)
class Encoder:
    """The encoder of one definition; ``link`` is where a linked list goes on."""

    name: str
    x_name: str
    word: str
    hint: str
    body: Block
    recursive: bool
    link: str = ""


@dataclass(slots=True)
class EachEncoder:
    """A private function that encodes the elements of a list of one type."""

    name: str
    x_name: str
    hint: str
    body: Block


class Encoding:
    """The encoders of one module, and the layouts, classes and functions they use."""

    def __init__(self, naming: Naming, facts: Facts, hints: Hints) -> None:
        self._naming = naming
        self._facts = facts
        self._hints = hints
        self._locals: dict[str, int] = {}
        self._knows_depth = False
        self._each: dict[TypeDefinition, EachEncoder] = {}
        self.layouts = Layouts()
        self.untyped = False
        """Whether a local is of type Any."""
        self.classes: set[tuple[str, str]] = set()
        """(stem, class) of every class named at run time."""
        self.functions: set[tuple[str, str]] = set()
        """(stem, function) of every codec of another module that is called."""
        self.uses: set[tuple[str, str]] = {
            ("rpcgen.runtime.xdr", "FAULTS"),
            ("rpcgen.runtime.writer", "walk_encode"),
        }
        """(module, name) of what is imported besides."""

    @property
    def each(self) -> list[EachEncoder]:
        """The functions for elements of lists, in the order of first use."""
        return list(self._each.values())

    def encoder(self, definition: TypeDefinition, word: str) -> Encoder:
        """The encoder of one definition; ``word`` is how the ``.x`` file calls its kind."""
        self._locals = {}
        self._knows_depth = definition in self._facts.recursive
        link = ""
        items: Iterable[Item]
        if isinstance(definition, Struct):
            fields = definition.fields
            if definition.chain:
                link = f"value.{self._naming.field(definition, fields[-1])}"
            items = self._struct("value", definition, fields[:-1] if link else fields)
            if link:
                items = [*items, Fixed("I", "link is not None")]
        elif isinstance(definition, Union):
            link = "None" if links(definition) else ""
            items = self._by_arm("value", definition)
        else:
            items = self._items("value", resolve(Named(definition)))
        if link:
            self._use("MAX_UNCHECKED_LINKS")
            self._use("Irregular")
        if definition in self._facts.recursive:
            self._use("MAX_DEPTH")
            self._use("Irregular")
        return Encoder(
            name=self._naming.function(definition),
            x_name=definition.name,
            word=word,
            hint=self._hints.of_definition(definition),
            body=self._fuse(items),
            recursive=definition in self._facts.recursive,
            link=link,
        )

    # Structs

    def _struct(
        self, value: str, definition: Struct, fields: Sequence[Field], *, last: bool = True
    ) -> Iterable[Item]:
        """The fields of a struct; a union that is the last of all is taken in place."""
        cls = self._class(definition, self._naming.type(definition))
        yield Check(f"type({value}) is not {cls}")
        for number, one in enumerate(fields, 1):
            path = f"{value}.{self._naming.field(definition, one)}"
            resolved = resolve(one.type)
            match resolved:
                case Named(definition=Union() as union) if (
                    last
                    and number == len(fields)
                    and not definition.chain
                    and self._in_place(union)
                ):
                    yield from self._by_arm(path, union)
                case _:
                    yield from self._items(path, one.type)

    # One value

    def _items(self, value: str, type_: Type) -> Iterable[Item]:
        match resolved := resolve(type_):
            case Primitive():
                yield from self._primitive(value, resolved)
            case Opaque(length=length, fixed=True):
                yield from self._fixed_opaque(value, length)
            case Opaque(length=length):
                yield from self._blob(value, length)
            case String(maximum=maximum):
                raw = self._local("text")
                yield Statement(f"{raw} = {value}.encode()")
                yield Check(f"0 in {raw}")
                yield from self._blob(raw, maximum)
            case CharArray():
                yield from self._characters(value, resolved)
            case Array():
                yield from self._array(value, resolved)
            case Optional(element=element):
                yield from self._optional(value, element)
            case Named():
                yield from self._named(value, resolved)

    def _named(self, value: str, type_: Named) -> Iterable[Item]:
        match type_.definition:
            case Enum() as enum:
                if not enum.open:
                    cls = self._class(enum, self._naming.type(enum))
                    yield Check(f"type({value}) is not {cls}")
                yield Fixed("i", value)
            case Struct() as struct if self._facts.inlines(type_):
                local = value
                if "." in value:
                    local = self._local(value.rpartition(".")[2])
                    yield Statement(f"{local} = {value}")
                yield from self._struct(local, struct, struct.fields, last=False)
            case definition:
                yield self._call(value, definition)

    def _primitive(self, value: str, type_: Primitive) -> Iterable[Item]:
        if type_.name == "bool":
            yield Check(f"{value}.__class__ is not bool")
        elif type_.name in {"short", "char"}:
            yield Check(f"not {type_.minimum} <= {value} <= {type_.maximum}")
        yield Fixed(NARROW.get(type_.name, type_.code), value)

    def _fixed_opaque(self, value: str, length: int) -> Iterable[Item]:
        yield Check(f"len({value}) != {length}")
        yield Fixed(f"{length}s", value)
        if length % 4:
            yield Fixed(f"{-length % 4}x", "")

    def _blob(self, raw: str, maximum: int) -> Iterable[Item]:
        length = self._local("size")
        yield Statement(f"{length} = len({raw})")
        self._use("SHORT")
        yield Blob(raw, length, maximum)

    def _characters(self, value: str, type_: CharArray) -> Iterable[Item]:
        self._use("pack_chars")
        yield from self._counted(value, type_)
        yield Part(f"pack_chars({value}, {type_.signed})")

    def _array(self, value: str, type_: Array) -> Iterable[Item]:
        yield Check(f"type({value}) is not list")
        yield from self._counted(value, type_)
        yield from self._elements(value, type_.element)

    def _counted(self, value: str, type_: Array | CharArray) -> Iterable[Item]:
        """The check of a length, and the word that holds it where it is not fixed."""
        if type_.fixed:
            yield Check(f"len({value}) != {type_.length}")
            return
        if type_.length < UNBOUNDED:
            yield Check(f"len({value}) > {type_.length}")
        yield Fixed("I", f"len({value})")

    def _optional(self, value: str, element: Type) -> Iterable[Item]:
        target = self._local(f"{value.rpartition('.')[2].rstrip('_')}_part")
        items = [Fixed("I", "1"), *self._items(value, element)]
        yield Maybe(value, target, self._fuse(items))
        yield Part(target)

    def _call(self, value: str, definition: TypeDefinition) -> Part:
        function = f"encode_{self._naming.function(definition)}"
        if not self._naming.is_local(definition):
            self.functions.add((definition.module, function))
        depth = ""
        if definition in self._facts.recursive:
            depth = ", depth + 1" if self._knows_depth else ", 1"
        return Part(f"{function}({value}{depth})")

    # Lists

    def _elements(self, values: str, element: Type) -> Iterable[Item]:
        resolved = resolve(element)
        if isinstance(resolved, Primitive):
            yield from self._numbers(values, resolved)
        elif isinstance(resolved, Named) and isinstance(resolved.definition, Enum):
            enum = resolved.definition
            if not enum.open:
                cls = self._class(enum, self._naming.type(enum))
                yield Check(f"any(type(one) is not {cls} for one in {values})")
            yield self._bulk(values, "i")
        elif isinstance(element, Named) and not self._facts.is_recursive(resolved):
            yield Part(f"{self._each_function(element.definition).name}({values})")
        else:
            target, item = self._local("parts"), self._local("item")
            yield Loop(values, item, target, self._fuse(self._items(item, element)))
            yield Part(f'b"".join({target})')

    def _numbers(self, values: str, type_: Primitive) -> Iterable[Item]:
        if type_.name == "bool":
            yield Check(f"any(one.__class__ is not bool for one in {values})")
        elif type_.name in {"short", "unsigned short", "char", "unsigned char"}:
            low, high = type_.minimum, type_.maximum
            yield Check(f"any(not {low} <= one <= {high} for one in {values})")
        yield self._bulk(values, type_.code)

    def _bulk(self, values: str, code: str) -> Part:
        self._use("pack")
        return Part(f'pack(f">{{len({values})}}{code}", *{values})')

    def _each_function(self, definition: TypeDefinition) -> EachEncoder:
        if definition in self._each:
            return self._each[definition]
        outer = self._locals, self._knows_depth
        self._locals, self._knows_depth = {}, False
        resolved = resolve(Named(definition))
        items: Iterable[Item]
        match resolved:
            case Named(definition=Struct(chain=False) as struct):
                items = self._struct("value", struct, struct.fields)
            case Named(definition=Union() as union) if self._in_place(union):
                items = self._by_arm("value", union)
            case _:
                items = self._items("value", resolved)
        body = self._fuse(items)
        self._locals, self._knows_depth = outer
        self._each[definition] = EachEncoder(
            name=f"_encode_each_{self._naming.function(definition)}",
            x_name=definition.name,
            hint=self._hints.of(Named(definition)),
            body=body,
        )
        return self._each[definition]

    # Unions

    def _in_place(self, union: Union) -> bool:
        return union not in self._facts.recursive and not links(union)

    def _by_arm(self, value: str, union: Union) -> Iterable[Item]:
        """A union in place: its class is asked once, so no type checker could follow."""
        local = self._local(value.rpartition(".")[2] if "." in value else "arm")
        self.untyped = True
        yield Statement(f"{local}: Any = {value}")
        yield Arms(local, union)

    def _arms(self, before: Sequence[Item], arms: Arms) -> Block:
        """One block for each arm, with what stands before the union packed along."""
        self._use("Irregular")
        blocks = []
        for arm in arms.union.arms:
            outer = dict(self._locals)
            items = [*before, *self._arm(arms.value, arms.union, arm)]
            cls = self._class(arms.union, self._naming.arm(arms.union, arm))
            blocks.append(ArmBlock(cls, self._fuse(items)))
            self._locals = outer
        return Block([], [], blocks, arms.value)

    def _arm(self, value: str, union: Union, arm: Arm) -> Iterable[Item]:
        code = "i"
        discriminant = resolve(union.discriminant.type)
        if isinstance(discriminant, Primitive):
            code = discriminant.code
        if len(arm.labels) == 1:
            label = arm.labels[0].value
            yield Fixed("3xB" if 0 <= label <= 255 else code, str(label))
        else:
            name = f"{value}.{self._naming.discriminant(union)}"
            labels = [label.value for other in union.arms for label in other.labels]
            if arm.labels:
                own = ", ".join(str(label.value) for label in arm.labels)
                yield Check(f"{name} not in ({own})")
            elif len(labels) == 1:
                yield Check(f"{name} == {labels[0]}")
            elif labels:
                yield Check(f"{name} in ({', '.join(map(str, labels))})")
            yield from self._items(name, union.discriminant.type)
        if arm.field and is_link(union, arm.field.type):
            yield Statement(f"link = {value}.{self._naming.field(union, arm.field)}")
            yield Fixed("I", "link is not None")
        elif arm.field:
            yield from self._items(
                f"{value}.{self._naming.field(union, arm.field)}", arm.field.type
            )

    # Fusion

    def _fuse(self, items: Iterable[Item]) -> Block:
        """Steps first, in order; then the parts, consecutive fields packed in one call."""
        steps: list[Step] = []
        packed: list[Fixed | Blob | Part] = []
        for item in items:
            match item:
                case Fixed() | Blob() | Part():
                    packed.append(item)
                case Arms():
                    block = self._arms(packed, item)
                    return Block(_merged(steps), [], block.arms, item.value)
                case _:
                    steps.append(item)
                    self._use({"check": "Irregular", "maybe": "ABSENT"}.get(item.kind, "FAULTS"))
        return Block(_merged(steps), self._parts(packed))

    def _parts(self, packed: Sequence[Fixed | Blob | Part]) -> list[str]:
        parts: list[str] = []
        before: list[Fixed] = []
        blob: Blob | None = None
        pending: list[Fixed] = []
        for item in packed:
            match item:
                case Fixed():
                    pending.append(item)
                case Blob():
                    if blob:
                        parts.append(self._record(before, blob, []))
                    before, blob, pending = pending, item, []
                case Part():
                    parts += self._flush(before, blob, pending)
                    before, blob, pending = [], None, []
                    parts.append(item.value)
        return parts + self._flush(before, blob, pending)

    def _flush(
        self, before: Sequence[Fixed], blob: Blob | None, pending: Sequence[Fixed]
    ) -> list[str]:
        if blob:
            return [self._record(before, blob, pending)]
        if not pending:
            return []
        layout = self.layouts.run([one.code for one in pending])
        self._use("Struct")
        return [f"{layout}({_values(pending)})"]

    def _record(self, before: Sequence[Fixed], blob: Blob, after: Sequence[Fixed]) -> str:
        layout = self.layouts.record(
            [one.code for one in before], [one.code for one in after], blob.maximum
        )
        self._use("record_packer")
        values = [_values(before), blob.raw, _values(after)]
        function = f"({layout}[{blob.length}] if {blob.length} < SHORT else {layout}_long)"
        return f"{function}({', '.join(filter(None, values))})"

    # Names

    def _use(self, name: str) -> None:
        self.uses.add((SOURCES.get(name, "rpcgen.runtime.xdr"), name))

    def _local(self, wanted: str) -> str:
        """A local variable that no other of the function has."""
        return unique(wanted, self._locals)

    def _class(self, definition: TypeDefinition, name: str) -> str:
        self.classes.add((definition.module, name))
        return name


def _values(fields: Sequence[Fixed]) -> str:
    return ", ".join(one.value for one in fields if one.value)


def _merged(steps: Sequence[Step]) -> list[Step]:
    """The steps, with all checks that need no later statement gathered into one."""
    merged: list[Step] = [step for step in steps if not isinstance(step, Check)]
    conditions = [step.condition for step in steps if isinstance(step, Check)]
    if conditions:
        merged.append(Check(" or ".join(conditions)))
    return merged
