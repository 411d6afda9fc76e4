import asyncio
import math
import sys

import genai_prices
import pytest

from graphengine.errors import DefinitionError
from graphengine.models import sdk
from graphengine.models.prices import Price, Prices, Spent

HAIKU = "claude-haiku-4-5"  # $1 a million tokens in, $5 out, $0.10 read, $1.25 written, $2 written for an hour


class TestTables:
    @pytest.mark.parametrize(
        ("spent", "cost_usd"),
        [
            (Spent(input_tokens=1_000_000), 1.0),
            (Spent(output_tokens=1_000_000), 5.0),
            (Spent(input_tokens=1_000_000, cache_read_tokens=1_000_000), 0.1),
            (Spent(input_tokens=1_000_000, cache_write_tokens=1_000_000), 1.25),
            (Spent(input_tokens=1_000_000, cache_write_tokens=1_000_000, cache_write_1h_tokens=1_000_000), 2.0),
            (
                Spent(
                    input_tokens=4_000_000,
                    cache_read_tokens=1_000_000,
                    cache_write_tokens=2_000_000,
                    cache_write_1h_tokens=1_000_000,
                    output_tokens=1_000_000,
                ),
                1.0 + 0.1 + 1.25 + 2.0 + 5.0,
            ),
            (Spent(), 0.0),
        ],
    )
    async def test_each_sort_of_tokens_has_its_price(self, spent: Spent, cost_usd: float) -> None:
        """Tokens read from a cache, or written to one for minutes or for an hour, have their own prices."""
        found = await Prices("anthropic", HAIKU).cost(spent)
        assert found is not None
        assert math.isclose(found, cost_usd)

    async def test_the_model_that_answered_is_the_one_that_is_paid(self) -> None:
        """A router's answer costs what its model does; an unknown name costs what the called model does."""
        prices = Prices("anthropic", HAIKU)
        spent = Spent(input_tokens=1_000_000)
        assert await prices.cost(spent, "claude-opus-4-5") == 5.0
        assert await prices.cost(spent, "claude-haiku-4-5-20251001") == 1.0
        assert await prices.cost(spent, "haiku-in-our-cloud") == 1.0

    @pytest.mark.parametrize(("provider", "model"), [("anthropic", "my-own"), ("nobody", HAIKU), ("", HAIKU)])
    async def test_unlisted_models_have_unknown_prices(self, provider: str, model: str) -> None:
        """An unlisted model's price is None, not zero."""
        prices = Prices(provider, model, address="http://127.0.0.1:1/v1")
        assert await prices.cost(Spent(input_tokens=5)) is None
        assert not await prices.known()

    @pytest.mark.parametrize(
        ("provider", "model"),
        [
            ("anthropic", HAIKU),
            ("anthropic", "claude-sonnet-4-5"),
            ("openai", "gpt-5-mini"),
            ("deepseek", "deepseek-chat"),
        ],
    )
    async def test_a_cost_that_is_worked_out_from_rates_is_the_tables_own(self, provider: str, model: str) -> None:
        """Whether rates are kept or looked up, tiered or not, a cost equals that of genai-prices."""
        prices = Prices(provider, model)
        for spent in (
            Spent(7),
            Spent(977, 101, 203, 57, 991),
            Spent(300_001, 17, 250_000, 0, 3),
            Spent(300_001, 200_017, 0, 0, 70_003),
            Spent(0, 0, 0, 0, 11),
        ):
            usage = genai_prices.Usage(
                input_tokens=spent.input_tokens,
                cache_read_tokens=spent.cache_read_tokens,
                cache_write_tokens=spent.cache_write_tokens,
                cache_write_1h_tokens=spent.cache_write_1h_tokens,
                output_tokens=spent.output_tokens,
            )
            expected = float(genai_prices.calc_price(usage, model, provider_id=provider).total_price)
            assert await prices.cost(spent) == expected

    async def test_numbers_that_contradict_each_other_cost_an_unknown_amount(self) -> None:
        """More tokens read from a cache than in the question have no cost, with and without kept rates."""
        prices = Prices("anthropic", HAIKU)
        for _ in range(2):
            assert await prices.cost(Spent(input_tokens=5, cache_read_tokens=6)) is None
            assert await prices.cost(Spent(input_tokens=5)) == 5e-06

    async def test_a_provider_can_be_found_by_its_address(self) -> None:
        """A compatible server in the tables has its own prices."""
        assert await Prices("", "gpt-4o-mini", address="https://api.openai.com/v1").known()

    async def test_without_the_package_prices_are_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer is not lost because it has no price."""
        monkeypatch.setattr(sdk, "_loaded", {})
        monkeypatch.setitem(sys.modules, "genai_prices.data", None)
        assert await Prices("anthropic", HAIKU).cost(Spent(input_tokens=5)) is None

    async def test_many_at_once_load_the_tables_once(self) -> None:
        """A fork's calls end together, and each gets its price."""
        prices = Prices("anthropic", HAIKU)
        assert set(await asyncio.gather(*(prices.cost(Spent(input_tokens=1_000_000)) for _ in range(20)))) == {1.0}


class TestPrice:
    async def test_a_given_price_takes_precedence(self) -> None:
        """Users with a contract or a server of their own set the price."""
        assert await Prices("anthropic", HAIKU, given=Price(2, 0)).cost(Spent(input_tokens=1_000_000)) == 2.0
        assert await Prices("nobody", "x", given=Price(0, 0)).cost(Spent(input_tokens=9)) == 0.0
        assert await Prices("nobody", "x", given=Price(0, 0)).known()

    def test_cached_tokens_have_their_own_price_or_the_common_one(self) -> None:
        """Every token is paid once: cached tokens at their own price, or the common one."""
        spent = Spent(
            input_tokens=3_000_000, cache_read_tokens=1_000_000, cache_write_tokens=1_000_000, output_tokens=1_000_000
        )
        assert Price(10, 1).of(spent) == 31.0
        assert Price(10, 1, cache_read_usd=0, cache_write_usd=4).of(spent) == 15.0

    @pytest.mark.parametrize("bad", [-1, math.nan, math.inf, "3", None])
    def test_a_price_is_a_number_from_0_on(self, bad: float) -> None:
        """An invalid price is refused at construction."""
        with pytest.raises(DefinitionError, match=r"Price\(output_usd="):
            Price(1, bad)
        if bad is not None:
            with pytest.raises(DefinitionError, match=r"Price\(cache_read_usd="):
                Price(1, 1, cache_read_usd=bad)
