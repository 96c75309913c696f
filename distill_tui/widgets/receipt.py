"""The receipt of the last order, above the keys, until the next one or until it is put away."""

from __future__ import annotations

import time

from textual.timer import Timer

from distill_tui.runs import receipts
from distill_tui.runs.receipts import Receipt
from distill_tui.runs.run_summary import plain
from distill_tui.widgets.line import Lines


class ReceiptView(Lines):
    """Shows a receipt, and counts down while its answer is awaited."""

    DEFAULT_CSS = """
    ReceiptView { dock: bottom; display: none; background: $surface; padding: 0 1; }
    ReceiptView.-open { display: block; }
    """

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="receipt")
        self._ascii_only = ascii_only
        self._ticks: Timer | None = None
        self._is_seen = False
        self.receipt: Receipt | None = None

    def shown(self) -> None:
        """Count down again."""
        self._is_seen = True
        self._draw()
        self._count_down()

    def hidden(self) -> None:
        """Draw nothing by itself until it is shown again."""
        self._is_seen = False
        self._count_down()

    def show_receipt(self, receipt: Receipt) -> None:
        """Show this one from now on."""
        self.receipt = receipt
        self.add_class("-open")
        self._draw()
        self._count_down()

    def put_away(self) -> bool:
        """Hide a receipt that waits for nothing more; tell whether there was one."""
        if self.receipt is None or self.receipt.waits:
            return False
        self.take_away()
        return True

    def take_away(self) -> None:
        """Show none any more, whether it waits or not."""
        self.receipt = None
        self._count_down()
        self.remove_class("-open")
        self.show([])

    def _count_down(self) -> None:
        """Draw it once a second while one sees it and an answer is awaited."""
        waits = self._is_seen and self.receipt is not None and self.receipt.waits
        if waits and self._ticks is None:
            self._ticks = self.set_interval(1.0, self._draw)
        elif not waits and self._ticks is not None:
            self._ticks.stop()
            self._ticks = None

    def on_resize(self) -> None:
        """Lay it out for another width."""
        self._draw()

    def _draw(self) -> None:
        if self.receipt is None:
            return
        width = self.size.width or self.app.size.width - 2
        lines = receipts.lines(self.receipt, time.time(), width)
        self.styles.height = len(lines)
        self.show([plain(line, ascii_only=self._ascii_only) for line in lines])
