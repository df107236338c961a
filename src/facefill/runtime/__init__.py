"""From a photo to a completed photo, without torch."""
