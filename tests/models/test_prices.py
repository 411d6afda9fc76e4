import asyncio
import sys

import genai_prices
import pytest
from genai_prices import data_snapshot

from graphengine.models import AnthropicModel, BedrockModel, OpenAIModel, Price, sdk
from graphengine.models.prices import Prices, Spent

HAIKU = "claude-haiku-4-5"  # $1 a million tokens in, $5 out, $0.10 read, $1.25 written, $2 written for an hour


class TestTables:
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

    async def test_without_the_package_prices_are_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer is not lost because it has no price."""
        monkeypatch.setattr(sdk, "_loaded", {})
        monkeypatch.setitem(sys.modules, "genai_prices.data", None)
        assert await Prices("anthropic", HAIKU).cost(Spent(input_tokens=5)) is None

    async def test_a_model_that_updated_tables_list_has_a_price(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An application may update the tables while it runs. A name without a price is looked up in the new tables."""
        listed = data_snapshot.get_snapshot()
        prices = Prices("anthropic", HAIKU)
        monkeypatch.setattr(
            data_snapshot, "get_snapshot", lambda: data_snapshot.DataSnapshot([], from_auto_update=True)
        )
        assert await prices.cost(Spent(1_000_000)) is None
        monkeypatch.setattr(data_snapshot, "get_snapshot", lambda: listed)
        assert await prices.cost(Spent(1_000_000)) == 1.0

    async def test_many_at_once_load_the_tables_once(self) -> None:
        """A fork's calls end together, and each gets its price."""
        prices = Prices("anthropic", HAIKU)
        assert set(await asyncio.gather(*(prices.cost(Spent(input_tokens=1_000_000)) for _ in range(20)))) == {1.0}


class TestAddresses:
    async def test_only_a_providers_own_address_has_its_prices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy, a region or a cloud may bill something else; a given price always applies."""
        monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
        assert await AnthropicModel("claude-haiku-4-5").knows_price()
        assert await AnthropicModel("claude-haiku-4-5", base_url="https://api.anthropic.com/v1").knows_price()
        bedrock = "anthropic.claude-haiku-4-5-20251001-v1:0"
        assert await BedrockModel(bedrock, region="us-east-1").knows_price()
        for elsewhere in (
            AnthropicModel("claude-haiku-4-5", base_url="https://models.example"),
            BedrockModel(bedrock, region="us-east-1", base_url="https://models.example"),
            OpenAIModel("gpt-5-mini", base_url="https://eu.api.openai.com/v1"),
        ):
            assert not await elsewhere.knows_price()
        assert await AnthropicModel("m", base_url="https://models.example", price=Price(1, 2)).knows_price()

    async def test_the_environments_address_counts_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The address is where the call goes, however it was set."""
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://models.example")
        assert not await AnthropicModel("claude-haiku-4-5").knows_price()
