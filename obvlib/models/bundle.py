"""Models by name: the tiny Qwen2-VL of the mini profile, Qwen2-VL from the hub at a pinned
revision, or a model that was fine-tuned here.

All three are `transformers`' own `Qwen2VLForConditionalGeneration`: the mini profile differs in
size and vocabulary, not in code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from obvlib.core import FramePolicy
from obvlib.core.jsonl import read_object

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen2VLConfig

    from obvlib.inputs import VisionSpec

TINY = "tiny"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A model with all that is needed to use it, and where it came from (`revision` is "unpinned"
    where none is recorded).
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    name: str
    revision: str

    @property
    def spec(self) -> VisionSpec:
        """Patch sizes and token ids of this very model, read from its config."""
        from obvlib.inputs import VisionSpec

        return VisionSpec.from_config(self.model.config)

    @property
    def num_parameters(self) -> int:
        return self.model.num_parameters()

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return what these tokens say, without the special ones and the spaces around it."""
        text = self.tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return cast(str, text).strip()

    def weights_digest(self) -> str:
        """Return a short digest of the weights: names, shapes and up to 64 values of each."""
        digest = hashlib.sha256()
        for name, weight in self.model.named_parameters():
            flat = weight.detach().flatten()
            some = flat[:: max(1, len(flat) // 64)][:64].float().cpu().numpy()
            digest.update(f"{name} {tuple(weight.shape)}".encode() + some.tobytes())
        return digest.hexdigest()[:16]

    def save(self, directory: Path, policy: FramePolicy | None = None) -> Path:
        """Write weights, tokenizer and the family's processor, so that `load(str(directory))` and
        plain transformers give the same model back.

        `policy` is the frame policy that the model was trained with; the processor gets its limits.
        """
        with no_progress_bars():
            self.model.save_pretrained(directory)
        self.save_processor(directory, policy)
        return directory

    def save_processor(self, directory: Path, policy: FramePolicy | None = None) -> None:
        """Write what stands beside the weights: tokenizer, chat template, processor settings."""
        from obvlib.models.processor import family_processor

        family_processor(self.model.config, self.tokenizer, policy).save_pretrained(directory)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep transformers' bars for reading and writing weights out of a notebook's output."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def load_weights(model: PreTrainedModel, directory: Path) -> None:
    """Take the weights saved in `directory` for a model of this shape, under whichever names they
    were saved; every one must be there.

    Raises ValueError for weights of another architecture and for files that are cut short.
    """
    check_files(directory, ("config.json",))
    check_same_shape(model.config, directory)
    with no_progress_bars():
        saved = type(model).from_pretrained(
            directory, dtype=model.dtype, config=model.config, attn_implementation="sdpa"
        )
    model.load_state_dict(saved.state_dict())


# What decides the shapes of a model's weights, in its text and its vision part.
SHAPES = (
    "model_type hidden_size intermediate_size num_hidden_layers num_attention_heads"
    " num_key_value_heads vocab_size depth embed_dim num_heads patch_size"
).split()


def check_same_shape(config: Any, directory: Path) -> None:
    """Raise ValueError where the model saved in `directory` is not one of the shape of `config`."""
    from transformers import AutoConfig

    saved = AutoConfig.from_pretrained(directory)
    pairs = (
        ("", config, saved),
        ("text ", config.get_text_config(), saved.get_text_config()),
        ("vision ", config.vision_config, getattr(saved, "vision_config", None)),
    )
    for part, here, there in pairs:
        for name in SHAPES:
            ours, theirs = getattr(here, name, None), getattr(there, name, None)
            if ours != theirs:
                raise ValueError(
                    f"{directory} holds another architecture: its {part}{name} is {theirs}, this"
                    f" model's is {ours}; name a checkpoint of this model, or load that model"
                )


def check_files(directory: Path, needed: Sequence[str]) -> None:
    """Raise ValueError where a saved model lacks a file or one of its weight files is cut short."""
    directory = Path(directory)
    for name in needed:
        if not (directory / name).is_file():
            raise ValueError(
                f"{directory} is not a whole model: {name} is missing; save or download it again"
            )
    index = directory / "model.safetensors.index.json"
    named = read_object(index, "weight_map")["weight_map"] if index.is_file() else {}
    listed = set(map(str, dict(named).values()))
    shards = {path.name for path in directory.glob("*.safetensors")} | listed
    if not shards and not list(directory.glob("*.bin")):
        raise ValueError(f"{directory} is not a whole model: it holds no weights; save it again")
    for name in sorted(shards):
        if problem := _problem_of_weights(directory / name):
            raise ValueError(
                f"{directory} is not a whole model: {name} {problem}; save or download it again"
            )


def _problem_of_weights(path: Path) -> str:
    """Compare a safetensors file's length with what its header says; empty where they agree."""
    if not path.is_file():
        return "is missing"
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if 0 < length < 1 << 30 else b""
    try:
        entries = json.loads(header)
        ends = [e["data_offsets"][1] for n, e in entries.items() if n != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "has no readable header"
    expected = 8 + length + max(ends, default=0)
    size = path.stat().st_size
    return "" if size == expected else f"has {size} bytes, its header says {expected}"


def load(
    name: str,
    *,
    attention: str = "sdpa",
    dtype: torch.dtype | str = "auto",
    device: str = "cpu",
    seed: int = 0,
) -> Bundle:
    """Load "tiny", a local checkpoint directory, or a hub model that has a card (its pinned
    revision is used).

    bf16 is what Qwen2-VL was trained in; in fp16 its activations overflow and it answers "!!!!", so
    fp16 is refused. Raises ValueError for fp16, HubUnavailable (one sentence with the remedy) where
    hub files can neither be found nor fetched.
    """
    if str(dtype).endswith("float16") and not str(dtype).endswith("bfloat16"):
        raise ValueError(
            "dtype float16: Qwen2-VL overflows in fp16 and answers '!!!!'; use bfloat16, or float32"
            " on a CPU"
        )
    if name == TINY:
        return tiny_bundle(seed=seed, attention=attention, device=device)
    if Path(name).is_dir():
        return _from_directory(name, name, "local", attention, dtype, device)
    from obvlib.manifests import fetch, load_card

    card = load_card(name)
    directory = fetch(card.hub_id, revision=card.revision, repo_type="model")
    return _from_directory(
        directory, card.hub_id, card.revision or "unpinned", attention, dtype, device
    )


def tiny_bundle(*, seed: int = 0, attention: str = "sdpa", device: str = "cpu") -> Bundle:
    """Return a Qwen2-VL of 2 M parameters with random weights drawn from `seed`, and the tokenizer
    cut to 8,192 entries.
    """
    import torch
    from transformers import Qwen2VLForConditionalGeneration

    from obvlib.models.patch_product import multiply_patches
    from obvlib.models.tokenizer import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2VLForConditionalGeneration._from_config(
            tiny_config(tokenizer), attn_implementation=attention
        )
    multiply_patches(model)
    cast(Any, model).to(device)
    return Bundle(model=model, tokenizer=cast(Any, tokenizer), name=TINY, revision=f"seed {seed}")


def tiny_config(
    tokenizer: PreTrainedTokenizerFast,
    *,
    text_sizes: dict[str, Any] | None = None,
    vision_sizes: dict[str, Any] | None = None,
) -> Qwen2VLConfig:
    """Return Qwen2-VL's architecture, small: 3 text layers of width 128, 2 vision layers of width
    96, or what `text_sizes` and `vision_sizes` put in their place.

    `initializer_range` is 0.08: at this width the usual 0.02 leaves the signal too small to learn
    from in a thousand steps.
    """
    from transformers import Qwen2VLConfig

    special: dict[str, Any] = {
        f"{role}_token_id": tokenizer.convert_tokens_to_ids(token)
        for role, token in {
            "image": "<|image_pad|>",
            "video": "<|video_pad|>",
            "vision_start": "<|vision_start|>",
            "vision_end": "<|vision_end|>",
        }.items()
    }
    text = dict(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        initializer_range=0.08,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
        bos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = dict(
        depth=2, embed_dim=96, hidden_size=128, num_heads=4, mlp_ratio=3, initializer_range=0.08
    )
    return Qwen2VLConfig(
        text_config=text | (text_sizes or {}),
        vision_config=vision | (vision_sizes or {}),
        tie_word_embeddings=True,
        **special,
    )


def _from_directory(
    directory: Path | str,
    name: str,
    revision: str,
    attention: str,
    dtype: torch.dtype | str,
    device: str,
) -> Bundle:
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    from obvlib.models.patch_product import multiply_patches

    check_files(Path(directory), ("config.json", "tokenizer.json", "tokenizer_config.json"))
    model = AutoModelForImageTextToText.from_pretrained(
        directory, dtype=dtype, attn_implementation=attention
    )
    multiply_patches(model)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    cast(Any, model).to(device)
    return Bundle(model=model, tokenizer=cast(Any, tokenizer), name=name, revision=revision)
