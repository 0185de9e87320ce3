"""Networks: backbones, classifiers, their features, predictions and bundles."""
