"""Eq. 2-10 of the paper one after the other, in loops over NumPy float64: slow, and read off the page.

Vectors of an empty set are lists of length 0; every feature is normalised where the equation uses a cosine.
"""

import math

import numpy as np

UNRELIABLE = -1


def unit(vector):
    length = math.sqrt(sum(float(x) ** 2 for x in vector))
    return np.asarray(vector, dtype=float) / length if length > 0 else np.zeros(len(vector))


def cosine(a, b):
    return sum(float(x) * float(y) for x, y in zip(unit(a), unit(b), strict=True))


def reliability_mask(n, phi, *, label_HW=None, probs_NHW=None):
    """T_n of Eq. 2: the annotation where there is one, else the winning class above phi."""
    height, width = (label_HW if label_HW is not None else probs_NHW[0]).shape
    mask_HW = np.zeros((height, width), dtype=bool)
    for y in range(height):
        for x in range(width):
            if label_HW is not None:
                mask_HW[y, x] = label_HW[y, x] == n
            else:
                column = probs_NHW[:, y, x]
                mask_HW[y, x] = int(np.argmax(column)) == n and column[n] > phi
    return mask_HW


def prototype(mask_HW, map_DHW):
    """Eq. 2: v_n, or None where the image holds no reliable pixel of the class."""
    total, count = np.zeros(len(map_DHW)), 0
    for y in range(mask_HW.shape[0]):
        for x in range(mask_HW.shape[1]):
            if mask_HW[y, x]:
                total += map_DHW[:, y, x]
                count += 1
    return total / count if count else None


def density(feature, neighbours, k):
    """Eq. 3: mean cosine to the k nearest of `neighbours` (to all of them where there are fewer)."""
    cosines = sorted((cosine(feature, other) for other in neighbours), reverse=True)[:k]
    return sum(cosines) / len(cosines) if cosines else 0.0


def multiscale_density(feature, neighbours, scales):
    """Eq. 4-5: the average of Eq. 3 over the scales."""
    return sum(density(feature, neighbours, k) for k in scales) / len(scales)


def neighbours(batch, bank, i, source):
    """Where feature i of the batch looks for neighbours: G_n, V_n without itself, or both."""
    others = [*batch[:i], *batch[i + 1 :]]
    return {"bank": [*bank], "batch": others, "both": [*bank, *others]}[source]


def densities(batch, bank, scales, source="both"):
    """Of every batch feature."""
    return [
        multiscale_density(v, neighbours(batch, bank, i, source), scales)
        for i, v in enumerate(batch)
    ]


def lowest(density_M, count):
    """Eq. 6: positions of the `count` lowest densities."""
    return sorted(range(len(density_M)), key=lambda i: density_M[i])[:count]


def highest(density_M, count):
    """Eq. 7: positions of the `count` highest densities."""
    return sorted(range(len(density_M)), key=lambda i: -density_M[i])[:count]


def centre(keys):
    """Eq. 8 on the sphere."""
    total = sum(unit(key) for key in keys)
    return unit(total)


def positiveness(cosines, tau_w):
    """Eq. 9 with gamma_i = 1/Q: Q times the softmax over the anchors."""
    exps = [math.exp(u / tau_w) for u in cosines]
    return [len(exps) * e / sum(exps) for e in exps]


def anchor_losses(anchors, centre_D, negatives, tau, tau_w, reading, *, decoupled=False):
    """l_i and the weight of l_i in the sum, for every anchor of a class, with w_i where `reading` says."""
    cosines = [cosine(anchor, centre_D) for anchor in anchors]
    weights = positiveness(cosines, tau_w)
    pulls = [math.exp(u / tau) for u in cosines]
    losses, factors = [], []
    for anchor, weight, pull in zip(anchors, weights, pulls, strict=True):
        push = sum(math.exp(cosine(anchor, q) / tau) for q in negatives)
        if reading == "claim1":
            losses.append(-math.log(pull / sum(pulls)))
        elif reading == "inside_denominator":
            losses.append(-math.log(weight * pull / (push if decoupled else weight * pull + push)))
        elif reading == "inside_attached":
            losses.append(-math.log(weight * pull / (push if decoupled else pull + push)))
        else:
            losses.append(-math.log(pull / (push if decoupled else pull + push)))
        factors.append(weight if reading in ("outside", "claim1") else 1.0)
    return losses, factors


def class_loss(anchors, centre_D, negatives, weights, tau):
    """Eq. 10 of one class: positive in the denominator, given weights outside the log, mean over the anchors."""
    losses, _ = anchor_losses(anchors, centre_D, negatives, tau, tau, "none")
    return sum(w * x for w, x in zip(weights, losses, strict=True)) / sum(weights)


def contrast(classes, config):
    """L_CL of one network, unit = pixel. `classes`: dicts batch, reliable, bank, bank_density, negatives.

    `negatives` may be a function of all classes' anchors: called with the list and the class's position. With
    `sampling = "random"`, `order` and `bank_order` are the random numbers that stand in the place of the densities.
    """
    by_chance = config.sampling == "random"
    from_bank = config.keys_from == "both" and config.bank_size > 0
    ends, anchors_of = [], []
    for item in classes:
        scores = densities(item["batch"], item["bank"], config.scales, config.density_from)
        scores = item["order"] if by_chance else scores
        count = min(max(2, int(item["reliable"] * config.max_fraction)), len(item["batch"]) // 2)
        key_cap = config.positives // 2 if from_bank else config.positives
        low = lowest(scores, min(count, config.anchors))
        high = highest(scores, min(count, key_cap))
        ends.append((low, high))
        anchors_of.append([item["batch"][i] for i in low])
    means, sums = [], []
    for n, item in enumerate(classes):
        _, high = ends[n]
        half = min(len(item["bank"]) // 2, config.positives // 2) if from_bank else 0
        bank_scores = item["bank_order"] if by_chance else item["bank_density"]
        keys = [item["batch"][i] for i in high]
        keys += [item["bank"][i] for i in highest(bank_scores, half)]
        negatives = item["negatives"]
        negatives = negatives(anchors_of, n) if callable(negatives) else negatives
        every = {"bank": len(item["bank"]), "batch": len(item["batch"])}
        candidates = every.get(config.density_from, sum(every.values()))
        enough = by_chance or candidates >= max(config.scales) + 1
        if len(anchors_of[n]) < 2 or not keys or not len(negatives) or not enough:
            continue
        losses, factors = anchor_losses(
            anchors_of[n], centre(keys), negatives, config.tau, config.tau_w,
            config.positiveness, decoupled=config.denominator == "decoupled",
        )  # fmt: skip
        sums.append(sum(f * x for f, x in zip(factors, losses, strict=True)))
        means.append(sums[-1] / sum(factors))
    if not means:
        return 0.0
    return sum(sums) if config.reduction == "sum" else sum(means) / len(means)
