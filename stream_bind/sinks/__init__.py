"""Further destinations of what a rig publishes, one per file, behind the one contract in stream_bind/sinks/base.py."""
