"""Classical proposals for labelling: outlines and points of objects, found without any trained weights."""

from mia_tui.labeling.proposals.ladders import Ladder
from mia_tui.labeling.proposals.masks import MaskProposer, Proposal, Proposals, Settings, propose_masks

__all__ = ["Ladder", "MaskProposer", "Proposal", "Proposals", "Settings", "propose_masks"]
