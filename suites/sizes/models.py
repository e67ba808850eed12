"""Untrained networks, from 10 µs to about a second per inference, with seeded weights, for three suites.

Each builder returns a module with `example_inputs` (name → array), so that its inputs are known without a dataset.
The architectures follow the papers named at each class; the weights are random, so outputs mean nothing and only
speed, memory and load time do. All builders stand in this file: a conversion is cached under the digest of it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SEED = 20260801
CLASSES = 1000
BRANCH_SCALE = 0.3
"""Scale of what a residual block adds to its input: 16 blocks must not double the variance 16 times."""
TOKENS = ("input_ids", "attention_mask")


class Conv(nn.Sequential):
    """A convolution with batch normalisation and, unless `activation` is None, an activation."""

    def __init__(
        self,
        channels: int,
        width: int,
        size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: Callable[[], nn.Module] | None = nn.ReLU,
    ) -> None:
        convolution = nn.Conv2d(channels, width, size, stride, size // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(width), *([activation()] if activation else []))


class Pooled(nn.Module):
    """Features of an image, averaged over all positions, and one linear layer."""

    def __init__(self, features: Sequence[nn.Module], width: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.head = nn.Linear(width, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, classes] of `image` float32 [batch, 3, rows, columns]."""
        return self.head(self.features(image).mean((2, 3)))


class Thumbnails(Pooled):
    """The same for small images: the suite describes inputs by name, so another size needs another name."""

    def forward(self, thumbnail: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, classes] of `thumbnail` float32 [batch, 3, rows, columns]."""
        return super().forward(thumbnail)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, added to their input (He et al. 2016, stride in the 3 x 3)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Conv(channels, width, 1), Conv(width, width, 3, stride=stride), Conv(width, 4 * width, 1, activation=None)
        )
        same = channels == 4 * width and stride == 1
        self.shortcut = nn.Identity() if same else Conv(channels, 4 * width, 1, stride=stride, activation=None)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return features [batch, 4 * width, rows / stride, columns / stride]."""
        return functional.relu(self.shortcut(features) + self.layers(features))


class InvertedResidual(nn.Module):
    """Expansion, depthwise 3 x 3 and projection, added to their input where shapes agree (Sandler et al. 2018)."""

    def __init__(self, channels: int, width: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.layers = nn.Sequential(
            *([Conv(channels, inner, 1, activation=nn.ReLU6)] if expansion > 1 else []),
            Conv(inner, inner, 3, stride=stride, groups=inner, activation=nn.ReLU6),
            Conv(inner, width, 1, activation=None),
        )
        self.adds = channels == width and stride == 1

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return features [batch, width, rows / stride, columns / stride]."""
        result = self.layers(features)
        return features + result if self.adds else result


class Attention(nn.Module):
    """Self-attention over all tokens; `mask` (additive, broadcast to heads and queries) may hide some."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Return tokens [batch, count, width] of the same shape."""
        _, count, width = tokens.shape
        parts = self.query_key_value(tokens).reshape(-1, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.mix(mixed.transpose(1, 2).reshape(-1, count, width))


class Block(nn.Module):
    """A pre-norm transformer block with a perceptron four times as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return tokens [batch, count, width] of the same shape."""
        tokens = tokens + self.attention(self.norm_attention(tokens), mask)
        return tokens + self.mlp(self.norm_mlp(tokens))


class TextEncoder(nn.Module):
    """A sentence encoder: masked mean of the last tokens, as in Sentence-BERT (Reimers and Gurevych 2019)."""

    vocabulary = 30_522

    def __init__(self, width: int, heads: int, depth: int, tokens: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(self.vocabulary, width)
        self.position = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return embeddings [batch, width] of ids and a 0/1 mask, both int64 [batch, tokens]."""
        shown = attention_mask.to(self.position.dtype)
        hidden = ((1.0 - shown) * -1e4)[:, None, None, :]
        tokens = self.embed(input_ids) + self.position
        for block in self.blocks:
            tokens = block(tokens, hidden)
        kept = shown[:, :, None]
        return (self.norm(tokens) * kept).sum(1) / kept.sum(1).clamp(min=1.0)


class CrossEncoder(nn.Module):
    """A score for a query and a passage read together (Nogueira and Cho 2019)."""

    def __init__(self, width: int, heads: int, depth: int, tokens: int) -> None:
        super().__init__()
        self.encoder = TextEncoder(width, heads, depth, tokens)
        self.score = nn.Linear(width, 1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return scores [batch, 1]."""
        return self.score(self.encoder(input_ids, attention_mask))


class VisionTransformer(nn.Module):
    """Patches of 16 x 16 as tokens behind a class token, which is read off at the end (Dosovitskiy et al. 2021)."""

    def __init__(self, side: int, width: int, heads: int, depth: int, classes: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn((side // 16) ** 2 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, classes] of `image` float32 [batch, 3, side, side]."""
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return self.head(self.norm(self.blocks(tokens + self.position))[:, 0])


class SpeechEncoder(nn.Module):
    """The encoder of Whisper (Radford et al. 2022): two convolutions over time, then blocks; averaged at the end."""

    def __init__(self, bands: int, frames: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.narrow = nn.Conv1d(bands, width, 3, padding=1)
        self.halve = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.position = nn.Parameter(torch.randn(frames // 2, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Return embeddings [batch, width] of `mel` float32 [batch, bands, frames]."""
        sound = functional.gelu(self.halve(functional.gelu(self.narrow(mel))))
        return self.norm(self.blocks(sound.transpose(1, 2) + self.position)).mean(1)


def mlp() -> nn.Module:
    """Return a perceptron 64-128-64-10: 17 thousand parameters, about 5 to 20 µs."""
    return _seeded(_mlp, {"input": (64,)})


def cnn() -> nn.Module:
    """Return a CIFAR-sized network of six convolutions: 1.1 million parameters, about 1 to 3 ms."""
    return _seeded(_cnn, {"thumbnail": (3, 32, 32)})


def mobilenet() -> nn.Module:
    """Return MobileNetV2 at 224 x 224 (Sandler et al. 2018): 3.5 million parameters, about 4 to 15 ms."""
    return _seeded(_mobilenet, {"image": (3, 224, 224)})


def minilm() -> nn.Module:
    """Return an encoder of MiniLM's size (Wang et al. 2020; 6 layers of 384) over 128 tokens: about 15 to 60 ms."""
    return _seeded(lambda: TextEncoder(384, 12, 6, 128), {"input_ids": (128,), "attention_mask": (128,)})


def resnet50() -> nn.Module:
    """Return ResNet-50 at 224 x 224 (He et al. 2016): 25.6 million parameters, about 40 to 150 ms."""
    return _seeded(_resnet50, {"image": (3, 224, 224)})


def speech() -> nn.Module:
    """Return an encoder of Whisper-base's size over 30 s of sound: 20 million parameters, about 0.5 to 1.5 s."""
    return _seeded(lambda: SpeechEncoder(80, 3000, 512, 8, 6), {"mel": (80, 3000)})


def vit_b16() -> nn.Module:
    """Return ViT-B/16 at 224 x 224 (Dosovitskiy et al. 2021): 86.6 million parameters."""
    return _seeded(lambda: VisionTransformer(224, 768, 12, 12, CLASSES), {"image": (3, 224, 224)})


def cross_encoder() -> nn.Module:
    """Return a cross-encoder of BERT-base's size over 256 tokens: 109 million parameters."""
    return _seeded(lambda: CrossEncoder(768, 12, 12, 256), {"input_ids": (256,), "attention_mask": (256,)})


def small_cross_encoder() -> nn.Module:
    """Return a cross-encoder of MiniLM's size over 256 tokens: 22 million parameters."""
    return _seeded(lambda: CrossEncoder(384, 12, 6, 256), {"input_ids": (256,), "attention_mask": (256,)})


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def _cnn() -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 128, 256):
        layers += [Conv(channels, width, 3), Conv(width, width, 3), nn.MaxPool2d(2)]
        channels = width
    return Thumbnails(layers, channels, 10)


def _mobilenet() -> nn.Module:
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    layers: list[nn.Module] = [Conv(3, 32, 3, stride=2, activation=nn.ReLU6)]
    channels = 32
    for expansion, width, count, stride in stages:
        for index in range(count):
            layers.append(InvertedResidual(channels, width, expansion, 1 if index else stride))
            channels = width
    return Pooled([*layers, Conv(channels, 1280, 1, activation=nn.ReLU6)], 1280, CLASSES)


def _resnet50() -> nn.Module:
    layers: list[nn.Module] = [Conv(3, 64, 7, stride=2), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, count in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for index in range(count):
            layers.append(Bottleneck(channels, width, 1 if index or not stage else 2))
            channels = 4 * width
    return Pooled(layers, channels, CLASSES)


def _seeded(make: Callable[[], nn.Module], rows: dict[str, tuple[int, ...]]) -> nn.Module:
    """Return what `make` gives under the seed, evaluating, with one example row of each input."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        module = make()
        module.apply(_keep_scale)
    kinds = {name: np.int64 if name in TOKENS else np.float32 for name in rows}
    module.example_inputs = {name: np.ones((1, *shape), kinds[name]) for name, shape in rows.items()}
    return module.eval()


def _keep_scale(module: nn.Module) -> None:
    """Draw a convolution so that untrained activations neither vanish nor explode with depth (He et al. 2015)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    if isinstance(module, Bottleneck) or (isinstance(module, InvertedResidual) and module.adds):
        nn.init.constant_(module.layers[-1][1].weight, BRANCH_SCALE)
