"""The fusion strategies of video and audio."""
