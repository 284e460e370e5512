"""A table of text, for the terminal and for Markdown."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns; `str(table)` aligns them for a terminal, `markdown()` for a report.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuples of str
    notes : tuple of str
        Sentences under the table.
    words : tuple of int
        Which columns hold words and stand to the left; numbers stand to the right.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    words: tuple[int, ...] = (0,)

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[j]) for line in lines) for j in range(len(self.columns))]
        text = ["  ".join(self._aligned(line, widths)).rstrip() for line in lines]
        head = [self.title, ""] if self.title else []
        return "\n".join([*head, *text, *(f"({note})" for note in self.notes)])

    def _aligned(self, line: tuple[str, ...], widths: list[int]) -> list[str]:
        return [
            cell.ljust(width) if j in self.words else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]

    def markdown(self) -> str:
        """Return the table in Markdown, without its title."""
        rule = [":---" if j in self.words else "---:" for j in range(len(self.columns))]
        lines = [self.columns, rule, *([cell.replace("|", "\\|") for cell in row] for row in self.rows)]
        text = ["| " + " | ".join(line) + " |" for line in lines]
        notes = ["", *(f"{note[0].upper()}{note[1:]}." for note in self.notes)] if self.notes else []
        return "\n".join([*text, *notes])
