"""The torch candidates: five different networks, each `pixels` [batch, 64] to `logits` [batch, 10]."""

import torch
from torch import nn
from torch.nn import functional

CLASSES = 10
SIDE = 8


class Mlp(nn.Module):
    """One hidden layer: next to no arithmetic, so the runtime's fixed cost per call shows."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(SIDE * SIDE, hidden)
        self.head = nn.Linear(hidden, CLASSES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, 10] of `pixels` float32 [batch, 64]."""
        return self.head(functional.relu(self.hidden(pixels)))


class Cnn(nn.Module):
    """Stages of 3 x 3 convolutions, each stage closed by a 2 x 2 maximum, then one linear layer."""

    def __init__(self, stages: tuple[tuple[int, ...], ...], dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for stage in stages:
            for width in stage:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels * (SIDE >> len(stages)) ** 2, CLASSES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, 10] of `pixels` float32 [batch, 64]."""
        features = self.features(pixels.reshape(-1, 1, SIDE, SIDE))
        return self.head(self.dropout(features.flatten(1)))


class Residual(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return features [batch, width, rows, columns] of the same shape."""
        return functional.relu(features + self.layers(features))


class ResNet(nn.Module):
    """A residual network over the enlarged image: nearly all of its time is convolution arithmetic."""

    enlarge = 3

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(depth)))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, 10] of `pixels` float32 [batch, 64]."""
        images = functional.interpolate(
            pixels.reshape(-1, 1, SIDE, SIDE), scale_factor=self.enlarge, mode="bilinear", align_corners=False
        )
        return self.head(self.blocks(self.stem(images)).mean((2, 3)))


class Block(nn.Module):
    """A pre-norm transformer block: self-attention, then a perceptron, each added to the input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.contract = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens [batch, tokens, width] of the same shape."""
        tokens = tokens + self.dropout(self._attend(self.norm_attention(tokens)))
        inner = functional.gelu(self.expand(self.norm_mlp(tokens)))
        return tokens + self.dropout(self.contract(inner))

    def _attend(self, tokens: torch.Tensor) -> torch.Tensor:
        _, count, width = tokens.shape
        parts = self.query_key_value(tokens).reshape(-1, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.mix(mixed.transpose(1, 2).reshape(-1, count, width))


class Transformer(nn.Module):
    """A transformer over the 16 patches of 2 x 2 pixels: many small operators for little arithmetic."""

    patch = 2

    def __init__(self, width: int, heads: int, depth: int, dropout: float) -> None:
        super().__init__()
        patches = (SIDE // self.patch) ** 2
        self.embed = nn.Linear(self.patch**2, width)
        self.position = nn.Parameter(torch.randn(patches, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, 10] of `pixels` float32 [batch, 64]."""
        grid = SIDE // self.patch
        patches = pixels.reshape(-1, grid, self.patch, grid, self.patch).transpose(2, 3)
        tokens = self.embed(patches.reshape(-1, grid * grid, self.patch**2)) + self.position
        return self.head(self.norm(self.blocks(tokens)).mean(1))


def mlp() -> nn.Module:
    """Return the smallest network: 64-32-10."""
    return Mlp(hidden=32)


def cnn_small() -> nn.Module:
    """Return a convolutional network of about six thousand parameters."""
    return Cnn(stages=((16,), (32,)), dropout=0.1)


def cnn_wide() -> nn.Module:
    """Return a convolutional network with about twenty-five times the parameters of `cnn_small`."""
    return Cnn(stages=((64, 64, 64), (128,)), dropout=0.5)


def transformer_tiny() -> nn.Module:
    """Return a transformer of four blocks, 48 wide."""
    return Transformer(width=48, heads=4, depth=4, dropout=0.05)


def resnet() -> nn.Module:
    """Return a residual network of half a million parameters: 0.29 billion multiplications per image."""
    return ResNet(width=96, depth=3)
