"""The quality report of a store: what is measured, drawn and written on one page."""
