DEFAULT_RATES = {
    "adamw": 2e-3,
    "adam": 1e-3,
    "nadamw": 2e-3,
    "adamax": 2e-3,
    "adadelta": 1.0,
    "adagrad": 1e-2,
    "sgd": 1e-2,
    "muon": 2e-2,
}
