"""Random changes to training samples: images with their label image and points, all moved alike.

`strengths` names the switches and presets (free of torch and albumentations), `pipeline` applies them, `sheet` shows
what they do and what each costs. `geometry` and `photometry` hold the arithmetic, `transforms` makes albumentations
transforms of it; only that one imports the library, which takes seconds.
"""
