"""Train a model of one's own on the speakers of one fold and test it on the others."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader

from mmder_store import open_store
from mmder_train import FusionDataset

store = open_store(sys.argv[1])
train = FusionDataset(store, strategy="video", fused=False, fold=1, side="train")
test = FusionDataset(store, strategy="video", fused=False, fold=1, side="test")

torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.LazyLinear(len(train.classes)))
optimizer = None
for _ in range(3):
    for batch in DataLoader(train, batch_size=32, shuffle=True):
        frames = batch["frames"][:, ::8, ::16, ::16].float() / 255
        loss = nn.functional.cross_entropy(model(frames), batch["label"])
        optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=1e-3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

correct = 0
with torch.no_grad():
    for batch in DataLoader(test, batch_size=32):
        frames = batch["frames"][:, ::8, ::16, ::16].float() / 255
        correct += int((model(frames).argmax(1) == batch["label"]).sum())
print(f"{correct} of {len(test)} clips of unseen speakers are correct")
