"""From what a handler does to what the client is told: results, errors, and what is nobody's business."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime.errors import UnknownProcedure, XdrDecodeError, XdrEncodeError
from rpcgen.runtime.message import RemoteError, rpc_error, unknown_procedure
from rpcgen.runtime.server.traffic import close_fds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TypeAlias

    from rpcgen.runtime.server_connection import IncomingCall

    Answer: TypeAlias = tuple[bytes, Sequence[int]] | RemoteError
    """Payload and descriptors, or an error."""

    Outcome: TypeAlias = tuple[Any, BaseException | None]
    """What a function returned, and what it raised instead."""

_logger = logging.getLogger(__name__)


def outcome(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Call a function; whatever it raises stays here, even what is meant to end a process."""
    try:
        return function(*arguments), None
    except BaseException as error:  # noqa: BLE001
        return None, error


def arguments_of(call: IncomingCall) -> tuple[Any, ...]:
    """The handler's arguments.

    Raises:
        RemoteError: the payload is not what the procedure takes.
    """
    try:
        return call.route.arguments(call.payload)
    except XdrDecodeError as error:
        raise rpc_error(f"arguments of {call.route.procedure.name}: {error}") from error


def answer_to(call: IncomingCall, result: Any, failure: BaseException | None) -> Answer:
    """What becomes of a call whose handler returned or raised that."""
    if failure is not None:
        return error_for(call, failure)
    try:
        payload, fds = call.route.answer(result)
        return payload, owned(fds, call.fds)
    except XdrEncodeError as error:
        if call.route.procedure.fds_out:
            _drop(result[1], call.fds)
        return bad_result(call, error)
    except Exception as error:  # noqa: BLE001  (what it returned is no pair, or not open)
        return error_for(call, error)


def owned(fds: Iterable[Any], borrowed: Sequence[int]) -> Sequence[int]:
    """Descriptors that are the answer's alone: those that came with the call are closed now.

    Raises:
        OSError: one is not open, or there is no room for another.
        TypeError: what is no list of descriptors.
    """
    if fds == ():
        return ()
    given = list(fds)
    found: list[int] = []
    try:
        for fd in given:
            os.fstat(fd)
            found.append(os.dup(fd) if fd in borrowed or fd in found else fd)
    except BaseException:
        _drop([*found, *given], borrowed)
        raise
    return found


def taken_apart(
    answer: Answer, most: int | None
) -> tuple[RemoteError | None, bytes, Sequence[int]]:
    """The error, or payload and descriptors; descriptors that cannot travel are an error.

    Args:
        most: descriptors that may travel; None if none can on this connection.
    """
    if isinstance(answer, RemoteError):
        return answer, b"", ()
    payload, fds = answer
    if not fds or (most is not None and len(fds) <= most):
        return None, payload, fds
    close_fds(fds)
    if most is None:
        return rpc_error("descriptors cannot travel on this connection"), b"", ()
    return rpc_error(f"{len(fds)} descriptors exceed {most}"), b"", ()


def _drop(fds: Iterable[Any], borrowed: Sequence[int]) -> None:
    close_fds({fd for fd in fds if isinstance(fd, int)} - {*borrowed})


def error_for(call: IncomingCall, error: BaseException) -> RemoteError:
    """The answer that an exception makes; what was not meant for the client is logged instead."""
    if isinstance(error, RemoteError):
        return error
    if isinstance(error, UnknownProcedure):
        return unknown_procedure(error.number)
    _logger.error("%s failed", call.route.procedure.name, exc_info=error)
    return rpc_error("internal error", VirErrorNumber.VIR_ERR_INTERNAL_ERROR)


def bad_result(call: IncomingCall, error: XdrEncodeError) -> RemoteError:
    """The answer to a call whose handler returned what cannot be encoded."""
    name = call.route.procedure.name
    _logger.error("%s returned what it does not return", name, exc_info=error)
    return rpc_error(f"result of {name}: {error}")
