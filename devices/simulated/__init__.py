"""Simulated sensors: ordinary devices that need no hardware."""
