"""One optimizer step of flow matching: the model, its average, and the optimizer.

A latent z and noise n are mixed to (1 - t) z + t n, and the model learns n - z. All randomness is
a function of seed, step and rank, so there is no generator state to save.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import StoreError
from curate.models.blocks8 import INT8, restored
from curate.train.data import Batch
from curate.train.order import mix
from curate.train.settings import TrainSettings
from curate.train.shards import Features

if TYPE_CHECKING:
    import torch

_NOISE = 5  # salt of the draws that belong to a step


@dataclass
class Trainer:
    """What a step changes: raw weights, their moving average, the optimizer's moments."""

    model: Any
    average: dict[str, torch.Tensor]
    optimizer: torch.optim.Optimizer
    settings: TrainSettings
    features: Features
    scaling_factor: float
    device: torch.device
    forward: Any
    rank: int = 0

    @classmethod
    def create(
        cls, model: Any, settings: TrainSettings, features: Features, *, scaling_factor: float,
        device: torch.device, rank: int = 0, prepare: Callable[[Any], Any] = lambda model: model,
    ) -> Trainer:  # fmt: skip
        """`prepare` wraps the model for several processes (Ray Train's `prepare_model` fits)."""
        import torch

        model = model.to(device).train()
        average = {name: value.detach().clone() for name, value in model.named_parameters()}
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, betas=(settings.beta1, settings.beta2),
            weight_decay=settings.weight_decay, fused=True,
        )  # fmt: skip
        if settings.compilation == "blocks":
            for block in model.transformer_blocks:
                block.compile(dynamic=False)
        return cls(model, average, optimizer, settings, features, scaling_factor, device,
                   prepare(model), rank)  # fmt: skip

    def step(self, batch: Batch, number: int, done: float) -> torch.Tensor:
        """Learn from one batch; returns its loss, a scalar on the device, without waiting for it.

        `number` counts steps from 0 and `done` is the share of the budget that is spent.
        """
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, number, done)
        loss = self.loss(batch, number)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        self._follow(number)
        return loss.detach()

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def loss(self, batch: Batch, number: int) -> torch.Tensor:
        """Mean squared error of the predicted flow over a batch."""
        import torch

        generator = torch.Generator(self.device)
        generator.manual_seed(mix(self.settings.seed, _NOISE, number, self.rank) >> 1)
        latents = self._latents(batch, generator)
        noise = torch.randn(latents.shape, generator=generator, device=self.device)
        times = self._times(len(latents), generator)
        mixed = torch.lerp(latents, noise, times[:, None, None, None])
        text, mask = self._text(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._reduced):
            flow = self.forward(
                mixed, encoder_hidden_states=text, encoder_attention_mask=mask,
                timestep=times * 1000, added_cond_kwargs={}, return_dict=False,
            )[0]  # fmt: skip
        return torch.nn.functional.mse_loss(flow.float(), noise - latents)

    def _latents(self, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """A draw from each stored posterior, or its mode where that is what the shards hold.

        Scaled as PixArtAlphaPipeline will unscale it.
        """
        import torch

        stored = as_tensor(batch.moments, self.features.latent_dtype)
        moments = stored.to(self.device, non_blocking=True).float()
        if self.features.latent_posterior == "mode":
            return moments * self.scaling_factor
        mean, log_variance = moments.chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=generator, device=self.device)
        deviation = torch.exp(0.5 * log_variance.clamp(-30, 20))
        return (mean + deviation * noise) * self.scaling_factor

    def _times(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Logit-normal times in (0, 1), moved towards noise by `flow_shift`."""
        import torch

        normal = torch.randn(count, generator=generator, device=self.device)
        times = torch.sigmoid(self.settings.time_mean + self.settings.time_std * normal)
        shift = self.settings.flow_shift
        return shift * times / (1 + (shift - 1) * times)

    def _text(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Captions padded on the device: [n, tokens, dim], and the mask [n, tokens]."""
        import torch

        lengths = torch.from_numpy(batch.lengths).to(self.device)
        multiple = self.settings.text_tokens_multiple
        tokens = multiple * math.ceil(int(batch.lengths.max()) / multiple)
        mask = torch.arange(tokens, device=self.device)[None] < lengths[:, None]
        packed = as_tensor(batch.text, self.features.text_dtype).to(self.device, non_blocking=True)
        if self.features.text_dtype == INT8:
            packed = restored(packed, self.features.text_dim)
        kind = torch.bfloat16 if self._reduced else torch.float32
        text = torch.zeros(*mask.shape, packed.shape[1], device=self.device, dtype=kind)
        text[mask] = packed.to(kind)
        return text, mask.to(kind)

    @property
    def _reduced(self) -> bool:
        auto = "bfloat16" if self.device.type == "cuda" else "float32"
        told = self.settings.precision
        return (auto if told == "auto" else told) == "bfloat16"

    def _follow(self, number: int) -> None:
        """Move the average towards the weights, faster in the first steps."""
        import torch

        decay = min(self.settings.ema_decay, (1 + number) / (10 + number))
        weights = [value.detach() for value in self.model.parameters()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)

    def optimizer_tensors(self) -> dict[str, torch.Tensor]:
        """The optimizer's state by `<parameter>/<moment>`."""
        names = {value: name for name, value in self.model.named_parameters()}
        return {
            f"{names[parameter]}/{key}": value
            for parameter, state in self.optimizer.state.items()
            for key, value in state.items()
        }

    def restore(
        self, weights: Mapping[str, Any], average: Mapping[str, Any], moments: Mapping[str, Any]
    ) -> None:
        """Take up the tensors of a checkpoint; raises StoreError if they are another model's."""
        import torch

        parameters = dict(self.model.named_parameters())
        if set(weights) != set(parameters) or set(average) != set(parameters):
            raise StoreError("the checkpoint's weights are not those of this model size")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
                self.average[name].copy_(average[name])
        for key, value in moments.items():
            name, _, moment = key.rpartition("/")
            self.optimizer.state[parameters[name]][moment] = value.clone()


def learning_rate(settings: TrainSettings, number: int, done: float) -> float:
    """Linear warm-up, then constant or a half cosine to zero over the budget."""
    rate = settings.learning_rate * min(1.0, (number + 1) / max(settings.warmup_steps, 1))
    if settings.schedule == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return rate


def as_tensor(array: np.ndarray[Any, Any], dtype: str) -> torch.Tensor:
    """A numpy array as a tensor without a copy; bfloat16 travels as its bits, 8 bits as bytes."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
