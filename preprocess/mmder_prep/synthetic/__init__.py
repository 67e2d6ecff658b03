"""The synthetic corpus of generated talking heads."""
