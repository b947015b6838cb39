"""Fields that stand together become one call: items in, expressions out.

The mirror of ``decode_fusion``. Checks are gathered as well: one condition for a block.
"""

from __future__ import annotations

from collections.abc import Sequence

from rpcgen.emit.encode_steps import Blob, Fixed, Part, Step
from rpcgen.emit.steps import Check
from rpcgen.emit.uses import Uses


class Fusion:
    """Fuses the fields of one module, and notes the layouts that come of it."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses

    def parts(self, packed: Sequence[Fixed | Blob | Part]) -> list[str]:
        """The expressions whose values, joined, are the items."""
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
        layout = self._uses.layouts.run([one.code for one in pending])
        self._uses.name("Struct")
        return [f"{layout}({_values(pending)})"]

    def _record(self, before: Sequence[Fixed], blob: Blob, after: Sequence[Fixed]) -> str:
        layout = self._uses.layouts.record(
            [one.code for one in before], [one.code for one in after], blob.maximum
        )
        self._uses.name("record_packer")
        values = [_values(before), blob.raw, _values(after)]
        function = f"({layout}[{blob.length}] if {blob.length} < SHORT else {layout}_long)"
        return f"{function}({', '.join(filter(None, values))})"


def _values(fields: Sequence[Fixed]) -> str:
    return ", ".join(one.value for one in fields if one.value)


def merged(steps: Sequence[Step]) -> list[Step]:
    """The steps, with all checks gathered into one behind the others."""
    result: list[Step] = [step for step in steps if not isinstance(step, Check)]
    conditions = [step.condition for step in steps if isinstance(step, Check)]
    if conditions:
        result.append(Check(" or ".join(conditions)))
    return result
