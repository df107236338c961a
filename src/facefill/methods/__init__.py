"""Every method by its registry name. A new one is a file, a line here, a record in the catalog and a TOML."""

from facefill.methods.base import Method
from facefill.methods.context_encoder import ContextEncoder
from facefill.methods.contextual_attention import ContextualAttention
from facefill.methods.latent_search import Dip, LatentSearch
from facefill.methods.masked_gan import MaskedGan
from facefill.methods.swift import Swift

CLASSES: dict[str, type[Method]] = {
    "swift": Swift,
    "context_encoder": ContextEncoder,
    "contextual_attention": ContextualAttention,
    "masked_gan": MaskedGan,
    "latent_search": LatentSearch,
    "dip": Dip,
}
