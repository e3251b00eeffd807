"""Correcting tracks by keys, without a screen: `desk` holds what is chosen, `acts` what can be done."""
