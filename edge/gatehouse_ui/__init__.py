"""What the three consoles share: tokens, components, words in both languages (`static/`), and how a server hands them out.

A leaf: nothing here knows a gateway, a fleet or a bench. See docs/console-design.md.
"""

from gatehouse_ui.assets import STATIC, Assets
from gatehouse_ui.bound import bounded
from gatehouse_ui.headers import CSP, SECURITY_HEADERS
from gatehouse_ui.words import LANGUAGES, words

__all__ = ["CSP", "LANGUAGES", "SECURITY_HEADERS", "STATIC", "Assets", "bounded", "words"]
