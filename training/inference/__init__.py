"""Trying a trained model on a picture: taken from a person, run by a worker in a confined process, shown."""
