"""Images of any kind as lazy planes: opening, axes, contrast for display, and what `mia-tui info` says about them."""
