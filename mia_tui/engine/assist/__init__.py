"""Model-based help for labelling, in a process of its own: `python -m mia_tui.engine.assist SOCKET`.

`registry` and `messages` are free of torch, because the interface reads and writes them; everything else is imported in
the helper process only.
"""
