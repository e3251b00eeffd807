import torch


def make_optimizer(name, model, *, learning_rate, weight_decay, encoder_factor=1.0):
    if name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=weight_decay
        )
    return torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)


def freeze_encoder(model, frozen):
    encoder = getattr(model, "encoder", model)
    for p in encoder.parameters():
        p.requires_grad_(not frozen)
    if frozen:
        encoder.eval()
