"""The first screen: the hero, the table and forest of differences, the claims, settings by card."""
