"""Losses: one module for each kind of target. Which terms a loss is made of is read by `engine.loss_terms`."""
