"""The image canvas: a picture with a pixel cursor, outlines, marks and hints, in cells or in real pixels.

`widget` is the Textual widget, `scene` what it shows, `view` which part of it. `pyramid`, `painter`, `overlay` and
`cells` make terminal cells of it (NumPy; imported when the first image is shown). `graphics` is what a back end for
real pixels implements, `wire` the way of control strings to the terminal.
"""
