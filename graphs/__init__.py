"""The bundled workflows: one file each, made of nodes/."""
