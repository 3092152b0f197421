"""Serial protocol decoders: bytes in, samples out, no I/O."""
