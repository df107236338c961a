"""Folders, buckets and clusters: many photos, in pieces that may be interrupted at any moment."""
