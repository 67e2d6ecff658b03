"""The quality report of a store: measures, charts, contact sheets and the page."""
