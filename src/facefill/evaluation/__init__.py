"""Judging methods: the same frozen holes for all, numbers with intervals, and reports."""
