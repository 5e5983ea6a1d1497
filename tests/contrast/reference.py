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


def densities(batch, bank, scales):
    """Of every batch feature among G_n u V_n, itself left out."""
    return [
        multiscale_density(v, [*bank, *batch[:i], *batch[i + 1 :]], scales)
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


def class_loss(anchors, centre_D, negatives, weights, tau):
    """Eq. 10 of one class: positive in the denominator, w outside the log, mean over the anchors."""
    total = 0.0
    for anchor, weight in zip(anchors, weights, strict=True):
        pull = math.exp(cosine(anchor, centre_D) / tau)
        push = sum(math.exp(cosine(anchor, q) / tau) for q in negatives)
        total += weight * -math.log(pull / (pull + push))
    return total / sum(weights)


def contrast(classes, config):
    """L_CL of one network, unit = pixel. `classes`: dicts batch, reliable, bank, bank_density, negatives.

    `negatives` may be a function of all classes' anchors: called with the list and the class's position.
    """
    ends, anchors_of = [], []
    for item in classes:
        scores = densities(item["batch"], item["bank"], config.scales)
        count = min(max(2, int(item["reliable"] * config.max_fraction)), len(item["batch"]) // 2)
        key_cap = config.positives // 2 if config.bank_size else config.positives
        low = lowest(scores, min(count, config.anchors))
        high = highest(scores, min(count, key_cap))
        ends.append((low, high))
        anchors_of.append([item["batch"][i] for i in low])
    losses = []
    for n, item in enumerate(classes):
        _, high = ends[n]
        from_bank = min(len(item["bank"]) // 2, config.positives // 2)
        keys = [item["batch"][i] for i in high]
        keys += [item["bank"][i] for i in highest(item["bank_density"], from_bank)]
        negatives = item["negatives"]
        negatives = negatives(anchors_of, n) if callable(negatives) else negatives
        enough = len(item["batch"]) + len(item["bank"]) >= max(config.scales) + 1
        if len(anchors_of[n]) < 2 or not keys or not len(negatives) or not enough:
            continue
        middle = centre(keys)
        cosines = [cosine(a, middle) for a in anchors_of[n]]
        weights = (
            positiveness(cosines, config.tau_w)
            if config.positiveness == "outside"
            else [1.0] * len(cosines)
        )
        losses.append(class_loss(anchors_of[n], middle, negatives, weights, config.tau))
    return sum(losses) / len(losses) if losses else 0.0
