"""Evidence of throws: promised when seen, kept with a manifest, proven, viewed, held, deleted. No video library in here.

promise (what a camera saw) -> drafts (files in the making) -> drawer (files by their hash) -> register (journal) -> proof

Pure: `promise`, `overlay`, `masking`, `retention`, `proof`. Disk: `drafts`, `drawer`, `pack`. What needs FFmpeg stands in
`drivers/clip_keep.py` and `drivers/clip_recode.py`; what needs the journal in `evidence_desk.py`.
"""
