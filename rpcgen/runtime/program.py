"""Programs as data: a row for each procedure, and which method of a server answers it.

Generated ``program`` modules consist of these rows; clients and servers read them. Nothing
here sends, waits or knows what a connection is. Importing a generated module must stay
cheap, and ``typing`` alone takes longer than all rows of a large program: it is not imported
at run time.
"""

from __future__ import annotations

from operator import attrgetter

from rpcgen.runtime.errors import XdrEncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

    from rpcgen.runtime.shapes import Shape, Shapes
    from rpcgen.runtime.xdr import Buffer

    A = TypeVar("A")
    R = TypeVar("R")
    T = TypeVar("T")

    Codec: TypeAlias = tuple[Callable[[T], bytes], Callable[[Buffer, int], tuple[T, int]]]
    """How a payload is encoded, and read at an offset: the bytes behind it are nobody's error."""
else:
    A = R = None

    class Generic:
        """Stands in for ``typing.Generic``: takes parameters and forgets them."""

        __slots__ = ()

        def __class_getitem__(cls, parameters):
            return cls


class Program:
    """One version of one program.

    Attributes:
        name: its ``.x`` name; of the version, where the file names that.
        number: what it is called on the wire.
        version: the same of its version.
        procedures: its rows by number, events among them.
    """

    __slots__ = ("name", "number", "procedures", "version")

    def __init__(self, name: str, number: int, version: int) -> None:
        self.name = name
        self.number = number
        self.version = version
        self.procedures: dict[int, Procedure[Any, Any]] = {}

    def __repr__(self) -> str:
        return f"<Program {self.name} ({self.number:#x}), version {self.version}>"


class Procedure(Generic[A, R]):
    """One procedure or event: its row enters itself into the program's table.

    The type parameters are those of its argument and its result, ``None`` for void; an
    event's argument is its message.

    Attributes:
        program: whose procedure it is.
        number: its number there.
        name: its ``.x`` name.
        method: its Python name: of a client's and a server's method; behind ``on_`` and
            ``send_`` for an event.
        encode_argument, encode_result: from a value to a payload.
        read_argument, read_result: from a buffer and an offset to a value and the offset
            behind it.
        parameters: the argument's attributes, which stubs take one by one; None where the
            argument is passed as it is.
        wrap: makes a result from its only member, where stubs pass that; None elsewhere.
        event: a message that nobody answers, sent by the server.
        stream: which way the data of its stream goes: ``read`` to the client.
        sparse_flag: the bit of the argument's ``flags`` that allows holes in the stream.
        priority: ``high`` ones may run on workers kept free for them.
        auth_none: may be called before authentication.
        fds_in, fds_out: descriptors travel with the call, with the reply.
        nonblocking: its handler never blocks.
        acl, acl_filter: permissions, as ``object:permission[:flags[:parameter:value]]``.
        generate: the ``@generate`` annotation, for which we have no other use.
    """

    __slots__ = (
        "acl",
        "acl_filter",
        "auth_none",
        "encode_argument",
        "encode_result",
        "event",
        "fds_in",
        "fds_out",
        "generate",
        "method",
        "name",
        "nonblocking",
        "number",
        "parameters",
        "priority",
        "program",
        "read_argument",
        "read_result",
        "sparse_flag",
        "stream",
        "wrap",
    )

    def __init__(
        self,
        program: Program,
        number: int,
        name: str,
        method: str,
        argument: Codec[A],
        result: Codec[R],
        *,
        parameters: tuple[str, ...] | None = (),
        wrap: Callable[[Any], R] | None = None,
        event: bool = False,
        stream: Literal["read", "write"] | None = None,
        sparse_flag: int = 0,
        priority: Literal["high", "low"] = "low",
        auth_none: bool = False,
        fds_in: bool = False,
        fds_out: bool = False,
        nonblocking: bool = False,
        acl: tuple[str, ...] = (),
        acl_filter: tuple[str, ...] = (),
        generate: Literal["both", "server", "client", "none"] = "both",
    ) -> None:
        self.program = program
        self.number = number
        self.name = name
        self.method = method
        self.encode_argument, self.read_argument = argument
        self.encode_result, self.read_result = result
        self.parameters = parameters
        self.wrap = wrap
        self.event = event
        self.stream = stream
        self.sparse_flag = sparse_flag
        self.priority = priority
        self.auth_none = auth_none
        self.fds_in = fds_in
        self.fds_out = fds_out
        self.nonblocking = nonblocking
        self.acl = acl
        self.acl_filter = acl_filter
        self.generate = generate
        program.procedures[number] = self

    @property
    def key(self) -> tuple[int, int, int]:
        """Program, version and number: what its packets are recognised by."""
        return self.program.number, self.program.version, self.number

    def __repr__(self) -> str:
        return f"<Procedure {self.name} ({self.number})>"


def _encode_void(value: None) -> bytes:
    if value is not None:
        raise XdrEncodeError(f"expected None for void, got {type(value).__name__}")
    return b""


def _read_void(_data: Buffer, offset: int) -> tuple[None, int]:
    return None, offset


VOID: Final[Codec[None]] = (_encode_void, _read_void)
"""No payload."""


def shape_codec(shapes: Shapes, shape: Shape) -> Codec[Any]:
    """The codec of a payload that has no type of its own, such as a bare ``string``.

    Args:
        shapes: the types that the shape names.
        shape: what was declared; see ``shapes``.
    """
    from rpcgen.runtime.reader import walk_read
    from rpcgen.runtime.writer import walk_encode

    def encode(value: object) -> bytes:
        return walk_encode(shapes, shape, value)

    def read(data: Buffer, offset: int) -> tuple[Any, int]:
        return walk_read(shapes, shape, data, offset)

    return encode, read


class DispatchTable:
    """The procedures of a program and the class whose methods offer them to be overridden."""

    __slots__ = ("base", "program")

    def __init__(self, program: Program, base: type) -> None:
        self.program = program
        self.base = base

    def routes(self, server: object) -> dict[int, Route]:
        """What a server answers, by number: the procedures whose methods it overrides."""
        offered = (
            Route(procedure, getattr(server, procedure.method))
            for procedure in self.program.procedures.values()
            if not procedure.event
        )
        return {route.procedure.number: route for route in offered if not self._is_ours(route)}

    def _is_ours(self, route: Route) -> bool:
        function = getattr(route.handler, "__func__", None)
        return function is vars(self.base)[route.procedure.method]


class Route:
    """A procedure and the handler that answers it.

    A payload becomes an answer in three steps, so that a server can take each where it wants::

        result = route.handler(call, *route.arguments(payload))
        payload, fds = route.answer(result)  # after awaiting the result, if it is awaitable
    """

    __slots__ = ("_flatten", "handler", "procedure")

    def __init__(self, procedure: Procedure[Any, Any], handler: Callable[..., Any]) -> None:
        self.procedure = procedure
        self.handler = handler
        self._flatten = _flattener(procedure.parameters)

    def arguments(self, data: Buffer, offset: int = 0) -> tuple[Any, ...]:
        """The handler's arguments behind ``call``, from the payload at an offset.

        Raises:
            XdrDecodeError: the payload is not what the procedure takes.
        """
        argument, _ = self.procedure.read_argument(data, offset)
        return self._flatten(argument)

    def answer(self, result: Any) -> tuple[bytes, Sequence[int]]:
        """The reply's payload and descriptors, from what the handler returned.

        For a procedure with a stream that is what it gave to ``call.reply``.

        Raises:
            XdrEncodeError: the handler returned what the procedure does not.
        """
        fds: Sequence[int] = ()
        if self.procedure.fds_out:
            result, fds = result
        wrap = self.procedure.wrap
        return self.procedure.encode_result(wrap(result) if wrap else result), fds


def _flattener(parameters: tuple[str, ...] | None) -> Callable[[Any], tuple[Any, ...]]:
    """From an argument to what a handler takes, as fast as the number of parameters allows."""
    if parameters is None:
        return lambda argument: (argument,)
    if not parameters:
        return lambda _: ()
    if len(parameters) > 1:
        return attrgetter(*parameters)
    (name,) = parameters
    return lambda argument: (getattr(argument, name),)
