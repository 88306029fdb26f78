"""Static parts shared by the consoles: colours and type, words in both languages, small helpers for the page.

No code of ours runs from here; `static/` is served as `/ui/`.
"""
