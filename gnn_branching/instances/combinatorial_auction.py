"""Combinatorial auctions with arbitrary relations between items (Leyton-Brown et al. 2000), as in Gasse et al. 2019."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gnn_branching.contracts import FloatArray, InputError
from gnn_branching.instances.lp_format import LinearProgram

LOWEST_VALUE, HIGHEST_VALUE = 1, 100
VALUE_DEVIATION = 0.5
"""A bidder's value of an item differs from the common one by at most this share of the highest value."""
ADDITIVITY = 0.2
"""A bundle of n items is worth n to the power of one plus this, beside the sum of its items."""
MOST_SUBSTITUTES = 5
BUDGET_FACTOR = 1.5
"""A substitute costs at most so many times the price of the first bundle."""
RESALE_FACTOR = 0.5
"""The items of a substitute have at least this share of the first bundle's common value."""
LEAST_EXCLUSIVE = 3
"""A bidder with so many bids wins one of them at most: they share an item that nobody else wants."""

Bundle = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Auction:
    """Data of an instance.

    Args:
        bundles: Items of each bid, ascending; made-up items have numbers from ``n_items`` on.
        prices: Of each bid.
    """

    bundles: tuple[Bundle, ...]
    prices: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bidder:
    """What one bidder thinks of the items.

    Args:
        interests: In [0, 1), shape (items,).
        values: What each item is worth to this bidder, shape (items,).
        compatibility: How well items go together, the same for all bidders, shape (items, items).
        rng: Draws the bundles.
    """

    interests: FloatArray
    values: FloatArray
    compatibility: FloatArray
    rng: np.random.Generator

    def first_bundle(self, add_item_prob: float) -> Bundle:
        """Draw a bundle that grows by an item with some probability, again and again."""
        items = [self._draw(self.interests)]
        while self.rng.random() < add_item_prob and len(items) < self.interests.size:
            items.append(self._next_item(items))
        return tuple(sorted(items))

    def substitute(self, item: int, n_items: int) -> Bundle:
        """Draw a bundle of as many items around one of them."""
        items = [item]
        while len(items) < n_items:
            items.append(self._next_item(items))
        return tuple(sorted(items))

    def price(self, bundle: Bundle) -> float:
        """Return what a bundle is worth to this bidder."""
        return float(self.values[list(bundle)].sum() + len(bundle) ** (1.0 + ADDITIVITY))

    def _next_item(self, items: list[int]) -> int:
        weights = self.interests * self.compatibility[:, items].sum(axis=1)
        weights[items] = 0.0
        return self._draw(weights)

    def _draw(self, weights: FloatArray) -> int:
        cumulative = np.cumsum(weights)
        return int(np.searchsorted(cumulative, self.rng.random() * cumulative[-1], side="right"))


def draw_auction(seed: int, n_items: int, n_bids: int, add_item_prob: float) -> Auction:
    """Draw the data of an instance.

    Raises:
        InputError: If the probability is none.
    """
    if not 0 <= add_item_prob <= 1:
        raise InputError(f"add_item_prob {add_item_prob} must lie in [0, 1]")
    rng = np.random.default_rng(seed)
    common = rng.uniform(LOWEST_VALUE, HIGHEST_VALUE, n_items)
    compatibility = np.triu(rng.random((n_items, n_items)), k=1)
    compatibility += compatibility.T
    compatibility /= compatibility.sum(axis=1)
    bundles: list[Bundle] = []
    prices: list[float] = []
    n_exclusive = 0
    while len(bundles) < n_bids:
        interests = rng.random(n_items)
        values = common + HIGHEST_VALUE * VALUE_DEVIATION * (2 * interests - 1)
        bidder = Bidder(interests=interests, values=values, compatibility=compatibility, rng=rng)
        bids = _bids(bidder, common, add_item_prob, min(MOST_SUBSTITUTES + 1, n_bids - len(bundles)))
        shared = (n_items + n_exclusive,) if len(bids) >= LEAST_EXCLUSIVE else ()
        n_exclusive += len(shared)
        bundles += [(*bundle, *shared) for bundle in sorted(bids)]
        prices += [bids[bundle] for bundle in sorted(bids)]
    return Auction(bundles=tuple(bundles), prices=tuple(prices))


def _bids(bidder: Bidder, common: FloatArray, add_item_prob: float, n_most: int) -> dict[Bundle, float]:
    """Return one bidder's bids: a bundle, and the dearest of its substitutes; none if the bundle is worth nothing."""
    first = bidder.first_bundle(add_item_prob)
    price = bidder.price(first)
    if price < 0:
        return {}
    bids = {first: price}
    substitutes = [bidder.substitute(item, len(first)) for item in first]
    least_resale = RESALE_FACTOR * common[list(first)].sum()
    for bundle in sorted(substitutes, key=bidder.price, reverse=True):
        if len(bids) == n_most:
            break
        if 0 <= bidder.price(bundle) <= BUDGET_FACTOR * price and common[list(bundle)].sum() >= least_resale:
            bids.setdefault(bundle, bidder.price(bundle))
    return bids


def write_auction(path: Path, seed: int, n_items: int, n_bids: int, add_item_prob: float) -> None:
    """Write a combinatorial auction: bids of the highest sum that share no item.

    Raises:
        InputError: If the probability is none.
    """
    data = draw_auction(seed, n_items, n_bids, add_item_prob)
    program = LinearProgram(sense="Maximize", binaries=[f"x{bid}" for bid in range(n_bids)])
    program.objective += zip(data.prices, program.binaries, strict=True)
    bids_of: defaultdict[int, list[str]] = defaultdict(list)
    for bid, bundle in enumerate(data.bundles):
        for item in bundle:
            bids_of[item].append(program.binaries[bid])
    for item in sorted(bids_of):
        program.at_most([(1, name) for name in bids_of[item]], 1)
    program.write_lp(path)
