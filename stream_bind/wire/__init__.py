"""Messages on the wire and the sockets that carry them to consumers; docs/protocol.md is the specification."""
