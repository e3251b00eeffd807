"""Names of the optimisers with the settings that suit them. Knows no torch."""

OPTIMIZERS = ("adamw", "adam", "adamax", "adadelta", "adagrad", "sgd", "muon")

DEFAULT_RATES = {
    "adamw": 2e-3, "adam": 2e-3, "adamax": 4e-3, "adadelta": 1.0, "adagrad": 1e-2, "sgd": 3e-2, "muon": 5e-3,
}  # fmt: skip
"""Highest learning rate of a schedule, for networks that start from random weights."""

DEFAULT_DECAYS = {
    "adamw": 1e-2, "adam": 0.0, "adamax": 0.0, "adadelta": 0.0, "adagrad": 0.0, "sgd": 1e-4, "muon": 1e-2,
}  # fmt: skip
"""Weight decay. AdamW and Muon take it from the weights; the others add it to the gradient, where 1e-2 is too much."""
