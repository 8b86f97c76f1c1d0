"""A hub on this machine for the gpu profile: weights of full size from their configurations with
random numbers, in the layout of the hub's own cache, and rows that a server on loopback gives out.

What is real: every client (huggingface_hub, datasets, transformers, faster-whisper), the shapes,
the file formats, the tokenizers. What is not: the weights know nothing, so every score is chance.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from gpu_steps import config_2b

from obvlib.core import FramePolicy
from obvlib.manifests import load_card
from obvlib.models import Bundle, qwen_tokenizer, tiny_tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from hub_server import SHA

LANGUAGES = 100
_WHISPER = {"vocab_size": 51_866, "num_mel_bins": 128}
_LARGE = {"d_model": 1280, "encoder_ffn_dim": 5120, "decoder_ffn_dim": 5120}
_LARGE |= {f"{half}_layers": 32 for half in ("encoder", "decoder")}
_LARGE |= {f"{half}_attention_heads": 20 for half in ("encoder", "decoder")}
_SMALL = {"d_model": 64, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}
_SMALL |= {f"{half}_layers": 2 for half in ("encoder", "decoder")}
_SMALL |= {f"{half}_attention_heads": 2 for half in ("encoder", "decoder")}


def snapshot(home: Path, card: str) -> Path:
    """Return the folder in the hub's cache below `home` for a card's files, ready to be filled."""
    folder = home / "hub" / f"models--{load_card(card).hub_id.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs/main").write_text(SHA)
    files = folder / "snapshots" / SHA
    files.mkdir(parents=True, exist_ok=True)
    return files


def make_models(home: Path, tiny: bool) -> dict[str, float]:
    """Write the three models into the cache below `home`; return the seconds that each took."""
    makers = {
        "qwen2-vl-2b-instruct": _qwen,
        "siglip-base-patch16-224": _siglip,
        "whisper-large-v3": _whisper,
    }
    seconds = {}
    for card, make in makers.items():
        files, started = snapshot(home, card), time.perf_counter()
        if not list(files.iterdir()):
            torch.manual_seed(0)
            make(files, tiny)
        seconds[card] = round(time.perf_counter() - started, 1)
        print(f"{card}: {_size(files) / 1e9:.2f} GB in {seconds[card]} s", flush=True)
    return seconds


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _qwen(files: Path, tiny: bool) -> None:
    with _device():
        model = transformers.Qwen2VLForConditionalGeneration._from_config(
            config_2b(tiny), dtype=torch.bfloat16
        )
    model.generation_config.eos_token_id = [151_645, 151_643]
    tokenizer: Any = qwen_tokenizer()
    Bundle(model=model, tokenizer=tokenizer, name="2b", revision=SHA).save(files, FramePolicy())


def _siglip(files: Path, tiny: bool) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    sizes = sizes | {"num_attention_heads": 2} if tiny else {}
    config = transformers.SiglipConfig(text_config=sizes, vision_config=sizes)
    with _device():
        model = transformers.SiglipModel._from_config(config)
    model.save_pretrained(files)
    transformers.SiglipImageProcessor().save_pretrained(files)


def _whisper(files: Path, tiny: bool) -> None:
    """Whisper large-v3's shape as CTranslate2 stores it, which is what faster-whisper fetches."""
    if importlib.util.find_spec("ctranslate2") is None:
        return
    from ctranslate2.converters.transformers import WhisperLoader

    config = transformers.WhisperConfig(**_WHISPER, **(_SMALL if tiny else _LARGE))
    with _device():
        model = transformers.WhisperForConditionalGeneration._from_config(config)
    tokenizer = whisper_tokenizer()
    begins = tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    model.generation_config.suppress_tokens = []
    model.generation_config.begin_suppress_tokens = []
    model.generation_config.alignment_heads = [(1, 0), (1, 1)]
    model.generation_config.lang_to_id = {str(n): begins + 1 + n for n in range(LANGUAGES)}
    spec = WhisperLoader()(model.float().cpu(), tokenizer)
    spec.validate()
    spec.optimize(quantization="float16")
    spec.save(str(files))
    tokenizer.backend_tokenizer.save(str(files / "tokenizer.json"))
    features = transformers.WhisperFeatureExtractor(feature_size=_WHISPER["num_mel_bins"])
    (files / "preprocessor_config.json").write_text(json.dumps(features.to_dict(), default=str))


def whisper_tokenizer() -> Any:
    """Whisper's special tokens at their ids behind 50,257 ordinary ones, which are Qwen2's."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES
    from tokenizers import Tokenizer

    ordinary = tiny_tokenizer(50_257 - 14).backend_tokenizer.to_str()
    core = Tokenizer.from_str(ordinary.replace("<|endoftext|>", "<|not used|>"))
    names = ["endoftext", "startoftranscript", *_LANGUAGE_CODES, "translate", "transcribe"]
    names += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    core.add_special_tokens([f"<|{name}|>" for name in names])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>")
