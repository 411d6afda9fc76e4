"""JSON Schemas: what a reference names, what a schema is made of, what it allows in words, and what fits it.

Everybody may import this room: it knows no more of graphengine than JSON.
"""
