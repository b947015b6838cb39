"""Fields that stand together become one call: items in, steps out.

All fixed-size fields of a run, and the length word of what follows them, are one call of a
precompiled layout; an item of variable length takes the fixed fields on both sides along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rpcgen.emit.decode_steps import Blob, Fixed, Item, Make, Record, Run, Step
from rpcgen.emit.steps import Check
from rpcgen.emit.uses import Uses


class Fusion:
    """Fuses the fields of one module, and notes the layouts that come of it."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses

    def fuse(self, items: Iterable[Item]) -> list[Step]:
        """Items as steps: consecutive fixed fields as one run, blobs with the fields around them."""
        steps: list[Step] = []
        pending: list[Fixed] = []
        blob: tuple[list[Fixed], Blob] | None = None
        for item in items:
            match item:
                case Fixed():
                    pending.append(item)
                case Blob():
                    if blob:
                        steps += self._record(*blob, [])
                    blob, pending = (pending, item), []
                case Make():
                    steps.append(item)
                case _:
                    steps += self._flush(blob, pending)
                    blob, pending = None, []
                    steps.append(item)
        steps += self._flush(blob, pending)
        self._noted(steps)
        return steps

    def _flush(self, blob: tuple[list[Fixed], Blob] | None, pending: list[Fixed]) -> list[Step]:
        if blob:
            return self._record(*blob, pending)
        return self._run(pending) if pending else []

    def _run(self, fields: Sequence[Fixed]) -> list[Step]:
        targets = ", ".join(one.target for one in fields)
        if len(fields) == 1:
            targets = f"({targets},)"
        codes = [one.code for one in fields]
        self._uses.name("Struct")
        size = sum(one.size for one in fields)
        return [Run(targets, self._uses.layouts.run(codes), size, codes), *_after(fields)]

    def _record(self, before: Sequence[Fixed], blob: Blob, after: Sequence[Fixed]) -> list[Step]:
        layout = self._uses.layouts.record(
            [one.code for one in before], [one.code for one in after], blob.maximum
        )
        targets = [one.target for one in before] + ["length", "raw", "pad"]
        targets += [one.target for one in after]
        head = sum(one.size for one in before)
        size = head + 4 + sum(one.size for one in after)
        record = Record(", ".join(targets), layout, head + 3, size, blob.target, blob.text)
        self._uses.name("ZEROS")
        self._uses.name("record_unpacker")
        return [record, *_after([*before, *after])]

    def _noted(self, steps: Sequence[Step]) -> None:
        """Note what the template writes for the steps themselves."""
        for step in steps:
            if step.kind in {"check", "record", "maybe", "branches"}:
                self._uses.name("Irregular")


def _after(fields: Iterable[Fixed]) -> Iterable[Step]:
    """What is done with fields once they are there: statements, then all checks as one."""
    steps = [step for one in fields for step in one.after]
    conditions = [step.condition for step in steps if isinstance(step, Check)]
    yield from (step for step in steps if not isinstance(step, Check))
    if conditions:
        yield Check(" or ".join(conditions))
