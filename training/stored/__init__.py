"""Every form of a sentence that is stored in English and shown in the reader's language (`training/said.py`).

The sentences themselves are made where they are stored; a test compares them
with these. A part that is a sentence again has a name of NESTED, one that is
some sentences with semicolons between them one of LISTED.
"""

from training.stored import findings, imports, runs

SENTENCES = (*runs.SENTENCES, *runs.COMPOSED, *imports.SENTENCES, *findings.SENTENCES)
NESTED = frozenset(("text", "reason", "message", "cause", "place", "before_text", "after_text"))
LISTED = frozenset(("problems",))
