"""Draws face masks, glasses, hands and other covers on faces, and damage on pictures."""
