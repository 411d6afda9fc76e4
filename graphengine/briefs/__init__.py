"""Briefs that cite their sources: their data, the checks of a model's answers, and rules that work without a model.

The bundled workflows are made of this package; a copied workflow (`graphengine new --from`) has its graph, its agents
and their prompts, and imports the rest from here.
"""
