"""Foreign recordings as streams of chunks, and the logs made of them. One file per family of formats."""
