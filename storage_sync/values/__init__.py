"""The frozen values that the parts hand to each other, and the errors. Imports nothing else of this package."""
