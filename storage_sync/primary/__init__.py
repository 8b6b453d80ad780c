"""Reading the durable store: protocol client, embedded client, capabilities, the statements.

Use `source.connect`; it imports the network stack only for a primary that needs it.
"""
