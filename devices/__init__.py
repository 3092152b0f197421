"""Sensor drivers, one per file, behind the one contract in devices/base.py."""
