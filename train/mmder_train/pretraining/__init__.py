"""Masked pre-training of an encoder on fused video and audio, without labels."""
