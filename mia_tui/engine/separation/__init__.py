"""How touching objects are told apart: what a network paints beside the classes, and how objects are read from it.

Each method is one module with the same seam: `CHANNELS`, the number of channels that the network paints in addition to
the classes; `target(instances)`, what it should paint there; `Options`, how the painted maps are read; and
`separate(maps, foreground, options)`, the label image. Everything is plain NumPy and OpenCV, one pass over the frame
with a few bytes per pixel, and nothing depends on how the frame is cut into blocks.
"""
