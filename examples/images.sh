#!/bin/sh
# One VAE of MNIST digits with each latent prior, with the same seed, steps and test images (docs/images.md):
#
#   sh examples/images.sh runs/images
#   sh examples/images.sh runs/quick --epochs 1 --train-images 2000 --samples 100 --test-images 100
set -e
out=${1:?usage: sh examples/images.sh <folder to write> [options of dwp fit-images]}
shift
for prior in standard vamp aggregate; do
  node "$(dirname "$0")/../dist/cli/main.js" fit-images --latent-prior "$prior" --out "$out/$prior" "$@"
done
