"""Whether a sensor's numbers can be what they are said to be. Pure: arrays in, verdicts out."""
