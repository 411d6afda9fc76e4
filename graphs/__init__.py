"""The bundled workflows: one file each, built from nodes/."""
