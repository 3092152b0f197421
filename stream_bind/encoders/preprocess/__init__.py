"""Sensor arrays to model inputs, before normalisation: numpy, Pillow, no torch. One module per modality."""
