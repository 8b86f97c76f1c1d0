"""The OpenBiomedVid Book's toolkit: from educational biomedical videos to a fine-tuned
vision-language model and its scores.

The rooms, in the order in which data flows: core, scoring, engine, media, llm, mini, manifests,
encoders, curation, slicing, inputs, models, training, evaluation, report, widgets; then the recipes
of each profile and the command. Nothing happens at import.
"""

__version__ = "0.1.0"
