"""Operations as people write them, each the body of a small network of two convolutions and more."""

import torch
import torch.nn.functional as F
from torch import nn


class StandardizedConv(nn.Conv2d):
    """Weight standardization (Qiao et al. 2019)."""

    def forward(self, x):
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, w, self.bias, padding=1)


class Net(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 6, 3, padding=1)
        self.gain = nn.Parameter(torch.rand(6, 1, 1) + 0.5)
        self.group, self.instance = nn.GroupNorm(3, 6), nn.InstanceNorm2d(6, affine=True)
        self.plain_instance = nn.InstanceNorm2d(6)
        self.slopes, self.slope = nn.PReLU(6), nn.PReLU()
        nn.init.uniform_(self.slopes.weight, -0.2, 0.6)
        self.weight_norm = nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 6, 3, padding=1))
        self.standardized = StandardizedConv(6, 6, 3)
        self.dense, self.line, self.norm = nn.Linear(6, 6), nn.Conv1d(6, 4, 3, groups=2), nn.BatchNorm1d(6)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(6, 3, 12, batch_first=True)
        self.body = body
        self._drop_what_is_not_used()

    def forward(self, x):
        return self.body(self, self.a(x), self.b(x))

    def _drop_what_is_not_used(self):
        """torch.export takes time for every weight, also for one that nothing reads."""
        used, x = _Used(self), torch.zeros(1, 3, 10, 8)
        with torch.no_grad():
            self.eval().body(used, self.a(x), self.b(x))
        self.train()
        for name in {*self._modules, *self._parameters} - used.names - {"a", "b"}:
            delattr(self, name)


class _Used:
    """A network's attributes, and the names of those that were asked for."""

    def __init__(self, net):
        self._net, self.names = net, set()

    def __getattr__(self, name):
        self.names.add(name)
        return getattr(self._net, name)


BODIES = {
    "prelu": lambda m, a, b: m.slopes(a),
    "prelu of features": lambda m, a, b: m.slopes(a.mean((2, 3))),
    "prelu of a concave channel": lambda m, a, b: F.prelu(
        a, torch.cat([m.slopes.weight[1:], 2 + m.gain[0, 0]])
    ),
    "prelu of concave channels": lambda m, a, b: F.prelu(a, 1 + m.gain.reshape(-1)),
    "prelu of one slope": lambda m, a, b: m.slope(a),
    "sub": lambda m, a, b: a - b,
    "add alpha": lambda m, a, b: torch.add(a, b, alpha=2),
    "sub of a constant": lambda m, a, b: torch.sub(a, 1, alpha=2) + b,
    "rsub": lambda m, a, b: torch.rsub(a, b),
    "div": lambda m, a, b: a / (b.abs() + 1),
    "softsign": lambda m, a, b: F.softsign(a),
    "div of a constant": lambda m, a, b: 2 / (a.abs() + 1),
    "maximum": lambda m, a, b: torch.maximum(a, b),
    "minimum": lambda m, a, b: torch.minimum(a, b),
    "maximum of a constant": lambda m, a, b: torch.maximum(a, torch.tensor(0.25)),
    "minimum of a constant": lambda m, a, b: torch.minimum(torch.tensor(0.25), a),
    "extreme of an infinite constant": lambda m, a, b: (
        torch.minimum(a, torch.tensor(torch.inf)) + torch.maximum(torch.tensor(-torch.inf), b)
    ),
    "mean over channels": lambda m, a, b: a.mean(1, keepdim=True) * 2,
    "mean over rows": lambda m, a, b: a.mean(2, keepdim=True),
    "mean over columns": lambda m, a, b: a.mean(-1, keepdim=True),
    "mean over all": lambda m, a, b: a.mean((1, 2, 3), keepdim=True) + b.mean((1, 2, 3), keepdim=True),
    "mean, flat": lambda m, a, b: a.mean((2, 3)),
    "sum over channels": lambda m, a, b: a.sum(1, keepdim=True),
    "sum over places": lambda m, a, b: a.sum((2, 3)),
    "amax over places": lambda m, a, b: a.amax((2, 3)),
    "amax over channels": lambda m, a, b: a.amax(1, keepdim=True),
    "mean over tokens": lambda m, a, b: (
        a.flatten(2).mT.mean(1) + b.flatten(2).mT.mean(2).mean(1, keepdim=True)
    ),
    "mean of a map without keepdim": lambda m, a, b: a.mean(1),
    "mean of features": lambda m, a, b: a.mean((2, 3)) - a.mean((2, 3)).mean(1, keepdim=True),
    "mean of last channels": lambda m, a, b: a.permute(0, 2, 3, 1).mean((1, 2)),
    "sum of radix": lambda m, a, b: a.reshape(a.shape[0], 2, 3, 10, 8).sum(1),
    "mean of radix": lambda m, a, b: a.reshape(a.shape[0], 3, 2, 10, 8).mean(1),
    "amax of radix": lambda m, a, b: a.reshape(a.shape[0], 3, 2, 10, 8).amax(1),
    "sum of the inner part": lambda m, a, b: a.reshape(a.shape[0], 3, 2, 10, 8).sum(2),
    "sum of many parts": lambda m, a, b: torch.cat([a, b], 1).reshape(a.shape[0], 6, 2, 10, 8).sum(1),
    "mean over half of the rows": lambda m, a, b: a.reshape(a.shape[0], 6, 5, 2, 8).mean(3),
    "sum over all but rows": lambda m, a, b: a.sum((1, 3)),
    "max": lambda m, a, b: a.max(1)[0] + b.max(-1, keepdim=True).values.mean(1),
    "roll": lambda m, a, b: a.roll((3, -2), (2, 3)) + b.roll(1, 1),
    "roll of windows": lambda m, a, b: a.permute(0, 2, 3, 1).reshape(-1, 5, 2, 8, 6).roll((1, 1), (2, 1)),
    "outer product": lambda m, a, b: a.mean((2, 3), keepdim=True) * b.mean(1, keepdim=True),
    "outer sum": lambda m, a, b: a.mean(2, keepdim=True) + b.mean(3, keepdim=True),
    "outer product of features": lambda m, a, b: a.mean((2, 3)).unsqueeze(1) * b.mean((1, 2)).unsqueeze(2),
    "expand to a map": lambda m, a, b: torch.cat([a, b.mean((2, 3), keepdim=True).expand(-1, -1, 10, 8)], 1),
    "repeat more": lambda m, a, b: a.mean((2, 3), keepdim=True).repeat(1, 2, 7, 3),
    "repeat columns": lambda m, a, b: a.repeat(1, 1, 1, 6),
    "rows and columns apart": lambda m, a, b: (
        (a @ b.mT).reshape(-1, 6, 10, 5, 2)
        + a.mean(3).reshape(-1, 6, 10, 1, 1)
        + b[..., :5].reshape(-1, 6, 10, 5, 1)
    ),
    "batch norm of tokens": lambda m, a, b: F.batch_norm(
        a.flatten(2).mT.reshape(-1, 6), *m.gain.detach().reshape(1, 6).repeat(4, 1) * 0.7
    ).reshape(-1, 80, 6),
    "average pool, padding left out": lambda m, a, b: F.avg_pool2d(a, 3, 1, 1, count_include_pad=False),
    "average pool, ceil": lambda m, a, b: F.avg_pool2d(a, 3, 2, ceil_mode=True),
    "average pool, ceil and padding": lambda m, a, b: F.avg_pool2d(
        a, 3, (3, 2), 1, ceil_mode=True, count_include_pad=False
    ),
    "average pool, ceil and padding that counts": lambda m, a, b: F.avg_pool2d(
        a, (4, 3), 3, 1, ceil_mode=True
    ),
    "average pool, all": lambda m, a, b: F.avg_pool2d(a, 3, 2, 1, True, False, divisor_override=4),
    "adaptive average pool": lambda m, a, b: F.adaptive_avg_pool2d(a, (7, 3)),
    "adaptive average pool to more": lambda m, a, b: F.adaptive_avg_pool2d(a, (12, 9)),
    "adaptive max pool to any size": lambda m, a, b: F.adaptive_max_pool2d(a, (4, 7)),
    "area": lambda m, a, b: F.interpolate(a, size=(6, 3), mode="area"),
    "dilated max pool": lambda m, a, b: F.max_pool2d(a, 3, (1, 2), dilation=2),
    "dilated max pool, padding": lambda m, a, b: F.max_pool2d(a, 3, 1, 1, dilation=(2, 3)),
    "dilated max pool, padding and ceil": lambda m, a, b: F.max_pool2d(a, 4, (3, 2), 2, 2, ceil_mode=True),
    "dilated max pool, ceil": lambda m, a, b: F.max_pool2d(a, (2, 1), 3, dilation=2, ceil_mode=True),
    "pad by a value": lambda m, a, b: F.pad(a, (1, 2, 0, 1), value=0.75) + F.pad(a, (2, 1, 1, 0), value=-0.5),
    "pad and cut": lambda m, a, b: F.pad(a, (-1, 2, 3, -2)),
    "pad channels": lambda m, a, b: F.pad(a, (0, 0, 0, 0, 1, 2), value=0.3) + b.repeat(1, 2, 1, 1)[:, :9],
    "pad and cut channels": lambda m, a, b: F.pad(a, (0, 1, 0, 0, -2, 3)),
    "pad last channels": lambda m, a, b: F.pad(a.permute(0, 2, 3, 1), (0, 0, 0, 1, 2, 0)),
    "pad tokens": lambda m, a, b: F.pad(a.flatten(2).mT, (0, 0, 1, 3)),
    "pad by nothing": lambda m, a, b: F.pad(a.permute(0, 2, 3, 1), (0, 0, 0, 0, 0, 0)),
    "pad around": lambda m, a, b: F.pad(a, (2, 1, 0, 3), mode="circular"),
    "pad around and cut": lambda m, a, b: F.pad(a, (2, -1, -2, 3), mode="circular"),
    "reflect and cut": lambda m, a, b: F.pad(a, (1, -1, -2, 9), mode="reflect"),
    "replicate and cut": lambda m, a, b: F.pad(a, (-1, 2, 1, -3), mode="replicate"),
    "pad by the lowest": lambda m, a, b: F.max_pool2d(F.pad(a, (0, 1, 1, 1), value=float("-inf")), 3, 2),
    "normalize": lambda m, a, b: F.normalize(a, dim=1) + F.normalize(b.flatten(2), dim=-1).reshape(b.shape),
    "vector norms": lambda m, a, b: (
        torch.linalg.vector_norm(a, 1, (2, 3)) + torch.linalg.vector_norm(b, 2, (2, 3))
    ),
    "local response norm": lambda m, a, b: (
        F.local_response_norm(a, 3) + F.local_response_norm(b, 4, 0.5, 0.5, 2.0)
    ),
    "local response norm of many": lambda m, a, b: F.local_response_norm(a, 9, 0.1),
    "bicubic": lambda m, a, b: F.interpolate(a, size=(13, 5), mode="bicubic"),
    "bicubic with corners": lambda m, a, b: F.interpolate(
        a, scale_factor=(1.5, 2), mode="bicubic", align_corners=True
    ),
    "bicubic rows": lambda m, a, b: F.interpolate(a, size=(13, 8), mode="bicubic"),
    "ones of a shape": lambda m, a, b: a + torch.ones_like(b) * b.new_full((1, 6, 1, 1), 0.5),
    "nearest exact": lambda m, a, b: F.interpolate(a, size=(15, 5), mode="nearest-exact"),
    "nearest exact, fewer": lambda m, a, b: F.interpolate(a[:, :, :9], size=(3, 4), mode="nearest-exact"),
    "nearest exact, odd factors": lambda m, a, b: F.interpolate(a, scale_factor=(3, 1), mode="nearest-exact"),
    "nearest exact, a given factor": lambda m, a, b: F.interpolate(
        a, scale_factor=2.05, mode="nearest-exact"
    ),
    "nearest exact twice": lambda m, a, b: F.interpolate(a, scale_factor=2, mode="nearest-exact"),
    "every other channel from the second": lambda m, a, b: a[:, 1::2] + b[:, 2::3].repeat(1, 2, 1, 1)[:, :3],
    "conv 1d": lambda m, a, b: F.conv1d(a.flatten(2), m.line.weight, m.line.bias, 2, 2, 2, 2),
    "conv 1d, same": lambda m, a, b: F.conv1d(a.flatten(2), m.line.weight, padding="same", groups=2),
    "eca": lambda m, a, b: (
        a * F.conv1d(b.mean((2, 3)).unsqueeze(1), m.line.weight[:1, :1], padding=1).mT.unsqueeze(3).sigmoid()
    ),
    "conv transpose 1d": lambda m, a, b: F.conv_transpose1d(
        a[:, :, 0], m.dense.weight.reshape(6, 3, 2), stride=2
    ),
    "pools 1d": lambda m, a, b: torch.cat(
        [
            F.max_pool1d(a[:, :, 0], 2),
            F.avg_pool1d(b[:, :, 1], 3, 2, 1),
            F.adaptive_max_pool1d(b[:, :, 0], 3),
        ],
        2,
    ),
    "adaptive pool 1d": lambda m, a, b: F.adaptive_avg_pool1d(a.flatten(2), 7),
    "batch norm 1d": lambda m, a, b: m.norm(a.flatten(2)).relu() + m.norm(b.mean((2, 3))).unsqueeze(2),
    "upsample 1d": lambda m, a, b: torch.cat(
        [F.interpolate(a[:, :, 0], scale_factor=2), F.interpolate(b[:, :, 0], size=11, mode="linear")], 2
    ),
    "log softmax": lambda m, a, b: F.log_softmax(a, 1) + b.logsumexp((2, 3), keepdim=True),
    "unfold": lambda m, a, b: F.unfold(a, 3, padding=1, stride=2),
    "variance": lambda m, a, b: a.std((2, 3)) + b.var(1, correction=0).mean(2)[:, :6],
    "layer norm of a map": lambda m, a, b: (
        F.layer_norm(a, (6, 10, 8))
        + F.layer_norm(
            b,
            (10, 8),
            m.a.weight.reshape(-1)[:80].reshape(10, 8),
            m.a.weight.reshape(-1)[80:160].reshape(10, 8),
        )
    ),
    "layer norm of rows": lambda m, a, b: F.layer_norm(a, (8,)),
    "rms norm": lambda m, a, b: F.rms_norm(a, (8,), eps=1e-5) + F.rms_norm(b.mT, (10,)).mT,
    "tanh of another grid": lambda m, a, b: a + b.tanh(),
    "tanhshrink": lambda m, a, b: F.tanhshrink(a),
    "lp pool": lambda m, a, b: F.lp_pool2d(a, 2, 2) + F.lp_pool2d(b, 2, 3, 2, ceil_mode=True)[:, :, :, :4],
    "lp pool of order 1": lambda m, a, b: F.lp_pool2d(F.relu(a), 1, (2, 1)),
    "lp pool of order 3": lambda m, a, b: F.lp_pool2d(F.relu(a), 3, 2),
    "sign": lambda m, a, b: a.sign() * b,
    "threshold": lambda m, a, b: F.threshold(a, 0.1, 0.2) + F.threshold(b, 0.2, 0.0),
    "hardshrink": lambda m, a, b: F.hardshrink(a, 0.3) + F.hardshrink(b),
    "softshrink": lambda m, a, b: F.softshrink(a, 0.3) + F.softshrink(b),
    "where, a leaky relu": lambda m, a, b: torch.where(a > 0, a, 0.1 * a) + torch.where(b < 0, b * 0.3, b),
    "where, a relu": lambda m, a, b: torch.where(a.flatten(2).mT >= 0, a.flatten(2).mT, 0.0),
    "where, a clamp": lambda m, a, b: torch.where(a > 0.5, 0.5, a) + torch.where(b > -0.25, b, -0.25),
    "where, a threshold": lambda m, a, b: torch.where(a <= 0.1, torch.tensor(0.5), a),
    "where, a binarization": lambda m, a, b: torch.where(a >= 0, 1.0, -1.0) * b,
    "where, two lines": lambda m, a, b: torch.where(a < 0.2, 1 - a * 2, (a + 3) / 4),
    "where by size": lambda m, a, b: torch.where(a.abs() < 0.3, 0.0, a),
    "masked fill": lambda m, a, b: a.masked_fill(a < 0, 0.0) + b.masked_fill(b > 1, 3.0),
    "glu": lambda m, a, b: F.glu(torch.cat([a, b], 1), 1),
    "every other row": lambda m, a, b: a[:, :, ::2],
    "every third column from the second": lambda m, a, b: a[:, :, :, 1::3],
    "every other channel": lambda m, a, b: a[:, ::2],
    "every other channel of tokens": lambda m, a, b: a.flatten(2).mT[..., ::2] * b.flatten(2).mT[..., 1::2],
    "type_as": lambda m, a, b: a.type_as(b) * 2,
    "clamp by stored numbers": lambda m, a, b: torch.clamp(
        torch.clamp(a, torch.tensor(-0.25), torch.tensor(0.5)),
        torch.tensor(-torch.inf),
        torch.tensor(torch.inf),
    ),
    "clamp by what bounds nothing": lambda m, a, b: F.hardtanh(
        a.clamp(min=-torch.inf).clamp(-torch.inf, 0.5), 0, torch.inf
    ),
    "cat of nothing": lambda m, a, b: torch.cat([a[:, :, :0], torch.cat([b[:, 6:], b], 1), a * b], 2),
    "focus": lambda m, a, b: torch.cat(
        [a[..., ::2, ::2], a[..., 1::2, ::2], a[..., ::2, 1::2], a[..., 1::2, 1::2]], 1
    ),
    "pixel unshuffle": lambda m, a, b: F.pixel_unshuffle(a, 2),
    "channel shuffle": lambda m, a, b: F.channel_shuffle(a, 3),
    "adaptive max pool": lambda m, a, b: F.adaptive_max_pool2d(a, (5, 2)),
    "average pool with a divisor": lambda m, a, b: F.avg_pool2d(a, 2, divisor_override=3),
    "spatial attention": lambda m, a, b: torch.cat([a.mean(1, keepdim=True), a.amax(1, keepdim=True)], 1),
    "spatial gate": lambda m, a, b: a * torch.sigmoid(b.mean(1, keepdim=True)),
    "row gate": lambda m, a, b: a * torch.sigmoid(b.mean(3, keepdim=True)),
    "a mean added": lambda m, a, b: a.mean((2, 3), keepdim=True) + b,
    "a map less its mean": lambda m, a, b: a - a.mean(1, keepdim=True),
    "group norm": lambda m, a, b: m.group(a),
    "instance norm": lambda m, a, b: m.instance(a),
    "instance norm without affine": lambda m, a, b: m.plain_instance(a),
    "reflection": lambda m, a, b: F.pad(a, (1, 2, 3, 0), mode="reflect"),
    "replication of one": lambda m, a, b: F.pad(a, (1, 1, 1, 1), mode="replicate"),
    "replication of more": lambda m, a, b: F.pad(a, (0, 3, 2, 1), mode="replicate"),
    "align corners": lambda m, a, b: F.interpolate(a, scale_factor=2, mode="bilinear", align_corners=True),
    "align corners down": lambda m, a, b: F.interpolate(a, size=(5, 3), mode="bilinear", align_corners=True),
    "weight norm": lambda m, a, b: m.weight_norm(a),
    "weight standardization": lambda m, a, b: m.standardized(a),
    "layer scale": lambda m, a, b: a + m.gain * b,
    "permute last": lambda m, a, b: a.permute(0, 2, 3, 1),
    "head": lambda m, a, b: torch.cat(
        [p.permute(0, 2, 3, 1).reshape(p.shape[0], -1, 3) for p in (a, F.max_pool2d(b, 2))], 1
    ),
    "yolo": lambda m, a, b: a.view(a.shape[0], 2, 3, *a.shape[2:]).permute(0, 1, 3, 4, 2),
    "reshape odd": lambda m, a, b: a.reshape(a.shape[0], 5, -1),
    "tokens": lambda m, a, b: a.flatten(2).transpose(1, 2),
    "tokens linear": lambda m, a, b: (
        F.gelu(m.dense(a.flatten(2).transpose(1, 2))) + a.flatten(2).transpose(1, 2)
    ),
    "windows": lambda m, a, b: F.linear(
        a.permute(0, 2, 3, 1).view(a.shape[0], 5, 2, 4, 2, 6).permute(0, 1, 3, 2, 4, 5), m.dense.weight
    ).reshape(a.shape[0], 20, 4, 6),
    "linear on width": lambda m, a, b: F.linear(a, m.a.weight.reshape(-1)[:40].reshape(5, 8)),
    "squeeze": lambda m, a, b: a.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1) + b.amax((2, 3)),
    "chunk": lambda m, a, b: torch.cat(a.split([1, 2, 3], 1)[::-1], 1),
    "unbind": lambda m, a, b: a.unbind(2)[3].mul(2),
    "stack": lambda m, a, b: torch.stack([a, b], 1),
    "stack last": lambda m, a, b: torch.stack([a, b], -1),
    "cat rows": lambda m, a, b: torch.cat([a, b], 2),
    "cat columns": lambda m, a, b: torch.cat([a, b, a], 3),
    "slice tokens": lambda m, a, b: a.flatten(2).transpose(1, 2)[:, 1:7],
    "cls": lambda m, a, b: (
        torch.cat([m.gain.reshape(1, 1, 6).expand(a.shape[0], -1, -1), a.flatten(2).transpose(1, 2)], 1)
        + torch.linspace(-1, 1, 81 * 6).reshape(1, 81, 6)
    ),
    "select": lambda m, a, b: a.flatten(2).transpose(1, 2)[:, 0],
    "softmax w": lambda m, a, b: a.softmax(2),
    "transposed add": lambda m, a, b: a.transpose(2, 3)[:, :, :, :8] + b[:, :, :8],
    "expand": lambda m, a, b: a.mean((2, 3), keepdim=True).expand_as(b) * b,
    "flatten relu flat": lambda m, a, b: a.flatten(1).relu(),
    "flatten cat": lambda m, a, b: torch.cat([a.flatten(1), b.flatten(1)], 1),
    "features scaled": lambda m, a, b: a.mean((2, 3)) * 2 - b.mean((2, 3)),
    "repeat": lambda m, a, b: a.repeat(1, 2, 1, 1),
    "places by columns": lambda m, a, b: (
        a.view(a.shape[0], 6, 5, 2, 4, 2)
        .transpose(3, 4)
        .reshape(a.shape[0], 6, 20, 4)
        .permute(0, 3, 2, 1)
        .softmax(-1)
    ),
    "seven axes": lambda m, a, b: (
        a.view(-1, 3, 2, 5, 2, 2, 2, 2).permute(0, 7, 2, 5, 4, 6, 1, 3).reshape(-1, 6, 10, 8) * 2
    ),
    "unfold of blocks": lambda m, a, b: F.unfold(a, 2, stride=2).softmax(1),
    "unfold of blocks, a rest": lambda m, a, b: F.unfold(a, (3, 2), stride=(3, 2)),
    "fold": lambda m, a, b: F.fold(F.unfold(a, 2, stride=2).relu() + 1, (10, 8), 2, stride=2) * b,
    "fold of tokens": lambda m, a, b: F.fold(
        a.reshape(-1, 6, 80).mT.reshape(-1, 24, 20), (8, 10), 2, stride=2
    ),
    "shuffle": lambda m, a, b: a.view(-1, 2, 3, 10, 8).transpose(1, 2).reshape(-1, 6, 10, 8),
    "matmul": lambda m, a, b: a @ b.transpose(2, 3),
    "matmul of places": lambda m, a, b: a.transpose(2, 3) @ b,
    "matmul of channels": lambda m, a, b: a.flatten(2).transpose(1, 2).softmax(-1) @ b.flatten(2)[:, :, :7],
    "matmul spread": lambda m, a, b: a @ b[:, :1].transpose(2, 3),
    "bmm": lambda m, a, b: torch.bmm(a[:, 0], b[:, 1].transpose(1, 2)).unsqueeze(1),
    "matmul by a matrix": lambda m, a, b: a @ m.a.weight.reshape(-1)[:40].reshape(8, 5),
    "a matrix by matmul": lambda m, a, b: m.a.weight.reshape(-1)[:40].reshape(4, 10) @ a,
    "matmul by matrices": lambda m, a, b: a @ m.a.weight.reshape(-1)[:144].reshape(6, 8, 3),
    "features by a matrix": lambda m, a, b: a.mean((2, 3)) @ m.dense.weight,
    "einsum": lambda m, a, b: torch.einsum("bchw,bcij->bhwij", a, b[:, :, :3]),
    "einsum of a matrix": lambda m, a, b: torch.einsum("bchw,dc->bdhw", a, m.dense.weight),
    "attention": lambda m, a, b: F.scaled_dot_product_attention(*[t.flatten(2).mT for t in (a, b, a + b)]),
    "self attention": lambda m, a, b: F.scaled_dot_product_attention(a, a, a, scale=0.7),
    "attention of heads": lambda m, a, b: m.attend(*[b.flatten(2).mT[:, :30]] * 3, need_weights=False)[0],
    "attention with weights": lambda m, a, b: m.attend(*[b.flatten(2).mT[:, :30]] * 3)[0],
    "attention with a bias": lambda m, a, b: F.scaled_dot_product_attention(
        a, b, a, attn_mask=m.a.weight.reshape(-1)[:100].reshape(10, 10)
    ),
    "transformer": lambda m, a, b: m.encoder(a.flatten(2).mT[:, :24]),
    "rank 2 linear": lambda m, a, b: F.linear(a.flatten(1), m.a.weight.reshape(1, -1).repeat(3, 3)[:, :480]),
    "argmax": lambda m, a, b: a.argmax(1),
    "argmax of tokens": lambda m, a, b: a.flatten(2).mT.softmax(-1).argmax(-1, keepdim=True),
    "argmax of features": lambda m, a, b: a.mean((2, 3)).argmax(1),
    "one value": lambda m, a, b: a.square().sum((1, 2, 3)).sqrt(),
    "outer product with itself": lambda m, a, b: a.mean((2, 3)).unsqueeze(2) * a.mean((2, 3)).unsqueeze(1),
    "features sliced": lambda m, a, b: a.mean((2, 3))[:, 1:4] * b.mean((2, 3)).chunk(2, 1)[1],
    "places by a list": lambda m, a, b: (
        a[:, [3, 1, 0, 5]] + b[:, :4].index_select(2, torch.arange(9, -1, -1))
    ),
    "places by a grid": lambda m, a, b: a[:, :, torch.arange(1, 5)[:, None], torch.tensor([7, 0, 2])],
    "flip": lambda m, a, b: a.flip(3) + b.flip(1, 2),
    "rot90": lambda m, a, b: a.rot90(1, (2, 3)) + b.rot90(3, (2, 3)),
    "triangles": lambda m, a, b: a.tril(1) + b.triu(),
    "cumsum": lambda m, a, b: a.cumsum(1),
    "slice set": lambda m, a, b: set_parts(a, b),
    "repeat_interleave": lambda m, a, b: a.repeat_interleave(2, 1) + b.repeat_interleave(2, 1),
    "mask": lambda m, a, b: a * (b > 0.1) + (a.sigmoid() <= 0.5).float(),
    "mask chosen by": lambda m, a, b: torch.where(a > 0, a, 0.0) + b * (a > 0),
    "amin": lambda m, a, b: a.amin(1, keepdim=True) + b.min(1, keepdim=True).values,
    "clamp by a tensor": lambda m, a, b: a.clamp(min=b),
    "cosine similarity": lambda m, a, b: F.cosine_similarity(a, b, 1),
    "pairwise distance": lambda m, a, b: F.pairwise_distance(a.mean((2, 3)), b.mean((2, 3))),
    "lerp": lambda m, a, b: torch.lerp(a, b, 0.3) + torch.addcmul(a, a, b, value=0.5),
    "addcdiv": lambda m, a, b: torch.addcdiv(a, b, a.abs() + 1) + torch.hypot(a, b),
    "logarithms": lambda m, a, b: (a.abs() + 1).log2() + a.abs().log1p() + (b.abs() + 1).log10(),
    "hyperbolic": lambda m, a, b: a.sinh() + b.cosh() + a.expm1(),
    "logit": lambda m, a, b: torch.logit(a.sigmoid(), 1e-2) + F.rrelu(b),
    "tensor unfold": lambda m, a, b: a.unfold(2, 2, 2).mean(-1) + b.unfold(2, 2, 2)[..., 1],
    "tensor unfold, moved": lambda m, a, b: a.unfold(3, 3, 2).amax(-1),
}


def set_parts(a, b):
    """Assignments to parts of a tensor."""
    c = a.clone()
    c[:, 2:4] = 0.5 * b[:, 2:4]
    c[:, :, 0] = 0
    c[:, 5] += 1
    return c
