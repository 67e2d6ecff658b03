"""From a corpus to a sealed store: plan, prepare shards, seal."""
