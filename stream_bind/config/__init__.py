"""The YAML file: schema, positions, interpolation and every check that needs no hardware."""
