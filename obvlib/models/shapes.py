"""The sizes of models and GPUs that a plan follows from: layers and widths, peaks and memories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The sizes of a Qwen2-VL that work and memory follow from."""

    name: str
    num_layers: int
    hidden: int
    intermediate: int
    kv_width: int  # key and value heads times their size
    vocabulary: int
    vision_depth: int
    vision_width: int
    vision_mlp: int
    ties_embeddings: bool

    @property
    def text_weights(self) -> int:
        """In the layers, without embeddings."""
        attention = 2 * self.hidden**2 + 2 * self.hidden * self.kv_width
        return self.num_layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def head_weights(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def vision_weights(self) -> int:
        """In the blocks and the patch embedding: each patch passes through these."""
        return (
            self.vision_depth * (4 * self.vision_width**2 + 2 * self.vision_width * self.vision_mlp)
            + 1176 * self.vision_width
        )

    @property
    def merger_weights(self) -> int:
        """Return the merger's weights: each visual token, four patches, passes through these."""
        return (4 * self.vision_width) ** 2 + 4 * self.vision_width * self.hidden

    @property
    def num_parameters(self) -> int:
        heads = self.head_weights * (1 if self.ties_embeddings else 2)
        return self.text_weights + heads + self.vision_weights + self.merger_weights

    @classmethod
    def from_config(cls, name: str, config: Any) -> ModelShape:
        """Read a Qwen2VLConfig."""
        text, vision = config.get_text_config(), config.vision_config
        head = text.hidden_size // text.num_attention_heads
        return cls(
            name=name,
            num_layers=text.num_hidden_layers,
            hidden=text.hidden_size,
            intermediate=text.intermediate_size,
            kv_width=text.num_key_value_heads * head,
            vocabulary=text.vocab_size,
            vision_depth=vision.depth,
            vision_width=vision.embed_dim,
            vision_mlp=int(vision.embed_dim * vision.mlp_ratio),
            ties_embeddings=bool(config.tie_word_embeddings),
        )


_VISION = dict(vision_depth=32, vision_width=1280, vision_mlp=5120)
MODELS = {
    "qwen2-vl-2b": ModelShape(
        name="qwen2-vl-2b",
        num_layers=28,
        hidden=1536,
        intermediate=8960,
        kv_width=256,
        vocabulary=151_936,
        ties_embeddings=True,
        **_VISION,
    ),
    "qwen2-vl-7b": ModelShape(
        name="qwen2-vl-7b",
        num_layers=28,
        hidden=3584,
        intermediate=18_944,
        kv_width=512,
        vocabulary=152_064,
        ties_embeddings=False,
        **_VISION,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """Peak of dense bf16 products, memory and its bandwidth, from the makers' data sheets."""

    name: str
    tflops: float
    memory_gb: float
    bandwidth_tb_s: float


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu(name="H100", tflops=989, memory_gb=80, bandwidth_tb_s=3.35),
        Gpu(name="H200", tflops=989, memory_gb=141, bandwidth_tb_s=4.8),
        Gpu(name="A100-80", tflops=312, memory_gb=80, bandwidth_tb_s=2.04),
        Gpu(name="A100-40", tflops=312, memory_gb=40, bandwidth_tb_s=1.56),
        Gpu(name="L40S", tflops=362, memory_gb=48, bandwidth_tb_s=0.86),
        Gpu(name="RTX 4090", tflops=165, memory_gb=24, bandwidth_tb_s=1.01),
    )
}
