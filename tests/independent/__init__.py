"""A second opinion: reads a primary and a cache with code that shares nothing with the product."""
