"""Training: a sealed store in, WAR and UAR out."""
