"""How each type is encoded: from the model to the steps that the encoder template writes out.

The mirror of ``decoding``. A function first names what it needs, then checks what ``struct``
would let pass, then packs each run of fields in one call and joins the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rpcgen.emit.encode_fusion import Fusion, merged
from rpcgen.emit.encode_steps import (
    ArmBlock,
    Arms,
    Blob,
    Block,
    EachEncoder,
    Encoder,
    Fixed,
    Item,
    Loop,
    Maybe,
    Part,
    Step,
)
from rpcgen.emit.facts import Facts, is_link, links
from rpcgen.emit.hints import Hints
from rpcgen.emit.naming import Naming
from rpcgen.emit.scopes import unique
from rpcgen.emit.steps import Check, Statement
from rpcgen.emit.uses import Uses
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

NARROW = {"unsigned short": "2xH", "unsigned char": "3xB"}
"""Codes that check the range and write the zeros above: the four bytes that the wire wants."""


class Encoding:
    """The encoders of one module, and what they use."""

    def __init__(self, naming: Naming, facts: Facts, hints: Hints) -> None:
        self._naming = naming
        self._facts = facts
        self._hints = hints
        self._locals: dict[str, int] = {}
        self._knows_depth = False
        self._each: dict[TypeDefinition, EachEncoder] = {}
        self.uses = Uses(naming, "FAULTS", "walk_encode")
        self._fusion = Fusion(self.uses)
        self.untyped = False
        """Whether a local is of type Any."""

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
            self.uses.name("MAX_UNCHECKED_LINKS")
            self.uses.name("Irregular")
        if definition in self._facts.recursive:
            self.uses.name("MAX_DEPTH")
            self.uses.name("Irregular")
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
        cls = self.uses.cls(definition)
        yield Check(f"{value}.__class__ is not {cls}")
        for number, one in enumerate(fields, 1):
            path = f"{value}.{self._naming.field(definition, one)}"
            resolved = resolve(one.type)
            match resolved:
                case Named(definition=Union() as union) if (
                    last
                    and number == len(fields)
                    and not definition.chain
                    and self._facts.in_place(union)
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
                    cls = self.uses.cls(enum)
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
        self.uses.name("SHORT")
        yield Blob(raw, length, maximum)

    def _characters(self, value: str, type_: CharArray) -> Iterable[Item]:
        self.uses.name("pack_chars")
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
        function = self.uses.codec("encode", definition)
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
                cls = self.uses.cls(enum)
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
        self.uses.name("pack")
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
            case Named(definition=Union() as union) if self._facts.in_place(union):
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

    def _by_arm(self, value: str, union: Union) -> Iterable[Item]:
        """A union in place: its class is asked once, so no type checker could follow."""
        local = self._local(value.rpartition(".")[2] if "." in value else "arm")
        self.untyped = True
        yield Statement(f"{local}: Any = {value}")
        yield Arms(local, union)

    def _arms(self, before: Sequence[Item], arms: Arms) -> Block:
        """One block for each arm, with what stands before the union packed along."""
        self.uses.name("Irregular")
        blocks = []
        for arm in arms.union.arms:
            outer = dict(self._locals)
            items = [*before, *self._arm(arms.value, arms.union, arm)]
            cls = self.uses.cls(arms.union, self._naming.arm(arms.union, arm))
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
                    return Block(merged(steps), [], block.arms, item.value)
                case _:
                    steps.append(item)
                    self.uses.name(
                        {"check": "Irregular", "maybe": "ABSENT"}.get(item.kind, "FAULTS")
                    )
        return Block(merged(steps), self._fusion.parts(packed))

    def _local(self, wanted: str) -> str:
        """A local variable that no other of the function has."""
        return unique(wanted, self._locals)
