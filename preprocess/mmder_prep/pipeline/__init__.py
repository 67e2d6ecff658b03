"""From a corpus to a sealed store: plan the shards, prepare them, seal the store."""
