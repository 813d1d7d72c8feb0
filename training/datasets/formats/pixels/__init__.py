"""Annotations in pixels of the image, whatever file they come from, made into the lines of the normal form."""
