def fit_batch_size(measure, available, *, share=0.85, most=512):
    return 8


def peak_of(function, device=None):
    function()
    return 1.0
