"""The OpenBiomedVid Book's toolkit: from educational biomedical videos to a fine-tuned vision-language model and its scores.

Nothing happens at import: every module loads its heavy libraries itself, so that `import obvlib` stays instant.
"""

__version__ = "0.1.0"

from obvlib.settings import data_root, manifests_dir, profile, project_root

__all__ = ["data_root", "manifests_dir", "profile", "project_root"]
