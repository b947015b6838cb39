"""What the codecs need to know of the types of a module: which contain themselves, how small they get.

Answers only; the shape of the code that follows from them is ``encoding``'s and
``decoding``'s.
"""

from __future__ import annotations

from rpcgen.model.types import (
    Array,
    CharArray,
    Enum,
    Module,
    Named,
    Opaque,
    Optional,
    Primitive,
    String,
    Struct,
    Type,
    TypeDefinition,
    Union,
    named_in,
    parts,
    resolve,
)

INLINE_FIELDS = 8
"""A struct of at most so many fields is coded in place; a larger one by a call."""


class Facts:
    """Answers for one module and what it imports; each is worked out once."""

    def __init__(self, module: Module) -> None:
        self.recursive = _recursive(module)
        self._smallest: dict[TypeDefinition, int] = {}
        self._fields: dict[TypeDefinition, int] = {}

    def is_recursive(self, type_: Type) -> bool:
        """Whether a value of the type can contain another of it, other than as a chain's next."""
        return isinstance(type_, Named) and type_.definition in self.recursive

    def smallest(self, type_: Type) -> int:
        """The fewest bytes that a value takes."""
        match resolve(type_):
            case Primitive(size=size):
                return size
            case Opaque(length=length, fixed=True):
                return length + -length % 4
            case CharArray(length=length, fixed=True):
                return 4 * length
            case Array(element=element, length=length, fixed=True):
                return length * self.smallest(element)
            case Named(definition=definition):
                return self._of_definition(definition)
            case _:
                return 4

    def _of_definition(self, definition: TypeDefinition) -> int:
        if definition not in self._smallest:
            self._smallest[definition] = 4  # what a type that leads back to itself takes at least
            self._smallest[definition] = self._sum(definition)
        return self._smallest[definition]

    def _sum(self, definition: TypeDefinition) -> int:
        match definition:
            case Struct(fields=fields):
                return sum(self.smallest(field.type) for field in fields)
            case Union(discriminant=discriminant, arms=arms):
                arm_sizes = [self.smallest(arm.field.type) if arm.field else 0 for arm in arms]
                return self.smallest(discriminant.type) + min(arm_sizes, default=0)
            case Enum():
                return 4
            case _:
                return self.smallest(definition.target)

    def in_place(self, union: Union) -> bool:
        """Whether a union at the end of its owner, or in a list, is coded there and not by a call."""
        return union not in self.recursive and not links(union)

    def inlines(self, type_: Type) -> bool:
        """Whether a field of this type is coded in place."""
        type_ = resolve(type_)
        if not isinstance(type_, Named):
            return True
        if isinstance(type_.definition, Enum):
            return True
        return (
            isinstance(type_.definition, Struct)
            and not type_.definition.chain
            and not self.is_recursive(type_)
            and self._count(type_.definition) <= INLINE_FIELDS
        )

    def _count(self, definition: Struct) -> int:
        """Fields after inlining; arrays, unions and optionals count as too many."""
        if definition not in self._fields:
            self._fields[definition] = INLINE_FIELDS + 1
            self._fields[definition] = sum(self._weight(field.type) for field in definition.fields)
        return self._fields[definition]

    def _weight(self, type_: Type) -> int:
        type_ = resolve(type_)
        match type_:
            case Named(definition=Struct() as definition) if not definition.chain:
                return self._count(definition)
            case Primitive() | Opaque() | String() | Named(definition=Enum()):
                return 1
            case _:
                return INLINE_FIELDS + 1


def _recursive(module: Module) -> set[TypeDefinition]:
    """Types on a cycle of references, by Tarjan's algorithm, without recursion of our own."""
    index: dict[TypeDefinition, int] = {}
    low: dict[TypeDefinition, int] = {}
    path: list[TypeDefinition] = []
    on_path: set[TypeDefinition] = set()
    found: set[TypeDefinition] = set()
    for root in module.types:
        if root in index:
            continue
        work = [(root, iter(_references(root)))]
        index[root] = low[root] = len(index)
        path.append(root)
        on_path.add(root)
        while work:
            node, following = work[-1]
            for target in following:
                if target not in index:
                    index[target] = low[target] = len(index)
                    path.append(target)
                    on_path.add(target)
                    work.append((target, iter(_references(target))))
                    break
                if target in on_path:
                    low[node] = min(low[node], index[target])
                if target is node:
                    found.add(node)
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component: list[TypeDefinition] = []
                    while not component or component[-1] is not node:
                        component.append(path.pop())
                        on_path.discard(component[-1])
                    if len(component) > 1:
                        found.update(component)
    return found


def is_link(owner: TypeDefinition, type_: Type) -> bool:
    """Whether a last field of this type makes a linked list of its owner: it is ``*owner``."""
    element = type_.element if isinstance(type_ := resolve(type_), Optional) else None
    return element is not None and resolve(element) == Named(owner)


def links(union: Union) -> bool:
    """Whether a union is a linked list: an arm of it is an optional of the union itself."""
    return any(arm.field and is_link(union, arm.field.type) for arm in union.arms)


def _references(definition: TypeDefinition) -> list[TypeDefinition]:
    """What a definition names; the link of a chain does not count."""
    types = list(parts(definition))
    if isinstance(definition, Struct) and definition.chain:
        types = types[:-1]
    if isinstance(definition, Union):
        types = [type_ for type_ in types if not is_link(definition, type_)]
    return [target for type_ in types for target in named_in(type_)]
