"""The cost of a model's answer: by the user's price, otherwise by the tables of genai-prices, otherwise unknown.

The tables are part of that package; nothing is downloaded. They are loaded on first use, in a thread. The package then
needs about 0.1 ms to compute a cost, so rates that depend neither on the number of tokens nor on the time are kept. The
cost of a model or provider that is not listed is None, which is shown as unknown and never as 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from graphengine.errors import DefinitionError
from graphengine.models.base import Response, at_least, usage_of
from graphengine.models.errors import ModelUnavailable
from graphengine.models.sdk import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal
    from types import ModuleType

    from genai_prices import Usage as Counted
    from genai_prices.types import ModelPrice, PriceCalculation

    from graphengine.kernel.reader import Usage

_BATCH: Final = {"processing": "batch"}
BATCH_SHARE: Final = 0.5
"""The price of a batch's tokens, as a share of the price of single calls.

Sources: Anthropic, "Message Batches: All usage is charged at 50% of the standard API prices"; OpenAI, "Batch API: 50%
cost discount compared to synchronous APIs".
"""
STANDARD_TIERS: Final = ("", "auto", "default", "on_demand", "standard")
"""The service tiers to which the price tables apply; "" if the server names none."""
_HALVING: Final = ("anthropic", "openai")
MILLION: Final = 1_000_000
THOUSAND: Final = 1_000


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model, in US dollars per million tokens. Text, sound and images count alike.

    Pass a `Price` to a model, as `price=`, if the price tables do not contain the model. Also pass a `Price` if the
    model is called through a proxy or at a regional address, because the tables list only the prices of the provider
    itself.

    Args:
        input_usd: The price of a question's tokens.
        output_usd: The price of an answer's tokens, including those of its thinking.
        cache_read_usd: The price of a question's tokens that are read from a cache; None for `input_usd`.
        cache_write_usd: The price of a question's tokens that are written to a cache; None for `input_usd`.
        search_usd: The price of a thousand web searches by the provider; None if it is unknown.

    Example:
        >>> Price(3, 15).of(Spent(input_tokens=1_000_000, output_tokens=100_000))
        4.5
        >>> Price(0, 0).of(Spent(input_tokens=1_000_000))  # a server of your own
        0.0
    """

    input_usd: float
    output_usd: float
    cache_read_usd: float | None = None
    cache_write_usd: float | None = None
    search_usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("input_usd", "output_usd", "cache_read_usd", "cache_write_usd", "search_usd"):
            usd = getattr(self, name)
            if usd is None and name not in {"input_usd", "output_usd"}:
                continue
            if not (isinstance(usd, (int, float)) and 0 <= usd < float("inf")):  # also false for NaN
                unit = "a thousand searches" if name == "search_usd" else "million tokens"
                text = f"Price({name}={usd!r}): a price must be a finite number of US dollars of at least 0"
                raise DefinitionError(text, where="Price", repair=f"write the US dollars per {unit}: {name}=3.0")

    def of(self, spent: Spent) -> float | None:
        """Compute the cost of a call at this price, in US dollars.

        Returns None if the call made web searches and `search_usd` is unknown.
        """
        if spent.web_searches and self.search_usd is None:
            return None
        plain = spent.input_tokens - spent.cache_read_tokens - spent.cache_write_tokens
        read_usd = self.input_usd if self.cache_read_usd is None else self.cache_read_usd
        write_usd = self.input_usd if self.cache_write_usd is None else self.cache_write_usd
        total = (
            max(plain, 0) * self.input_usd
            + spent.cache_read_tokens * read_usd
            + spent.cache_write_tokens * write_usd
            + spent.output_tokens * self.output_usd
        )
        share = BATCH_SHARE if spent.is_batch else 1.0
        return float(total / MILLION * share + spent.web_searches * (self.search_usd or 0) / THOUSAND)


@dataclass(frozen=True, slots=True)
class Spent:
    """The tokens that one call used, and other facts on which its cost depends.

    Attributes:
        input_tokens: All tokens of the question, including those read from and written to a cache.
        cache_read_tokens: The input tokens that were read from a cache.
        cache_write_tokens: The input tokens that were written to a cache.
        cache_write_1h_tokens: The written tokens that the cache keeps for an hour, which may cost more.
        output_tokens: All tokens of the answer.
        reasoning_tokens: The output tokens that were used for thinking.
        web_searches: The number of web searches by the provider.
        is_batch: Whether the call was part of a batch.
        is_special: Whether the tables do not apply, because the call had another service tier, such as `flex` or
            `priority`, was processed in another region, or had a fee that the tables do not contain.
        input_audio_tokens: The input tokens of sound.
        output_audio_tokens: The output tokens of sound.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0
    is_batch: bool = False
    is_special: bool = False
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0

    def on(self, response: Response) -> Response:
        """Return a copy of a response that contains these token counts."""
        return replace(
            response,
            input_tokens=self.input_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
            output_tokens=self.output_tokens,
            reasoning_tokens=min(self.reasoning_tokens, self.output_tokens),
        )

    @property
    def adds_up(self) -> bool:
        written = self.cache_write_tokens
        return self.cache_write_1h_tokens <= written and self.cache_read_tokens + written <= self.input_tokens


class Prices:
    """Computes the cost of the calls of one model object, by the user's price or by the price tables.

    Args:
        provider: The id of the model's provider in genai-prices, such as `anthropic`; "" to find the provider by its
            address.
        model: The name of the called model.
        given: The user's own price, which takes precedence.
        address: The server's address; "" for the provider's own address. The listed prices apply to the provider at
            this address, because a proxy may bill other prices.
    """

    def __init__(self, provider: str, model: str, *, given: Price | None = None, address: str = "") -> None:
        self._provider = provider
        self._model = model
        self._given = given
        there = urlsplit(address)
        self._address = f"https://{there.hostname}{there.path}" if address else ""
        self._unknown: dict[str, object] = {}
        """Names without a price, each with the version of the tables that was asked."""
        self._rates: dict[str, _Rates] = {}

    async def known(self) -> bool:
        """Return whether the cost of an ordinary answer will be known."""
        return await self.cost(Spent()) is not None

    async def cost(self, spent: Spent, answered: str = "") -> float | None:
        """Compute the cost of a call in US dollars; None if the cost is unknown.

        Args:
            spent: The tokens of the call.
            answered: The name of the model that answered, as the provider reported it. If it has no price, the price of
                the called model applies, because the provider may report a longer name.
        """
        if self._given is not None:
            return self._given.of(spent)
        if spent.is_special:
            return None
        names = [name for name in dict.fromkeys((answered, self._model)) if name]
        if not names:
            return None
        try:
            # Loads the tables here, because the package would load them in the event loop.
            await load("genai_prices.data", "models")
            tables = await load("genai_prices", "models")
        except ModelUnavailable:
            return None
        return self._find_price(tables, spent, names)

    async def window(self) -> int | None:
        """Return the model's context window by the tables, in tokens of question and answer together.

        The result is None if it is not listed.
        """
        try:
            await load("genai_prices.data", "models")
            tables = await load("genai_prices", "models")
            snapshot = tables.data_snapshot.get_snapshot()
            _, found = snapshot.find_provider_model(self._model, None, self._provider or None, self._address or None)
        except (ModelUnavailable, LookupError):
            return None
        return int(found.context_window) if found.context_window else None

    async def usage(self, spent: Spent | None, *, is_torn: bool = False) -> Usage | None:
        """Convert the tokens of a failed call to the usage that a step records; None if the usage is unknown.

        Args:
            spent: The tokens of the call, as far as the provider reported them.
            is_torn: Whether the call may have used more, so that these tokens and their cost are a lower bound.
        """
        if spent is None:
            return None
        used = usage_of(spent.on(Response("", cost_usd=await self.cost(spent))))
        return at_least(used) if is_torn else used

    def _find_price(self, tables: ModuleType, spent: Spent, names: Sequence[str]) -> float | None:
        is_named = self._provider and not self._address
        where = {"provider_id": self._provider} if is_named else {"provider_api_url": self._address}
        # Another object after the application has updated the package's tables.
        snapshot = tables.data_snapshot.get_snapshot()
        for name in names:
            if self._unknown.get(name) is snapshot:
                continue
            rates = self._rates.get(name)
            sound = spent.input_audio_tokens or spent.output_audio_tokens
            plain = not spent.web_searches and not spent.is_batch and not sound
            if rates is not None and rates.snapshot is snapshot and spent.adds_up and plain:
                return rates.of(spent)
            try:
                found = tables.calc_price(_build_price_usage(tables, spent), name, **where)
            except LookupError:
                self._unknown[name] = snapshot
                continue
            except ValueError:  # the numbers of tokens contradict each other
                return None
            searches = found.total_price - _tokens_price(tables, spent, found)
            if (spent.web_searches and not searches) or (sound and not prices_sound(spent, found.model_price)):
                return None  # the tables contain no price for this
            if spent.is_batch:
                return self._batch(tables, spent, found, searches)
            if _is_flat_price(tables, found.model.prices):
                self._rates[name] = _rates(tables, snapshot, found)
            return float(found.total_price)
        return None

    def _batch(self, tables: ModuleType, spent: Spent, found: PriceCalculation, searches: Decimal) -> float | None:
        """Compute the cost of a call that was part of a batch, for which providers charge less.

        If the tables list no price for batches, half of the normal price applies at Anthropic and OpenAI, which
        document this discount. At other providers the result is then None, because the cost is unknown.
        """
        plain, tokens = _tokens_price(tables, spent, found), _tokens_price(tables, spent, found, price_context=_BATCH)
        if tokens != plain or not plain:
            return float(tokens + searches)
        return float(plain) * BATCH_SHARE + float(searches) if found.provider.id in _HALVING else None


def _tokens_price(
    tables: ModuleType, spent: Spent, found: PriceCalculation, price_context: Mapping[str, str] | None = None
) -> Decimal:
    """Compute the price of the tokens of a call, without the fees for its web searches."""
    usage = _build_price_usage(tables, replace(spent, web_searches=0))
    return found.model.calc_price(usage, found.provider, price_context=price_context).total_price


class PricedModel:
    """Base class of the models that compute the cost of their answers, from the price tables or the user's `price=`.

    The context window is also read from the price tables.
    """

    _prices: Prices

    async def knows_price(self) -> bool:
        """Return whether the cost of the model's answers will be known (`Response.cost_usd`)."""
        return await self._prices.known()

    async def window_tokens(self) -> int | None:
        """Return the size of the context window, in tokens of question and answer together; None if it is unknown."""
        return await self._prices.window()

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return the cost in US dollars of a call with these numbers of tokens; None if it is unknown."""
        return await self._prices.cost(Spent(input_tokens, output_tokens=output_tokens))


@dataclass(frozen=True, slots=True)
class _Rates:
    """The prices of a million tokens of each kind for one model, kept so that genai-prices is not asked for every call.

    `snapshot` is the version of the price tables from which the prices were computed. The prices are discarded when the
    tables change.
    """

    snapshot: object
    call: Decimal
    plain: Decimal
    read: Decimal
    written: Decimal
    written_1h: Decimal
    output: Decimal

    def of(self, spent: Spent) -> float:
        plain = spent.input_tokens - spent.cache_read_tokens - spent.cache_write_tokens
        total = (
            plain * self.plain
            + spent.cache_read_tokens * self.read
            + (spent.cache_write_tokens - spent.cache_write_1h_tokens) * self.written
            + spent.cache_write_1h_tokens * self.written_1h
            + spent.output_tokens * self.output
        )
        return float(self.call + total / MILLION)


def prices_sound(spent: Spent, prices: ModelPrice) -> bool:
    """Return whether the tables list a price for the sound in this call.

    Without this check, sound would be billed at the price of text.
    """
    heard = not spent.input_audio_tokens or prices.input_audio_mtok is not None
    return heard and (not spent.output_audio_tokens or prices.output_audio_mtok is not None)


def _is_flat_price(tables: ModuleType, prices: object) -> bool:
    """Return whether a token costs the same at any time and however many tokens a call uses.

    Only such prices can be stored and used for later calls.
    """
    if not isinstance(prices, tables.types.ModelPrice):
        return False
    return not any(isinstance(price, tables.types.TieredPrices) for price in vars(prices).values())


def _rates(tables: ModuleType, snapshot: object, found: PriceCalculation) -> _Rates:
    """Ask genai-prices for the cost of a million tokens of each kind."""

    def cost(spent: Spent) -> Decimal:
        return found.model.calc_price(_build_price_usage(tables, spent), found.provider).total_price

    many = MILLION
    call = cost(Spent())
    each = (
        Spent(many),
        Spent(many, cache_read_tokens=many),
        Spent(many, cache_write_tokens=many),
        Spent(many, cache_write_tokens=many, cache_write_1h_tokens=many),
        Spent(output_tokens=many),
    )
    return _Rates(snapshot, call, *(cost(spent) - call for spent in each))


def _build_price_usage(tables: ModuleType, spent: Spent) -> Counted:
    rare = ("web_searches", "input_audio_tokens", "output_audio_tokens")
    usage: Counted = tables.Usage(
        input_tokens=spent.input_tokens,
        cache_read_tokens=spent.cache_read_tokens,
        cache_write_tokens=spent.cache_write_tokens,
        cache_write_1h_tokens=spent.cache_write_1h_tokens,
        output_tokens=spent.output_tokens,
        **{name: getattr(spent, name) for name in rare if getattr(spent, name)},
    )
    return usage


__all__ = ["STANDARD_TIERS", "Price", "PricedModel", "Prices", "Spent", "prices_sound"]
