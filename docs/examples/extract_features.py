"""Load an encoder and compute one feature vector per clip."""

import sys

import torch
from torch.utils.data import DataLoader

from mmder_store import open_store
from mmder_train import FusionDataset, build_encoder, load_encoder

store = open_store(sys.argv[1])
encoder = load_encoder(sys.argv[2]) if len(sys.argv) > 2 else build_encoder("tiny")
dataset = FusionDataset(store, strategy="cfas", side="test", fold=1)
with torch.no_grad():
    for batch in DataLoader(dataset, batch_size=4):
        features = encoder(batch["x"])
        print(batch["clip_id"][0], tuple(features.shape))
        break
