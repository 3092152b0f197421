"""Binding a sensor to the shared space: moments and their clips, contrastive training, checkpoints, evaluation."""
