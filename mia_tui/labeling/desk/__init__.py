"""The labelling desk: keys in, edits out. Everything a person does while labelling, without a screen.

`desk.Desk` holds one open frame, what is proposed on it, the class and tool in hand and the mode; `Desk.press` takes
one key. Each action is one row (`rows.py`); each tool one file in `tools/`.
"""
