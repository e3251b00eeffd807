"""Measures of the Cell Tracking Challenge, from one joint histogram of two label images per frame."""
