"""What happened here: an index over the alarm lane for looking back, searching, and the hand-over sheet.

The journal is the truth and has no index but its numbers; this is one more reader of it with a cursor. It keeps a small
SQLite file beside the console's own, made anew from the journal whenever it is missing, damaged or of another journal, and
reads on only when somebody asks: nobody who does not look back wears the flash.
"""

from gatehouse_edge.history.book import FILE as HISTORY_FILE
from gatehouse_edge.history.book import History, Progress
from gatehouse_edge.history.fold import VIEWED
from gatehouse_edge.history.rows import (
    Cursor,
    Deed,
    Moment,
    PastAlarm,
    Revision,
    Tally,
    Term,
    Wanted,
    search_text,
)

__all__ = [
    "HISTORY_FILE",
    "VIEWED",
    "Cursor",
    "Deed",
    "History",
    "Moment",
    "PastAlarm",
    "Progress",
    "Revision",
    "Tally",
    "Term",
    "Wanted",
    "search_text",
]
