"""What training and evaluation both read: manifests, shards, prepared faces."""
