"""A seeded primary and a cache to try everything on."""
