"""How each type is decoded: from the model to the steps that the decoder template writes out."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import TypeGuard

from rpcgen.emit.decode_fusion import Fusion
from rpcgen.emit.decode_steps import (
    Blob,
    Branch,
    Branches,
    Chain,
    Decoder,
    EachDecoder,
    Fixed,
    Item,
    Loop,
    Make,
    Maybe,
    Record,
    Run,
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


class Decoding:
    """The decoders of one module, and what they use."""

    def __init__(
        self, naming: Naming, facts: Facts, hints: Hints, payloads: Container[TypeDefinition]
    ) -> None:
        self._payloads = payloads
        self._naming = naming
        self._facts = facts
        self._hints = hints
        self._locals: dict[str, int] = {}
        self._knows_depth = False
        self._each: dict[TypeDefinition, EachDecoder] = {}
        self.made: dict[str, str] = {}
        """Class to what makes its instances."""
        self.enums: dict[str, str] = {}
        """Class to the table of its members."""
        self.uses = Uses(naming, "FAULTS", "walk_read")
        self._fuse = Fusion(self.uses).fuse

    @property
    def each(self) -> list[EachDecoder]:
        """The functions for elements of lists, in the order of first use."""
        return list(self._each.values())

    def decoder(self, definition: TypeDefinition, word: str) -> Decoder:
        """The decoder of one definition; ``word`` is how the ``.x`` file calls its kind."""
        self._locals = {}
        self._knows_depth = definition in self._facts.recursive
        chain = None
        match definition:
            case Struct(chain=True):
                steps, chain = self._chain(definition)
            case Struct():
                steps = self._made("value", definition)
            case Union():
                steps = self._fuse(self._union("value", definition))
            case _:
                steps = self._fuse(self._items("value", self._target_of(definition)))
        flat = chain is None and self._is_flat(definition, steps)
        self.uses.name("walk_decode" if flat else "whole")
        if flat:
            self._fill(steps)
        if definition in self._facts.recursive:
            self.uses.name("MAX_DEPTH")
            self.uses.name("Irregular")
        return Decoder(
            name=self._naming.function(definition),
            x_name=definition.name,
            word=word,
            annotation=self._hints.of_definition(definition),
            steps=steps,
            flat=flat,
            recursive=definition in self._facts.recursive,
            chain=chain,
            linked=isinstance(definition, Union) and links(definition),
        )

    def _target_of(self, definition: TypeDefinition) -> Type:
        return Named(definition) if isinstance(definition, Enum) else resolve(Named(definition))

    def _is_flat(self, definition: TypeDefinition, steps: Sequence[Step]) -> bool:
        """Whether ``decode_`` has the steps written out: few, and nothing but unpacking.

        The payloads of procedures are read in place, behind a header: for them it is worth
        its lines only where one call does all.
        """
        reads = [step for step in steps if step.kind in {"run", "record"}]
        others = [step for step in steps if step.kind not in {"run", "record"}]
        if any("offset" in step.text for step in others if isinstance(step, Statement)):
            return False
        if any(step.kind not in {"statement", "check"} for step in others):
            return False
        if len(reads) == 1 and reads[0].kind == "run":
            return True
        return 1 <= len(reads) <= 3 and definition not in self._payloads

    def _fill(self, steps: Iterable[Step]) -> None:
        """Tell the only call, if there is but one, that the buffer ends with it."""
        match [step for step in steps if isinstance(step, Run | Record)]:
            case [Run() as run]:
                run.exact = self.uses.layouts.filling(run.codes)
            case [Record() as record]:
                record.alone = True

    # Structs

    def _made(self, target: str, definition: Struct) -> list[Step]:
        """The steps for a struct into a new object."""
        return [
            self._new(target, definition),
            *self._fuse(self._fields(target, definition, definition.fields)),
        ]

    def _new(self, target: str, definition: Struct) -> Make:
        return self._make(target, self.uses.cls(definition))

    def _make(self, target: str, cls: str) -> Make:
        self.uses.name("instances")
        return Make(f"{target} = next({self.made.setdefault(cls, f'_new_{cls}')})")

    def _chain(self, definition: Struct) -> tuple[list[Step], Chain]:
        *fields, link = definition.fields
        items = self._fields("value", definition, fields)
        steps = self._fuse([*items, self._word("present")])
        self.uses.name("new")
        self.uses.name("Irregular")
        name = self.uses.cls(definition)
        return steps, Chain(name, self._naming.field(definition, link))

    def _fields(
        self, target: str, owner: TypeDefinition, fields: Iterable[Field]
    ) -> Iterable[Item]:
        for one in fields:
            yield from self._items(f"{target}.{self._naming.field(owner, one)}", one.type)

    # One value

    def _items(self, target: str, type_: Type) -> Iterable[Item]:
        """What one value is made of."""
        match resolved := resolve(type_):
            case Primitive():
                yield self._primitive(target, resolved)
            case Opaque(length=length, fixed=True):
                yield from self._fixed_opaque(target, length)
            case Opaque(length=length):
                yield Blob(target, text=False, maximum=length)
            case String(maximum=maximum):
                yield Blob(target, text=True, maximum=maximum)
            case CharArray():
                yield from self._characters(target, resolved)
            case Array(fixed=True):
                yield from self._elements(target, resolved.element, str(resolved.length))
            case Array():
                count = self._local("count")
                yield self._word(count)
                if resolved.length < UNBOUNDED:
                    yield Check(f"{count} > {resolved.length}")
                yield from self._elements(target, resolved.element, count)
            case Optional(element=element):
                flag = self._local("flag")
                yield self._word(flag)
                yield Maybe(flag, target, self._fuse(self._items(target, element)))
            case Named():
                yield from self._named(target, resolved)

    def _named(self, target: str, type_: Named) -> Iterable[Item]:
        match type_.definition:
            case Enum() as enum:
                yield self._enum(target, enum)
            case Struct(fields=[]) as struct:
                yield self._new(target, struct)
            case Struct() as struct if self._facts.inlines(type_):
                local = self._local(target.rpartition(".")[2])
                yield self._new(f"{target} = {local}", struct)
                yield from self._fields(local, struct, struct.fields)
            case definition:
                yield self._call(target, definition)

    def _word(self, target: str) -> Fixed:
        return Fixed("I", 4, target)

    def _primitive(self, target: str, type_: Primitive) -> Fixed:
        if type_.name == "bool":
            self.uses.name("BOOLS")
            raw = self._local(target.rpartition(".")[2])
            return Fixed("I", 4, raw, [Statement(f"{target} = BOOLS[{raw}]")])
        item = Fixed(type_.code, type_.size, target)
        if type_.minimum is not None and not _fills(type_):
            item.after.append(Check(_outside(type_, target)))
        return item

    def _fixed_opaque(self, target: str, length: int) -> Iterable[Item]:
        if length % 4 == 0:
            yield Fixed(f"{length}s", length, target)
            return
        pad = self._local("pad")
        yield Fixed(f"{length}s", length, target)
        self.uses.name("ZEROS")
        yield Fixed(f"{-length % 4}s", -length % 4, pad, [Check(f"{pad} > ZEROS")])

    def _enum(self, target: str, definition: Enum) -> Fixed:
        raw = self._local(target.rpartition(".")[2])
        table = self._members(definition)
        value = (
            f"{table}[{raw}] if {raw} in {table} else {raw}"
            if definition.open
            else f"{table}[{raw}]"
        )
        return Fixed("i", 4, raw, [Statement(f"{target} = {value}")])

    def _characters(self, target: str, type_: CharArray) -> Iterable[Item]:
        self.uses.name("unpack_chars")
        count = str(type_.length)
        if not type_.fixed:
            count = self._local("count")
            yield self._word(count)
            condition = f"len(wire) - offset < {count} * 4"
            if type_.length < UNBOUNDED:
                condition = f"{count} > {type_.length} or {condition}"
            yield Check(condition)
        yield Statement(f"{target} = unpack_chars(wire, offset, {count}, {type_.signed})")
        yield Statement(f"offset += {_product('4', count)}")

    def _call(self, target: str, definition: TypeDefinition) -> Statement:
        function = self.uses.codec("read", definition)
        return Statement(f"{target}, offset = {function}(wire, offset{self._depth(definition)})")

    def _depth(self, definition: TypeDefinition) -> str:
        if definition not in self._facts.recursive:
            return ""
        return ", depth + 1" if self._knows_depth else ", 1"

    # Lists

    def _elements(self, target: str, element: Type, count: str) -> Iterable[Item]:
        resolved = resolve(element)
        if isinstance(resolved, Primitive):
            yield from self._numbers(target, resolved, count)
        elif isinstance(resolved, Named) and isinstance(resolved.definition, Enum):
            yield from self._enum_numbers(target, resolved.definition, count)
        elif isinstance(element, Named) and not self._facts.is_recursive(resolved):
            name = self._each_function(element.definition).name
            yield Statement(f"{target}, offset = {name}(wire, offset, {count})")
        else:
            yield from self._loop(target, element, count)

    def _numbers(self, target: str, type_: Primitive, count: str) -> Iterable[Item]:
        if type_.name == "bool":
            self.uses.name("BOOLS")
            yield from self._bulk(target, "I", 4, count, "[BOOLS[one] for one in {}]")
            return
        yield from self._bulk(target, type_.code, type_.size, count, "list({})")
        if type_.minimum is not None and not _fills(type_):
            yield Check(f"any({_outside(type_, 'one')} for one in {target})")

    def _enum_numbers(self, target: str, definition: Enum, count: str) -> Iterable[Item]:
        table = self._members(definition)
        value = f"{table}[one] if one in {table} else one" if definition.open else f"{table}[one]"
        yield from self._bulk(target, "i", 4, count, f"[{value} for one in {{}}]")

    def _bulk(self, target: str, code: str, size: int, count: str, wanted: str) -> Iterable[Item]:
        """``count`` numbers in one call; the check comes before anything is allocated."""
        self.uses.name("unpack_from")
        yield Check(f"len(wire) - offset < {_product(str(size), count)}")
        form = f'">{count}{code}"' if count.isdigit() else f'f">{{{count}}}{code}"'
        unpacked = f"unpack_from({form}, wire, offset)"
        yield Statement(f"{target} = {wanted.format(unpacked)}")
        yield Statement(f"offset += {_product(str(size), count)}")

    def _loop(self, target: str, element: Type, count: str) -> Iterable[Item]:
        least = self._facts.smallest(element)
        if least or not count.isdigit():
            yield Check(_too_many(count, least, self.uses.name))
        items, item = self._local("items"), self._local("item")
        annotation = self._hints.of(element)
        body = self._fuse(self._items(item, element))
        yield Loop(target, items, item, annotation, count, body)

    def _each_function(self, definition: TypeDefinition) -> EachDecoder:
        if definition in self._each:
            return self._each[definition]
        resolved = resolve(Named(definition))
        cls = ""
        outer = self._locals, self._knows_depth
        self._locals, self._knows_depth = {}, False
        if isinstance(resolved, Named) and isinstance(resolved.definition, Struct):
            struct = resolved.definition
            if struct.chain:
                steps: list[Step] = [self._call("value", struct)]
            else:
                cls = self.uses.cls(struct)
                steps = self._fuse(self._inlined_fields("value", struct))
        elif isinstance(resolved, Named) and isinstance(resolved.definition, Union):
            if self._facts.in_place(resolved.definition):
                steps = self._fuse(self._union("value", resolved.definition))
            else:
                steps = [self._call("value", resolved.definition)]
        else:
            steps = self._fuse(self._items("value", resolved))
        self._locals, self._knows_depth = outer
        self.uses.name("Irregular")
        if cls:
            self.uses.name("starmap")
            self.uses.name("repeat")
            self.uses.name("new")
        if not self._facts.smallest(Named(definition)):
            self.uses.name("MAX_EMPTY_ELEMENTS")
        self._each[definition] = EachDecoder(
            name=f"_read_each_{self._naming.function(definition)}",
            x_name=definition.name,
            annotation=self._hints.of(Named(definition)),
            cls=cls,
            least=self._facts.smallest(Named(definition)),
            steps=steps,
        )
        return self._each[definition]

    def _inlined_fields(self, target: str, struct: Struct) -> Iterable[Item]:
        """As ``_fields``, a union among them in place: a list has many elements, one function."""
        for one in struct.fields:
            resolved = resolve(one.type)
            path = f"{target}.{self._naming.field(struct, one)}"
            match resolved:
                case Named(definition=Union() as union) if self._facts.in_place(union):
                    yield from self._union(path, union)
                case _:
                    yield from self._items(path, one.type)

    # Unions

    def _union(self, target: str, union: Union) -> Iterable[Item]:
        discriminant = resolve(union.discriminant.type)
        raw = self._local("kind")
        if _is_number(discriminant):
            yield self._primitive(raw, discriminant)
        else:
            yield Fixed("i", 4, raw)
        arms = sorted(union.arms, key=lambda arm: arm.is_default)
        branches = [self._branch(target, union, arm, raw) for arm in arms]
        yield Branches(branches, exhaustive=bool(arms) and arms[-1].is_default)

    def _branch(self, target: str, union: Union, arm: Arm, raw: str) -> Branch:
        cls = self.uses.cls(union, self._naming.arm(union, arm))
        name = self._naming.discriminant(union) if len(arm.labels) != 1 else ""
        if not name and not arm.field:
            return Branch(_condition(raw, arm), self._fuse([self._make(target, cls)]))
        local = self._local("arm")
        items: list[Item] = [self._make(f"{target} = {local}", cls)]
        if name:
            items.append(Statement(f"{local}.{name} = {self._discriminant(union, raw)}"))
        if arm.field and is_link(union, arm.field.type):
            attribute = self._naming.field(union, arm.field)
            items += [
                self._word("present"),
                Check("present > 1"),
                Statement(f'{local}.{attribute}, link = None, "{attribute}"'),
            ]
        elif arm.field:
            items += self._items(f"{local}.{self._naming.field(union, arm.field)}", arm.field.type)
        return Branch(_condition(raw, arm), self._fuse(items))

    def _discriminant(self, union: Union, raw: str) -> str:
        match resolve(union.discriminant.type):
            case Primitive(name="bool"):
                self.uses.name("BOOLS")
                return f"BOOLS[{raw}]"
            case Named(definition=Enum() as enum):
                table = self._members(enum)
                return (
                    f"{table}[{raw}] if {raw} in {table} else {raw}"
                    if enum.open
                    else f"{table}[{raw}]"
                )
            case _:
                return raw

    # Names

    def _local(self, wanted: str) -> str:
        """A local variable that no other of the function has."""
        return unique(wanted, self._locals)

    def _members(self, enum: Enum) -> str:
        self.uses.name("members")
        cls = self.uses.cls(enum)
        return self.enums.setdefault(cls, f"_members_of_{self._naming.function(enum)}")


def _is_number(type_: Type) -> TypeGuard[Primitive]:
    return isinstance(type_, Primitive) and type_.name != "bool"


def _fills(type_: Primitive) -> bool:
    """Whether every bit pattern of the wire is a value of the type."""
    return type_.name not in {"short", "unsigned short", "char", "unsigned char"}


def _outside(type_: Primitive, value: str) -> str:
    """The condition that a number of the wire is none of the type."""
    if not type_.minimum:
        return f"{value} > {type_.maximum}"
    return f"not {type_.minimum} <= {value} <= {type_.maximum}"


def _product(size: str, count: str) -> str:
    return str(int(size) * int(count)) if count.isdigit() else f"{count} * {size}"


def _too_many(count: str, least: int, use: Callable[[str], None]) -> str:
    """The condition under which a count must not be believed."""
    if least:
        return f"len(wire) - offset < {_product(str(least), count)}"
    use("MAX_EMPTY_ELEMENTS")
    return f"{count} > MAX_EMPTY_ELEMENTS"


def _condition(raw: str, arm: Arm) -> str:
    if arm.is_default:
        return ""
    values = [str(label.value) for label in arm.labels]
    return f"{raw} == {values[0]}" if len(values) == 1 else f"{raw} in ({', '.join(values)})"
