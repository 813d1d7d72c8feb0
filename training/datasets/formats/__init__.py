"""Dataset formats, one module each; `registry` finds whatever lies here."""
