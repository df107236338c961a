"""Pictures as arrays: numpy, Pillow, OpenCV, SciPy; never torch."""
